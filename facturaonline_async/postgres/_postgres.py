"""PostgreSQL as the service through which processes share quota and creates."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from facturaonline_async._core.limits.quota import SharedQuota
from facturaonline_async._core.once.store import Store
from facturaonline_async._core.shared import check_settle, grace_of
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._validators import check_seconds
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.events import OutageEvent
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database, read_url
from facturaonline_async.postgres._creates import PostgresCreates
from facturaonline_async.postgres._environment import VARIABLE, is_database_named
from facturaonline_async.postgres._quota import OnOutage, PostgresQuota, Share

if TYPE_CHECKING:
    from facturaonline_async.postgres._runs import RunSummary
    from facturaonline_async.provision import JournalStore

__all__ = ["Postgres", "check_run", "database_of", "open_database", "url_of"]

_LONGEST_NAME: Final = 200
"""Maximum length of a run's name, in bytes."""
_SHORTEST_LEASE: Final = 3.0


class Postgres:
    """A PostgreSQL database that several processes share.

    Use it as ``async with Postgres(url) as pg:``. It owns its connections until `aclose`, and belongs to the event loop
    and to the process that open it: in a child of ``os.fork`` every use of the parent's raises `NotSentError`.

    It works through pgbouncer in transaction mode.

    Args:
        url: ``postgresql://user:password@host:port/database``, or key=value pairs. None:
            ``FACTURAONLINE_DATABASE_URL``, else the variables ``PG*`` of the environment.
        on_outage: what calls do while the database does not answer. ``"closed"`` (the default): none is sent, and each
            raises `SharedUnavailableError`. A `Share`: each process uses its share of the rates, and only creates are
            not sent.
        connections: maximum number of connections. Default: 4.
        timeout: maximum time of a statement in seconds. Default: 5.
        on_event: function that is called with an `OutageEvent` at the begin and at the end of an outage, in the event
            loop; it must return quickly. Its exceptions are logged and ignored. Default: None.

    Raises:
        InvalidInputError: no database is named, the URL cannot be read, or a setting is malformed.

    """

    def __init__(
        self,
        url: str | Secret | None = None,
        *,
        on_outage: OnOutage = "closed",
        connections: int = 4,
        timeout: float = 5.0,
        on_event: Callable[[OutageEvent], None] | None = None,
    ) -> None:
        url = None if url is None else Secret(url)  # no frame of a traceback holds the text
        _check(on_outage, connections, timeout)
        self._database = open_database(url, connections=connections, timeout=timeout, on_event=on_event)
        self._quota = PostgresQuota(self._database, on_outage)

    def __repr__(self) -> str:
        return f"<Postgres {vars(self).get('_database')!r}>"  # also for the traceback of __init__

    @property
    def address(self) -> str:
        """Address of the last connection, as ``host:port/database``, or ``""``."""
        return f"{self._database.address}/{self._database.name}" if self._database.address else ""

    @property
    def quota(self) -> SharedQuota:
        """The quota that all processes share."""
        return self._quota

    def creates(self, config: Config) -> Store:
        """Return the store of creates of all processes, for the sessions of one host.

        Args:
            config: settings of the session; it has a ``base_url``.

        Raises:
            InvalidInputError: ``config.settle`` is too short: a create that another process sent as late as it may
                could appear after it.

        """
        if config.base_url is None:
            raise InvalidInputError(message("values.config_without_base_url"), field="base_url")
        check_settle(config, config.settle)
        return PostgresCreates(self._database, config.base_url, config.settle, grace_of(config))

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
            lease: seconds of silence after which another process may take the run over: at least 3, and at least
                ``Config.grace``. A run gives a sign of life in each third of it. Default: 30.

        Raises:
            InvalidInputError: an argument is invalid.

        """
        check_run(run, lease)
        from facturaonline_async.postgres._journal import PostgresJournalStore  # noqa: PLC0415  # it imports runs

        return PostgresJournalStore(self._database, run, lease)

    async def list_runs(self) -> list[RunSummary]:
        """Return all runs whose journals are here, the one heard last first.

        Raises:
            NotSentError: the database does not answer.

        """
        from facturaonline_async.postgres._runs import list_runs  # noqa: PLC0415  # it imports runs

        return await list_runs(self._database)

    async def delete_run(self, run: str) -> None:
        """Delete the journal of a run: the RFCs in it are personal data.

        Wait for the settle time after its last create. A later run of the same name begins anew: it adopts what exists.

        Args:
            run: name of the run.

        Raises:
            JournalInUseError: a process has the run.
            JournalError: there is no such run.
            NotSentError: the database does not answer.

        """
        from facturaonline_async.postgres._runs import delete_run  # noqa: PLC0415  # it imports runs

        await delete_run(self._database, run)

    async def aclose(self) -> None:
        """Close the connections.

        Closing twice does no harm. In a forked child this closes nothing.
        """
        await self._database.aclose()


def database_of(pg: Postgres) -> Database:
    """Return the connections of a Postgres.

    Args:
        pg: the Postgres.

    """
    return pg._database  # noqa: SLF001  # it is no public name


def check_run(run: object, lease: float) -> None:
    """Refuse a name or a lease that no run can have.

    Args:
        run: name of a run.
        lease: its lease in seconds.

    Raises:
        InvalidInputError: one of them is invalid.

    """
    size = len(run.encode("utf-8", "replace")) if isinstance(run, str) and run.isprintable() else 0
    if not 0 < size <= _LONGEST_NAME:
        raise InvalidInputError(message("journal.not_a_name", value=f"{run!r:.200}"), field="run")
    check_seconds("lease", lease)
    if lease < _SHORTEST_LEASE:
        raise InvalidInputError(message("journal.short_lease", value=lease, least=_SHORTEST_LEASE), field="lease")


def open_database(
    url: str | Secret | None,
    *,
    connections: int,
    timeout: float,
    on_event: Callable[[OutageEvent], None] | None = None,
) -> Database:
    """Return the database of a URL, or of the environment.

    It is opened with ``async with``.

    Args:
        url: see `Postgres`.
        connections: maximum number of connections.
        timeout: maximum time of a statement in seconds.
        on_event: called at the begin and at the end of an outage.

    Raises:
        InvalidInputError: no database is named, or the URL cannot be read.

    """
    conninfo = read_url(url_of(url), timeout)
    return Database(conninfo, connections=connections, timeout=timeout, on_event=on_event)


def url_of(url: str | Secret | None) -> Secret:
    """Return a URL, or that of the environment; empty: libpq reads the environment.

    Args:
        url: see `Postgres`.

    Raises:
        InvalidInputError: no database is named.

    """
    return Secret(_url() if url is None else url)


def _check(on_outage: object, connections: object, timeout: object) -> None:
    if on_outage != "closed" and not isinstance(on_outage, Share):
        raise InvalidInputError(message("postgres.invalid_on_outage", value=f"{on_outage!r:.40}"), field="on_outage")
    if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
        reason = message("values.not_positive_int", name="connections", value=f"{connections!r:.40}")
        raise InvalidInputError(reason, field="connections")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        reason = message("values.not_positive", name="timeout", value=f"{timeout!r:.40}")
        raise InvalidInputError(reason, field="timeout")


def _url() -> str:
    """Return the URL of the environment, or "" if libpq reads the environment."""
    if url := os.environ.get(VARIABLE):
        return url
    if is_database_named():
        return ""
    raise InvalidInputError(message("postgres.no_database"), field="url")
