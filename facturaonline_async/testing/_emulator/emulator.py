"""The emulator: what its users see of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from facturaonline_async.config import Credentials
from facturaonline_async.errors import InvalidInputError, NotSentError
from facturaonline_async.testing._emulator import empresas, series
from facturaonline_async.testing._emulator.dispatch import Api, Arrival
from facturaonline_async.testing._emulator.faults import Fault, FaultPlan
from facturaonline_async.testing._emulator.fixtures import empresa_row, main_row
from facturaonline_async.testing._emulator.request_log import Request, RequestLog
from facturaonline_async.testing._emulator.responses import statuses
from facturaonline_async.testing._emulator.routes import PREFIX, Route
from facturaonline_async.testing._emulator.server import Server
from facturaonline_async.testing._emulator.state import Behaviour, Row, State, Tables
from facturaonline_async.testing._emulator.state_file import StateFile

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

__all__ = ["Emulator"]

#: Every resource adds its routes here.
_ROUTES: Final[tuple[Route, ...]] = (*series.ROUTES, *empresas.ROUTES)


class Emulator:
    """An emulator of FacturaOnline's API: a real HTTP server in this process, on loopback.

    It is made from the provider's documentation, not from this package's client, so that it can contradict the client.
    The account has one main company from the start (RFC ``EMU200101PP5``) and no
    series. Certificates and passwords are taken as they come and never checked.

    ::

        async with Emulator() as emulator, connect(emulator.credentials, base_url=emulator.base_url) as client:
            await client.series.create(letra="F", tipo_documento="factura")
            assert emulator.count("series.create") == 1

    An emulator can be stopped and started again: it keeps its state, its log and its port. While it listens it belongs
    to the process that started it. A forked child has a copy of its state that no request meets, so that any use there
    raises `NotSentError`; `base_url` works. Take ``credentials`` before the fork.
    With a `state_file` another process goes on where this one was, also after ``kill -9``.

    Args:
        host: address to listen on; anything but loopback only if you say so.
        port: 0 takes a free one.
        latency: seconds that each call takes.
        list_lag: seconds from the creation of a company or a serie until lists show it.
        read_lag: seconds from the creation of a company until ``GET /v1/account/{uid}`` knows it.
        seed: of the random faults and of the generated keys and uids.
        refusal_statuses: HTTP status of refusals by kind (``"authentication"``, ``"validation"``, ``"not_found"``,
            ``"permission"``); 200 for those that are not named, as the real API answers, mostly.
        log_limit: keep this many requests in the log, the last ones; None: all.
        ssl_context: serve https with this server-side context; None: http.
        paging: False as FacturaOnline: the list of companies ignores its query. True as factura.com's newer page:
            ``rfc``, ``razon_social`` (a part of it), ``page`` and ``per_page`` or ``perPage`` (15 where only ``page``
            came) are obeyed, and ``pagination`` is answered where a page was asked for.
        state_file: keep there what calls (and `add_empresa` and `add_serie`) change, and the port; if the file is there
            already, begin with its rows, on its port unless `port` says another. For its owner alone: it holds keys and
            passwords. None: the state is in memory, and gone with the process.

    Raises:
        InvalidInputError: an argument is out of range, names an unknown kind of refusal, or `state_file` is something
            else.
        OSError: `state_file` cannot be opened.

    """

    ENDPOINTS: ClassVar[Mapping[str, tuple[str, str]]] = {route.name: (route.method, route.path) for route in _ROUTES}
    """Method and path, below ``/api``, of each endpoint by its name such as ``"series.create"``."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        list_lag: float = 0.0,
        read_lag: float = 0.0,
        seed: float | str = 0,
        refusal_statuses: Mapping[str, int] | None = None,
        log_limit: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        paging: bool = False,
        state_file: str | os.PathLike[str] | None = None,
    ) -> None:
        for name, value in {"latency": latency, "list_lag": list_lag, "read_lag": read_lag}.items():
            if not 0 <= value < float("inf"):
                raise InvalidInputError(f"{name} must be a number of seconds from 0 up, and was {value!r}.", field=name)
        if log_limit is not None and log_limit < 0:
            raise InvalidInputError("log_limit must be None or a number from 0 up.", field="log_limit")
        resources = {route.name.partition(".")[0] for route in _ROUTES}
        self._file = StateFile(state_file) if state_file is not None else None
        if self._file is not None:
            port = port or self._file.port
            # Each start makes keys and uids of its own.
            seed = f"{seed} {self._file.starts}" if self._file.starts else seed
        self._state = State(seed, Behaviour(list_lag=list_lag, read_lag=read_lag, paging=paging), resources)
        self._faults = FaultPlan(seed)
        self._log = RequestLog(log_limit)
        self._server = Server(
            Api(self._state, _ROUTES, self._note_change if self._file is not None else None),
            self._faults,
            self._log,
            host=host,
            port=port,
            latency=latency,
            refusal_statuses=statuses(refusal_statuses or {}),
            ssl_context=ssl_context,
        )
        if self._file is None or not self._file.fill(self._state):
            self._state.add_empresa(main_row())

    def __repr__(self) -> str:
        rows = {name: len(table) for name, table in self._state.tables.items()}
        return f"<Emulator {rows['empresas']} empresas, {rows['series']} series>"

    # Life

    async def start(self) -> None:
        """Start to listen. ``async with`` does it for you.

        Raises:
            RuntimeError: it listens already.
            OSError: the port is taken.

        """
        self._check_process()
        await self._server.start()
        if self._file is not None:
            self._file.begin(self._server.port, self._state)

    async def aclose(self) -> None:
        """Stop: cancel what is in flight, and late work; close every connection. Safe to repeat, and quick.

        In a forked child it does nothing.
        """
        await self._server.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def base_url(self) -> str:
        """Prefix of every endpoint, such as ``"http://127.0.0.1:54321/api"``; RuntimeError before the first start."""
        return self._server.origin + PREFIX

    def _check_process(self) -> None:
        if self._server.is_foreign:
            raise NotSentError(
                "this emulator runs in the process that this one was forked from: call it over HTTP at its base_url, "
                "with credentials taken before the fork, or start another Emulator here"
            )

    # State

    @property
    def state(self) -> Tables:
        """The tables, yours to read and to change: ``{"empresas": {uid: row}, "series": {serie_id: row}}``.

        Every row is a plain dictionary of which every key may be missing; texts are ``""`` then. Take the tables from
        here each time you change them: a change through a reference that you kept may be noticed late.

        A company's row: ``uid`` (text, filled in from the table's key), ``main`` (True for the main company),
        ``razon_social``, ``rfc``, ``regimen`` (the SAT's code), ``regimen_nomina``, ``curp``, ``calle``, ``exterior``,
        ``interior``, ``colonia``, ``codpos``, ``ciudad``, ``estado``, ``delegacion``, ``telefono``, ``email``,
        ``email_conta``, ``mailtomyconta``, ``mailtomyself``, ``folios_alert``, ``smtp``, ``smtp_email``,
        ``smtp_password``, ``smtp_port``, ``smtp_host``, ``smtp_encryption``, ``password``, ``fielpassword``;
        names of the stored files ``cer``, ``key``, ``fielcer``, ``fielkey``, ``logo_path``; ``api_key`` and
        ``secret_key`` as headers carry them (made up where they are missing); ``api_access`` (False: its plan has no
        API access; default True); ``id`` (int), ``create`` and ``lastupdate`` (dates as ``"2023-08-30"``);
        ``created_at`` (``time.monotonic()``, seconds, for the lags; missing: long ago).

        A serie's row, under its id (int): ``empresa`` (the owner's uid; default: the main company), ``letra``,
        ``tipo_documento`` (default ``"factura"``), ``descripcion`` (default: from the type), ``estatus`` (default
        ``"Activa"``; paused: ``"Pausada"``), ``folio`` (int), ``created_at``.
        """
        self._check_process()
        self._state.touched = True
        return self._state.tables

    def add_empresa(self, *, rfc: str, razon_social: str | None = None, **more: Any) -> str:
        """Add a company, visible at once, and return its uid.

        Args:
            rfc: not checked, and need not be the only one.
            razon_social: default ``"EMPRESA <rfc>"``.
            more: any other key of a company's row; see `state`.

        Raises:
            InvalidInputError: `more` names a key that no row has.

        """
        self._check_process()
        uid = self._state.add_empresa(empresa_row(rfc, razon_social, **more))
        self._note("empresas", uid)
        return uid

    def add_serie(
        self, empresa_uid: str, *, letra: str, tipo_documento: str, folio: int = 1, estatus: str = series.ACTIVE
    ) -> int:
        """Add a serie to a company, visible at once, and return its id.

        Raises:
            LookupError: there is no such company.

        """
        self._check_process()
        self._empresa(empresa_uid)
        row = {"letra": letra, "tipo_documento": str(tipo_documento), "folio": folio, "estatus": estatus}
        serie_id = self._state.add_serie({"empresa": empresa_uid, **row})
        self._note("series", serie_id)
        return serie_id

    def _note_change(self, arrival: Arrival) -> None:
        """Note which row a call has changed."""
        table = arrival.endpoint.partition(".")[0]
        rows = self._state.tables[table]
        if arrival.endpoint.endswith(".create"):
            self._note(table, next(reversed(rows)))
        else:
            self._note(table, int(arrival.uid) if table == "series" and arrival.uid.isdecimal() else arrival.uid)

    def _note(self, table: str, key: object) -> None:
        if self._file is not None:
            self._file.note(self._state, table, key)

    @property
    def credentials(self) -> Credentials:
        """The keys of the main company; LookupError where it has been deleted."""
        self._check_process()
        uid = self._state.main_uid()
        if uid is None:
            raise LookupError("No company is flagged as main any more.")
        return self.credentials_of(uid)

    def credentials_of(self, uid: str) -> Credentials:
        """Return the keys of a company; LookupError where there is no such company."""
        self._check_process()
        row = self._empresa(uid)
        return Credentials(api_key=row["api_key"], secret_key=row["secret_key"])

    def _empresa(self, uid: str) -> Row:
        row = self._state.empresa(uid)
        if row is None:
            raise LookupError(f"There is no company with uid {uid!r}.")
        return row

    # Faults

    def inject(
        self,
        fault: Fault,
        *,
        endpoint: str | None = None,
        times: int | None = 1,
        probability: float = 1.0,
        skip: int = 0,
    ) -> None:
        """Let a fault meet requests to come, whatever their keys. Of several that fit, the first one injected does.

        Args:
            fault: what goes wrong.
            endpoint: name such as ``"series.create"``; None: any request, those for unknown paths included.
            times: how many requests it meets; None: no end.
            probability: from 0 to 1, drawn for each request with the emulator's ``seed``.
            skip: how many fitting requests pass before it.

        Raises:
            InvalidInputError: there is no such endpoint, or a number is out of range.

        """
        self._check_process()
        if endpoint is not None and endpoint not in self.ENDPOINTS:
            known = ", ".join(self.ENDPOINTS)
            raise InvalidInputError(f"There is no endpoint {endpoint!r}. There are: {known}.", field="endpoint")
        self._faults.add(fault, endpoint=endpoint, times=times, probability=probability, skip=skip)

    def clear_faults(self) -> None:
        """Forget every fault that has been injected. Calls that one has met already go on as they are."""
        self._check_process()
        self._faults.clear()

    # Log

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests so far, in the order in which they were read: a snapshot, without keys and passwords."""
        self._check_process()
        return self._log.rows

    def count(self, endpoint: str) -> int:
        """Return how many requests came for an endpoint, those beyond ``log_limit`` included; ``""``: for none."""
        self._check_process()
        return self._log.count(endpoint)

    @property
    def in_flight_max(self) -> int:
        """The highest number of requests that were in flight at once."""
        self._check_process()
        return self._server.in_flight_max
