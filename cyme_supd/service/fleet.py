"""What any branch does for all: it finds out who has what, and asks them.

A question is a request of the API, put to another branch as it came; the
answer is that branch's own. With one store for all only what is on a host has
an owner to be asked: everything else can be read and edited by anybody.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cyme_supd import __version__
from cyme_supd.domain.access import Role, parse_role
from cyme_supd.domain.catalogue import app_key, names_in, queue_key
from cyme_supd.domain.mailbox import Mailbox, Presence
from cyme_supd.domain.placement import DEFAULT, place, why_not
from cyme_supd.domain.ports import Store
from cyme_supd.domain.presence import Gathered, Peer
from cyme_supd.errors import CymeError, NotFound, Unavailable
from cyme_supd.service.catalogue import Catalogue, Pushed
from cyme_supd.service.observed import ThisBranch

log = logging.getLogger(__name__)

#: Commands of the mailbox.
API, FIND, HINT = "api", "find", "hint"
#: The same for what waits for a worker: it keeps no controller from others.
PATIENT_API = "api.patient"

#: How long it is waited for those who may have it, of whom one may just have died.
FIND_S = 1.0
#: A list is answered by then, without those that are silent.
READ_S = 1.5
#: What an answer may take on its way, beyond what it was given to wait; one that
#: waits for nothing is there within two seconds, or is not waited for.
TRAVEL_S, READ_TRAVEL_S = 2.0, 0.3
#: Owners that are remembered.
MOST_OWNERS = 50_000


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it came: ``path`` still encoded, ``body`` a character a byte.

    ``role`` is what whoever asks was found to have; who does not say has the least.
    """

    method: str
    path: str
    query: str = ""
    body: str = ""
    content_type: str = ""
    role: Role = Role.VIEWER
    #: Whose it is, for those who write down what it changes.
    actor: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Question:
        texts = cls.__dataclass_fields__.keys() - {"role", "actor"}
        actor = {str(name): str(value) for name, value in said.get("actor", {}).items()}
        words = {name: str(said[name]) for name in texts}
        return cls(**words, role=parse_role(said.get("role", Role.VIEWER)), actor=actor)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was given; ``body`` is text."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Reply:
        headers = tuple((str(name), str(value)) for name, value in said["headers"])
        return cls(int(said["status"]), headers, str(said["body"]))

    def as_dict(self) -> dict[str, Any]:
        return {"status": self.status, "headers": list(self.headers), "body": self.body}


@dataclass(frozen=True, slots=True)
class Replies:
    """What all others answered, by branch; ``unknown`` says of the rest why not."""

    replies: Mapping[str, Reply]
    unknown: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """``restarting`` are instances of others that get a new process for what they were told."""

    restarting: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Of an instance."""

    branch: str
    app: str


class Fleet:
    """Safe to share between threads."""

    def __init__(
        self,
        mailbox: Mailbox,
        presence: Presence,
        store: Store,
        catalogue: Catalogue,
        here: ThisBranch,
    ) -> None:
        self._catalogue = catalogue
        self._mailbox = mailbox
        self._presence = presence
        self._store = store
        self._here = here
        self._owners = _Owners()

    @property
    def here(self) -> str:
        return self._here.id

    @property
    def is_shared(self) -> bool:
        """Whether all branches have one store."""
        return self._here.is_shared

    @property
    def is_alone(self) -> bool:
        """Whether no other branch has been heard of in the last week."""
        return not self._others()

    def others(self) -> list[str]:
        """The live ones."""
        return _live(self._others())

    def _others(self) -> dict[str, Peer]:
        return {id: peer for id, peer in self._presence.peers().items() if id != self.here}

    # One instance, one owner

    def owner(self, name: str) -> str | None:
        """The branch that has the instance; ``None`` where nobody has.

        Raises ``Unavailable`` where one that might does not say, or has lapsed.
        """
        stored = self._stored(name)
        if stored is not None or self.is_shared:
            return stored
        known = self._owners.get(name)
        if known is not None and known in self.others():
            return known
        # As of before the others are asked: one that comes back meanwhile was not.
        lapsed = _lapsed(self._others())
        found = self.find(name)
        if found is not None:
            return found.branch
        if lapsed:
            raise Unavailable(
                f"{name} is on no branch that lives; it may be on one that was not heard of"
                f" lately: {', '.join(sorted(lapsed))}",
                "ask when that is back",
            )
        return None

    def owner_by_now(self, name: str) -> str | None:
        """For who is to make it: not by memory alone, and among those that live."""
        stored = self._stored(name)
        if stored is not None or self.is_shared:
            return stored
        known = self._owners.get(name)
        if known is not None and known in self.others():
            there = self._mailbox.scatter(FIND, {"name": name}, FIND_S, [known])
            if there.answers.get(known):
                return known
        self._owners.forget(name)
        found = self.find(name)
        return found.branch if found else None

    def _stored(self, name: str) -> str | None:
        """Its branch, as it is in the store here."""
        with self._store.reading() as view:
            try:
                return view.instance(name).branch
            except NotFound:
                return None

    def find(self, name: str) -> Whereabouts | None:
        """Where else an instance is, among those that live.

        Raises ``Unavailable`` where one that might have it does not say.
        """
        others = self.others()
        if not others:
            return None
        found = self._mailbox.scatter(FIND, {"name": name}, FIND_S, others)
        for branch, app in found.answers.items():
            if app:
                self._owners.learn(name, branch)
                return Whereabouts(branch, str(app))
        missing = [*found.silent, *found.errors]
        if missing:
            raise Unavailable(
                f"{name} is not here, and {', '.join(sorted(missing))} did not say whether it is"
                " there",
                "ask again",
            )
        return None

    def answer(self, arguments: Mapping[str, Any], _left_s: float) -> str | None:
        """The app of the instance that another branch looks for, if it is here."""
        with self._store.reading() as view:
            try:
                found = view.instance(str(arguments.get("name")))
            except NotFound:
                return None
        return found.app if found.branch == self.here else None

    def names_here(self, app: str) -> list[str]:
        """Of the app's instances in the store here."""
        with self._store.reading() as view:
            return view.instance_names(app)

    def learn(self, name: str, branch: str) -> None:
        """It is about to be made there."""
        self._owners.learn(name, branch)

    def forget(self, name: str) -> None:
        """The owner that was known has it no more."""
        self._owners.forget(name)

    # Asking

    def ask(self, branch: str, question: Question, timeout_s: float) -> Reply:
        """That branch's answer, an error too; raises where there is none."""
        command = _command(timeout_s)
        travel_s = READ_TRAVEL_S if command == API else TRAVEL_S
        said = self._mailbox.ask(branch, command, question.as_dict(), timeout_s + travel_s)
        return Reply.of(said)

    def ask_all(self, question: Question, timeout_s: float) -> Replies:
        """What all others answer in time."""
        # Looked at once: one that came back meanwhile was not asked.
        peers = self._others()
        others, away = _live(peers), {**_lapsed(peers), **_left(peers)}
        if not others:
            return Replies({}, away)
        try:
            command = _command(timeout_s)
            found = self._mailbox.scatter(command, question.as_dict(), timeout_s, others)
        except CymeError as exc:
            return Replies({}, {**away, **dict.fromkeys(others, exc.message)})
        replies = {branch: Reply.of(said) for branch, said in found.answers.items()}
        return Replies(replies, {**away, **_why(found)})

    def publish(self, app: str, queue: str | None = None) -> Told:
        """Have all others know at once how the app, or its queue, is now."""
        peers = self._others()
        others, lapsed = _live(peers), _lapsed(peers)
        key = app_key(app) if queue is None else queue_key(app, queue)
        if not others:
            return Told((), lapsed)

        def scatter(command: str, arguments: Mapping[str, Any], timeout_s: float) -> Gathered:
            return self._mailbox.scatter(command, arguments, timeout_s, others)

        try:
            pushed = self._catalogue.push([key], scatter, READ_S)
        except CymeError as exc:
            # They find out by themselves, when the broker is back.
            return Told((), {**lapsed, **dict.fromkeys(others, exc.message)})
        names = tuple(name for each in pushed.restarting.values() for name in each)
        return Told(names, {**lapsed, **_why(pushed)})

    def teach(self, branch: str, app: str) -> None:
        """Have that branch know the app with its queues: it may have come a moment ago."""

        def scatter(command: str, arguments: Mapping[str, Any], timeout_s: float) -> Gathered:
            return self._mailbox.scatter(command, arguments, timeout_s, [branch])

        keys = [key for key in self._catalogue.index() if names_in(key)[0] == app]
        self._catalogue.push(keys, scatter, READ_S)

    def tell(self) -> None:
        """Have the others look at what was stored for them, where all have one store."""
        try:
            self._mailbox.cast(HINT, {})
        except CymeError as exc:
            log.info("the others are not told, and find out by themselves: %s", exc)

    # Placing

    def place(self, branch: str | None, how: str) -> str:
        """Where a new instance goes: to *branch*, if one is named.

        Raises ``NotFound`` for one that was never heard of and ``Unavailable``
        where it, or nobody, takes any.
        """
        peers = dict(self._presence.peers())
        if branch in (None, "") and not any(id != self.here for id in peers):
            return self.here
        if branch:
            self._check(branch, peers)
            return branch
        return place(list(peers.values()), how, __version__, random.randrange)

    def elsewhere(self, without: Collection[str] = ()) -> str:
        """Where an instance goes that is to leave this branch, but to none of *without*.

        Raises ``Unavailable`` where nobody takes any.
        """
        peers = [peer for id, peer in self._others().items() if id not in without]
        return place(peers, DEFAULT, __version__, random.randrange)

    def _check(self, branch: str, peers: Mapping[str, Peer]) -> None:
        peer = peers.get(branch)
        if peer is None:
            if branch == self.here:
                return
            raise NotFound(f"there is no branch {branch!r}", "GET /branches/ lists those that live")
        reason = why_not(peer, __version__)
        if reason:
            raise Unavailable(f"branch {branch!r} takes no new instances: it is {reason}")


def _live(peers: Mapping[str, Peer]) -> list[str]:
    return sorted(id for id, peer in peers.items() if peer.is_live)


def _lapsed(peers: Mapping[str, Peer]) -> dict[str, str]:
    return {
        id: "it has not been heard of lately"
        for id, peer in peers.items()
        if not peer.is_live and not peer.heartbeat.is_leaving
    }


def _left(peers: Mapping[str, Peer]) -> dict[str, str]:
    """Those that have ended: what they have is stored there, and not here."""
    return {
        id: "it has ended"
        for id, peer in peers.items()
        if not peer.is_live and peer.heartbeat.is_leaving
    }


def _command(timeout_s: float) -> str:
    return API if timeout_s <= READ_S else PATIENT_API


def _why(found: Gathered | Pushed) -> dict[str, str]:
    said = {branch: error.message for branch, error in found.errors.items()}
    return {**dict.fromkeys(found.silent, "it did not answer in time"), **said}


class _Owners:
    """By instance, the branch that had it last; those not asked for lately are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, str] = OrderedDict()

    def get(self, name: str) -> str | None:
        with self._lock:
            branch = self._known.get(name)
            if branch is not None:
                self._known.move_to_end(name)
            return branch

    def learn(self, name: str, branch: str) -> None:
        with self._lock:
            self._known[name] = branch
            self._known.move_to_end(name)
            while len(self._known) > MOST_OWNERS:
                self._known.popitem(last=False)

    def forget(self, name: str) -> None:
        with self._lock:
            self._known.pop(name, None)
