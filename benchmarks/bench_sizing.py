"""What a fleet costs its broker and its database each second, and what gives first.

Nobody has a thousand hosts for this. Measured are the things of which there
are many: a heartbeat at the broker and at whoever hears it, and what a branch
asks of a PostgreSQL. Each in processor time, which other work on the machine
hardly changes. What a fleet of any size does of these is arithmetic, and
printed below.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from kombu import Producer

from benchmarks import harness
from benchmarks.costs import busy
from cyme_supd.brokers.connections import connection
from cyme_supd.clock import SystemClock
from cyme_supd.domain.broker import parse_broker
from cyme_supd.domain.presence import Heartbeat, growing_s
from cyme_supd.domain.spec import App, Instance
from cyme_supd.domain.status import Branch, ProcessState, Status
from cyme_supd.mailbox.wire import Wire, heartbeat_message
from cyme_supd.store.migrations import migrate
from cyme_supd.store.repository import SqlStore
from tests import databases

FLEETS = (10, 100, 300, 1000)
#: Of a branch: the process of that name and two of the web's.
PROCESSES = 3
EARS = 60
PLAYERS = 2
RATE = 50
WINDOW_S = 5.0
SUP_INTERVAL_S = 5.0


@dataclass(frozen=True)
class Cost:
    """Processor seconds of one."""

    sent: float
    delivered: float
    heard: float
    bytes: int


def main() -> None:
    numbers = harness.wanted(__doc__, ears=EARS, rate=RATE, calls=500)
    for name, broker in harness.BROKERS.items():
        with broker() as url:
            report(name, cost_of_beats(url, numbers["ears"], numbers["rate"]))
    with databases.server(databases.POSTGRESQL) as server, server.database() as url:
        database(url, numbers["calls"])


# The broker


def cost_of_beats(broker: str, ears: int, rate: int) -> Cost:
    fleet = f"bench-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        players = [stack.enter_context(playing(broker, fleet, ears // PLAYERS)) for _ in "ab"]
        server = process_at(broker)
        pids = {"broker": server, **{str(each.pid): each.pid for each in players}}
        few = window(broker, fleet, rate, players, pids)
        # Without deliveries: what publishing and being there cost by themselves.
        idle = window(broker, f"{fleet}-nobody", rate, players, pids)
    deliveries = few["heard"]
    heard = sum(few[str(each.pid)] - idle[str(each.pid)] for each in players)
    return Cost(
        sent=idle["broker"] / idle["sent"],
        delivered=(few["broker"] - idle["broker"]) / deliveries,
        heard=heard / deliveries,
        bytes=len(heartbeat_message(beat(1)).body),
    )


Player = subprocess.Popen[str]


@contextmanager
def playing(broker: str, fleet: str, count: int) -> Iterator[Player]:
    argv = [sys.executable, "-m", "benchmarks.hearing", broker, fleet, str(count)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.communicate()


def heard_by(player: Player) -> int:
    assert player.stdin is not None
    assert player.stdout is not None
    player.stdin.write("\n")
    player.stdin.flush()
    return int(player.stdout.readline())


def window(
    broker: str, fleet: str, rate: int, players: Sequence[Player], pids: dict[str, int]
) -> dict[str, float]:
    """Processor seconds by process, and how many were ``sent`` and ``heard``."""
    wire = Wire(broker, fleet)
    with connection(broker, io_timeout_s=10.0, transport=wire.transport) as conn:
        channel = conn.channel()
        wire.presence(channel).declare()
        producer, sent = Producer(channel), 0
        before, heard = busy(pids), sum(map(heard_by, players))
        begun = time.monotonic()
        while time.monotonic() - begun < WINDOW_S:
            message = heartbeat_message(beat(sent % 1000))
            producer.publish(
                message.body,
                exchange=wire.presence.name,
                headers={"kind": str(message.kind)},
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=1,
            )
            sent += 1
            time.sleep(max(0.0, begun + sent / rate - time.monotonic()))
        time.sleep(1.0)
    spent = {name: seconds - before[name] for name, seconds in busy(pids).items()}
    return {**spent, "sent": sent, "heard": sum(map(heard_by, players)) - heard}


def beat(number: int) -> Heartbeat:
    gib = 1 << 30
    return Heartbeat(
        id=f"branch{number}.example.com",
        url=f"http://branch{number}.example.com:8000",
        port=8000,
        version="0.1.0",
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        sup_interval=5.0,
        numc=2,
        loglevel="INFO",
        load_average=(1.0, 1.0, 1.0),
        memory={"total": 64 * gib, "available": 32 * gib},
        disk_use=0.5,
        instances=50,
        room=1000,
        digest=f"{number:064}",
        address=f"cyme.{number:032}",
    )


def process_at(broker: str) -> int:
    port = parse_broker(broker).port
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
            return int(each.pid)
    raise RuntimeError(f"nobody listens on port {port}")


def report(name: str, cost: Cost) -> None:
    print(
        f"{name}, microseconds of processor time: a heartbeat of {cost.bytes} bytes sent "
        f"{1e6 * cost.sent:.0f}, each delivery {1e6 * cost.delivered:.0f}, "
        f"heard and read {1e6 * cost.heard:.0f}"
    )
    print("branches  beat s  lapses s  sent/s  delivered/s  broker's cores  a process' %")
    for branches in FLEETS:
        for every_s in sorted({2.0, growing_s(branches)}):
            sent = branches / every_s
            delivered = sent * branches * PROCESSES
            cores = sent * cost.sent + delivered * cost.delivered
            print(
                f"{branches:8}  {every_s:6.1f}  {3 * every_s:8.0f}  {sent:6.0f}  {delivered:11.0f}"
                f"  {cores:14.2f}  {100 * sent * cost.heard:12.2f}"
            )
    print(flush=True)


# The database


def database(url: str, calls: int) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    store = SqlStore(url, "redis://127.0.0.1:1/0", branch="b1")
    migrate(store.engine)
    branch = Branch("b1", "http://h", 8000, "0", 5.0, 2, "INFO", None, at, at, {})
    with store.writing() as tx:
        tx.save_branch(branch)
        tx.add_app(App("foo", at))
        for number in range(50):
            tx.add_instance(Instance(f"w{number}", "foo", "b1", at))
    status = Status("w1", 1, ProcessState.RUNNING, pid=1, ready=True)
    clock = SystemClock()

    def full_pass() -> None:
        with store.reading() as view:
            view.workers("b1")
            view.statuses("b1")
        with store.recording() as tx:
            tx.take_lease("b1", "here", clock.now(), 15.0)
            tx.save_branch(branch)

    def change() -> None:
        nonlocal status
        status = replace(status, pid=(status.pid or 0) + 1)
        with store.writing() as tx:
            tx.save_statuses([status])

    def say() -> None:
        with store.reading() as view:
            view.instance_count("b1")
            view.is_draining("b1")
            view.catalogue_digest()

    acts: dict[str, tuple[Callable[[], object], Callable[[int], float]]] = {
        "a pass of a branch with 50 instances, its lease": (
            full_pass,
            lambda n: n / SUP_INTERVAL_S,
        ),
        "what a heartbeat says": (say, lambda n: n / growing_s(n)),
        "a change of one worker, in its turn": (change, lambda n: 1.0),
    }
    print(f"PostgreSQL: ms, the server's ms, so many in a core's second, each second with {FLEETS}")
    for label, (act, often) in acts.items():
        took, spent = timed(store, act, calls)
        times = " ".join(f"{often(branches):7.1f}" for branches in FLEETS)
        print(f"{1e3 * took:5.2f}  {1e3 * spent:5.2f}  {1 / spent:8.0f}   {times}  {label}")
    print(flush=True)
    store.close()


def timed(store: SqlStore, act: Callable[[], object], calls: int) -> tuple[float, float]:
    """Seconds of one, and those of the server's processor."""
    act()
    with store.engine.connect() as asking:
        found = asking.exec_driver_sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        )
        pids = {str(pid): int(pid) for (pid,) in found}
    before, begun = busy(pids), time.perf_counter()
    for _ in range(calls):
        act()
    took = (time.perf_counter() - begun) / calls
    spent = busy({name: pid for name, pid in pids.items() if Path(f"/proc/{pid}").exists()})
    return took, sum(spent[name] - before[name] for name in spent) / calls


if __name__ == "__main__":
    main()
