"""The checks of ``facturaonline doctor``, from the environment to the account."""

from __future__ import annotations

import asyncio
import os
import platform
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from attrs import define, field, frozen

from facturaonline_async._base_url import PRODUCTION, SANDBOX, environment_of, normalize
from facturaonline_async._cli.database import is_shared
from facturaonline_async._cli.preview_output import environment_name
from facturaonline_async._cli.raw_connection import Head, NotHttpError, RawConnection
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._cli.versions import read_versions
from facturaonline_async._core.redaction import redact
from facturaonline_async._core.retry import read_date
from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable
from facturaonline_async.client import FacturaOnline, connect, environment_credentials
from facturaonline_async.config import Config, Credentials, RetryPolicy
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    PermissionDeniedError,
)

__all__ = ["Check", "CheckState", "Doctor"]

CheckState: TypeAlias = Literal["ok", "failed", "skipped"]

_PROXIES: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_CLOCK_SECONDS: Final = 60.0
"""Seconds by which the clocks may differ: certificates are judged by minutes at most."""

#: OpenSSL's codes of certificates that are not valid yet, or not any more.
_DATES: Final = frozenset({9, 10})
#: Codes of chains that do not end at a known authority.
_CHAIN: Final = frozenset({2, 18, 19, 20, 21})
#: Codes of certificates of another host or address.
_HOST: Final = frozenset({62, 64})


@frozen(kw_only=True)
class Check:
    """Result of one check.

    Attributes:
        name: name of the check, such as ``"tls"``.
        state: ``"skipped"`` if an earlier check failed that this one needs.
        text: what was found.
        remedy: what to do about it; None if the check is well, or `text` says it.
        facts: what was found, as JSON values by name.

    """

    name: str
    state: CheckState
    text: Message
    remedy: Message | None = None
    facts: Mapping[str, Any] = field(factory=dict)


class _Fault(Exception):  # noqa: N818  # it is no error of the command
    """What a check found wrong, with its remedy."""

    def __init__(self, text: Message, remedy: Message | None = None, **facts: Any) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy
        self.facts = facts


_Found: TypeAlias = tuple[Message, dict[str, Any]]
_Work: TypeAlias = Callable[[], Awaitable[_Found]]


@define
class Doctor:
    """The checks, in their order, each with what the later ones need.

    Attributes:
        base_url: value of --base-url.
        database: value of --database.
        seconds: maximum time of each check.

    """

    base_url: str | None
    database: Secret | None
    seconds: float
    _url: str = field(default="", init=False)
    _credentials: Credentials | None = field(default=None, init=False)
    _connection: RawConnection | None = field(default=None, init=False)
    _head: Head | None = field(default=None, init=False)
    _shared: Any = field(default=None, init=False)
    _client: FacturaOnline | None = field(default=None, init=False)
    _stack: AsyncExitStack = field(factory=AsyncExitStack, init=False)

    async def run(self, show: Callable[[Check], object]) -> bool:
        """Make all checks, and return whether none failed.

        Args:
            show: called with each result as soon as it is there.

        """
        checks: tuple[tuple[str, tuple[str, ...], _Work], ...] = (
            ("versions", (), self._versions),
            ("api", (), self._api),
            ("keys", (), self._keys),
            ("proxy", (), self._proxy),
            ("dns", ("api",), self._dns),
            ("connection", ("dns",), self._connect),
            ("tls", ("connection",), self._tls),
            ("answer", ("tls",), self._answer),
            ("clock", ("answer",), self._clock),
            ("database", (), self._open_database),
            ("account", ("keys", "answer"), self._account),
            ("lists", ("account",), self._lists),
        )
        causes: dict[str, str] = {}  # by the name of a check: the check that failed first
        async with self._stack:
            for name, needed, work in checks:
                cause = next((causes[each] for each in needed if each in causes), None)
                if cause is None:
                    check = await self._make(name, work)
                    cause = name if check.state == "failed" else None
                else:
                    text = message("doctor.skipped", check=message(f"doctor.label_{cause}"))
                    check = Check(name=name, state="skipped", text=text, facts={"cause": cause})
                if cause is not None:
                    causes[name] = cause
                show(check)
        return not causes

    async def _make(self, name: str, work: _Work) -> Check:
        """Make one check within its time."""
        try:
            async with asyncio.timeout(self.seconds):
                text, facts = await work()
        except _Fault as fault:
            return Check(name=name, state="failed", text=fault.text, remedy=fault.remedy, facts=fault.facts)
        except TimeoutError:
            text = message("doctor.no_answer", seconds=self.seconds)
            return Check(name=name, state="failed", text=text, remedy=self._network())
        return Check(name=name, state="ok", text=text, facts=facts)

    # The environment

    async def _versions(self) -> _Found:
        found = read_versions()
        system = f"{found['system']} {platform.release()} {platform.machine()}"
        text = message(
            "doctor.versions",
            package=found["package"],
            python=found["python"],
            aiohttp=found["aiohttp"],
            system=system,
        )
        return text, found | {"system": system}

    async def _api(self) -> _Found:
        given = current_settings().find_base_url(self.base_url)
        remedy = message("doctor.set_base_url", sandbox=SANDBOX, production=PRODUCTION)
        if not given:
            raise _Fault(message("doctor.no_base_url"), remedy)
        try:
            self._url = normalize(given) or ""
            current_settings().check_host(self.base_url)
        except InvalidInputError as error:
            text: Message = error.args[0]
            raise _Fault(message(text.code, **text.parameters), remedy) from None
        environment = environment_of(self._url)
        facts = {"base_url": self._url, "environment": environment}
        return message("doctor.api", environment=environment_name(self._url), host=self._url), facts

    async def _keys(self) -> _Found:
        try:
            self._credentials = current_settings().read_profile_keys()
        except InvalidInputError as error:
            raise _Fault(_text(error)) from None
        if self._credentials is not None:
            return message("doctor.keys_of_profile"), {}
        try:
            self._credentials = environment_credentials()
        except InvalidInputError as error:
            variable = f"FACTURAONLINE_{error.field.upper()}"
            is_set = bool(os.environ.get(variable))
            text = message("doctor.malformed_key" if is_set else "doctor.no_key", variable=variable)
            raise _Fault(text, message("doctor.set_keys")) from None
        return message("doctor.keys"), {}

    async def _proxy(self) -> _Found:
        names = _proxy_variables()
        text = message("doctor.proxy", names=", ".join(names)) if names else message("doctor.no_proxy")
        return text, {"variables": names}

    # The connection

    async def _dns(self) -> _Found:
        self._connection = RawConnection.to(self._url)
        host = self._connection.host
        try:
            await self._connection.resolve()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise _Fault(message("doctor.unknown_host", host=host, reason=reason), self._network()) from None
        addresses = self._connection.addresses
        return message("doctor.dns", host=host, addresses=", ".join(addresses)), {"addresses": list(addresses)}

    async def _connect(self) -> _Found:
        connection = self._opened()
        self._stack.callback(connection.close)
        started = time.perf_counter()
        try:
            await connection.open()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            text = message("doctor.no_connection", host=connection.host, port=connection.port, reason=reason)
            raise _Fault(text, self._network()) from None
        taken = round((time.perf_counter() - started) * 1000)
        return message("doctor.connection", port=connection.port, milliseconds=taken), {"milliseconds": taken}

    def _network(self) -> Message:
        """Return what to do if the server cannot be reached."""
        remedy = message("doctor.check_network")
        names = _proxy_variables()
        return remedy.then(message("doctor.proxy_unused", names=", ".join(names))) if names else remedy

    async def _tls(self) -> _Found:
        connection = self._opened()
        if connection.url.scheme == "http":
            return message("doctor.no_tls"), {"version": None}
        try:
            found = await connection.start_tls(ssl.create_default_context(), seconds=self.seconds)
        except ssl.SSLCertVerificationError as error:
            text = message("doctor.certificate_refused", reason=error.verify_message)
            raise _Fault(text, _tls_remedy(error.verify_code), verify_code=error.verify_code) from None
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise _Fault(
                message("doctor.tls_failed", reason=printable(f"{reason}")), message("doctor.not_tls")
            ) from None
        day = datetime.fromtimestamp(found.expires_at, UTC).date().isoformat()
        text = message("doctor.tls", version=found.version, issuer=printable(found.issuer), day=day)
        return text, {"version": found.version, "issuer": printable(found.issuer), "valid_until": day}

    async def _answer(self) -> _Found:
        connection = self._opened()
        try:
            self._head = await connection.ask()
        except (NotHttpError, OSError):
            raise _Fault(message("doctor.not_http"), message("doctor.check_address", url=SANDBOX)) from None
        finally:
            connection.close()
        taken = round(self._head.seconds * 1000)
        text = message("doctor.answer", status=self._head.status, milliseconds=taken)
        return text, {"status": self._head.status, "milliseconds": taken}

    async def _clock(self) -> _Found:
        assert self._head is not None  # noqa: S101  # the check of the answer has made it
        now = time.time()
        date = read_date(self._head.headers.get("Date", ""))
        if date is None:
            return message("doctor.no_date"), {"seconds": None}
        # The server cuts the fraction of its second. The answer came a moment ago.
        ahead = now - (date + 0.5)
        facts = {"seconds": round(ahead)}
        if abs(ahead) <= _CLOCK_SECONDS:
            return message("doctor.clock"), facts
        text = message("doctor.clock_ahead" if ahead > 0 else "doctor.clock_behind", seconds=round(abs(ahead)))
        raise _Fault(text, message("doctor.set_clock"), **facts)

    def _opened(self) -> RawConnection:
        assert self._connection is not None  # noqa: S101  # the check of the name has made it
        return self._connection

    # The account

    async def _open_database(self) -> _Found:
        try:
            url = current_settings().find_database(self.database)
        except InvalidInputError as error:
            raise _Fault(_text(error)) from None
        if not is_shared(url):
            return message("doctor.no_database"), {"version": None}
        try:
            from facturaonline_async.postgres import Postgres, _schema  # noqa: PLC0415  # the driver is an extra
            from facturaonline_async.postgres._postgres import database_of  # noqa: PLC0415

            pg = await self._stack.enter_async_context(Postgres(url, timeout=self.seconds))
            found = await _schema.read_installed(database_of(pg))
        except ModuleNotFoundError:
            raise _Fault(message("postgres.extra_missing")) from None
        except FacturaOnlineError as error:
            raise _Fault(_text(error), message("doctor.check_database")) from None
        self._shared = pg
        text = message("doctor.database", address=pg.address, version=found.version)
        return text, {"address": pg.address, "version": found.version}

    async def _account(self) -> _Found:
        seconds = self.seconds
        config = Config(
            connect_timeout=seconds,
            read_timeout=seconds,
            total_timeout=seconds,
            deadline=seconds,
            retry=RetryPolicy(read_attempts=1),
        )
        context = connect(self._credentials, base_url=self._url, config=config, shared=self._shared)
        try:
            self._client = await self._stack.enter_async_context(context)
            empresa = await self._client.empresas.current()
        except FacturaOnlineError as error:
            raise _Fault(_text(error), _account_remedy(error)) from None
        rfc, name = printable(redact(empresa.rfc)), printable(redact(empresa.razon_social))
        text = message("doctor.account", environment=environment_name(self._url), rfc=rfc, razon_social=name)
        return text, {"uid": empresa.uid, "rfc": rfc, "razon_social": name}

    async def _lists(self) -> _Found:
        assert self._client is not None  # noqa: S101  # the check of the account has made it
        try:
            empresas = len(await self._client.empresas.list())
            series = len(await self._client.series.list())
        except FacturaOnlineError as error:
            raise _Fault(_text(error), _account_remedy(error)) from None
        text = message(
            "doctor.lists",
            empresas=message("cli.count_empresas", count=empresas),
            series=message("cli.count_series", count=series),
        )
        return text, {"empresas": empresas, "series": series}


def _proxy_variables() -> list[str]:
    """Return the variables that name a proxy, without values: they may hold secrets."""
    return sorted(name for name, value in os.environ.items() if name.upper() in _PROXIES and value)


def _text(error: FacturaOnlineError) -> Message:
    """Return the text of an error, with its endpoint and status."""
    return Message(printable(redact(str(error))), error.code)


def _tls_remedy(verify_code: int) -> Message:
    if verify_code in _DATES:
        return message("doctor.certificate_dates")
    if verify_code in _CHAIN:
        return message("doctor.certificate_chain")
    if verify_code in _HOST:
        return message("doctor.certificate_host")
    return message("doctor.not_tls")


def _account_remedy(error: FacturaOnlineError) -> Message:
    match error:
        case AuthenticationError():
            return message("cli.keys_refused")
        case PermissionDeniedError():
            return message("doctor.ask_for_access")
        case FacturaOnlineError(status=int(status)) if 300 <= status < 500:  # a redirect, or a page that is not there
            return message("doctor.check_address", url=SANDBOX)
        case _:
            return message("doctor.try_again", url=SANDBOX)
