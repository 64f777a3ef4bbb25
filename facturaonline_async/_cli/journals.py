"""Journals as the commands name them: a file, or ``pg:RUN`` in a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.progress import open_snapshot
from facturaonline_async.provision._journal.reader import read_created

if TYPE_CHECKING:
    from facturaonline_async.provision._journal.progress import JournalReader

__all__ = ["JournalName", "RunName", "find_journal", "journal_place", "read_companies"]

_PREFIX: Final = "pg:"

JournalName = Annotated[
    Path | None,
    typer.Argument(metavar="[JOURNAL]", help="Journal of a run: a file, or pg:RUN in a database.", show_default=False),
]
RunName = Annotated[
    str | None, typer.Option("--run", metavar="NAME", help="Name of a run in a database, in place of JOURNAL.")
]


def journal_place(journal: Path | None) -> tuple[Path | None, str | None]:
    """Return the journal's file and its run in a database; one of them is None.

    Args:
        journal: value of --journal: a file, ``pg:RUN``, or None.

    """
    name = "" if journal is None else str(journal)
    return (None, name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else (journal, None)


def find_journal(journal: Path | None, run: str | None, database: Secret | None) -> Path | JournalReader:
    """Return the file of a journal, or what reads it in a database.

    Args:
        journal: the journal as the user named it, or None.
        run: name of a run in a database, or None.
        database: value of --database.

    Raises:
        InvalidInputError: not exactly one journal is named, or a database for a file.

    """
    if (journal is None) == (run is None):
        raise InvalidInputError(message("cli.one_journal"), field="journal")
    file, name = journal_place(journal)
    if file is not None:
        if database is not None:
            text = message("cli.database_for_a_file", journal=printable_path(file))
            raise InvalidInputError(text, field="--database")
        return file
    run = run or name
    assert run is not None  # noqa: S101  # one of both is given
    from facturaonline_async.postgres._runs import RunReader  # noqa: PLC0415  # the driver is an extra

    return RunReader(current_settings().find_database(database), run)


def read_companies(journal: Path | JournalReader) -> tuple[str, list[tuple[str, str]]]:
    """Return the host of a run, and RFC and uid of each company that it created.

    Args:
        journal: the journal's file, or what reads it in a database.

    Raises:
        JournalError: there is no such journal, or it cannot be read.

    """
    with open_snapshot(journal) as (status, connection):
        return status.host, list(read_created(connection))
