"""The calls of a probe, which create, pause, activate and delete one serie.

Whatever happens, the series that the probe created are deleted in the end. The answer to a create does not name its
serie, so they are found by their letra, which was free before.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
import ssl
import string
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, evolve, field, frozen

from facturaonline_async._cli.probe_report import Observations, ObservedAnswer
from facturaonline_async._cli.probe_shape import shape_of, word_of
from facturaonline_async._cli.raw_connection import NotHttpError, RawConnection
from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.http.exchange import Exchange, ExchangeSession
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._core.protocol.envelope import RawResponse, Reply, parse_envelope
from facturaonline_async._core.read import read_all, read_one
from facturaonline_async._core.request import RequestFactory
from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret
from facturaonline_async.config import DEFAULT_PLUGIN, Credentials
from facturaonline_async.empresas import _wire as empresas_wire
from facturaonline_async.errors import ApiError, FacturaOnlineError, NotFoundError, UnreadableAnswerError
from facturaonline_async.series import _wire as wire

__all__ = ["LeftSerie", "Limits", "Probe"]

_TIPO: Final = "factura"
_PAUSE: Final = 0.25
"""Seconds between two reads of the list: the accuracy of its lag."""
_MOST: Final = 1 << 26
"""Bytes of an answer, at most."""
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z.+-]+")


@frozen(kw_only=True)
class Limits:
    """How long a probe waits, in seconds.

    Attributes:
        call: for one answer.
        listed: until the list has a new serie.
        idle: until the server closes an idle connection.

    """

    call: float = 30.0
    listed: float = 60.0
    idle: float = 6.0


@frozen
class LeftSerie:
    """A serie that the probe created, or may have created, and could not delete.

    Attributes:
        letra: its letra.
        uid: its uid; "" if the list never had it.
        is_certain: whether it surely exists: a list had it, and since then no delete was sent, or the API refused it.

    """

    letra: str
    uid: str
    is_certain: bool = False


@define
class Probe:
    """One probe of a server.

    Attributes:
        base_url: base URL in its normal form.
        credentials: key pair of a company.
        limits: how long it waits.
        show: called with what is done next.
        observed: what was observed so far.
        left: what was created, or may have been, and is not deleted yet.

    """

    base_url: str
    credentials: Credentials
    limits: Limits = field(factory=Limits)
    show: Callable[[Message], object] = lambda _: None
    observed: Observations = field(factory=Observations, init=False)
    _expected: Counter[str] = field(factory=Counter, init=False)  # series that were or may have been created, by letra
    _deleted: dict[str, str] = field(factory=dict, init=False)  # letra of each deleted serie, by uid
    _seen: dict[str, str] = field(factory=dict, init=False)  # letra of each serie of the probe that a list had, by uid
    _in_doubt: set[str] = field(factory=set, init=False)  # uids of deletes that may be done or not
    _refusal: FacturaOnlineError | None = field(default=None, init=False)  # of the last call
    _http: ExchangeSession = field(init=False)
    _requests: RequestFactory = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._http = ExchangeSession(self.limits.call, _MOST)
        self._requests = RequestFactory(self.base_url, DEFAULT_PLUGIN)

    @property
    def left(self) -> list[LeftSerie]:
        """Series that were created, or may have been, and are not deleted."""
        left = [
            LeftSerie(letra, uid, uid not in self._in_doubt)
            for uid, letra in self._seen.items()
            if uid not in self._deleted
        ]
        unseen = self._expected - Counter(self._seen.values())
        return left + [LeftSerie(letra, "") for letra in unseen.elements()]

    async def run(self) -> None:
        """Make all calls, and delete what was created.

        A cancelled caller waits until that is deleted.

        Raises:
            FacturaOnlineError: a call got no answer, or the API refuses the keys. `observed` has the answers before it.

        """
        async with self._http:
            idle = asyncio.create_task(self._watch_idle())
            try:
                try:
                    await self._observe()
                finally:
                    if self.left:
                        await _to_the_end(self._clean_up())
                await idle
            finally:
                idle.cancel()
                await asyncio.wait([idle])

    # What is observed

    async def _observe(self) -> None:
        self.show(message("probe.reading"))
        await self._call("empresas.current", empresas_wire.CURRENT)
        await self._call("empresas.list", empresas_wire.LIST)
        reply, exchange = await self._call("series.list", wire.LIST)
        self.observed = evolve(self.observed, is_reused=exchange.is_reused)
        if reply is None:
            assert self._refusal is not None  # noqa: S101  # one of both
            raise self._refusal
        prefix = _free_prefix({name[1] for name in await _names(reply) if name is not None})
        await self._call("series.list:wrong_keys", wire.LIST, credentials=_unknown_keys())

        self.show(message("probe.creating", letra=f"{prefix}A"))
        letra = f"{prefix}A"
        if not await self._create("series.create", letra):
            return
        uid = await self._wait_listed(letra)
        if uid is None:
            return
        self.show(message("probe.changing"))
        await self._call("series.get", wire.GET, uid=uid)
        await self._call("series.deactivate", wire.DEACTIVATE, uid=uid)
        paused, _ = await self._call("series.get:paused", wire.GET, uid=uid)
        await self._call("series.activate", wire.ACTIVATE, uid=uid)
        active, _ = await self._call("series.get:active", wire.GET, uid=uid)
        self.observed = evolve(self.observed, paused=_word(paused), active=_word(active))

        self.show(message("probe.refusing"))
        await self._create("series.create:duplicate", letra)
        await self._create("series.create:missing_field", f"{prefix}B", body=wire.write_wrong_serie(f"{prefix}B"))
        wrong = wire.write_wrong_serie(f"{prefix}C", _TIPO, "x")
        await self._create("series.create:wrong_value", f"{prefix}C", body=wrong)
        if await self._delete("series.delete", uid, letra):
            for name, endpoint in (("get", wire.GET), ("deactivate", wire.DEACTIVATE), ("delete", wire.DELETE)):
                await self._call(f"series.{name}:unknown_uid", endpoint, uid=uid)

    async def _create(self, name: str, letra: str, *, body: Body | None = None) -> bool:
        """Create a serie, and return whether the API says so."""
        self._expected[letra] += 1  # from now on it may exist
        try:
            await self._call(name, wire.CREATE, body=body or wire.write_nueva_serie(letra, _TIPO, None))
        except FacturaOnlineError as error:
            if error.happened == "no":
                self._expected[letra] -= 1
            raise
        answer = self.observed.answers[name]
        if answer.read_as in _REFUSALS:
            self._expected[letra] -= 1
        return answer.read_as == "success"

    async def _delete(self, name: str, uid: str, letra: str) -> bool:
        """Delete a serie, and return whether the API says so."""
        self._in_doubt.add(uid)
        await self._call(name, wire.DELETE, uid=uid)
        read_as = self.observed.answers[name].read_as
        if read_as == "success":
            self._deleted[uid] = letra
        elif read_as in _REFUSALS:
            self._in_doubt.discard(uid)
        return read_as == "success"

    async def _wait_listed(self, letra: str) -> str | None:
        """Return the uid of the serie when the list has it; None if that takes too long."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self.observed = evolve(self.observed, list_watched=self.limits.listed)
        waited = 0.0
        while waited <= self.limits.listed:
            reply, _ = await self._call("series.list:with_serie", wire.LIST)
            for uid, own in await self._note(reply):
                if own == letra:
                    self.observed = evolve(self.observed, list_lag=round(waited, 2))
                    return uid
            await asyncio.sleep(_PAUSE)
            waited = loop.time() - begun
        return None

    async def _note(self, reply: Reply | None) -> list[tuple[str, str]]:
        """Note which series of the probe a list has, and return their uids and letras.

        Only a list whose rows are all readable shows that a serie is deleted.
        """
        names = await _names(reply)
        own = [name for name in names if name is not None and name[1] in self._expected]
        self._seen |= dict(own)
        self._in_doubt -= {name[0] for name in names if name is not None}
        if None not in names:
            self._deleted |= {uid: self._seen[uid] for uid in self._in_doubt}
        return own

    async def _call(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        uid: str | None = None,
        body: Body | None = None,
        credentials: Credentials | None = None,
    ) -> tuple[Reply | None, Exchange]:
        """Make a call and note its answer.

        Return the reply that the client reads in it, or None for an error, and the whole exchange.
        """
        request = self._requests.prepare(endpoint, credentials or self.credentials, uid, None, body)
        exchange = await self._http.send(request)
        raw = RawResponse(endpoint, exchange.status, exchange.body, uid, None, request.secrets)
        reply = None
        self._refusal = None
        try:
            reply = parse_envelope(raw)
            if endpoint is wire.LIST:
                await read_all(reply, wire.read_serie)
            elif endpoint is wire.GET:
                read_one(reply, wire.read_serie)
            read_as = "success"
        except FacturaOnlineError as error:
            read_as, self._refusal = type(error).__name__, error
        content_type = exchange.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        answer = ObservedAnswer(
            status=exchange.status,
            content_type=content_type if _MEDIA_TYPE.fullmatch(content_type) else "",
            read_as=read_as,
            shape=shape_of(exchange.body),
            milliseconds=round((exchange.ended_at - exchange.started_at) * 1000),
        )
        self.observed = evolve(self.observed, answers={**self.observed.answers, name: answer})
        return reply, exchange

    async def _watch_idle(self) -> None:
        """Note when the server closes an idle connection."""
        connection, seconds = RawConnection.to(self.base_url), self.limits.idle
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.call):
                await connection.resolve()
                await connection.open()
                if connection.url.scheme == "https":
                    await connection.start_tls(ssl.create_default_context(), seconds=self.limits.call)
                await connection.ask(keep_alive=True)
            begun, idle = loop.time(), None
            try:
                async with asyncio.timeout(seconds):
                    await connection.wait_closed()
                    idle = round(loop.time() - begun, 1)
            except TimeoutError:
                pass
            self.observed = evolve(self.observed, idle=idle, idle_watched=seconds)
        except (OSError, UnicodeError, NotHttpError):  # a time-out, too
            return
        finally:
            connection.close()

    # What is deleted

    async def _clean_up(self) -> None:
        """Delete all series of the probe that exist, as soon as a list has them."""
        self.show(message("probe.cleaning"))
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self.limits.listed
        answers = self.observed.answers
        while True:
            try:
                reply, _ = await self._call("clean_up", wire.LIST)
                await self._note(reply)
                for uid, letra in self._seen.items():
                    if uid not in self._deleted:  # also if this list does not have it
                        await self._delete_again(uid, letra)
            except FacturaOnlineError:
                pass  # the list is read again
            finally:
                self.observed = evolve(self.observed, answers=answers)
            if not self.left or loop.time() >= ends_at:
                return
            await asyncio.sleep(_PAUSE)

    async def _delete_again(self, uid: str, letra: str) -> None:
        await self._delete("clean_up", uid, letra)
        if self.observed.answers["clean_up"].read_as == NotFoundError.__name__:
            self._deleted[uid] = letra


#: Names of the errors after which nothing was created.
_REFUSALS: Final[frozenset[str]] = frozenset(
    {ApiError.__name__, *(each.__name__ for each in ApiError.__subclasses__())}
)


def _word(reply: Reply | None) -> str | None:
    """Return the word for the state of a serie, or None if its answer is unreadable."""
    try:
        return None if reply is None else word_of(read_one(reply, wire.read_serie).estatus)
    except UnreadableAnswerError:
        return None


async def _names(reply: Reply | None) -> list[tuple[str, str] | None]:
    """Return uid and letra of each serie in a list.

    None stands for what is not readable: a row, the whole list, or further pages.
    """
    if reply is None:
        return [None]
    try:
        names = await read_all(reply, wire.read_name)
    except UnreadableAnswerError:
        return [None]
    return names if (reply.last_page or 1) == 1 else [*names, None]


def _free_prefix(letras: set[str]) -> str:
    """Return the beginning of a letra that no serie has."""
    while True:
        prefix = f"Z{''.join(random.choices(string.ascii_uppercase, k=2))}"
        if not any(letra.upper().startswith(prefix) for letra in letras):
            return prefix


def _unknown_keys() -> Credentials:
    """Return a key pair in the form of the API that no company has."""
    letters = string.ascii_letters + string.digits
    keys = (base64.b64encode(f"$2y$10${''.join(random.choices(letters, k=53))}".encode()).decode() for _ in range(2))
    return Credentials(api_key=Secret(next(keys)), secret_key=Secret(next(keys)))


async def _to_the_end(work: Awaitable[None]) -> None:
    """Wait for the end of the work, also if the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
