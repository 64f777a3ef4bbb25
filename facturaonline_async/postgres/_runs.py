"""Runs whose journals are in PostgreSQL: read, list and delete them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from attrs import frozen

from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async.errors import NotSentError
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database
from facturaonline_async.provision._journal.errors import JournalError, JournalInUseError
from facturaonline_async.provision._journal.progress import Status
from facturaonline_async.provision._journal.snapshot import Snapshot, opened_snapshot

__all__ = ["RunReader", "RunSummary", "delete_run", "journal_name", "list_runs", "read_run"]

_READ: Final = "SELECT * FROM facturaonline.read_run_v1(%s)"
_LIST: Final = "SELECT * FROM facturaonline.list_runs_v1()"
_DELETE: Final = "SELECT facturaonline.delete_run_v1(%s)"
_SECONDS: Final = 60.0
"""Maximum time of a read in seconds: a run may have a hundred thousand steps."""


@frozen(kw_only=True)
class RunSummary:
    """A run whose journal is in a database.

    Attributes:
        name: name of the run.
        host: base URL of the API.
        created_at: moment when the run was created.
        heard_at: moment of the last sign of life of a process that had the run.
        is_running: whether a process has the run.
        planned: number of companies and series in the plan.
        done: number of them that exist.

    """

    name: str
    host: str
    created_at: datetime
    heard_at: datetime
    is_running: bool
    planned: int
    done: int


def journal_name(run: str) -> str:
    """Return the name of a run's journal, for texts and for the command."""
    return f"pg:{run}"


async def list_runs(database: Database) -> list[RunSummary]:
    """Return all runs, the one with the latest sign of life first.

    Args:
        database: The database.

    Raises:
        NotSentError: The database does not answer.

    """
    now = time.time()
    return [
        RunSummary(
            name=name,
            host=host,
            created_at=datetime.fromtimestamp(now + created, UTC),
            heard_at=datetime.fromtimestamp(now + heard, UTC),
            is_running=is_running,
            planned=planned,
            done=done,
        )
        for name, host, created, heard, is_running, planned, done in await database.query(_LIST, seconds=_SECONDS)
    ]


async def delete_run(database: Database, run: str) -> None:
    """Delete a run and everything that is known of it.

    Args:
        database: The database.
        run: Name of the run.

    Raises:
        JournalInUseError: A process has the run.
        JournalError: There is no such run.
        NotSentError: The database does not answer.

    """
    [(result,)] = await database.query(_DELETE, (run,), seconds=_SECONDS)
    if result == "running":
        raise JournalInUseError(message("journal.in_use", path=journal_name(run)))
    if result == "missing":
        raise JournalError(message("journal.missing", path=journal_name(run)))


async def read_run(database: Database, run: str) -> Snapshot:
    """Return what a database knows of a run.

    Args:
        database: The database.
        run: Name of the run.

    Raises:
        JournalError: There is no such run.
        NotSentError: The database does not answer.

    """
    facts = [fact for (fact,) in await database.query(_READ, (run,), seconds=_SECONDS)]
    if not facts:
        raise JournalError(message("journal.missing", path=journal_name(run)))
    now = time.time()
    (_, _, host, created, is_running), *rest = facts
    return Snapshot(
        name=journal_name(run),
        host=host,
        began=now + created,
        is_running=is_running,
        runs=_without_overlap(
            [(pid, now + began, _moment(now, ended)) for _, _, pid, began, ended in _of_kind(rest, "take")]
        ),
        steps=[
            (*values, _moment(now, due) or 0.0, sends, reason, _moment(now, began), _moment(now, changed))
            for _, *values, due, sends, reason, began, changed in _of_kind(rest, "step")
        ],
    )


def _without_overlap(takes: list[tuple[int, float, float | None]]) -> list[tuple[int, float, float | None]]:
    """Return takes of which none begins before another one has ended.

    Processes that have shards of one run at the same time count as one, so that its duration is not counted twice.
    """
    found: list[tuple[int, float, float | None]] = []
    for pid, began, ended in sorted(takes, key=lambda take: take[1]):
        if not found or (found[-1][2] is not None and found[-1][2] < began):
            found.append((pid, began, ended))
            continue
        first, since, until = found[-1]
        found[-1] = (first, since, None if until is None or ended is None else max(until, ended))
    return found


def _of_kind(facts: list[list[Any]], kind: str) -> Iterator[list[Any]]:
    return (fact for fact in facts if fact[0] == kind)


def _moment(now: float, seconds: float | None) -> float | None:
    """Return a moment of this process's clock from seconds of the server's."""
    return None if seconds is None else now + seconds


@frozen
class RunReader:
    """Reads the journal of a run in a database, for commands; see `JournalReader`.

    Each read opens and closes a connection. It must not be called while an event loop runs in the same thread.

    Attributes:
        url: URL of the database, or None; see `Postgres`.
        run: name of the run.

    """

    url: Secret | None
    run: str

    @property
    def name(self) -> str:
        """Name of the journal, for texts."""
        return journal_name(self.run)

    @contextmanager
    def open_snapshot(self) -> Iterator[tuple[Status, sqlite3.Connection]]:
        """Read the progress, and keep a snapshot for further reads.

        Raises:
            JournalError: There is no such run, or it cannot be read.
            InvalidInputError: The database has no schema, or no database is named.

        """
        snapshot = asyncio.run(self._read())
        with opened_snapshot(snapshot) as found:
            yield found

    async def _read(self) -> Snapshot:
        from facturaonline_async.postgres._postgres import open_database  # noqa: PLC0415  # it imports this module

        problem = ""
        try:
            async with open_database(self.url, connections=1, timeout=_SECONDS) as database:
                await _schema.check(database)
                return await read_run(database, self.run)
        except JournalError:
            raise
        except NotSentError as error:
            if isinstance(error, ValueError):  # InvalidInputError
                raise
            problem = str(error).removesuffix(".")
        raise JournalError(message("journal.cannot_be_read", path=self.name, reason=problem))
