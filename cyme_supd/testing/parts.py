"""The parts of the store in memory that are in modules of their own."""

from __future__ import annotations

from cyme_supd.testing.accounts import MemoryAccounts, MemoryAccountsEdit
from cyme_supd.testing.audit import MemoryAudit, MemoryAuditEdit
from cyme_supd.testing.jobs import MemoryJobs, MemoryJobsEdit
from cyme_supd.testing.ledger import MemoryLedger, MemoryLedgerEdit
from cyme_supd.testing.runhistory import MemoryRunHistory, MemoryRunHistoryEdit
from cyme_supd.testing.samples import MemorySamples, MemorySamplesEdit
from cyme_supd.testing.whole import MemoryWhole


class Parts(
    MemoryAccounts,
    MemoryAudit,
    MemoryWhole,
    MemorySamples,
    MemoryJobs,
    MemoryRunHistory,
    MemoryLedger,
):
    """Of a look."""


class PartsEdit(
    MemoryAccountsEdit,
    MemoryAuditEdit,
    MemorySamplesEdit,
    MemoryJobsEdit,
    MemoryRunHistoryEdit,
    MemoryLedgerEdit,
):
    """Of a transaction."""
