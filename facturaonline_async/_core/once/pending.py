"""What a session remembers of what it created or saw, until the API's lists must show it.

Lists need not show at once what was created, and a list may lack what an earlier one showed (replicas, caches). What
no list shows is created only if nothing here says that it is there, or may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from attrs import define, evolve

from facturaonline_async.errors import OutcomeUnknownError, UnreadableAnswerError

__all__ = ["Key", "PendingCreate", "PendingCreates"]

_DAY = 86_400.0
"""Seconds for which a create with a yes, and without a uid, is remembered beyond its settle time: that it is there is
sure, and a list that lacks it is wrong. It ends nevertheless, for what is never listed may have been deleted unseen."""
_FEW = 64
"""With so many doubts, those that are over are looked for; and then again whenever they have doubled."""

#: What a create's endpoint, its keys' fingerprint, and its thing's natural key are together.
Key = tuple[str, Hashable, Hashable]


@define  # and never changed: to make a frozen one takes twice as long, in each create
class PendingCreate:
    """Something that the API's lists may not show, though it is there or may be.

    Attributes:
        until: moment of the loop's clock after which they must show it, if it is there: `Config.settle` after its
            create, or after it was first seen.
        is_sure: whether the API has said that it is there.
        uid: as an answer told it, or None.
        is_seen: whether it was seen, and not created, by this session.
        before: uid of what was known under its key when its create was sent: that one is not what was created.

    """

    until: float
    is_sure: bool = False
    uid: str | None = None
    is_seen: bool = False
    before: str | None = None

    def is_over(self, now: float) -> bool:
        """Return whether lists tell by now. A create with a yes, of which no answer gave the uid, lasts a day more."""
        return self.until + (_DAY if self.is_sure and self.uid is None else 0.0) <= now

    def problem(self, key: Key) -> OutcomeUnknownError | UnreadableAnswerError:
        """Return what keeps it from being created again."""
        left = max(0.0, self.until - asyncio.get_running_loop().time())
        if self.is_seen:
            return OutcomeUnknownError(
                f"it was there a moment ago (uid {self.uid}), and neither a list nor get(uid) shows it now: either the "
                "API's answers are late, or it was deleted elsewhere. Nothing was created. Try again in "
                f"{left:.0f} s",
                endpoint=key[0],
                uid=self.uid,
            )
        if self.is_sure:
            return UnreadableAnswerError(
                "it was created, but has not shown up before the deadline: look for it later",
                endpoint=key[0],
                uid=self.uid,
            )
        return OutcomeUnknownError(
            f"an earlier create of it may still show up, so that none is made for another {left:.0f} s", endpoint=key[0]
        )


class PendingCreates:
    """All doubts of a session, and those who must hear of new creates.

    It grows with what is created and seen within `Config.settle`, and with the creates of a day whose uids no answer
    and no list has given: some 300 bytes for each.
    """

    def __init__(self) -> None:
        self._doubts: dict[int, PendingCreate] = {}  # by the hashes of their keys
        self._by_uid: dict[tuple[str, Hashable, str], int] = {}  # by resource, keys' fingerprint, and uid
        self._nameless: set[int] = set()  # those without a uid
        self._many = _FEW
        self._onlookers: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._doubts)

    def get(self, key: Key) -> PendingCreate | None:
        """Return what is in doubt, unless that is over."""
        doubt = self._doubts.get(hash(key))
        return doubt if doubt is not None and not doubt.is_over(asyncio.get_running_loop().time()) else None

    def started(self, key: Key, settle: float, mine: set[int] | None = None) -> PendingCreate:
        """Remember that a create is on its way, and return that: its outcome is unknown until its answer tells.

        `mine` is the caller's own set among the onlookers, which needs not be told.
        """
        for onlooker in self._onlookers.values():
            if onlooker is not mine:
                onlooker.add(hash(key))
        known = self.get(key)
        before = None if known is None else known.uid or known.before
        doubt = PendingCreate(asyncio.get_running_loop().time() + settle, before=before)
        self.update(key, doubt)
        return doubt

    def restore(self, key: Key, seconds: float, *, is_sure: bool) -> None:
        """Remember a create that was sent before this session, for so long; one with a yes for a day more."""
        if self.get(key) is None:
            self.update(key, PendingCreate(asyncio.get_running_loop().time() + seconds, is_sure=is_sure))

    def see(self, key: Key, uid: str, settle: float) -> None:
        """Remember that it was seen: `settle` seconds from its create, or from its first sight, lists may lack it."""
        doubt = self.get(key)
        if doubt is not None and doubt.before == uid:
            return
        if doubt is None or doubt.uid not in {None, uid}:
            doubt = PendingCreate(asyncio.get_running_loop().time() + settle, is_seen=True)
        elif doubt.is_sure and doubt.uid == uid:
            return
        self.update(key, evolve(doubt, is_sure=True, uid=uid))

    @property
    def has_unknown_uids(self) -> bool:
        """Whether there may be doubts without a uid, which lists and reads can tell."""
        return bool(self._nameless)

    def learn_uid(self, key: Key, uid: str) -> None:
        """Remember the uid that a list or a read gives, where a create of this key is remembered without one."""
        if hash(key) in self._nameless and self.get(key) is not None:
            self.see(key, uid, 0.0)

    def is_pending(self, resource: str, fingerprint: Hashable, uid: int | str) -> bool:
        """Return whether answers may still lack what has this uid, so that their "not found" proves nothing."""
        number = self._by_uid.get((resource, fingerprint, str(uid)))
        doubt = None if number is None else self._doubts.get(number)
        now = asyncio.get_running_loop().time()
        return doubt is not None and not doubt.is_over(now) and str(uid) in {doubt.uid, doubt.before}

    def update(self, key: Key, doubt: PendingCreate) -> None:
        """Remember something else of it than before."""
        self._doubts[hash(key)] = doubt
        if doubt.uid is None:
            self._nameless.add(hash(key))
        else:
            self._nameless.discard(hash(key))
            self._by_uid[_resource(key[0]), key[1], doubt.uid] = hash(key)
        if len(self._doubts) >= self._many:
            now = asyncio.get_running_loop().time()
            self._doubts = {each: doubt for each, doubt in self._doubts.items() if not doubt.is_over(now)}
            self._by_uid = {uid: each for uid, each in self._by_uid.items() if each in self._doubts}
            self._nameless.intersection_update(self._doubts)
            self._many = max(_FEW, 2 * len(self._doubts))

    def resolve(self, key: Key, begun: PendingCreate | None, *, before: PendingCreate | None = None) -> None:
        """Forget a create that surely was not done, unless something else is known of its key since it was begun.

        `begun` is what `begin` returned (None: it never came so far), and `before` what was known before that.
        """
        if begun is None or self._doubts.get(hash(key)) is not begun:
            return
        del self._doubts[hash(key)]
        self._nameless.discard(hash(key))
        if before is not None:
            self.update(key, before)

    @contextmanager
    def deleting(self, resource: str, fingerprint: Hashable, uid: int | str) -> Iterator[None]:
        """Forget what has this uid when the ``with`` ends without an error: it was deleted.

        `resource` is such as ``"series"``, and `fingerprint` that of the keys of the delete: what other keys cannot
        see may be there all the same. After an error it may still be there, and is remembered; after "not found", too,
        for an answer may be older than its create.
        """
        yield
        number = self._by_uid.pop((resource, fingerprint, str(uid)), None)
        if number is not None and (doubt := self._doubts.get(number)) is not None and doubt.uid == str(uid):
            del self._doubts[number]  # of another uid, or of none yet: a newer create of the same key

    @contextmanager
    def subscribe(self, heard: set[int]) -> Iterator[None]:
        """Inside the ``with``, put the hashes of all keys into `heard` of which somebody else sends a create.

        Those of which somebody has sent one are there from the beginning: their doubts may end between a list that does
        not show them yet and what is made of it.
        """
        heard.update(self._doubts)
        self._onlookers[id(heard)] = heard
        try:
            yield
        finally:
            del self._onlookers[id(heard)]


def _resource(endpoint: str) -> str:
    return endpoint.partition(".")[0]
