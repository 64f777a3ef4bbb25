"""Snapshot of a journal in a database, for the readers of journal files.

It is an SQLite database in memory with the tables of a journal file, so that progress and history are computed in one
place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from attrs import frozen

from facturaonline_async.provision._journal.progress import Status, complete_status, read_status
from facturaonline_async.provision._journal.schema import create_snapshot

__all__ = ["Snapshot", "opened_snapshot"]


@frozen
class Snapshot:
    """What a database knows of a run.

    Moments are seconds of this process's wall clock.

    Attributes:
        name: Name of the journal, for texts.
        host: Base URL of the API.
        began: Moment when the run was created.
        is_running: Whether a process has the run.
        runs: Process id, begin and end (or None) of each process that had it, oldest first.
        steps: Values of the columns of a step in a journal file, without its digest, in the plan's order.

    """

    name: str
    host: str
    began: float
    is_running: bool
    runs: Sequence[tuple[int, float, float | None]]
    steps: Iterable[tuple[Any, ...]]


@contextmanager
def opened_snapshot(snapshot: Snapshot) -> Iterator[tuple[Status, sqlite3.Connection]]:
    """Give the progress and the tables of a snapshot."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_snapshot(connection, host=snapshot.host, began=snapshot.began, runs=snapshot.runs, steps=snapshot.steps)
        status = read_status(connection, snapshot.name, None)
        yield complete_status(status, connection, is_running=snapshot.is_running), connection
