"""Fakes of every port, each held to the contract suite of the real thing; and a branch of them.

:func:`client` is for whoever tests a program that uses :mod:`cyme_supd.client`.
"""

from cyme_supd.testing.branch import client

__all__ = ["client"]
