"""Where tasks go: their queue, by their name, and the platform queue, all of them."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from typing import Any

from kombu import Exchange, Queue
from kombu.common import maybe_declare
from kombu.transport import virtual

from cyme_supd.errors import Invalid

EXCHANGE = "task_exchange"
#: The one that Celery's own tasks are sent to, and those with no queue of their name.
DEFAULT_QUEUE = "celery"
#: AMQP's limit for names and keys, in bytes.
_LONGEST = 255


class WorkQueue(Queue):  # type: ignore[misc]
    """A queue whose declaration brings the platform queue's with it.

    Publishers declare only the queue that they publish to, workers only those that
    they consume from: none would see to the platform queue, which must be there
    before the first message is.
    """

    attrs = (*Queue.attrs, ("platform", None))
    platform: Queue | None

    def when_bound(self) -> None:
        super().when_bound()
        keep_bindings(self.channel)

    def declare(self, nowait: bool = False, channel: Any = None) -> str:
        name: str = super().declare(nowait=nowait, channel=channel)
        if self.platform is not None and not self.no_declare:
            maybe_declare(self.platform, channel or self.channel)
        return name

    def as_dict(self, recurse: bool = False) -> dict[str, Any]:
        """With *recurse* as others are told of it, to whom it is a queue like any."""
        found: dict[str, Any] = super().as_dict(recurse)
        if recurse:
            del found["platform"]
        return found


def keep_bindings(channel: Any) -> None:
    """Have *channel* go by what was bound on it also when its broker has lost that.

    On Redis bindings are data, gone when it comes back empty. kombu makes none twice,
    and drops what is published where it finds none.
    """
    is_virtual = isinstance(channel, virtual.Channel)
    if not is_virtual or type(channel).get_table is virtual.Channel.get_table:
        return
    if "get_table" in vars(channel):
        return
    stored = channel.get_table

    def get_table(exchange: str) -> list[Any]:
        own = channel.state.exchanges.get(exchange, {}).get("table", ())
        return [*stored(exchange), *own]

    channel.get_table = get_table


def names(queues: Any, platform: str, default: str) -> list[str]:
    """Those of the work queues, each once; :exc:`Invalid` for what cannot be one."""
    if isinstance(queues, str | bytes | Mapping) or not isinstance(queues, Iterable):
        raise Invalid("queues is a list of names", 'queues=["mail", "images"]')
    wanted = [*queues, DEFAULT_QUEUE, default]
    for name in (*wanted, platform):
        _check(name)
    return [name for name in dict.fromkeys(wanted) if name != platform]


def _check(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise Invalid(f"a queue's name is a string that is not empty, not {name!r}")
    if len(name.encode(errors="replace")) > _LONGEST:
        raise Invalid(f"a queue's name has at most {_LONGEST} bytes: {name[:40]!r}...")
    if "#" in name or "*" in name:
        raise Invalid(
            f"a queue cannot be named {name!r}", "it is bound by its name: * and # match others"
        )


def queues(names: Iterable[str], platform: str, exchange: str) -> list[Queue]:
    """Each bound to the topic exchange by its name, and the platform queue by ``#``."""
    topic = Exchange(exchange, type="topic")
    everything = Queue(platform, topic, routing_key="#")
    work = [WorkQueue(name, topic, routing_key=name, platform=everything) for name in names]
    return [*work, everything]


def routes(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """``mail.send.now`` to ``mail``, and so the task that is named just ``mail``."""
    # With a dot in it a name is no first part.
    firsts = [name for name in names if "." not in name]
    return {
        pattern: {"queue": name} for name in firsts for pattern in (f"{glob.escape(name)}.*", name)
    }
