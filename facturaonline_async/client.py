"""The client, its session, and `connect`, which opens both."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, field, frozen

from facturaonline_async._core.engine import Engine
from facturaonline_async._messages import message
from facturaonline_async.config import Config, Credentials
from facturaonline_async.errors import InvalidInputError, UnreadableAnswerError
from facturaonline_async.events import SessionStats

if TYPE_CHECKING:
    from facturaonline_async._core.shared import Shared
    from facturaonline_async.empresas._models import Empresa
    from facturaonline_async.empresas._service import EmpresaService
    from facturaonline_async.series._service import SeriesService

__all__ = ["ConnectContext", "FacturaOnline", "SessionManager", "connect", "environment_credentials"]


class SessionManager:
    """A connection pool with a rate limiter and retries, for any number of clients.

    Use it as ``async with SessionManager(config) as session:``. It owns its connections until `aclose`. It belongs to
    the event loop and to the process that use it first: each worker process has its own session, with its own limits
    unless it has `shared`.
    In a child of ``os.fork`` every use of the parent's session raises `NotSentError`, and `aclose` leaves the parent's
    connections open.

    Cancelling a call releases its connection, its slot and its place in the queue. A write that is cancelled in flight
    may have happened.

    **Several processes.** With `shared`, the rates of `config` limit all processes together, and a create of one of
    them is known to all, so that no two make the same company or serie. Give each process the same `config`. While the
    service does not answer, calls that need it raise `SharedUnavailableError`. Starts are evenly spread, and a tenth of
    a rate's calls, at most 4, is not used (of a rate per minute or longer, a whole tenth; a window of fewer than 10
    calls is 50 ms longer). A call starts only after the service has answered, which takes milliseconds:
    `Config.max_wait` must allow for it.

    Args:
        config: settings; they must have a ``base_url``.
        shared: service that several processes share, such as ``facturaonline_async.postgres.Postgres``; it must stay
            open until the session is closed. None: the session is on its own.

    Raises:
        InvalidInputError: `config` has no ``base_url``; or ``settle`` is below ``upload_timeout``, ``grace`` and 10
            seconds together, and creates are shared.

    """

    def __init__(self, config: Config, shared: Shared | None = None) -> None:
        self._engine = Engine(config, shared)

    def __repr__(self) -> str:
        return f"<SessionManager {self._engine!r}>"

    @property
    def config(self) -> Config:
        """The settings of the session."""
        return self._engine.config

    @property
    def stats(self) -> SessionStats:
        """The session's current figures, for health checks and metrics."""
        return self._engine.stats

    async def __aenter__(self) -> Self:
        self._engine.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections and refuse further calls.

        Calls in flight end before this returns; waiting calls are not sent. A call in flight raises
        `OutcomeUnknownError`, or `NotSentError` while its connection is being made. No call is retried, and no task is
        cancelled. Closing twice does no harm.

        In a forked child this closes nothing: the connections and the loop's selector are shared with the parent.
        """
        await self._engine.aclose()


def engine_of(client: FacturaOnline) -> Engine:
    """Return the engine behind a client, for the modules of this package."""
    return client.session._engine  # noqa: SLF001  # the facade hides it from users, not from this package


@frozen(slots=False)  # cached_property stores the services in the instance
class FacturaOnline:
    """A session with one company's keys, cheap enough to make for each request.

    A client from `connect` owns its session and closes it with `aclose`. A client that was made with a session, or by
    `for_empresa`, owns nothing.

    Attributes:
        session: connections, limits and retries; many clients may share it.
        credentials: the company's key pair.

    """

    session: SessionManager
    credentials: Credentials
    _owns_session: bool = field(default=False, init=False, repr=False, eq=False)

    # Cached: making a service for each call costs 1.3 % of a read. Imported at the first use: many processes use one of
    # them, and each is a tenth of the package's import.

    @cached_property
    def series(self) -> SeriesService:
        """The series of the company that the keys belong to."""
        from facturaonline_async.series._service import SeriesService  # noqa: PLC0415

        return SeriesService(engine_of(self), self.credentials)

    @cached_property
    def empresas(self) -> EmpresaService:
        """The companies (empresas) of the account that the keys belong to."""
        from facturaonline_async.empresas._service import EmpresaService  # noqa: PLC0415

        return EmpresaService(engine_of(self), self.credentials)

    async def aclose(self) -> None:
        """Close the session, if this client came from `connect`; else do nothing.

        Calls in flight fail, and waiting calls are not sent; see `SessionManager.aclose`. Closing twice does no harm.
        """
        if self._owns_session:
            await self.session.aclose()

    def for_empresa(self, empresa: Empresa) -> FacturaOnline:
        """Return a client for another company, which shares this client's session.

        Args:
            empresa: the company, as read from the API with its own keys (`EmpresaService.get`, ``list``, ``ensure``).

        Raises:
            InvalidInputError: `empresa` holds no keys; see `Empresa.credentials`.
            UnreadableAnswerError: this session has seen the same keys with another company.

        """
        credentials = empresa.credentials
        if problem := engine_of(self).companies.problem(empresa):
            raise UnreadableAnswerError(problem, uid=empresa.uid)
        engine_of(self).companies.learn(empresa)
        return FacturaOnline(self.session, credentials)


class ConnectContext(AbstractAsyncContextManager["FacturaOnline", None]):
    """The result of `connect`: await it, or enter it with ``async with``, once.

    Args:
        credentials: see `connect`.
        base_url: see `connect`.
        config: see `connect`.
        shared: see `connect`.

    """

    def __init__(
        self, credentials: Credentials | None, base_url: str | None, config: Config | None, shared: Shared | None = None
    ) -> None:
        self._credentials = credentials
        self._base_url = base_url
        self._config = config
        self._shared = shared
        self._client: FacturaOnline | None = None

    def __await__(self) -> Generator[Any, None, FacturaOnline]:
        return self._open().__await__()

    async def __aenter__(self) -> FacturaOnline:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    if not TYPE_CHECKING:  # type checkers must still report these attributes as missing

        def __getattr__(self, name: str) -> Any:
            """Raise an error that explains the missing ``await``."""
            if hasattr(FacturaOnline, name) or name in {"session", "credentials"}:
                raise AttributeError(message("calls.connect_not_awaited", name=name), name=name, obj=self)
            text = f"{type(self).__name__!r} object has no attribute {name!r}"  # Python's own
            raise AttributeError(text, name=name, obj=self)

    async def _open(self) -> FacturaOnline:
        if self._client is not None:
            raise RuntimeError(message("calls.connect_used_twice"))
        config, credentials = self._config or Config(), self._credentials
        url = self._base_url or config.base_url or os.environ.get("FACTURAONLINE_BASE_URL")
        if not url:
            raise InvalidInputError(message("values.connect_without_base_url"), field="base_url")
        if credentials is None:
            credentials = environment_credentials()
        session = await SessionManager(evolve(config, base_url=url), self._shared).__aenter__()
        self._client = FacturaOnline(session, credentials)
        object.__setattr__(self._client, "_owns_session", True)
        return self._client


def connect(
    credentials: Credentials | None = None,
    *,
    base_url: str | None = None,
    config: Config | None = None,
    shared: Shared | None = None,
) -> ConnectContext:
    """Open a session for one key pair, with ``async with`` or with ``await``.

    ``async with connect(…) as client:`` closes the session at its end. After ``client = await connect(…)`` the
    caller closes it with ``await client.aclose()``; this suits notebooks, where a client lives over several cells, and
    applications with start and stop hooks. The session belongs to the event loop that runs at that moment.

    Args:
        credentials: the key pair; None reads ``FACTURAONLINE_API_KEY`` and ``FACTURAONLINE_SECRET_KEY`` from the
            environment.
        base_url: full prefix such as `SANDBOX`; None takes the one in `config`, or else ``FACTURAONLINE_BASE_URL``
            from the environment. There is no default, so that no program calls production by accident.
        config: all other settings; None for the defaults.
        shared: service that several processes share; see `SessionManager`. It is not closed with the session.

    Returns:
        An object to await or to enter, once. It gives a `FacturaOnline`.

    Raises:
        InvalidInputError: keys or base URL are missing or malformed. Raised by the ``await`` or ``async with``.

    """
    return ConnectContext(credentials, base_url, config, shared)


def environment_credentials() -> Credentials:
    """Return the key pair that the environment holds.

    Raises:
        InvalidInputError: one of them is missing or malformed.

    """
    return Credentials(api_key=_from_environment("API_KEY"), secret_key=_from_environment("SECRET_KEY"))


def _from_environment(name: str) -> str:
    variable = f"FACTURAONLINE_{name}"
    if value := os.environ.get(variable):
        return value
    raise InvalidInputError(message("values.connect_without_credentials", variable=variable), field=name.lower())
