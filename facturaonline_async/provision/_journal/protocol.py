"""Protocols of a journal, and of what opens one for a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from facturaonline_async.provision._steps import Step

__all__ = ["Journal", "JournalStore", "ReadableJournal"]


class ReadableJournal(Protocol):
    """What a comparison of a plan with a journal reads.

    Each method may raise `JournalError`.
    """

    def digest(self, payload: bytes) -> bytes:
        """Return the hash of a payload with the journal's own salt: 16 bytes.

        Args:
            payload: Any bytes.

        """
        ...

    async def is_empty(self) -> bool:
        """Return whether the journal holds no plan yet."""
        ...

    async def steps_of_rows(self, rfcs: Sequence[str]) -> dict[str, list[Step]]:
        """Return the steps of several companies and their series, by RFC.

        The steps of a company are in the plan's order.

        Args:
            rfcs: RFCs of the companies, at most a thousand. One without steps is missing from the result.

        """
        ...

    async def baseline(self, rfc: str | None = None) -> list[tuple[str, str, str, str]]:
        """Return the baseline of one company and its series, or of all companies.

        Args:
            rfc: RFC of the company; None: all companies, without their series.

        Returns:
            `Step.primary_key` and uid of each.

        """
        ...

    async def owners(self, after: int = 0, limit: int = 1000) -> tuple[list[str], int]:
        """Return the RFCs of a page of steps in the plan's order.

        An RFC may be on two pages.

        Args:
            after: Cursor of the page; 0: the first one.
            limit: Maximum number of steps on the page.

        Returns:
            The RFCs, and the cursor of the next page; 0: there is none.

        """
        ...


class Journal(ReadableJournal, Protocol):
    """Open journal of a run: a durable record of each step.

    One run at a time uses a journal. What a method wrote, or `save` confirmed, is there after a crash. Jobs take effect
    in the order in which they were queued. Once a write has failed, every later one fails too, so that nothing more is
    sent.

    Each method may raise `JournalError`.
    """

    @property
    def name(self) -> str:
        """Where the journal is, for texts: a path, or a name in a database."""
        ...

    @property
    def gap(self) -> str:
        """Why the journal may lack creates that were sent, or ``""``.

        The run waits for the settle time then, lists again, and calls `clear_gap`.
        """
        ...

    @property
    def lease(self) -> float | None:
        """Seconds of silence after which another process may take the journal over.

        A create must not begin long after its intent was recorded, then. None: no process takes it over.
        """
        ...

    def save(self, *steps: Step) -> asyncio.Future[None]:
        """Queue steps for writing at once; the future is done when all are durable.

        They are written even if the caller is cancelled.

        Args:
            steps: Steps that the journal holds, at least one.

        """
        ...

    async def adjust(
        self,
        *,
        add: Iterable[Step] = (),
        save: Iterable[Step] = (),
        drop: Iterable[Step] = (),
        baseline: Iterable[tuple[str, str, str, str]] = (),
        forget: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Write what changed in the plan, before its first create.

        Args:
            add: New steps; all of them are PLANNED.
            save: Steps that changed.
            drop: Steps that were removed from the plan.
            baseline: `Step.primary_key` and uid of what exists.
            forget: `Step.primary_key` whose earlier baseline is deleted first.

        """
        ...

    async def replace_baseline(
        self, keys: Iterable[tuple[str, str, str]], baseline: Iterable[tuple[str, str, str, str]]
    ) -> None:
        """Write what exists for some steps, before any of them is sent.

        Args:
            keys: `Step.primary_key` whose earlier baseline is deleted.
            baseline: `Step.primary_key` and uid of what exists.

        """
        ...

    async def steps_of_row(self, rfc: str) -> list[Step]:
        """Return the steps of a company and its series, in the plan's order.

        Args:
            rfc: RFC of the company.

        """
        ...

    async def open_companies(self) -> list[Step]:
        """Return the steps of companies whose create may have been done."""
        ...

    async def end_audit(self) -> None:
        """Record that the final audit found every company exactly once."""
        ...

    async def clear_gap(self) -> None:
        """Record that lists have shown all earlier creates, and clear `gap`."""
        ...

    async def aclose(self) -> None:
        """Write what is queued, and release the journal, even if the caller is cancelled.

        Safe to repeat.
        """
        ...


class JournalStore(Protocol):
    """Place of a journal: `provision` opens it for its run."""

    async def open(self, *, account: str, host: str) -> Journal:
        """Open the journal of this account and host, or create one.

        Args:
            account: Fingerprint of the main keys.
            host: Base URL of the API.

        Raises:
            JournalInUseError: Another process uses it.
            InvalidJournalError: It belongs to another account or host, is not a journal, or is damaged.
            JournalError: It cannot be opened or written.

        """
        ...
