"""View of a journal's file for a preview, read beside the event loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import TypeVar

import anyio
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

T = TypeVar("T")


@frozen
class JournalView:
    """Journal that is only read; see `ReadableJournal`.

    Attributes:
        cursor: cursor of a snapshot with the tables of a journal; only the thread uses it.
        salt: salt of the digests.
        thread: the thread that opened the snapshot.

    """

    cursor: sqlite3.Cursor
    salt: bytes
    thread: ThreadPoolExecutor

    def digest(self, payload: bytes) -> bytes:
        """Return the salted hash of a payload: 16 bytes."""
        return salted_hash(self.salt, payload)

    async def is_empty(self) -> bool:
        """Return whether the journal holds no plan yet."""
        return await self._call(lambda: select_is_empty(self.cursor))

    async def steps_of_rows(self, rfcs: Sequence[str]) -> dict[str, list[Step]]:
        """Return the steps of several companies and their series, in the plan's order."""
        return await self._call(lambda: select_steps_of_rows(self.cursor, rfcs))

    async def baseline(self, rfc: str | None = None) -> list[tuple[str, str, str, str]]:
        """Return the baseline of one company and its series, or of all companies."""
        return await self._call(lambda: select_baseline(self.cursor, rfc))

    async def owners(self, after: int = 0, limit: int = 1000) -> tuple[list[str], int]:
        """Return the RFCs of a page of steps, and the cursor of the next page."""
        return await self._call(lambda: select_owners(self.cursor, after, limit))

    async def _call(self, select: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, select)


@asynccontextmanager
async def open_view(path: str | os.PathLike[str], *, account: str, host: str) -> AsyncIterator[JournalView | None]:
    """Give the view of a journal's file; None if it does not exist yet, or is empty.

    Nothing of it blocks the event loop. If the caller is cancelled, the thread ends after its current read.

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
    loop, opened = asyncio.get_running_loop(), ExitStack()
    thread = ThreadPoolExecutor(1, thread_name_prefix="facturaonline-journal-view")

    def begin() -> JournalView:
        """Open the snapshot. This runs in the thread."""
        connection = opened.enter_context(open_to_read(file))
        check_owner(connection, file, account, host)
        return JournalView(connection.cursor(), read_meta(connection, file)["salt"], thread)

    try:
        try:
            yield await loop.run_in_executor(thread, begin)
        except sqlite3.Error as error:  # of a later read
            await loop.run_in_executor(thread, opened.__exit__, type(error), error, error.__traceback__)
            raise
    finally:
        with anyio.CancelScope(shield=True):
            await loop.run_in_executor(thread, opened.close)
        thread.shutdown(wait=False)
