"""Reads of a run's journal in PostgreSQL, for its run and for a preview."""

from __future__ import annotations

import hmac
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, LiteralString

from attrs import field, frozen

from facturaonline_async._messages import message
from facturaonline_async.errors import NotSentError
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database, Row
from facturaonline_async.postgres._runs import journal_name
from facturaonline_async.provision._journal.errors import InvalidJournalError, JournalError
from facturaonline_async.provision._journal.protocol import ReadableJournal
from facturaonline_async.provision._journal.salted import account_mark, salted_hash
from facturaonline_async.provision._journal.writer import read_step
from facturaonline_async.provision._steps import Step

__all__ = ["JournalReads", "check_owner", "read_row", "view_run"]

_NEEDED: Final = 4
"""Version of the schema with ``look_up_run_v1``."""

_LOOK_UP: Final = "SELECT run, salt, account, host, is_divided FROM facturaonline.look_up_run_v1(%s)"
_READ_STEPS: Final = "SELECT * FROM facturaonline.read_steps_v1(%s, %s)"
_READ_OWNERS: Final = "SELECT owner, seq FROM facturaonline.read_owners_v1(%s, %s, %s)"
_READ_BASELINE: Final = "SELECT * FROM facturaonline.read_baseline_v1(%s, %s)"

#: Place of `Step.due` in a row of `_READ_STEPS`.
_DUE: Final = 7


class JournalReads(ABC):
    """What a comparison of a plan with a run's journal reads; see `ReadableJournal`."""

    _salt: bytes

    @abstractmethod
    async def _read(self, statement: LiteralString, *arguments: object) -> list[Row]:
        """Run a statement that only reads, with the number of the run and these arguments."""

    def digest(self, payload: bytes) -> bytes:
        """Return the salted hash of a payload: 16 bytes."""
        return salted_hash(self._salt, payload)

    async def is_empty(self) -> bool:
        """Return whether the journal holds no plan yet."""
        return not await self._read(_READ_OWNERS, 0, 1)

    async def steps_of_rows(self, rfcs: Sequence[str]) -> dict[str, list[Step]]:
        """Return the steps of several companies; see `Journal.steps_of_rows`."""
        found: dict[str, list[Step]] = {}
        for row in await self._read(_READ_STEPS, list(rfcs)):
            step = read_row(row)
            found.setdefault(step.owner, []).append(step)
        return found

    async def baseline(self, rfc: str | None = None) -> list[tuple[str, str, str, str]]:
        """Return the baseline of one company and its series, or of all companies."""
        return [(owner, kind, key, uid) for owner, kind, key, uid in await self._read(_READ_BASELINE, rfc)]

    async def owners(self, after: int = 0, limit: int = 1000) -> tuple[list[str], int]:
        """Return the RFCs of a page of steps, and the cursor of the next page."""
        rows = await self._read(_READ_OWNERS, after, limit)
        return list(dict.fromkeys(owner for owner, _ in rows)), rows[-1][1] if len(rows) == limit else 0


def read_row(row: Row) -> Step:
    """Return the step of a row of ``read_steps_v1``."""
    left = row[_DUE]
    due = 0.0 if left is None else time.time() + left
    return read_step((*row[:_DUE], due, *row[_DUE + 1 :]))


def check_owner(name: str, *, salt: bytes, mark: bytes, its_host: str, account: str, host: str) -> None:
    """Check that a run belongs to this account and host.

    Args:
        name: name of the journal, for texts.
        salt: salt of the run.
        mark: salted hash of the account of the run.
        its_host: base URL of the run.
        account: fingerprint of the main keys.
        host: base URL of the API.

    Raises:
        InvalidJournalError: it belongs to another account or host.

    """
    if its_host != host:
        raise InvalidJournalError(message("journal.another_host", path=name, host=its_host, used=host))
    if not hmac.compare_digest(mark, account_mark(salt, account)):
        raise InvalidJournalError(message("journal.another_account", path=name))


async def view_run(database: Database, run: str, *, account: str, host: str) -> ReadableJournal | None:
    """Return the journal of a run, only to be read; None if there is no such run.

    The run is not taken: a process may work on it meanwhile.

    Args:
        database: the open database.
        run: name of the run.
        account: fingerprint of the main keys.
        host: base URL of the API.

    Raises:
        InvalidJournalError: it belongs to another account or host.
        JournalError: its plan is divided into shards, or the database does not answer.
        InvalidInputError: the schema is too old.

    """
    await _schema.check(database, needed=_NEEDED)
    name = journal_name(run)
    found = await _query(database, name, _LOOK_UP, run)
    if not found:
        return None
    [(number, salt, mark, its_host, is_divided)] = found
    if is_divided:
        raise JournalError(message("journal.cannot_be_opened", path=name, reason=message("journal.divided")))
    check_owner(name, salt=salt, mark=mark, its_host=its_host, account=account, host=host)
    return _RunView(database, name, number, salt)


@frozen
class _RunView(JournalReads):
    """Journal of a run that this process has not taken."""

    _database: Database = field(repr=False)
    _name: str
    _number: int
    _salt: bytes = field(repr=False)

    async def _read(self, statement: LiteralString, *arguments: object) -> list[Row]:
        return await _query(self._database, self._name, statement, self._number, *arguments)


async def _query(database: Database, name: str, statement: LiteralString, *arguments: object) -> list[Row]:
    """Run a statement that only reads.

    Raises:
        JournalError: the database does not answer.

    """
    problem = ""
    try:
        return await database.query(statement, arguments)
    except NotSentError as error:
        problem = str(error).removesuffix(".")
    raise JournalError(message("journal.cannot_be_read", path=name, reason=problem))
