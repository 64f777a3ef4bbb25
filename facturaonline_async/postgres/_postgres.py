"""PostgreSQL as the service through which processes share quota and creates."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._validators import check_seconds
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database, read_url

if TYPE_CHECKING:
    from facturaonline_async.provision import JournalStore

__all__ = ["Postgres"]

_LONGEST_NAME: Final = 200
"""Maximum length of a run's name, in bytes."""
_SHORTEST_LEASE: Final = 3.0
_VARIABLE: Final = "FACTURAONLINE_DATABASE_URL"


class Postgres:
    """A PostgreSQL database that several processes share.

    Use it as ``async with Postgres(url) as pg:``. It owns its connections until `aclose`, and belongs to the event loop
    and to the process that open it: in a child of ``os.fork`` every use of the parent's raises `NotSentError`.

    It works through pgbouncer in transaction mode.

    Args:
        url: ``postgresql://user:password@host:port/database``, or key=value pairs. None:
            ``FACTURAONLINE_DATABASE_URL``, else the variables ``PG*`` of the environment.
        connections: maximum number of connections. Default: 4.
        timeout: maximum time of a statement in seconds. Default: 5.

    Raises:
        InvalidInputError: no database is named, or the URL cannot be read.

    """

    def __init__(self, url: str | Secret | None = None, *, connections: int = 4, timeout: float = 5.0) -> None:
        url = Secret(_url() if url is None else url)  # no frame of a traceback holds the text
        conninfo = read_url(url, timeout)
        self._database = Database(conninfo, connections=connections, timeout=timeout)

    def __repr__(self) -> str:
        return f"<Postgres {vars(self).get('_database')!r}>"  # also for the traceback of __init__

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        try:
            await _schema.check(self._database)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def journal(self, run: str, *, lease: float = 30.0) -> JournalStore:
        """Return the journal of a run, to pass to ``provision`` as ``journal``.

        A process on any machine can continue the run: at once if the process that had it has ended in good order, else
        when that has been silent for its lease. Keep this Postgres open while the run lasts.

        Args:
            run: name of the run, at most 200 bytes.
            lease: seconds of silence after which another process may take the run over, at least 3. A run gives a sign
                of life in each third of it. Default: 30.

        Raises:
            InvalidInputError: an argument is invalid.

        """
        size = len(run.encode("utf-8", "replace")) if isinstance(run, str) and run.isprintable() else 0
        if not 0 < size <= _LONGEST_NAME:
            raise InvalidInputError(message("journal.not_a_name", value=f"{run!r:.200}"), field="run")
        check_seconds("lease", lease)
        if lease < _SHORTEST_LEASE:
            raise InvalidInputError(message("journal.short_lease", value=lease, least=_SHORTEST_LEASE), field="lease")
        from facturaonline_async.postgres._journal import PostgresJournalStore  # noqa: PLC0415  # it imports runs

        return PostgresJournalStore(self._database, run, lease)

    async def aclose(self) -> None:
        """Close the connections.

        Closing twice does no harm. In a forked child this closes nothing.
        """
        await self._database.aclose()


def _url() -> str:
    """Return the URL of the environment, or "" if libpq reads the environment."""
    if url := os.environ.get(_VARIABLE):
        return url
    if any(os.environ.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")):
        return ""
    raise InvalidInputError(message("postgres.no_database"), field="url")
