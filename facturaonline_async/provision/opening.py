"""Opening a journal: its tables, whose it is, and that it is ours alone."""

from __future__ import annotations

import hmac
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from facturaonline_async.errors import InvalidInputError, NotSentError
from facturaonline_async.provision.locks import FileLock

__all__ = ["APPLICATION", "VERSION", "JournalError", "Opened", "identity", "opened", "prepared", "resolved"]

#: What SQLite keeps in a journal's head, so that it is known: "FOJ1", and the version of its tables.
APPLICATION: Final = 0x464F4A31
VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE things (
    number INTEGER NOT NULL,
    rfc TEXT NOT NULL,
    letra TEXT NOT NULL,
    tipo_documento TEXT NOT NULL,
    phase TEXT NOT NULL,
    how TEXT,
    uid TEXT,
    due REAL NOT NULL,
    sends INTEGER NOT NULL,
    digest BLOB,
    reason TEXT NOT NULL,
    began REAL,
    changed REAL,
    UNIQUE (rfc, letra, tipo_documento)
) STRICT;
CREATE TABLE baseline (
    rfc TEXT NOT NULL, letra TEXT NOT NULL, tipo_documento TEXT NOT NULL, uid TEXT NOT NULL,
    PRIMARY KEY (rfc, letra, tipo_documento, uid)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, began REAL NOT NULL, ended REAL) STRICT;
"""


class JournalError(NotSentError):
    """The journal cannot be used, or not be written any more: nothing more is sent, and what was is resumable."""


@frozen
class Opened:
    """A journal's file, ours alone."""

    path: Path
    connection: sqlite3.Connection
    lock: FileLock
    salt: bytes

    def close(self) -> None:
        """Give everything back."""
        self.connection.close()
        self.lock.close()


def resolved(path: str | os.PathLike[str]) -> Path:
    """Return the file itself: one file has one lock, whatever names lead to it."""
    try:
        if str(path):
            return Path(path).resolve()
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror}.") from None
    except (TypeError, ValueError, RuntimeError):
        pass
    raise InvalidInputError(f"journal must be the path of a file, and was {path!r:.200}.", field="journal")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file from one that takes its place, or None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def opened(path: Path, account: str, host: str) -> Opened:
    """Lock and open the journal of this account and host, or begin one; `path` is a `resolved` one.

    Raises:
        JournalError: another process uses it, it is another's, it is no journal, or it cannot be written.

    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        is_free = lock.take()
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror or error}.") from None
    if not is_free:
        raise JournalError(f"another process is working with the journal {path}. Wait for it, or stop it.")
    try:
        connection = _connected(path)
        try:
            return Opened(path, connection, lock, prepared(connection, path, account, host))
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        lock.close()
        raise JournalError(f"the journal {path} cannot be opened: {error}.") from None
    except BaseException:
        lock.close()
        raise


def _connected(path: Path) -> sqlite3.Connection:
    try:
        # It is for its owner's eyes from the first moment; SQLite gives its side files the same rights.
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror or error}.") from None
    try:
        if os.fstat(file).st_nlink > 1:  # with another name it would have another lock
            raise JournalError(f"the journal {path} cannot be opened: it has several names (hard links).")
    finally:
        os.close(file)
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def prepared(connection: sqlite3.Connection, path: Path, account: str, host: str) -> bytes:
    """Make the tables, or see that they are ours; return the salt."""
    connection.execute("PRAGMA busy_timeout = 5000")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION:
        raise JournalError(f"{path} is a database of something else, and no journal.")
    if tables and version != VERSION:
        raise JournalError(f"{path} was written by another version of this library (schema {version}, not {VERSION}).")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if not tables:
        salt = os.urandom(32)
        connection.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        new = {"salt": salt, "account": _known_as(salt, account), "host": host, "began": time.time()}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", new.items())
        connection.execute("COMMIT")
    meta: dict[str, Any] = dict(connection.execute("SELECT name, value FROM meta"))
    if meta["host"] != host:
        raise JournalError(f"the journal {path} belongs to {meta['host']}, and this is {host}.")
    if not hmac.compare_digest(meta["account"], _known_as(meta["salt"], account)):
        raise JournalError(f"the journal {path} belongs to another account: these are not the keys it began with.")
    # A run that was killed ended with the last thing that it wrote.
    connection.execute("UPDATE runs SET ended = coalesce((SELECT max(changed) FROM things), began) WHERE ended IS NULL")
    connection.execute("INSERT INTO runs (pid, began) VALUES (?, ?)", (os.getpid(), time.time()))
    known: bytes = meta["salt"]
    return known


def _known_as(salt: bytes, account: str) -> bytes:
    return hmac.digest(salt, f"account {account}".encode(), "sha256")[:16]
