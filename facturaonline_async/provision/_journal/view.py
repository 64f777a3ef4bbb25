"""View of a journal: what a preview compares with a plan, read from a snapshot."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from facturaonline_async.provision._journal.opening import resolve_path
from facturaonline_async.provision._journal.reader import open_to_read
from facturaonline_async.provision._journal.salted import salted_hash
from facturaonline_async.provision._journal.schema import check_owner, read_meta
from facturaonline_async.provision._journal.writer import (
    select_baseline,
    select_is_empty,
    select_owners,
    select_steps_of_rows,
)
from facturaonline_async.provision._steps import Step

__all__ = ["JournalView", "open_view"]


@frozen
class JournalView:
    """Journal that is only read; see `ReadableJournal`.

    Attributes:
        cursor: cursor of a snapshot with the tables of a journal.
        salt: salt of the digests; it is not needed where the steps have none.

    """

    cursor: sqlite3.Cursor
    salt: bytes = b""

    def digest(self, payload: bytes) -> bytes:
        """Return the salted hash of a payload: 16 bytes."""
        return salted_hash(self.salt, payload)

    async def is_empty(self) -> bool:
        """Return whether the journal holds no plan yet."""
        return select_is_empty(self.cursor)

    async def steps_of_rows(self, rfcs: Sequence[str]) -> dict[str, list[Step]]:
        """Return the steps of several companies and their series, in the plan's order."""
        return select_steps_of_rows(self.cursor, rfcs)

    async def baseline(self, rfc: str | None = None) -> list[tuple[str, str, str, str]]:
        """Return the baseline of one company and its series, or of all companies."""
        return select_baseline(self.cursor, rfc)

    async def owners(self, after: int = 0, limit: int = 1000) -> tuple[list[str], int]:
        """Return the RFCs of a page of steps, and the cursor of the next page."""
        return select_owners(self.cursor, after, limit)


@contextmanager
def open_view(path: str | os.PathLike[str], *, account: str, host: str) -> Iterator[JournalView | None]:
    """Give the view of a journal's file; None if it does not exist yet, or is empty.

    Args:
        path: the file.
        account: fingerprint of the main keys.
        host: base URL of the API.

    Raises:
        InvalidInputError: this is not a path.
        InvalidJournalError: it belongs to another account or host, is not a journal, or is damaged.
        JournalError: it cannot be read.

    """
    file = resolve_path(path)
    if not file.exists() or (file.is_file() and not file.stat().st_size):
        yield None
        return
    with open_to_read(file) as connection:
        check_owner(connection, file, account, host)
        yield JournalView(connection.cursor(), read_meta(connection, file)["salt"])
