"""Registry of the companies that a session has read.

It detects answers that mix two companies. A company has a uid, one RFC and one key pair. An answer that gives a uid
another RFC, or one company's keys to another, mixes two companies: its keys would create series in the wrong company.

Lists are the evidence: a newer list replaces earlier knowledge. Keys that no list has shown are verified before use, by
a call that returns the company of the keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Protocol

from facturaonline_async._core.batches import in_batches
from facturaonline_async._messages import message
from facturaonline_async._text import compose
from facturaonline_async._validators import type_name
from facturaonline_async.errors import InvalidInputError

__all__ = ["Company", "KnownCompanies", "Listing", "normalize_rfc", "same_rfc"]


_uid: Final = attrgetter("uid")
_rfc: Final = attrgetter("rfc")


class Company(Protocol):
    """Company as read from an answer."""

    @property
    def uid(self) -> str:
        """The API's identifier of the company."""
        ...

    @property
    def rfc(self) -> str:
        """The company's RFC, or ``""`` if the answer has none."""
        ...

    def key_mark(self) -> int:
        """Return a hash of its API key, valid in this process; 0 if the answer has no key."""
        ...


def same_rfc(one: str, other: str) -> bool:
    """Return whether two RFCs are equal in normal form.

    Case, surrounding blanks and the Unicode form do not count.
    """
    return one == other or normalize_rfc(one) == normalize_rfc(other)


def normalize_rfc(rfc: str) -> str:
    """Normalise an RFC: upper case, no blanks around it, composed (NFC).

    Ñ and & are legal letters of an RFC.

    Args:
        rfc: The RFC.

    Raises:
        InvalidInputError: `rfc` is not a text.

    """
    if not isinstance(rfc, str):
        raise InvalidInputError(message("values.not_text", name="rfc", kind=type_name(rfc)), field="rfc")
    return compose(rfc).strip().upper()


class KnownCompanies:
    """RFC by uid, and uid by hash of the API key, as a session has read them.

    It takes about 300 bytes per company.

    Attributes:
        changes: Number of changes of entries; a comparison with the registry holds until the next one.

    """

    def __init__(self) -> None:
        self.changes: int = 0
        self._rfcs: dict[str, str] = {}
        self._renamed: dict[str, int] = {}  # number of the change that gave the company its RFC
        self._owners: dict[int, str | tuple[str, str]] = {}  # two uids: the last list gave both this key
        self._verified: set[int] = set()
        self._unlisted: set[int] = set()  # keys that no list has shown
        self._accounts_without_keys: set[str] = set()

    def listing(self, account: str) -> Listing:
        """Begin to record a list of an account, before it is requested.

        Args:
            account: Fingerprint of the account's keys.

        """
        return Listing(self, account)

    def problem(self, company: Company) -> str:
        """Return how this answer contradicts earlier ones, or ``""``."""
        mark = company.key_mark()
        owner = self._owners.get(mark, company.uid) if mark else company.uid
        if isinstance(owner, tuple):
            owner = owner[1] if owner[0] == company.uid else owner[0]
        if owner != company.uid:
            return message("calls.keys_of_two_companies", uid=company.uid, other=owner)
        known = self._rfcs.get(company.uid, "")
        if known and company.rfc and not same_rfc(known, company.rfc):
            return message("calls.company_with_two_rfcs", uid=company.uid, rfc=company.rfc, earlier=known)
        return ""

    def learn(self, company: Company) -> None:
        """Record an answer that contradicts nothing."""
        if company.rfc:
            self._rfcs.setdefault(company.uid, company.rfc)
        if (mark := company.key_mark()) and mark not in self._owners:
            self._owners[mark] = company.uid
            self._unlisted.add(mark)

    def agrees(self, marks: list[int], uids: list[str], rfcs: list[str]) -> bool:
        """Return whether the registry has the uid of each key and the RFC of each uid."""
        if not self._unlisted.isdisjoint(marks):
            return False
        return list(map(self._owners.get, marks)) == uids and list(map(self._rfcs.get, uids)) == rfcs

    def needs_proof(self, company: Company, account: str, own_mark: int) -> bool:
        """Return whether uncontradicted keys of a company must still be verified.

        That is so if no list has shown them (a new company, or lists without keys), or if they are the account's own
        keys.

        Args:
            company: The company.
            account: Fingerprint of the account's keys.
            own_mark: Hash of the account's own API key.

        """
        mark = company.key_mark()
        if not mark or mark in self._verified:
            return False
        is_listed = mark in self._owners and mark not in self._unlisted
        return not is_listed or mark == own_mark or account in self._accounts_without_keys

    def prove(self, mark: int, uid: str) -> None:
        """Record the verified owner of a key."""
        self.changes += 1
        self._owners[mark] = uid
        self._verified.add(mark)

    def renamed(self, uid: str, rfc: str) -> None:
        """Record a company's new RFC."""
        self.changes += 1
        self._rfcs[uid], self._renamed[uid] = rfc, self.changes

    def forget(self, uid: str) -> None:
        """Drop the RFC of a deleted company."""
        self.changes += 1
        self._rfcs.pop(uid, None)

    async def replace(self, account: str, listing: Listing) -> None:
        """Record a complete list in batches: 100,000 companies at once would take 30 ms.

        A batch is knowledge of its own, so that other tasks may use the registry between two of them. A company that
        was renamed since the list was requested keeps its new RFC.

        Args:
            account: Fingerprint of the keys of the list's account.
            listing: The complete list.

        """
        if listing.lacks_keys:
            self._accounts_without_keys.add(account)
        else:
            self._accounts_without_keys.discard(account)
        for batch in in_batches(listing.rfcs.items()):
            self.changes += 1
            self._rfcs.update(self._without_renamed(batch, listing.requested_at) if self._renamed else batch)
            await asyncio.sleep(0)
        for owners in map(dict, in_batches(listing.owners.items())):
            self.changes += 1
            self._owners.update(owners)
            self._unlisted.difference_update(owners)
            await asyncio.sleep(0)

    def _without_renamed(self, rfcs: list[tuple[str, str]], requested_at: int) -> list[tuple[str, str]]:
        return [each for each in rfcs if self._renamed.get(each[0], 0) <= requested_at]


class Listing:
    """Companies of one list, recorded in batches of rows.

    Attributes:
        rfcs: RFC by uid.
        owners: Uid by hash of the API key; two uids if the list gives both the same key.
        lacks_keys: Whether a company of the list has no keys.
        requested_at: Number of the registry's changes before the list was requested.

    """

    def __init__(self, registry: KnownCompanies, account: str) -> None:
        self.rfcs: dict[str, str] = {}
        self.owners: dict[int, str | tuple[str, str]] = {}
        self.lacks_keys: bool = False
        self.requested_at: int = registry.changes
        self._registry = registry
        self._account = account
        self._conflicting_rfcs: dict[str, str] = {}
        self._has_shared_key = False
        self._has_news = False  # whether a row differs from the registry
        self._agreed: list[tuple[list[int], list[str], list[str]]] = []  # batches before that row
        self._agreed_at: int | None = None  # number of the registry's changes at the first batch

    @property
    def is_contradictory(self) -> bool:
        """Whether the list gives two companies the same keys, or one company two RFCs."""
        return self._has_shared_key or bool(self._conflicting_rfcs)

    async def add(self, companies: Sequence[Company], marks: list[int]) -> None:
        """Record a batch of rows.

        If a row is new, the batches before it are recorded too, with checkpoints.

        Args:
            companies: The rows.
            marks: Hashes of their API keys, in the same order.

        """
        uids, rfcs = list(map(_uid, companies)), list(map(_rfc, companies))
        if self._agreed_at is None:
            self._agreed_at = self._registry.changes
        is_unchanged = self._agreed_at == self._registry.changes
        if not self._has_news and is_unchanged and self._registry.agrees(marks, uids, rfcs):
            # The registry is consistent, so that rows that agree with it contradict no other row.
            self._agreed.append((marks, uids, rfcs))
            return
        if not self._has_news:
            self._has_news = True
            for known in self._agreed:
                self._add_all(*known)
                await asyncio.sleep(0)
        self._add_all(marks, uids, rfcs)

    def _add_all(self, marks: list[int], uids: list[str], rfcs: list[str]) -> None:
        new_owners, new_rfcs = dict(zip(marks, uids, strict=True)), dict(zip(uids, rfcs, strict=True))
        is_plain = len(new_owners) == len(new_rfcs) == len(uids) and 0 not in new_owners
        # Between views, `isdisjoint` looks up the smaller one; given the dict itself, it would go through all of it.
        is_new = new_owners.keys().isdisjoint(self.owners.keys()) and new_rfcs.keys().isdisjoint(self.rfcs.keys())
        if is_plain and is_new:
            self.owners.update(new_owners)  # no duplicates: takes a third of the time of the loop below
            self.rfcs.update(new_rfcs)
            return
        for row in zip(marks, uids, rfcs, strict=True):
            self._add(*row)

    def _add(self, mark: int, uid: str, rfc: str) -> None:
        known = self.rfcs.setdefault(uid, rfc)
        if not same_rfc(known, rfc):
            self._conflicting_rfcs[uid] = rfc
        if not mark:
            self.lacks_keys = True
        elif (owner := self.owners.setdefault(mark, uid)) != uid and not isinstance(owner, tuple):
            self.owners[mark] = owner, uid
            self._has_shared_key = True

    def problem(self, company: Company) -> str:
        """Return what contradicts a row within this list, or ``""``."""
        if company.uid in self._conflicting_rfcs:
            return message(
                "calls.list_with_two_rfcs",
                uid=company.uid,
                rfc=self.rfcs[company.uid],
                other=self._conflicting_rfcs[company.uid],
            )
        owner = self.owners.get(company.key_mark())
        if not isinstance(owner, tuple):
            return ""
        return message("calls.list_with_shared_keys", uid=owner[0], other=owner[1])

    async def end(self) -> None:
        """Put the complete list into the registry.

        A cancelled caller leaves a part of it there, which is right as far as it goes.
        """
        await self._registry.replace(self._account, self)
