"""Public class of the emulator: its settings, state, faults and request log."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from facturaonline_async._messages import message
from facturaonline_async.config import Credentials
from facturaonline_async.errors import InvalidInputError, NotSentError
from facturaonline_async.testing._emulator import empresas, series
from facturaonline_async.testing._emulator.dispatch import Api, ReceivedRequest
from facturaonline_async.testing._emulator.faults import Fault, FaultPlan, check_seconds
from facturaonline_async.testing._emulator.initial_data import empresa_row, main_row
from facturaonline_async.testing._emulator.probe_report import ProbeReport
from facturaonline_async.testing._emulator.request_log import Request, RequestLog
from facturaonline_async.testing._emulator.responses import refusal_statuses_of
from facturaonline_async.testing._emulator.routes import PREFIX, Route
from facturaonline_async.testing._emulator.server import Server
from facturaonline_async.testing._emulator.state import ACTIVE, AccountState, Behaviour, Row, Tables
from facturaonline_async.testing._emulator.state_file import StateFile

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

__all__ = ["Emulator"]

#: Routes of all resources; a new resource adds its own.
_ROUTES: Final[tuple[Route, ...]] = (*series.ROUTES, *empresas.ROUTES)


class Emulator:
    """Emulator of FacturaOnline's API: an HTTP server in this process, on loopback.

    It follows the provider's documentation, not this package's client, so that it can contradict the client. The
    account starts with one main company (RFC ``EMU200101PP5``) and no series. Certificates and passwords are never
    checked.

    ::

        async with Emulator() as emulator, connect(emulator.credentials, base_url=emulator.base_url) as client:
            await client.series.create(letra="F", tipo_documento="factura")
            assert emulator.count("series.create") == 1

    An emulator can be stopped and started again: it keeps its state, its log and its port. A running emulator belongs
    to the process that started it. A forked child has a copy of its state that no request reaches, so its members raise
    `NotSentError` there; only `base_url` and `aclose` work. Read ``credentials`` before the fork.
    With a `state_file`, another process continues with the same state, also after ``kill -9``.

    Args:
        host: address to listen on; default: loopback.
        port: port to listen on; 0: a free one.
        latency: duration of each call, in seconds.
        list_lag: seconds from the creation of a company or a serie until lists include it; 0: that of `behaviour`, if
            there is one.
        read_lag: seconds from the creation of a company until ``GET /v1/account/{uid}`` finds it.
        seed: seed of the random faults and of the generated keys and uids.
        refusal_statuses: HTTP status of refusals by kind (``"authentication"``, ``"validation"``, ``"not_found"``,
            ``"permission"``); default 200, as the real API mostly answers.
        log_limit: number of the last requests that the log keeps; None: all.
        ssl_context: server-side context for https; None: http.
        paging: False, like FacturaOnline: the list of companies ignores its query. True, like factura.com's newer page:
            the list obeys ``rfc``, ``razon_social`` (a part of it), ``page`` and ``per_page`` or ``perPage`` (default
            15), and the response to a query with a page has ``pagination``.
        state_file: file for the port and for the changes by calls, `add_empresa` and `add_serie`. If the file exists,
            the emulator starts with its rows, and on its port unless `port` is given. Only its owner can read it,
            because it holds keys and passwords. None: the state is lost with the process.
        behaviour: report of ``facturaonline probe``, to behave as the probed server did. The emulator plays HTTP
            status, media type and shape of each answer that the report has (with values of its own, so that added
            fields have no meaning), which wrong creates are accepted, the words for the state of a serie, the lag of
            lists, and when idle connections are closed; but no durations, no other headers, and no calls that the
            probe does not make. None: as the provider documents it.

    Attributes:
        ENDPOINTS: method and path, below ``/api``, of each endpoint by its name, such as ``"series.create"``.

    Raises:
        InvalidInputError: an argument is out of range, names an unknown kind of refusal, `state_file` is not a state
            file, or `behaviour` is not a report.
        OSError: `state_file` or `behaviour` cannot be opened.

    """

    ENDPOINTS: ClassVar[Mapping[str, tuple[str, str]]] = {route.name: (route.method, route.path) for route in _ROUTES}

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
        behaviour: str | os.PathLike[str] | None = None,
    ) -> None:
        for name, value in {"latency": latency, "list_lag": list_lag, "read_lag": read_lag}.items():
            check_seconds(name, value)
        if log_limit is not None and log_limit < 0:
            raise InvalidInputError(
                message("testing.too_small_or_none", name="log_limit", minimum=0, value=f"{log_limit!r}"),
                field="log_limit",
            )
        resources = {route.name.partition(".")[0] for route in _ROUTES}
        self._file = StateFile(state_file) if state_file is not None else None
        if self._file is not None:
            port = port or self._file.port
            # Each start generates other keys and uids.
            seed = f"{seed} {self._file.starts}" if self._file.starts else seed
        report = None if behaviour is None else ProbeReport.read(behaviour)
        settings = Behaviour(list_lag=list_lag, read_lag=read_lag, paging=paging)
        if report is not None:
            settings = report.change(settings)
        self._state = AccountState(seed, settings, resources)
        self._faults = FaultPlan(seed)
        self._log = RequestLog(log_limit)
        self._server = Server(
            Api(self._state, _ROUTES, self._record_change if self._file is not None else None, report),
            self._faults,
            self._log,
            host=host,
            port=port,
            latency=latency,
            refusal_statuses=refusal_statuses_of(refusal_statuses or {}),
            ssl_context=ssl_context,
            keep_alive=None if report is None else report.keep_alive,
        )
        if self._file is None or not self._file.restore_into(self._state):
            self._state.add_empresa(main_row())

    def __repr__(self) -> str:
        rows = {name: len(table) for name, table in self._state.tables.items()}
        return f"<Emulator {rows['empresas']} empresas, {rows['series']} series>"

    # Start and stop

    async def start(self) -> None:
        """Start the server. ``async with`` does it for you.

        Raises:
            RuntimeError: the server is running.
            OSError: the port is in use.

        """
        self._check_process()
        await self._server.start()
        if self._file is not None:
            self._file.record_start(self._server.port, self._state)

    async def aclose(self) -> None:
        """Stop the server and close every connection.

        Calls in flight and late work are cancelled. It is quick and may be repeated. In a forked child it does nothing.
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
        """Prefix of every endpoint, such as ``"http://127.0.0.1:54321/api"``.

        Raises:
            RuntimeError: the emulator was never started, and its port is unknown.

        """
        return self._server.origin + PREFIX

    def _check_process(self) -> None:
        if self._server.is_forked_child:
            raise NotSentError(message("testing.forked"))

    # State

    @property
    def state(self) -> Tables:
        """Tables that tests may read and change.

        Their form is ``{"empresas": {uid: row}, "series": {serie_id: row}}``.

        Every row is a plain dictionary. Every key may be missing; a missing text counts as ``""``. Read this property
        before each change: the emulator may notice a change through an older reference late.

        A company's row: ``uid`` (text, filled in from the table's key), ``main`` (True for the main company),
        ``razon_social``, ``rfc``, ``regimen`` (the SAT's code), ``regimen_nomina``, ``curp``, ``calle``, ``exterior``,
        ``interior``, ``colonia``, ``codpos``, ``ciudad``, ``estado``, ``delegacion``, ``telefono``, ``email``,
        ``email_conta``, ``mailtomyconta``, ``mailtomyself``, ``folios_alert``, ``smtp``, ``smtp_email``,
        ``smtp_password``, ``smtp_port``, ``smtp_host``, ``smtp_encryption``, ``password``, ``fielpassword``;
        names of the stored files ``cer``, ``key``, ``fielcer``, ``fielkey``, ``logo_path``; ``api_key`` and
        ``secret_key`` as headers carry them (generated if missing); ``api_access`` (False: its plan has no API access;
        default True); ``id`` (int), ``create`` and ``lastupdate`` (dates as ``"2023-08-30"``);
        ``created_at`` (``time.monotonic()``, seconds, for the lags; missing: long ago).

        A serie's row, under its id (int): ``empresa`` (the owner's uid; default: the main company), ``letra``,
        ``tipo_documento`` (default ``"factura"``), ``descripcion`` (default: from the type), ``estatus`` (default
        ``"Activa"``; paused: ``"Pausada"``), ``folio`` (int), ``created_at``.
        """
        self._check_process()
        self._state.is_stale = True
        return self._state.tables

    def add_empresa(self, *, rfc: str, razon_social: str | None = None, **more: Any) -> str:
        """Add a company, visible without a lag, and return its uid.

        Args:
            rfc: RFC of the company; not checked, and may be repeated.
            razon_social: name of the company; default ``"EMPRESA <rfc>"``.
            **more: any other keys of a company's row; see `state`.

        Raises:
            InvalidInputError: `more` has an unknown key.

        """
        self._check_process()
        uid = self._state.add_empresa(empresa_row(rfc, razon_social, **more))
        self._record_row("empresas", uid)
        return uid

    def add_serie(
        self, empresa_uid: str, *, letra: str, tipo_documento: str, folio: int = 1, estatus: str = ACTIVE
    ) -> int:
        """Add a serie to a company, visible without a lag, and return its id.

        Args:
            empresa_uid: uid of the company.
            letra: letter of the serie.
            tipo_documento: type of document, such as ``"factura"``.
            folio: next folio.
            estatus: ``"Activa"`` or ``"Pausada"``.

        Raises:
            LookupError: the company does not exist.

        """
        self._check_process()
        self._empresa(empresa_uid)
        row = {"letra": letra, "tipo_documento": str(tipo_documento), "folio": folio, "estatus": estatus}
        serie_id = self._state.add_serie({"empresa": empresa_uid, **row})
        self._record_row("series", serie_id)
        return serie_id

    def _record_change(self, arrival: ReceivedRequest) -> None:
        """Write the row that a call changed to the state file."""
        table = arrival.endpoint.partition(".")[0]
        rows = self._state.tables[table]
        if arrival.endpoint.endswith(".create"):
            self._record_row(table, next(reversed(rows)))
        else:
            self._record_row(table, int(arrival.uid) if table == "series" and arrival.uid.isdecimal() else arrival.uid)

    def _record_row(self, table: str, key: object) -> None:
        if self._file is not None:
            self._file.record_row(self._state, table, key)

    @property
    def credentials(self) -> Credentials:
        """Keys of the main company.

        Raises:
            LookupError: the main company was deleted.

        """
        self._check_process()
        uid = self._state.main_uid()
        if uid is None:
            raise LookupError(message("testing.no_main_empresa"))
        return self.credentials_of(uid)

    def credentials_of(self, uid: str) -> Credentials:
        """Return the keys of a company.

        Args:
            uid: uid of the company.

        Raises:
            LookupError: the company does not exist.

        """
        self._check_process()
        row = self._empresa(uid)
        return Credentials(api_key=row["api_key"], secret_key=row["secret_key"])

    def _empresa(self, uid: str) -> Row:
        row = self._state.empresa(uid)
        if row is None:
            raise LookupError(message("testing.no_empresa", uid=f"{uid!r}"))
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
        """Inject a fault into later requests, with any keys.

        Of several faults that apply to a request, the first injected one is used.

        Args:
            fault: the fault, such as ``Fault.delay(2.5)``.
            endpoint: name such as ``"series.create"``; None: all requests, also for unknown paths.
            times: number of affected requests; None: unlimited.
            probability: probability from 0 to 1 for each request, drawn with the emulator's ``seed``.
            skip: number of matching requests to let pass first.

        Raises:
            InvalidInputError: the endpoint does not exist, or a number is out of range.

        """
        self._check_process()
        if endpoint is not None and endpoint not in self.ENDPOINTS:
            known = ", ".join(self.ENDPOINTS)
            text = message("testing.no_endpoint", endpoint=f"{endpoint!r}", known=known)
            raise InvalidInputError(text, field="endpoint")
        self._faults.add(fault, endpoint=endpoint, times=times, probability=probability, skip=skip)

    def clear_faults(self) -> None:
        """Remove all injected faults. Calls in flight keep theirs."""
        self._check_process()
        self._faults.clear()

    # Log

    @property
    def requests(self) -> tuple[Request, ...]:
        """Snapshot of the requests so far, in order of arrival, without secrets."""
        self._check_process()
        return self._log.rows

    def count(self, endpoint: str) -> int:
        """Return the number of requests for an endpoint.

        Requests beyond ``log_limit`` are included.

        Args:
            endpoint: name such as ``"series.create"``; ``""``: requests for unknown paths.

        """
        self._check_process()
        return self._log.count(endpoint)

    @property
    def in_flight_max(self) -> int:
        """Highest number of concurrent requests so far."""
        self._check_process()
        return self._server.in_flight_max
