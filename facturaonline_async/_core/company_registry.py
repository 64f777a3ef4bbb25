"""Whose company is it: what a session knows of companies, and what contradicts it.

A company is known by its uid, and has one RFC and one key pair. An answer that gives a uid another RFC, or one
company's keys to another, is about two companies at once: its keys would create series in the wrong place.

Lists are the evidence: a newer one takes the place of what was known before. Keys that no list has shown are on trust
only: before they are used, the API is asked with them whose they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Protocol

from facturaonline_async._text import compose

__all__ = ["Company", "CompanyRegistry", "Listing", "plain_rfc", "same_rfc"]


_uid: Final = attrgetter("uid")
_rfc: Final = attrgetter("rfc")


class Company(Protocol):
    """A company as an answer gives it."""

    @property
    def uid(self) -> str:
        """The API's own name of the company."""
        ...

    @property
    def rfc(self) -> str:
        """The company's RFC, or ``""``."""
        ...

    def key_mark(self) -> int:
        """Return a number by which its API key is known within this process; 0: the answer gave none."""
        ...


def same_rfc(one: str, other: str) -> bool:
    """Return whether two RFCs are one: but for case, blanks around them, and the Unicode form."""
    return one == other or plain_rfc(one) == plain_rfc(other)


def plain_rfc(rfc: str) -> str:
    """Return the RFC in upper case, without blanks around it, and composed (NFC)."""
    return compose(rfc).strip().upper()


class CompanyRegistry:
    """The companies that a session has read: the RFC of each uid, and the uid of each API key (by its hash).

    It grows with the number of companies, by some 300 bytes for each.
    """

    def __init__(self) -> None:
        self._rfcs: dict[str, str] = {}
        self._owners: dict[int, str | tuple[str, str]] = {}  # two uids: the last list gave both the same key
        self._proven: set[int] = set()
        self._unlisted: set[int] = set()  # keys that only single answers have given
        self._without_keys: set[str] = set()

    def listing(self, account: str) -> Listing:
        """Begin to read a list of an account (the fingerprint of its keys)."""
        return Listing(self, account)

    def problem(self, company: Company) -> str:
        """Return what this answer contradicts, or ``""``."""
        mark = company.key_mark()
        owner = self._owners.get(mark, company.uid) if mark else company.uid
        if isinstance(owner, tuple):
            owner = owner[1] if owner[0] == company.uid else owner[0]
        if owner != company.uid:
            return (
                f"the API gave the same keys for two companies, {company.uid} and {owner}: they are used for neither. "
                "List the companies again"
            )
        known = self._rfcs.get(company.uid, "")
        if known and company.rfc and not same_rfc(known, company.rfc):
            return (
                f"the company {company.uid} has the RFC {company.rfc} in this answer, and {known} in an earlier one: "
                "one of them is about another company. List the companies again"
            )
        return ""

    def learn(self, company: Company) -> None:
        """Remember what an answer that contradicts nothing says."""
        if company.rfc:
            self._rfcs.setdefault(company.uid, company.rfc)
        if (mark := company.key_mark()) and mark not in self._owners:
            self._owners[mark] = company.uid
            self._unlisted.add(mark)

    def agrees(self, marks: list[int], uids: list[str], rfcs: list[str]) -> bool:
        """Return whether rows of a list say nothing but what is known: of each key the uid, of each uid the RFC."""
        if not self._unlisted.isdisjoint(marks):
            return False
        return list(map(self._owners.get, marks)) == uids and list(map(self._rfcs.get, uids)) == rfcs

    def needs_proof(self, company: Company, account: str, own_mark: int) -> bool:
        """Return whether its keys may be another company's though nothing contradicts it.

        So it is where no list has shown them (the company is new, or lists leave out keys), and where they are the
        account's own (`own_mark`).
        """
        mark = company.key_mark()
        if not mark or mark in self._proven:
            return False
        is_listed = mark in self._owners and mark not in self._unlisted
        return not is_listed or mark == own_mark or account in self._without_keys

    def prove(self, mark: int, uid: str) -> None:
        """Remember whose a key is: the API, asked with it, has named this company."""
        self._owners[mark] = uid
        self._proven.add(mark)

    def renamed(self, uid: str, rfc: str) -> None:
        """Remember that a company has another RFC from now on."""
        self._rfcs[uid] = rfc

    def forget(self, uid: str) -> None:
        """Forget the RFC of a company that was deleted."""
        self._rfcs.pop(uid, None)

    def _replace(self, account: str, listing: Listing) -> None:
        self._rfcs.update(listing.rfcs)
        self._owners.update(listing.owners)
        self._unlisted.difference_update(listing.owners)
        if listing.lacks_keys:
            self._without_keys.add(account)
        else:
            self._without_keys.discard(account)


class Listing:
    """What one list says of companies, while it is read: page by page, or some rows at a time.

    Attributes:
        lacks_keys: whether it has a company without keys.

    """

    def __init__(self, identities: CompanyRegistry, account: str) -> None:
        self.rfcs: dict[str, str] = {}
        self.owners: dict[int, str | tuple[str, str]] = {}
        self.lacks_keys: bool = False
        self._identities = identities
        self._account = account
        self._two_rfcs: dict[str, str] = {}
        self._has_two_owners = False
        self._is_news = False  # whether a row says something else than what is known
        self._agreed: list[tuple[list[int], list[str], list[str]]] = []  # rows before that one

    @property
    def is_contradictory(self) -> bool:
        """Whether it gives two companies the same keys, or one company two RFCs."""
        return self._has_two_owners or bool(self._two_rfcs)

    def add(self, companies: Sequence[Company], marks: list[int]) -> None:
        """Take up some rows, and the marks of their keys."""
        uids, rfcs = list(map(_uid, companies)), list(map(_rfc, companies))
        if not self._is_news and self._identities.agrees(marks, uids, rfcs):
            # What is known gives each key one company, and each company one RFC: such rows contradict no other.
            self._agreed.append((marks, uids, rfcs))
            return
        if not self._is_news:
            self._is_news = True
            for known in self._agreed:
                self._add_all(*known)
        self._add_all(marks, uids, rfcs)

    def _add_all(self, marks: list[int], uids: list[str], rfcs: list[str]) -> None:
        new_owners, new_rfcs = dict(zip(marks, uids, strict=True)), dict(zip(uids, rfcs, strict=True))
        is_plain = len(new_owners) == len(new_rfcs) == len(uids) and 0 not in new_owners
        if is_plain and new_owners.keys().isdisjoint(self.owners) and new_rfcs.keys().isdisjoint(self.rfcs):
            self.owners.update(new_owners)  # nothing is said twice: a third of the time that looking at each row takes
            self.rfcs.update(new_rfcs)
            return
        for row in zip(marks, uids, rfcs, strict=True):
            self._add(*row)

    def _add(self, mark: int, uid: str, rfc: str) -> None:
        known = self.rfcs.setdefault(uid, rfc)
        if not same_rfc(known, rfc):
            self._two_rfcs[uid] = rfc
        if not mark:
            self.lacks_keys = True
        elif (owner := self.owners.setdefault(mark, uid)) != uid and not isinstance(owner, tuple):
            self.owners[mark] = owner, uid
            self._has_two_owners = True

    def problem(self, company: Company) -> str:
        """Return what is contradictory about a row of this list, or ``""``."""
        if company.uid in self._two_rfcs:
            return (
                f"the list gives the company {company.uid} two RFCs, {self.rfcs[company.uid]} and "
                f"{self._two_rfcs[company.uid]}: one of them is another company's. List the companies again"
            )
        owner = self.owners.get(company.key_mark())
        if not isinstance(owner, tuple):
            return ""
        return (
            f"the list gives two companies, {owner[0]} and {owner[1]}, the same keys: they are used for neither. "
            "List the companies again"
        )

    def end(self) -> None:
        """Let the session know what the whole list says."""
        self._identities._replace(self._account, self)  # two halves of one thing
