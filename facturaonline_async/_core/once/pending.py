"""Pending creates: new or recently seen objects that lists may not show yet.

Lists may show a new object late, and may lack an object that an earlier list showed (replicas, caches). An object that
no list shows is created only if no pending create says that it exists, or may exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from attrs import define, evolve

from facturaonline_async._messages import message
from facturaonline_async.errors import OutcomeUnknownError, UnreadableAnswerError

__all__ = ["Key", "PendingCreate", "PendingCreates"]

_DAY = 86_400.0
"""Seconds beyond its settle time for which a confirmed create without a uid is kept.

The object exists, and a list that lacks it is wrong. The entry still ends, because an object that is never listed may
have been deleted elsewhere.
"""
_FIRST_SWEEP = 64
"""Number of entries at which expired ones are first dropped; then whenever the number has doubled."""

#: Endpoint of the create, fingerprint of its keys, and natural key of the object.
Key = tuple[str, Hashable, Hashable]


@define  # never changed; a frozen class would take twice as long to make, in each create
class PendingCreate:
    """Object that exists or may exist, and that the API's lists may not show yet.

    Attributes:
        until: Time of the loop's clock from which lists must show an existing object: `Config.settle` after its create
            or its first sight.
        is_sure: Whether the API has confirmed that the object exists.
        uid: The object's uid, or None if no answer gave it.
        is_seen: Whether this session read the object, and did not create it.
        before: Uid of the earlier object of the same key at the time of the create; it is not the created object.

    """

    until: float
    is_sure: bool = False
    uid: str | None = None
    is_seen: bool = False
    before: str | None = None

    def is_over(self, now: float) -> bool:
        """Return whether lists must show the object by now.

        A confirmed create without a uid lasts a day longer.
        """
        return self.until + (_DAY if self.is_sure and self.uid is None else 0.0) <= now

    def problem(self, key: Key) -> OutcomeUnknownError | UnreadableAnswerError:
        """Return the error that explains why the object is not created again."""
        left = max(0.0, self.until - asyncio.get_running_loop().time())
        if self.is_seen:
            return OutcomeUnknownError(
                message("calls.not_shown_any_more", uid=self.uid or "", seconds=left), endpoint=key[0], uid=self.uid
            )
        if self.is_sure:
            return UnreadableAnswerError(message("calls.created_and_not_shown"), endpoint=key[0], uid=self.uid)
        return OutcomeUnknownError(message("calls.earlier_create", seconds=left), endpoint=key[0])


class PendingCreates:
    """Pending creates of a session, and the subscribers to new ones.

    It holds the objects created or seen within `Config.settle`, and one day's creates without a known uid, at about 300
    bytes each.
    """

    def __init__(self) -> None:
        self._entries: dict[int, PendingCreate] = {}  # by the hashes of their keys
        self._by_uid: dict[tuple[str, Hashable, str], int] = {}  # by resource, keys' fingerprint, and uid
        self._without_uid: set[int] = set()  # entries without a uid
        self._sweep_at = _FIRST_SWEEP
        self._subscribers: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> PendingCreate | None:
        """Return the entry of a key, or None if there is none or it has expired."""
        entry = self._entries.get(hash(key))
        return entry if entry is not None and not entry.is_over(asyncio.get_running_loop().time()) else None

    def started(self, key: Key, settle: float, mine: set[int] | None = None) -> PendingCreate:
        """Record a create before its first byte is sent, and return its entry.

        Args:
            key: Key of the object.
            settle: Seconds after which lists must show the object.
            mine: The caller's own set of `subscribe`, which is not notified.

        """
        for subscriber in self._subscribers.values():
            if subscriber is not mine:
                subscriber.add(hash(key))
        known = self.get(key)
        before = None if known is None else known.uid or known.before
        entry = PendingCreate(asyncio.get_running_loop().time() + settle, before=before)
        self.update(key, entry)
        return entry

    def restore(self, key: Key, seconds: float, *, is_sure: bool) -> None:
        """Record a create that was sent before this session began.

        Args:
            key: Key of the object.
            seconds: Seconds after which lists must show the object.
            is_sure: Whether the API has confirmed the create.

        """
        if self.get(key) is None:
            self.update(key, PendingCreate(asyncio.get_running_loop().time() + seconds, is_sure=is_sure))

    def see(self, key: Key, uid: str, settle: float) -> None:
        """Record that the object was read; lists may lack it for `settle` seconds."""
        entry = self.get(key)
        if entry is not None and entry.before == uid:
            return
        if entry is None or entry.uid not in {None, uid}:
            entry = PendingCreate(asyncio.get_running_loop().time() + settle, is_seen=True)
        elif entry.is_sure and entry.uid == uid:
            return
        self.update(key, evolve(entry, is_sure=True, uid=uid))

    @property
    def has_unknown_uids(self) -> bool:
        """Whether there are entries without a uid, which a list or read can supply."""
        return bool(self._without_uid)

    def learn_uid(self, key: Key, uid: str) -> None:
        """Record the uid from a list or read, if the key has an entry without one."""
        if hash(key) in self._without_uid and self.get(key) is not None:
            self.see(key, uid, 0.0)

    def is_pending(self, resource: str, fingerprint: Hashable, uid: int | str) -> bool:
        """Return whether a "not found" for this uid proves nothing yet."""
        number = self._by_uid.get((resource, fingerprint, str(uid)))
        entry = None if number is None else self._entries.get(number)
        now = asyncio.get_running_loop().time()
        return entry is not None and not entry.is_over(now) and str(uid) in {entry.uid, entry.before}

    def update(self, key: Key, entry: PendingCreate) -> None:
        """Replace the entry of a key."""
        self._entries[hash(key)] = entry
        if entry.uid is None:
            self._without_uid.add(hash(key))
        else:
            self._without_uid.discard(hash(key))
            self._by_uid[_resource(key[0]), key[1], entry.uid] = hash(key)
        if len(self._entries) >= self._sweep_at:
            now = asyncio.get_running_loop().time()
            self._entries = {each: entry for each, entry in self._entries.items() if not entry.is_over(now)}
            self._by_uid = {uid: each for uid, each in self._by_uid.items() if each in self._entries}
            self._without_uid.intersection_update(self._entries)
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._entries))

    def resolve(self, key: Key, begun: PendingCreate | None, *, before: PendingCreate | None = None) -> None:
        """Drop the entry of a create that was certainly not done.

        An entry that was replaced since stays.

        Args:
            key: Key of the object.
            begun: Entry from `started`; None if the create was never started.
            before: Entry of the key before `started`, which is restored.

        """
        if begun is None or self._entries.get(hash(key)) is not begun:
            return
        del self._entries[hash(key)]
        self._without_uid.discard(hash(key))
        if before is not None:
            self.update(key, before)

    @contextmanager
    def deleting(self, resource: str, fingerprint: Hashable, uid: int | str) -> Iterator[None]:
        """Drop the entry of a deleted object when the ``with`` ends without an error.

        After an error, also "not found", the entry stays: the object may still exist, or the answer may be older than
        its create.

        Args:
            resource: Resource, such as ``"series"``.
            fingerprint: Fingerprint of the keys of the delete; other keys cannot see the object.
            uid: Uid of the object.

        """
        yield
        number = self._by_uid.pop((resource, fingerprint, str(uid)), None)
        if number is not None and (entry := self._entries.get(number)) is not None and entry.uid == str(uid):
            del self._entries[number]  # an entry with another uid, or none, is a newer create of the key

    @contextmanager
    def subscribe(self, keys: set[int]) -> Iterator[None]:
        """Inside the ``with``, add the hash of each newly created key to `keys`.

        Keys of the caller's own creates are not added (`started`). The keys of all current entries are added first: an
        entry may expire between a list that lacks its object and the use of that list.
        """
        keys.update(self._entries)
        self._subscribers[id(keys)] = keys
        try:
            yield
        finally:
            del self._subscribers[id(keys)]


def _resource(endpoint: str) -> str:
    return endpoint.partition(".")[0]
