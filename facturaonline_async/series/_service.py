"""The operations on the series of one company."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import partial

from attrs import frozen

from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.engine import Attempts, Engine
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.lookup import is_gone, shared_index
from facturaonline_async._core.once.create import create, ensure
from facturaonline_async._core.once.store import Key
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.read import read_all, read_one
from facturaonline_async._messages import message
from facturaonline_async.config import Credentials
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError, UnreadableAnswerError
from facturaonline_async.series import _wire as wire
from facturaonline_async.series._models import Serie, by_key, key_part, serie_key
from facturaonline_async.series._tipo_documento import TipoDocumento, misspelling

__all__ = ["DesiredSerie", "SeriesService", "desired_serie"]


@frozen
class SeriesService:
    """The series of **the company whose keys are used**.

    The API has no company parameter. For the series of another company use ``client.for_empresa(empresa).series``.

    Cancelling a call releases its connection and its slot; a write that is cancelled in flight may have happened. Every
    method raises an error of `facturaonline_async.errors`, whose class says whether the call happened.

    Calls that change one serie run one at a time. If the outcome of one is unknown, the serie is read, and the call is
    retried only if the change is not there.
    """

    _engine: Engine
    _credentials: Credentials

    async def list(self) -> list[Serie]:
        """Return all series (``GET /v4/series``); the API has no filter and no pages."""
        reply = await self._engine.send(wire.LIST, self._credentials)
        series = await read_all(reply, wire.read_serie)
        self._learn_uids(series)
        return series

    async def get(self, uid: int | str) -> Serie:
        """Return one serie (``GET /v4/series/{uid}``).

        If the response is about another serie, that serie is returned, and a warning is logged.

        Args:
            uid: the API's number of the serie.

        Raises:
            NotFoundError: the company has no such serie.

        """
        reply = await self._engine.send(wire.GET, self._credentials, uid=uid)
        serie = read_one(reply, wire.read_serie)
        if str(serie.uid) == str(uid):
            self._learn_uids([serie])
        else:
            LOGGER.warning("%s: asked for the serie %s, the API answered with %s", wire.GET.name, uid, serie.uid)
        return serie

    async def find(self, *, letra: str, tipo_documento: TipoDocumento | str) -> Serie | None:
        """Return the serie with this letra and this tipo_documento, or None.

        Active series come before paused ones, and within those the API's order decides. Calls that run at the same
        time share one list.

        Args:
            letra: one letter or several.
            tipo_documento: a `TipoDocumento`, or another text. Its spelling is not checked; `create` checks it.

        """
        found = await self.find_all(letra=letra, tipo_documento=tipo_documento)
        return found[0] if found else None

    async def find_all(self, *, letra: str, tipo_documento: TipoDocumento | str) -> builtins.list[Serie]:
        """Return all series with this letra and this tipo_documento, active ones first.

        Args:
            letra: see `find`.
            tipo_documento: see `find`.

        Returns:
            The series, in the API's order within the active and the paused ones; empty if there is none.

        """
        key = serie_key(letra, tipo_documento)  # raises for invalid input before anything is sent
        found = builtins.list(
            (await shared_index(self._engine, wire.LIST, self._credentials, partial(_index, self))).get(key, [])
        )  # the index is shared
        if found:
            self._engine.pending.see(self._key(*key), str(found[0].uid), self._engine.config.settle)
        return found

    async def create(
        self,
        *,
        letra: str,
        tipo_documento: TipoDocumento | str,
        folio: int | None = None,
    ) -> None:
        """Create an active serie (``POST /v4/series/create``).

        The response holds no uid: `find` the serie afterwards, or use `ensure`.

        Args:
            letra: one letter or several.
            tipo_documento: a `TipoDocumento`, or another text. A text that may be misspelt is sent, and a warning is
                logged, unless `TipoDocumento.other` marks it.
            folio: number of the first document; None lets the API start at 1.

        Raises:
            InvalidInputError: an argument is invalid; or the tipo_documento is a documented one in another case, with
                accents, blanks or hyphens, and the account has no serie of that kind. Nothing was created.
            OutcomeUnknownError: it may have been created. Look before you repeat: the API would create a second one.

        """
        await create(self._engine.creates, self._desired(letra=letra, tipo_documento=tipo_documento, folio=folio))

    async def ensure(self, *, letra: str, tipo_documento: TipoDocumento | str, folio: int | None = None) -> Serie:
        """Return the serie with this letra and tipo_documento; create it if it is missing.

        An existing serie is not changed: a paused one stays paused, and `folio` counts only at creation.

        If the outcome of a create is unknown, the serie is looked up until ``Config.deadline``; the create is not sent
        again. The session remembers that create for ``Config.settle`` seconds, even if the caller is cancelled. For the
        same time it remembers each serie that `create`, `find` and `ensure` made or found: if a later list lacks one,
        it is read by its uid. A successful `delete` ends that.

        One session runs the ensures of one letra and tipo_documento one at a time. **Two processes can still race**
        and create two series, unless their sessions have a shared service (`SessionManager`).

        Args:
            letra: one letter or several.
            tipo_documento: a `TipoDocumento`, or another text; its spelling is checked as in `create` if the serie is
                missing.
            folio: number of the first document of a new serie; None lets the API start at 1.

        Raises:
            InvalidInputError: as for `create`. An existing serie is returned with any tipo_documento.
            OutcomeUnknownError: it may have been created, but no list has shown it before the deadline; or it existed
                less than ``Config.settle`` seconds ago, and can no longer be found.
            UnreadableAnswerError: it was created, but no list has shown it before the deadline.

        """
        desired = self._desired(letra=letra, tipo_documento=tipo_documento, folio=folio)
        return await ensure(self._engine, self._engine.creates, desired)

    def _desired(self, *, letra: str, tipo_documento: TipoDocumento | str, folio: int | None) -> DesiredSerie:
        """Return a serie that should exist; its arguments are validated."""
        natural_key = serie_key(letra, tipo_documento)
        body = wire.write_nueva_serie(*natural_key, folio)
        return DesiredSerie(self, self._engine, self._credentials, self._key(*natural_key), letra, tipo_documento, body)

    async def activate(self, uid: int | str) -> None:
        """Make a paused serie usable again (``POST /v4/series/{uid}/up``).

        Args:
            uid: the API's number of the serie.

        """
        await self._engine.send_exclusive(
            wire.ACTIVATE, self._credentials, uid=uid, verify=partial(self._is_active, uid, wanted=True)
        )

    async def deactivate(self, uid: int | str) -> None:
        """Pause a serie (``POST /v4/series/{uid}/down``).

        Args:
            uid: the API's number of the serie.

        """
        await self._engine.send_exclusive(
            wire.DEACTIVATE, self._credentials, uid=uid, verify=partial(self._is_active, uid, wanted=False)
        )

    async def delete(self, uid: int | str) -> None:
        """Delete a serie, without a confirmation (``POST /v4/series/{uid}/drop``).

        Args:
            uid: the API's number of the serie.

        Raises:
            NotFoundError: there is no such serie, or it was created a moment ago and is not visible yet.
            OutcomeUnknownError: it may have been deleted. This is also raised if the only sign is "not found" and the
                serie was created, or first seen, less than ``Config.settle`` seconds ago: such a response may be older
                than the serie.

        """
        verify = partial(is_gone, self._engine, wire.GET, self._credentials, uid)
        await self._engine.send_exclusive(wire.DELETE, self._credentials, uid=uid, verify=verify)
        await self._engine.creates.forget(wire.DELETE.resource, self._credentials.fingerprint, str(uid))

    async def _is_active(self, uid: int | str, until: float, *, wanted: bool) -> bool:
        reply = await self._engine.send(wire.GET, self._credentials, uid=uid, until=until)
        serie = read_one(reply, wire.read_serie)
        if str(serie.uid) != str(uid):
            raise reply.unreadable(message("series.other_uid", uid=uid, answered=serie.uid))
        if not (serie.is_active or serie.is_paused):
            raise reply.unreadable(message("series.unknown_estatus", uid=uid, estatus=f"{serie.estatus!r:.60}"))
        return serie.is_active is wanted

    def _learn_uids(self, series: Sequence[Serie]) -> None:
        """Record the uids of created series, which responses to creates do not hold."""
        pending = self._engine.pending
        if not pending.has_unknown_uids:
            return
        for key, same_key in by_key(series).items():
            if len(same_key) == 1:  # with several, the created one cannot be identified
                pending.learn_uid(self._key(*key), str(same_key[0].uid))

    def _key(self, letra: str, tipo_documento: str) -> Key:
        """Return the key of a serie in a store, from its natural key."""
        return wire.CREATE.resource, self._credentials.fingerprint, letra, tipo_documento


async def _index(series: SeriesService) -> dict[tuple[str, str], builtins.list[Serie]]:
    return by_key(await series.list())


@frozen
class DesiredSerie:
    """A serie that should exist.

    Attributes:
        key: key of the serie in a store.
        letra: its letra.
        tipo_documento: its kind of document.

    """

    _series: SeriesService
    _engine: Engine
    _credentials: Credentials
    key: Key
    letra: str
    tipo_documento: TipoDocumento | str
    _body: Body

    @property
    def endpoint(self) -> Endpoint:
        """Endpoint of the create."""
        return wire.CREATE

    async def find_all(self) -> builtins.list[Serie]:
        """Return all series with this letra and this tipo_documento, active ones first."""
        return await self._series.find_all(letra=self.letra, tipo_documento=self.tipo_documento)

    async def read(self, uid: str) -> Serie:
        """Return the serie with this uid.

        Args:
            uid: the API's number of the serie.

        Raises:
            NotFoundError: the company has no such serie.
            UnreadableAnswerError: the answer is about another serie.

        """
        serie = await self._series.get(uid)
        if (str(serie.uid), serie.key) != (uid, serie_key(self.letra, self.tipo_documento)):
            reason = message(
                "series.other_key",
                uid=uid,
                key=f"{self.letra}:{self.tipo_documento}",
                answered=serie.uid,
                answered_key=":".join(serie.key),
            )
            raise UnreadableAnswerError(reason, endpoint=wire.GET.name, uid=uid)
        return serie

    async def complete(self, value: Serie) -> Serie:
        """Return a listed serie, which needs no further read.

        Args:
            value: the serie as a list shows it.

        """
        return value

    async def attempts(self) -> Attempts:
        """Check the spelling of the tipo_documento, and return the attempts of the create.

        Raises:
            InvalidInputError: the tipo_documento is misspelt. Nothing was created.

        """
        await self._check_tipo(self.tipo_documento)
        return self._engine.attempts(wire.CREATE, self._credentials, body=self._body)

    def created_uid(self, reply: Reply) -> None:
        """Return None: the answer to a create holds no uid.

        Args:
            reply: the answer.

        """

    async def _check_tipo(self, tipo_documento: str) -> None:
        """Warn of a possibly misspelt tipo_documento; refuse a certainly misspelt one.

        The catalogue may be incomplete, so the account's own series decide. They are listed only for a kind that would
        be refused otherwise.
        """
        if (found := misspelling(tipo_documento)) is None:
            return
        if not found.is_certain:
            LOGGER.warning("tipo_documento %.80r is not documented, and is sent unchanged: %s", tipo_documento, found)
        elif not await self._has_tipo(tipo_documento):
            raise InvalidInputError(
                message("series.misspelt_tipo", value=f"{tipo_documento!r:.80}", meant=found.meant.value),
                field="tipo_documento",
            )

    async def _has_tipo(self, tipo_documento: str) -> bool:
        """Return whether a serie has this tipo_documento; False if the list fails."""
        try:
            index = await shared_index(self._engine, wire.LIST, self._credentials, partial(_index, self._series))
        except FacturaOnlineError:
            return False
        wanted = key_part(tipo_documento)
        return any(tipo == wanted for _, tipo in index)


def desired_serie(
    series: SeriesService, *, letra: str, tipo_documento: TipoDocumento | str, folio: int | None
) -> DesiredSerie:
    """Return a serie that should exist in the company of this service.

    Args:
        series: service with the company's own keys.
        letra: see `SeriesService.create`.
        tipo_documento: see `SeriesService.create`.
        folio: see `SeriesService.create`.

    Raises:
        InvalidInputError: an argument is invalid.

    """
    return series._desired(letra=letra, tipo_documento=tipo_documento, folio=folio)  # noqa: SLF001  # not for users
