"""Pending creates of a session: new or recently seen objects that lists may lack.

Lists may show a new object late, and may lack an object that an earlier list showed (replicas, caches). An object that
no list shows is created only if no pending create says that it exists, or may exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from itertools import islice
from weakref import WeakValueDictionary

from attrs import define

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import Key

__all__ = ["PendingCreate", "PendingCreates", "Version"]

_DAY = 86_400.0
"""Seconds beyond its settle time for which a confirmed create without a uid is kept.

The object exists, and a list that lacks it is wrong. The entry still ends, because an object that is never listed may
have been deleted elsewhere.
"""
_FIRST_SWEEP = 64
"""Number of entries at which expired ones are first dropped; then whenever the number has doubled."""
_SWEPT_AT_ONCE = 16
"""Entries looked at with each update. All at once, 10,000 entries would stall the event loop for 10 ms."""

_CONFIRMED = frozenset({StepState.DONE, StepState.UNRESOLVED})


@define(eq=False)
class PendingCreate:
    """Object that exists or may exist, and that the API's lists may not show yet.

    Attributes:
        until: Time of the loop's clock from which lists must show an existing object: `Config.settle` after its create
            or its first sight.
        state: INTENT or UNKNOWN: it may exist. DONE or UNRESOLVED: the API confirmed it.
        uid: The object's uid, or None if no answer gave it.
        origin: ADOPTED if this session read the object, and did not create it.
        before: Uid of the earlier object of the same key at the time of the create; it is not the created object.
        nonce: Random text of its create, or ``""``.
        earlier: Entry of the key that the create replaced, while its outcome is open.
        is_void: Whether the create was certainly not done.

    """

    until: float
    state: StepState = StepState.INTENT
    uid: str | None = None
    origin: Origin | None = None
    before: str | None = None
    nonce: str = ""
    earlier: PendingCreate | None = None
    is_void: bool = False

    @property
    def is_confirmed(self) -> bool:
        """Whether the API has confirmed that the object exists."""
        return self.state in _CONFIRMED

    def is_over(self, now: float) -> bool:
        """Return whether lists must show the object by now.

        A confirmed create without a uid lasts a day longer.
        """
        return self.until + (_DAY if self.uid is None and self.is_confirmed else 0.0) <= now

    def confirmed(self, uid: str) -> PendingCreate:
        """Return the entry after the object was read; any process may have created it.

        It is that of no create any more, so that a create that is repeated or refused keeps it.

        Args:
            uid: The object's uid.

        """
        return PendingCreate(self.until, StepState.DONE, uid, before=self.before)


class Version:
    """Number of changes of one key, as far as anyone looks at it.

    Attributes:
        number: The number.

    """

    __slots__ = ("__weakref__", "number")

    def __init__(self) -> None:
        self.number: int = 0


class PendingCreates:
    """Pending creates of a session, and the subscribers to new ones.

    It holds the objects created or seen within `Config.settle`, and one day's creates without a known uid, at about 300
    bytes each.
    """

    def __init__(self) -> None:
        self._entries: dict[int, PendingCreate] = {}  # by the hashes of their keys
        self._by_uid: dict[tuple[Hashable, Hashable, str], int] = {}  # by kind, owner and uid
        self._without_uid: set[int] = set()  # entries without a uid
        self._sweep_at = _FIRST_SWEEP
        self._sweep: Iterator[None] = iter(())
        self._versions: WeakValueDictionary[int, Version] = (
            WeakValueDictionary()
        )  # of the keys that callers asked about
        self._subscribers: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> PendingCreate | None:
        """Return the entry of a key, or None if there is none or it has expired."""
        entry = self._entries.get(hash(key))
        if entry is None or entry.until > (now := asyncio.get_running_loop().time()):
            return entry
        return None if entry.is_over(now) else entry

    # ── Creates ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def version(self, key: Key) -> Version:
        """Return the version of a key; it counts changes while a caller keeps it.

        Args:
            key: Key of the object.

        """
        if (version := self._versions.get(hash(key))) is None:
            version = self._versions[hash(key)] = Version()
        return version

    def _changed(self, key: Key, mine: set[int] | None) -> None:
        """Make the lists of earlier callers too old for a create of the key."""
        number = hash(key)
        if (version := self._versions.get(number)) is not None:
            version.number += 1
        for subscriber in self._subscribers.values():
            if subscriber is not mine:
                subscriber.add(number)

    def is_repeated(self, key: Key, nonce: str) -> bool:
        """Return whether the key's create with this nonce is still open.

        Args:
            key: Key of the object.
            nonce: Random text of a create.

        """
        entry = self._entries.get(hash(key))
        return entry is not None and entry.nonce == nonce and entry.state is StepState.INTENT

    def begin(self, key: Key, settle: float, *, nonce: str = "", mine: set[int] | None = None) -> PendingCreate:
        """Record a create before its first byte is sent, and return its entry.

        Args:
            key: Key of the object.
            settle: Seconds after which lists must show the object.
            nonce: Random text of this create; the same one again replaces its entry.
            mine: The caller's own set of `subscribe`, which is not notified.

        """
        self._changed(key, mine)
        known = self.get(key)
        if known is not None and nonce and known.nonce == nonce:
            known = known.earlier
        entry = PendingCreate(
            asyncio.get_running_loop().time() + settle,
            before=None if known is None else known.uid or known.before,
            nonce=nonce,
            earlier=known,
        )
        self.update(key, entry)
        return entry

    def end(self, key: Key, begun: PendingCreate, settle: float, state: StepState, uid: str | None = None) -> None:
        """Record the outcome of a create; drop it if it was certainly not done.

        Args:
            key: Key of the object.
            begun: Entry from `begin`. If another one has replaced it, a create that was not done changes nothing.
            settle: Seconds after which lists must show the object.
            state: Outcome of the create.
            uid: Uid from the answer, or None.

        """
        known = self._entries.get(hash(key))
        if state is StepState.PLANNED or state is StepState.FAILED:
            begun.is_void = True
            if known is begun:
                self._drop(hash(key))
                earlier = begun.earlier
                while earlier is not None and earlier.is_void:
                    earlier = earlier.earlier
                if earlier is not None:
                    self.update(key, earlier)
            return
        if known is not None and known is not begun and known.is_confirmed and state is StepState.UNKNOWN:
            return  # more is known already
        begun.until = asyncio.get_running_loop().time() + settle
        begun.state, begun.uid, begun.earlier = state, uid, None
        self.update(key, begun)

    def restore(self, key: Key, seconds: float, state: StepState) -> None:
        """Record a create that was sent before this session began.

        Args:
            key: Key of the object.
            seconds: Seconds after which lists must show the object.
            state: State of the create.

        """
        if self.get(key) is None:
            self._changed(key, None)
            self.update(key, PendingCreate(asyncio.get_running_loop().time() + seconds, state))

    # ── Reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def see(self, key: Key, uid: str, settle: float, *, mine: set[int] | None = None) -> None:
        """Record that the object was read; lists may lack it for `settle` seconds.

        Args:
            key: Key of the object.
            uid: Its uid.
            settle: Seconds for which lists may lack it.
            mine: The caller's own set of `subscribe`, which is not notified.

        """
        entry = self.get(key)
        if entry is not None and entry.before == uid:
            return
        if entry is None or entry.uid not in {None, uid}:
            self._changed(key, mine)
            until = asyncio.get_running_loop().time() + settle
            self.update(key, PendingCreate(until, StepState.DONE, uid, Origin.ADOPTED))
        elif not (entry.is_confirmed and entry.uid == uid):
            self._changed(key, mine)
            self.update(key, entry.confirmed(uid))

    def drop_uid(self, key: Key, uid: str | None, settle: float) -> None:
        """Drop the uid of a confirmed create, because it belongs to another object.

        Args:
            key: Key of the object.
            uid: The wrong uid; an entry with another one is not changed.
            settle: Seconds after which lists must show the object.

        """
        entry = self.get(key)
        if entry is not None and uid is not None and entry.uid == uid and entry.is_confirmed:
            until = asyncio.get_running_loop().time() + settle
            self.update(key, PendingCreate(until, StepState.UNRESOLVED, before=entry.before))

    @property
    def has_unknown_uids(self) -> bool:
        """Whether there are entries without a uid, which a list or read can supply."""
        return bool(self._without_uid)

    def learn_uid(self, key: Key, uid: str) -> None:
        """Record the uid from a list or read, if the key has an entry without one."""
        if hash(key) in self._without_uid and self.get(key) is not None:
            self.see(key, uid, 0.0)

    def is_pending(self, kind: str, owner: Hashable, uid: int | str) -> bool:
        """Return whether a "not found" for this uid proves nothing yet."""
        number = self._by_uid.get((kind, owner, str(uid)))
        entry = None if number is None else self._entries.get(number)
        now = asyncio.get_running_loop().time()
        return entry is not None and not entry.is_over(now) and str(uid) in {entry.uid, entry.before}

    def forget(self, kind: str, owner: Hashable, uid: int | str) -> None:
        """Drop the entry of a deleted object.

        Args:
            kind: Kind of the object, such as ``"series"``.
            owner: Fingerprint of the keys of the delete; other keys cannot see the object.
            uid: Uid of the object.

        """
        number = self._by_uid.pop((kind, owner, str(uid)), None)
        if number is not None and (entry := self._entries.get(number)) is not None and entry.uid == str(uid):
            self._drop(number)  # an entry with another uid, or none, is a newer create of the key

    # ── Entries ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def update(self, key: Key, entry: PendingCreate) -> None:
        """Replace the entry of a key."""
        number = hash(key)
        self._entries[number] = entry
        if entry.uid is None:
            self._without_uid.add(number)
        else:
            self._without_uid.discard(number)
            self._by_uid[key[0], key[1], entry.uid] = number
        self._go_on_sweeping()

    def _drop(self, number: int) -> None:
        del self._entries[number]
        self._without_uid.discard(number)

    def _go_on_sweeping(self) -> None:
        """Take some steps of the sweep; begin another one if there are too many entries."""
        steps = sum(1 for _ in islice(self._sweep, _SWEPT_AT_ONCE))
        if steps < _SWEPT_AT_ONCE and len(self._entries) >= self._sweep_at:
            self._sweep = self._drop_expired()

    def _drop_expired(self) -> Iterator[None]:
        """Drop entries that are over, and uids of no entry; look at one in each step."""
        now = asyncio.get_running_loop().time()
        for number in list(self._entries):
            if (entry := self._entries.get(number)) is not None and entry.is_over(now):
                self._drop(number)
            yield
        for uid in list(self._by_uid):
            if self._by_uid.get(uid) not in self._entries:
                self._by_uid.pop(uid, None)
            yield
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._entries))

    @contextmanager
    def subscribe(self, keys: set[int]) -> Iterator[None]:
        """Inside the ``with``, add the hash of each newly created key to `keys`.

        Keys of the caller's own creates are not added (`begin`). The keys of all current entries are added first: an
        entry may expire between a list that lacks its object and the use of that list.
        """
        keys.update(self._entries)
        self._subscribers[id(keys)] = keys
        try:
            yield
        finally:
            del self._subscribers[id(keys)]
