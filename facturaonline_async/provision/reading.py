"""Reading a journal from outside, also while a run is writing it: nobody waits for a reader."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import frozen

from facturaonline_async.provision.journal import COLUMNS, thing_of
from facturaonline_async.provision.opening import APPLICATION, VERSION, JournalError
from facturaonline_async.provision.things import Thing
from facturaonline_async.texts import redact

__all__ = ["Session", "open_to_read", "read_host", "read_sessions", "read_things", "safe"]


@frozen(kw_only=True)
class Session:
    """A time in which a process worked with the journal.

    Attributes:
        number: 1 for the first.
        pid: of the process.
        began, ended: moments; `ended` is None while it works, and where it was killed and nobody came after it.

    """

    number: int
    pid: int
    began: float
    ended: float | None


@contextmanager
def open_to_read(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading, as it is at this moment. Nothing that is written meanwhile shows.

    The writer is not kept waiting, but cannot tidy up its file before this is closed: do not keep it open for long.

    Raises:
        JournalError: it is not there, is no journal, is another version's, or is damaged.

    """
    try:
        if not Path(path).exists():
            raise JournalError(f"the journal {path} is not there.")
        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION:
                raise JournalError(f"{path} is no journal of this library.")
            if version != VERSION:
                raise JournalError(
                    f"{path} was written by another version of this library (schema {version}, not {VERSION})."
                )
            yield connection
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"the journal {path} cannot be read: {error}.") from None


def read_host(connection: sqlite3.Connection) -> tuple[str, float]:
    """Return where the journal's things are, and when it began."""
    meta = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('host', 'began')"))
    return str(meta["host"]), float(meta["began"])


def read_sessions(connection: sqlite3.Connection) -> list[Session]:
    """Return all times in which somebody worked with the journal, the first one first."""
    rows = connection.execute("SELECT pid, began, ended FROM runs ORDER BY id")
    return [
        Session(number=number, pid=pid, began=began, ended=ended) for number, (pid, began, ended) in enumerate(rows, 1)
    ]


def read_things(connection: sqlite3.Connection) -> Iterator[tuple[Thing, float | None, float | None]]:
    """Give all things in the plan's order, each with the moments when it began and last changed."""
    columns = ", ".join((*COLUMNS, "began", "changed"))
    for row in connection.execute(f"SELECT {columns} FROM things ORDER BY number, letra <> '', rowid"):  # noqa: S608
        yield thing_of(row[:-2]), row[-2], row[-1]


def safe(text: str) -> str:
    """Return a text of the API's as it can be shown: nothing that steers a terminal, nothing that looks like a key."""
    return redact("".join(c if c.isprintable() else " " for c in text))
