"""Schema of a journal: create the tables, check their values, and check the owner."""

from __future__ import annotations

import hmac
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._messages import Message, message
from facturaonline_async.provision._journal.errors import InvalidJournalError, JournalError
from facturaonline_async.provision._journal.salted import account_mark, make_salt

__all__ = [
    "LATEST",
    "begin_run",
    "check_format",
    "check_journal",
    "check_owner",
    "create_snapshot",
    "create_tables",
    "damaged",
    "read_meta",
    "reason_of",
    "unusable",
]

#: Identification in the header of the SQLite file: "FOJ1", and the version of the schema.
_APPLICATION: Final = 0x464F4A31
_VERSION: Final = 3
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE steps (
    number INTEGER NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    natural_key TEXT NOT NULL,
    state TEXT NOT NULL,
    origin TEXT,
    uid TEXT,
    due REAL NOT NULL,
    sends INTEGER NOT NULL,
    digest BLOB,
    reason TEXT NOT NULL,
    began REAL,
    changed REAL,
    UNIQUE (owner, kind, natural_key)
) STRICT;
CREATE TABLE baseline (
    owner TEXT NOT NULL, kind TEXT NOT NULL, natural_key TEXT NOT NULL, uid TEXT NOT NULL,
    PRIMARY KEY (owner, kind, natural_key, uid)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, began REAL NOT NULL, ended REAL) STRICT;
"""

#: Latest moment that a journal may hold, in seconds since 1970: the year 5138.
LATEST: Final = 1e11


def _is_moment(column: str) -> str:
    return f"{column} BETWEEN 0 AND {LATEST:.0f}"


def _is_one_of(column: str, words: type[StepState | Origin]) -> str:
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


#: All columns of a table, and the condition of their values. SQLite verifies their types. The most frequent words come
#: first, because a list of words takes ten times as long.
_SOUND: Final = {
    "steps": (
        "number, owner, kind, natural_key, state, origin, uid, due, sends, digest, reason, began, changed", f"""
        number >= 0 AND sends >= 0
        AND (state = 'done' OR {_is_one_of("state", StepState)})
        AND (origin IS NULL OR origin = 'created' OR {_is_one_of("origin", Origin)})
        AND {_is_moment("due")} AND (began IS NULL OR {_is_moment("began")})
        AND (changed IS NULL OR {_is_moment("changed")})
        AND (uid IS NULL OR length(uid) BETWEEN 1 AND 64)
        AND CASE kind
            WHEN 'series' THEN (uid IS NULL OR uid NOT GLOB '*[^0-9]*')
                AND natural_key GLOB '*\t*' AND natural_key NOT GLOB '*\t*\t*'
            ELSE (uid IS NULL OR uid NOT GLOB '*[^A-Za-z0-9_-]*') AND (kind <> 'empresas' OR natural_key = '')
        END""",
    ),
    "runs": (
        "id, pid, began, ended", f"""
        pid BETWEEN 0 AND 4294967295 AND {_is_moment("began")} AND (ended IS NULL OR {_is_moment("ended")})""",
    ),
    "baseline": ("owner, kind, natural_key, uid", "1"),
}  # fmt: skip
_META: Final[dict[str, type | tuple[type, ...]]] = {
    "salt": bytes,
    "account": bytes,
    "host": str,
    "began": (int, float),
}


def create_tables(connection: sqlite3.Connection, account: str, host: str) -> None:
    """Create the tables in an empty file, for this account and host."""
    salt = make_salt()
    connection.execute("BEGIN IMMEDIATE")
    _execute_schema(connection)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    new = {"salt": salt, "account": account_mark(salt, account), "host": host, "began": time.time()}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", new.items())
    connection.execute("COMMIT")


def create_snapshot(
    connection: sqlite3.Connection,
    *,
    host: str,
    began: float,
    runs: Iterable[tuple[int, float, float | None]],
    steps: Iterable[tuple[Any, ...]],
) -> None:
    """Create the tables in an empty database for what readers show of a journal.

    Args:
        connection: an empty database in memory.
        host: base URL of the API.
        began: moment when the journal was created.
        runs: process id, begin and end of each run.
        steps: values of the columns of ``steps``, without the digest.

    """
    connection.execute("BEGIN")
    _execute_schema(connection)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", {"host": host, "began": began}.items())
    connection.executemany("INSERT INTO runs (pid, began, ended) VALUES (?, ?, ?)", runs)
    connection.executemany(
        "INSERT INTO steps (number, owner, kind, natural_key, state, origin, uid, due, sends, reason, began, changed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        steps,
    )
    connection.execute("COMMIT")


def _execute_schema(connection: sqlite3.Connection) -> None:
    for statement in filter(str.strip, _SCHEMA.split(";")):
        connection.execute(statement)


def check_journal(connection: sqlite3.Connection, path: Path, *, with_indexes: bool = False) -> None:
    """Check that the database is a journal of this version with valid values.

    Each value has the type of its column, which SQLite verifies for STRICT tables. On writing, they refuse all others;
    nothing else notices a byte that changed on the disk.

    Args:
        connection: open for reading.
        path: the journal's file.
        with_indexes: whether to compare the indexes with their tables. It takes three times as long, and a run needs
            it, because it looks rows up.

    Raises:
        InvalidJournalError: it is not a journal, has another version, or is damaged.
        sqlite3.Error: it cannot be read.

    """
    check_format(connection, path)
    (problem,) = connection.execute(f"PRAGMA {'integrity_check' if with_indexes else 'quick_check'}(1)").fetchone()
    if problem != "ok":
        raise damaged(path, " ".join(str(problem).split()))
    read_meta(connection, path)
    for table, (columns, condition) in _SOUND.items():
        found = connection.execute(f"SELECT {columns} FROM {table} WHERE NOT coalesce(({condition}), 0) LIMIT 1")  # noqa: S608
        if (row := found.fetchone()) is not None:
            name, *_ = columns.split(", ")
            raise damaged(path, message("journal.invalid_value", table=table, column=name, value=f"{row[0]!r:.40}"))


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is not a journal of this schema.

    Args:
        connection: open for reading.
        path: the journal's file.

    Raises:
        InvalidJournalError: it is not a journal, or has another version.
        sqlite3.Error: it cannot be read. `unusable` makes the refusal of a file that is not a database.

    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        raise InvalidJournalError(message("journal.no_tables", path=str(path), wal=f"{path.name}-wal"))
    if application != _APPLICATION:
        raise InvalidJournalError(message("journal.another_program", path=str(path)))
    if version != _VERSION:
        raise InvalidJournalError(message("journal.another_version", path=str(path), schema=version, known=_VERSION))


def unusable(path: Path, code: str, error: sqlite3.Error) -> JournalError:
    """Return the error for a journal that cannot be opened or read.

    Args:
        path: the journal's file.
        code: "journal.cannot_be_opened" or "journal.cannot_be_read".
        error: the error of SQLite.

    """
    result = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if result == sqlite3.SQLITE_NOTADB:
        return InvalidJournalError(message("journal.not_a_database", path=str(path)))
    kind = InvalidJournalError if result == sqlite3.SQLITE_CORRUPT else JournalError
    # SQLite shows a damaged schema on several lines.
    return kind(message(code, path=str(path), reason=" ".join(str(error).split())))


def reason_of(error: OSError) -> str:
    """Return the operating system's text for an error, without number and file."""
    return error.strerror or str(error)


def read_meta(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Return the journal's metadata: salt, account, host, begin.

    Raises:
        InvalidJournalError: a value is missing or invalid.

    """
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    for name, kind in _META.items():
        if not isinstance(meta.get(name), kind):
            raise damaged(path, message("journal.missing_value", name=name))
    if not 0 <= meta["began"] <= LATEST:
        raise damaged(path, message("journal.invalid_begin", value=repr(meta["began"])))
    return meta


def check_owner(connection: sqlite3.Connection, path: Path, account: str, host: str) -> None:
    """Check that the journal belongs to this account and host.

    Raises:
        InvalidJournalError: it belongs to another account or host.

    """
    meta = read_meta(connection, path)
    if meta["host"] != host:
        raise InvalidJournalError(message("journal.another_host", path=str(path), host=meta["host"], used=host))
    if not hmac.compare_digest(meta["account"], account_mark(meta["salt"], account)):
        raise InvalidJournalError(message("journal.another_account", path=str(path)))


def damaged(path: Path, damage: Message | str) -> InvalidJournalError:
    """Return the error for a damaged journal.

    Args:
        path: the journal's file.
        damage: the damage; a plain text is SQLite's own.

    """
    return InvalidJournalError(message("journal.damaged", path=str(path), damage=damage))


def begin_run(connection: sqlite3.Connection, gap: str) -> str:
    """Record the begin of a run of this process.

    Args:
        connection: open for writing.
        gap: why more may have been sent than the journal records, or ``""``.

    Returns:
        `gap`, or the gap of an earlier run that did not clear it.

    """
    connection.execute("BEGIN IMMEDIATE")
    # The end of a killed run is the moment of the last step that it wrote.
    connection.execute("UPDATE runs SET ended = coalesce((SELECT max(changed) FROM steps), began) WHERE ended IS NULL")
    connection.execute("INSERT INTO runs (pid, began) VALUES (?, ?)", (os.getpid(), time.time()))
    if gap:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('gap', ?)", (gap,))
    kept = connection.execute("SELECT value FROM meta WHERE name = 'gap'").fetchone()
    connection.execute("COMMIT")
    return str(kept[0]) if kept is not None else ""
