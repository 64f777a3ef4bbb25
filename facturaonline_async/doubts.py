"""What a session remembers of the creates that it has sent, until the API's lists must show them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from attrs import frozen

from facturaonline_async.errors import OutcomeUnknownError, UnreadableAnswerError

__all__ = ["Doubt", "Doubts", "Key"]

_FEW = 64
"""With so many doubts, those that are over are looked for; and then again whenever they have doubled."""

#: What a create's endpoint, its keys' fingerprint, and its thing's natural key are together.
Key = tuple[str, Hashable, Hashable]


@frozen
class Doubt:
    """A create that the API's lists may not show yet.

    Attributes:
        until: moment of the loop's clock after which they must show it, if it was done.
        is_sure: whether the API has said that it was done.
        uid: as the create's answer told it, or None.

    """

    until: float
    is_sure: bool = False
    uid: str | None = None

    def problem(self, key: Key) -> OutcomeUnknownError | UnreadableAnswerError:
        """Return what keeps it from being created again."""
        if self.is_sure:
            return UnreadableAnswerError(
                "it was created, but has not shown up before the deadline: look for it later",
                endpoint=key[0],
                uid=self.uid,
            )
        left = self.until - asyncio.get_running_loop().time()
        return OutcomeUnknownError(
            f"an earlier create of it may still show up, so that none is made for another {left:.0f} s", endpoint=key[0]
        )


class Doubts:
    """All doubts of a session, and those who must hear of new ones."""

    def __init__(self) -> None:
        self._doubts: dict[int, Doubt] = {}  # by the hashes of their keys
        self._many = _FEW
        self._onlookers: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._doubts)

    def get(self, key: Key) -> Doubt | None:
        """Return what is in doubt, unless that is over."""
        doubt = self._doubts.get(hash(key))
        return doubt if doubt is not None and doubt.until > asyncio.get_running_loop().time() else None

    def begin(self, key: Key, settle: float, mine: set[int] | None = None) -> None:
        """Remember that a create is on its way: from now on nobody knows, until its answer tells.

        `mine` is the caller's own set among the onlookers, which needs not be told.
        """
        for onlooker in self._onlookers.values():
            if onlooker is not mine:
                onlooker.add(hash(key))
        self.put(key, Doubt(asyncio.get_running_loop().time() + settle))

    def recall(self, key: Key, seconds: float, *, is_sure: bool) -> None:
        """Remember a create that was sent before this session, for so long; one of which there was a yes for ever."""
        if self.get(key) is None:
            self.put(key, Doubt(math.inf if is_sure else asyncio.get_running_loop().time() + seconds, is_sure=is_sure))

    def put(self, key: Key, doubt: Doubt) -> None:
        """Remember something else of a create than before."""
        self._doubts[hash(key)] = doubt
        if len(self._doubts) >= self._many:
            now = asyncio.get_running_loop().time()
            self._doubts = {each: doubt for each, doubt in self._doubts.items() if doubt.until > now}
            self._many = max(_FEW, 2 * len(self._doubts))

    def end(self, key: Key) -> None:
        """Forget a create: lists show it, or it surely was not done."""
        self._doubts.pop(hash(key), None)

    def forget(self, uid: str) -> None:
        """Forget what was created under this uid: it has been deleted."""
        self._doubts = {each: doubt for each, doubt in self._doubts.items() if doubt.uid != uid}

    @contextmanager
    def watched(self, heard: set[int]) -> Iterator[None]:
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
