"""SeriesService: what can be done with the series of one company."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from attrs import frozen

from facturaonline_async._core.engine import Engine
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.once.create import BeforeSend, ensure, send_create
from facturaonline_async._core.once.pending import Key
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._core.read import read_all, read_one
from facturaonline_async.config import Credentials
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError, NotFoundError, UnreadableAnswerError
from facturaonline_async.series import _wire as wire
from facturaonline_async.series._models import Serie, by_key, key_part, serie_key
from facturaonline_async.series._tipo_documento import TipoDocumento, misspelling

__all__ = ["SeriesService"]


@frozen
class SeriesService:
    """The series of **the company whose keys are used**: there is no company parameter in this API.

    For another company's series take ``client.for_empresa(empresa).series``.

    Cancelling a call gives its connection and its turn back; a write cancelled in flight may have happened. Every
    method raises an error of `facturaonline_async.errors` whose kind tells whether the call happened.

    Calls that change one serie run one at a time. Where nobody knows whether one was done, the serie is looked at, and
    the call repeated only if it was not.
    """

    _engine: Engine
    _credentials: Credentials

    async def list(self) -> list[Serie]:
        """Return all series (``GET /v4/series``; the API has no filter and no pages)."""
        reply = await self._engine.send(wire.LIST, self._credentials)
        series = await read_all(reply, wire.read_serie)
        self._tell_uids(series)
        return series

    async def get(self, uid: int | str) -> Serie:
        """Return one serie (``GET /v4/series/{uid}``).

        An answer about another serie is returned, too, and logged as a warning.

        Raises:
            NotFoundError: there is none, or it belongs to another company.

        """
        reply = await self._engine.send(wire.GET, self._credentials, uid=uid)
        serie = read_one(reply, wire.read_serie)
        if str(serie.uid) == str(uid):
            self._tell_uids([serie])
        else:
            LOGGER.warning("%s: asked for the serie %s, the API answered with %s", wire.GET.name, uid, serie.uid)
        return serie

    async def find(self, *, letra: str, tipo_documento: TipoDocumento | str) -> Serie | None:
        """Return the serie with this letra and this tipo_documento, or None.

        Of several, an active one; of several of those, the first in the API's list. Finds that run at the same time
        share one list. A misspelt tipo_documento is looked for as it stands: only creating it is refused.
        """
        found = await self.find_all(letra=letra, tipo_documento=tipo_documento)
        return found[0] if found else None

    async def find_all(self, *, letra: str, tipo_documento: TipoDocumento | str) -> builtins.list[Serie]:
        """Return all series with this letra and this tipo_documento: active ones first, else in the API's order."""
        key = serie_key(letra, tipo_documento)  # refuses what is wrong before anything is sent
        found = (await self._shared_index()).get(key, [])
        if found:
            self._engine.pending.see(self._key(letra, tipo_documento), str(found[0].uid), self._engine.config.settle)
        return found

    async def create(
        self,
        *,
        letra: str,
        tipo_documento: TipoDocumento | str,
        folio: int | None = None,
        before_send: BeforeSend | None = None,
    ) -> None:
        """Create a serie, active (``POST /v4/series/create``). The API answers no uid: `find` it, or use `ensure`.

        Args:
            letra: one letter or several.
            tipo_documento: a `TipoDocumento`, or another text. One that may be misspelt is sent with a warning in the
                log, unless `TipoDocumento.other` marks it.
            folio: number of the first document; None lets the API begin at 1.
            before_send: awaited before each attempt, when it has its turn, and before its first byte: for a journal of
                your own. What it raises is raised, and nothing is sent.

        Raises:
            InvalidInputError: an argument is wrong; or the tipo_documento is a documented one in another case, with
                accents, blanks or hyphens, and the account has no serie of it. Nothing was created.
            OutcomeUnknownError: it may have been created. Look before you repeat: nothing stops the API from
                creating a second one.

        """
        body = wire.write_nueva_serie(letra, tipo_documento, folio)
        key = self._key(letra, tipo_documento)
        await send_create(self._engine, key, partial(self._create, tipo_documento, body), before_send=before_send)

    async def post(
        self,
        *,
        letra: str,
        tipo_documento: TipoDocumento | str,
        folio: int | None = None,
        before_send: BeforeSend | None = None,
    ) -> None:
        """Send a create as it is: `create` without the session's memory of it.

        For callers that keep it themselves, as `facturaonline_async.provision` does.
        """
        await self._create(tipo_documento, wire.write_nueva_serie(letra, tipo_documento, folio), before_send)

    async def ensure(self, *, letra: str, tipo_documento: TipoDocumento | str, folio: int | None = None) -> Serie:
        """Return the serie with this letra and tipo_documento, creating it if it is not there.

        What exists is left as it is: a paused serie stays paused, and `folio` counts only at creation. A create whose
        outcome is unknown is looked for until ``Config.deadline``, and never repeated; the session remembers it for
        ``Config.settle`` seconds, also if the caller is cancelled. For as long it remembers what `create`, `find` and
        `ensure` have made or seen: if a later list lacks it, it is read by its uid. A `delete` that was done ends that.

        One session runs the ensures of one letra and tipo_documento one at a time. **Two processes can still race**
        and create two: provision from one of them.

        Raises:
            InvalidInputError: as for `create`. What exists is returned, whatever its tipo_documento.
            OutcomeUnknownError: it may have been created, but has not shown up before the deadline; or it was there
                less than ``Config.settle`` ago, and does not show any more.
            UnreadableAnswerError: it was created, but has not shown up before the deadline.

        """
        body = wire.write_nueva_serie(letra, tipo_documento, folio)
        return await ensure(
            self._engine,
            self._key(letra, tipo_documento),
            find=lambda: self.find(letra=letra, tipo_documento=tipo_documento),
            create=partial(self._create, tipo_documento, body),
            look=partial(self._look, letra, tipo_documento),
        )

    async def activate(self, uid: int | str) -> None:
        """Make a paused serie usable again (``POST /v4/series/{uid}/up``)."""
        await self._engine.send_exclusive(
            wire.ACTIVATE, self._credentials, uid=uid, reached=partial(self._is_active, uid, wanted=True)
        )

    async def deactivate(self, uid: int | str) -> None:
        """Pause a serie (``POST /v4/series/{uid}/down``)."""
        await self._engine.send_exclusive(
            wire.DEACTIVATE, self._credentials, uid=uid, reached=partial(self._is_active, uid, wanted=False)
        )

    async def delete(self, uid: int | str) -> None:
        """Delete a serie, without asking twice (``POST /v4/series/{uid}/drop``).

        Raises:
            NotFoundError: there is no such serie, or it was created a moment ago and does not show yet.
            OutcomeUnknownError: it may have been deleted. So it is also where only "not found" says that it is gone,
                and it was created, or first seen, less than ``Config.settle`` ago: answers may be older than it.

        """
        with self._engine.pending.deleting("series", self._credentials.fingerprint, uid):
            await self._engine.send_exclusive(
                wire.DELETE, self._credentials, uid=uid, reached=partial(self._is_gone, uid)
            )

    async def _is_active(self, uid: int | str, until: float, *, wanted: bool) -> bool:
        reply = await self._engine.send(wire.GET, self._credentials, uid=uid, until=until)
        serie = read_one(reply, wire.read_serie)
        if str(serie.uid) != str(uid):
            raise reply.unreadable(f"asked for the serie {uid}, it is about the serie {serie.uid}")
        return serie.is_active is wanted

    async def _is_gone(self, uid: int | str, until: float) -> bool:
        try:
            await self._engine.send(wire.GET, self._credentials, uid=uid, until=until)
        except NotFoundError:  # which proves nothing of what answers may still lack
            return not self._engine.pending.is_pending("series", self._credentials.fingerprint, uid)
        return False

    def _tell_uids(self, series: Sequence[Serie]) -> None:
        """Let the session know the uids of what it has created: creates do not answer them."""
        doubts = self._engine.pending
        if not doubts.has_unknown_uids:
            return
        several = Counter(serie.key for serie in series)
        for serie in series:
            if several[serie.key] == 1:  # of several, none is surely the one that was created
                doubts.learn_uid(self._key(*serie.key), str(serie.uid))

    def _key(self, letra: str, tipo_documento: str) -> Key:
        """Return by what the session remembers this serie."""
        return wire.CREATE.name, self._credentials.fingerprint, serie_key(letra, tipo_documento)

    async def _look(self, letra: str, tipo_documento: str, uid: str | None) -> Serie | None:
        """Look once for a serie that no list has shown: by its uid, if one is known, and else by a list."""
        if uid is not None:
            with suppress(NotFoundError):
                serie = await self.get(uid)
                if (str(serie.uid), serie.key) != (uid, serie_key(letra, tipo_documento)):
                    raise UnreadableAnswerError(
                        f"asked for the serie {uid}, {letra}:{tipo_documento}, the API answered with the serie "
                        f"{serie.uid}, {':'.join(serie.key)}",
                        endpoint=wire.GET.name,
                        uid=uid,
                    )
                return serie
        return await self.find(letra=letra, tipo_documento=tipo_documento)

    async def _create(self, tipo_documento: str, body: Body, before_send: BeforeSend | None = None) -> None:
        await self._check_tipo(tipo_documento)
        await self._engine.send(wire.CREATE, self._credentials, body=body, before_send=before_send)

    async def _check_tipo(self, tipo_documento: str) -> None:
        """Warn of a tipo_documento that may be misspelt, or refuse one that surely is.

        The catalogue need not be complete, so that the account's own series decide: they are listed for a kind that
        would be refused, and for no other.
        """
        if (found := misspelling(tipo_documento)) is None:
            return
        if not found.is_certain:
            LOGGER.warning("tipo_documento %.80r is not documented, and is sent as it is: %s", tipo_documento, found)
        elif not await self._has_tipo(tipo_documento):
            raise InvalidInputError(
                f"tipo_documento {tipo_documento!r:.80} is not documented: {found} Nothing was created.",
                field="tipo_documento",
            )

    async def _has_tipo(self, tipo_documento: str) -> bool:
        """Whether a serie of the account has this tipo_documento. False if the list cannot be read."""
        try:
            index = await self._shared_index()
        except FacturaOnlineError:
            return False
        wanted = key_part(tipo_documento)
        return any(tipo == wanted for _, tipo in index)

    async def _shared_index(self) -> dict[tuple[str, str], builtins.list[Serie]]:
        """Return the series by letra and tipo_documento; callers that ask at the same time share one list."""
        return await self._engine.single_flight.read((wire.LIST.name, self._credentials.fingerprint), self._index)

    async def _index(self) -> dict[tuple[str, str], builtins.list[Serie]]:
        return by_key(await self.list())
