"""The operations on the companies (empresas) of one account."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial

from attrs import define, evolve, field, frozen

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.engine import Attempts, Engine
from facturaonline_async._core.known_companies import Listing, normalize_rfc, same_rfc
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.lookup import is_gone, shared_index
from facturaonline_async._core.once.create import create, ensure
from facturaonline_async._core.once.store import Key
from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.read import read_batches, read_one
from facturaonline_async._messages import message
from facturaonline_async.config import Credentials
from facturaonline_async.empresas import _wire as wire
from facturaonline_async.empresas._models import CambiosEmpresa, Empresa, NuevaEmpresa, key_marks
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    UnreadableAnswerError,
    text_of,
)

__all__ = ["DesiredEmpresa", "EmpresaService", "desired_empresa", "get_with_keys"]


@frozen
class EmpresaService:
    """The companies of the account that the keys belong to.

    Cancelling a call releases its connection and its slot; a write that is cancelled in flight may have happened. Every
    method raises an error of `facturaonline_async.errors`, whose class says whether the call happened.

    Calls that change one company run one at a time. If the outcome is unknown, an update is sent again, because it is
    idempotent; a delete is sent again only if a read still shows the company.

    Responses are checked against each other. If a response is about another company than the requested one, or gives
    another company's keys, `find`, `ensure`, `create`, `update` and `get_verified` raise `UnreadableAnswerError`. The
    values of `list`, `iterate`, `get` and `current` then have an `Empresa.keys_problem`, which is logged as a warning
    and raised by `Empresa.credentials`.
    """

    _engine: Engine
    _credentials: Credentials

    async def list(self, *, rfc: str | None = None, razon_social: str | None = None) -> builtins.list[Empresa]:
        """Return all companies, each with its own keys (``GET /v1/accounts``).

        Only the sister product documents the filters. **A host without them returns every company**; `find` filters
        locally and is correct on both.

        Args:
            rfc: asks the server for the companies with this RFC; None for all.
            razon_social: asks the server for the companies whose name contains this text; None for all.

        Raises:
            InvalidInputError: a filter is not a text, or holds a control character.

        """
        query = wire.list_query(rfc=rfc, razon_social=razon_social)
        # A filtered list says nothing about the other companies: it does not replace a full list.
        listing = None if query else self._engine.companies.listing(self._credentials.fingerprint)
        reply = await self._engine.send(wire.LIST, self._credentials, query=query)
        rows: builtins.list[Empresa] = []
        for batch in _read_batches(reply):
            if listing is not None:
                await listing.add(batch, key_marks(batch))
            rows += batch
            await asyncio.sleep(0)
        if listing is not None:
            await listing.end()
        empresas: builtins.list[Empresa] = []
        for batch in in_batches(rows):
            empresas += self._check_rows(batch, listing)
            await asyncio.sleep(0)
        return empresas

    async def iterate(self, *, per_page: int = 100) -> AsyncIterator[Empresa]:
        """Yield each company once, reading page by page.

        A host that ignores pages returns every company each time; two requests are sent to it.

        Args:
            per_page: companies on a page. Default: 100.

        Raises:
            InvalidInputError: `per_page` is not a whole number above 0.

        """
        if isinstance(per_page, bool) or not isinstance(per_page, int) or per_page < 1:
            reason = message("values.not_positive_int", name="per_page", value=f"{per_page!r:.40}")
            raise InvalidInputError(reason, field="per_page")
        seen: set[str] = set()
        listing = self._engine.companies.listing(self._credentials.fingerprint)
        page = 0
        while True:
            page += 1
            query = wire.page_query(page, per_page)
            reply = await self._engine.send(wire.LIST, self._credentials, query=query)
            # All rows of an answer are recorded before the first is yielded, because a later one may contradict it.
            # Not more than a page is kept meanwhile: 100,000 companies would take 150 MB. The others are read again.
            uids: set[str] = set()
            kept: builtins.list[Empresa] = []
            for batch in _read_batches(reply):
                fresh = [empresa for empresa in batch if empresa.uid not in seen]
                await listing.add(fresh, key_marks(fresh))
                uids.update(empresa.uid for empresa in fresh)
                kept = kept + fresh if len(uids) <= per_page else []
                await asyncio.sleep(0)
            is_last = not uids or (reply.last_page is not None and page >= reply.last_page)
            if is_last:
                await listing.end()
            for batch in in_batches(kept) if len(uids) <= per_page else _read_batches(reply):
                fresh = [empresa for empresa in batch if empresa.uid not in seen]
                for empresa in self._check_rows(fresh, listing):
                    yield empresa
                await asyncio.sleep(0)
            if is_last:
                return
            seen |= uids
            del reply  # the next answer needs the memory

    async def current(self) -> Empresa:
        """Return the company that the keys belong to (``GET /v1/current/account``)."""
        reply = await self._engine.send(wire.CURRENT, self._credentials)
        empresa = _read_row(reply)
        self._engine.companies.prove(self._own_key_mark, empresa.uid)
        return self._flag_mismatch(empresa, wire.CURRENT.name)

    async def get(self, uid: int | str) -> Empresa:
        """Return one company, with its own keys (``GET /v1/account/{uid}``).

        If the response is about another company, that company is returned, and a warning is logged; its
        `Empresa.credentials` raises.

        Args:
            uid: the API's identifier of the company.

        Raises:
            NotFoundError: there is no such company, or it was created a moment ago and is not readable yet.

        """
        empresa = self._flag_mismatch(await self._read(uid), wire.GET.name, uid=str(uid))
        self._learn_uids([empresa])
        return empresa

    async def get_verified(self, uid: int | str, *, rfc: str) -> Empresa:
        """Return one company, after verifying that it and its keys are the requested ones.

        Its uid and its RFC are compared with the arguments, and its keys with those of all companies that this session
        has listed. If no list has shown the keys (the company is new, or lists leave out keys), or if they are the keys
        of this client, one more call asks the API for their owner (``GET /v1/current/account``), once for each key.

        Args:
            uid: the API's identifier of the company.
            rfc: the RFC that it must have; compared as in `find`.

        Raises:
            NotFoundError: there is no such company, or it was created a moment ago and is not readable yet.
            UnreadableAnswerError: the response is about another company, or gives another company's keys; the text
                names both uids. If the API does not know the keys, ``is_transient`` is true: the keys of a new company
                may work a moment later.

        """
        return await self._get_verified(uid, rfc)

    async def _get_verified(self, uid: int | str, rfc: str, on_start: Callable[[], None] | None = None) -> Empresa:
        empresa = await self._read(uid, on_start)
        problem = self._problem(empresa, str(uid))
        if not problem and not same_rfc(empresa.rfc, rfc):
            problem = (
                message("empresas.other_rfc", uid=uid, rfc=rfc, other=empresa.uid, other_rfc=empresa.rfc)
                if empresa.rfc
                else message("empresas.without_rfc", uid=uid, rfc=rfc, other=empresa.uid)
            )
        registry, account = self._engine.companies, self._credentials.fingerprint
        if not problem and registry.needs_proof(empresa, account, self._own_key_mark):
            problem = await self._check_keys_owner(empresa)
        if problem:
            raise UnreadableAnswerError(problem, endpoint=wire.GET.name, uid=uid)
        registry.learn(empresa)
        return empresa

    async def find(self, rfc: str) -> Empresa | None:
        """Return the first company with this RFC in the API's list, or None.

        RFCs are compared in upper case, trimmed, and composed (NFC). Calls that run at the same time share one list.

        Args:
            rfc: the RFC of the company.

        Raises:
            InvalidInputError: `rfc` is empty, or not a text.
            UnreadableAnswerError: the list contradicts itself: it gives the uid or the keys of this company to another
                one, too.

        """
        found = await self.find_all(rfc)
        return found[0] if found else None

    async def find_all(self, rfc: str) -> builtins.list[Empresa]:
        """Return all companies with this RFC, in the order of the API's list.

        Args:
            rfc: see `find`.

        Raises:
            InvalidInputError: `rfc` is empty, or not a text.
            UnreadableAnswerError: the list contradicts itself about one of them; see `find`.

        """
        if not (wanted := normalize_rfc(rfc)):
            raise InvalidInputError(message("values.empty", name="rfc"), field="rfc")
        empresas = await shared_index(self._engine, wire.LIST, self._credentials, self._index)
        found = builtins.list(empresas.get(wanted, []))  # the index is shared
        for empresa in found:
            if empresa.keys_problem:
                raise UnreadableAnswerError(empresa.keys_problem, endpoint=wire.LIST.name, uid=empresa.uid)
        if found:
            self._engine.pending.see(self._key(wanted), found[0].uid, self._engine.config.settle)
        return found

    async def create(self, nueva: NuevaEmpresa, *, validate: bool = True) -> Empresa:
        """Create a company (``POST /v4/account/create``).

        Its data and certificates are checked first (see `NuevaEmpresa`, `Config.check_sello`).

        The result has no keys, because the API does not return usable ones yet: use `ensure`, or ``get(uid)`` a moment
        later.

        Args:
            nueva: the company.
            validate: False skips the check of data and certificates, for callers that have checked them.

        Raises:
            InvalidInputError: the data or a certificate would be refused; ``findings`` and ``report`` say why.
            ValidationError: the API refused the data; ``fields`` names the API's own fields.
            OutcomeUnknownError: it may have been created. Look before you repeat: the API would create a second one.
            UnreadableAnswerError: it was created, but the response is unreadable, or about another company.

        """
        if validate:
            await self._validate(nueva, wire.CREATE.name)
        desired = self._desired(nueva)
        await create(self._engine.creates, desired)
        assert desired.created is not None  # noqa: S101  # set by the answer, else an error was raised
        return desired.created

    def _desired(self, nueva: NuevaEmpresa) -> DesiredEmpresa:
        """Return a company that should exist; its data have been validated."""
        return DesiredEmpresa(self, self._engine, self._credentials, self._key(nueva.rfc), nueva)

    async def ensure(self, nueva: NuevaEmpresa, *, validate: bool = True) -> Empresa:
        """Return the company with this RFC and its own keys; create it if it is missing.

        An existing company is not changed. The data and certificates are checked before anything is sent (see
        `NuevaEmpresa`, `Config.check_sello`).

        If the outcome of a create is unknown, the company is looked up until ``Config.deadline``; the create is not
        sent again. The session remembers that create for ``Config.settle`` seconds, even if the caller is cancelled.
        For the same time it remembers each company that `create`, `find` and `ensure` made or found: if a later list
        lacks one, it is read by its uid. A successful `delete` ends that.

        A new company is not readable at once: it is read until it is. Its keys are verified with one more call, which
        uses these keys: the API must name that company.

        Each call first reads the list of all companies; calls that run at the same time share it. For thousands of
        companies use `facturaonline_async.provision`, which reads the list once.

        One session runs the ensures of one RFC one at a time. **Two processes can still race** and create two
        companies, unless their sessions have a shared service (`SessionManager`).

        Args:
            nueva: the company that is created if it is missing.
            validate: False skips the check of data and certificates, for callers that have checked them.

        Raises:
            InvalidInputError: the data or a certificate would be refused; ``findings`` and ``report`` say why.
            OutcomeUnknownError: it may have been created, but no list has shown it before the deadline; or it existed
                less than ``Config.settle`` seconds ago, and can no longer be found.
            UnreadableAnswerError: it exists, but was not readable before the deadline; or the responses are about
                another company, or give another company's keys. The text names both uids.

        """
        if validate:
            await self._validate(nueva, wire.CREATE.name)
        return await ensure(self._engine, self._engine.creates, self._desired(nueva))

    async def update(self, uid: int | str, cambios: CambiosEmpresa, *, validate: bool = True) -> Empresa:
        """Change a company (``POST /v4/account/{uid}/update``).

        Only the attributes that `cambios` sets are sent; they are checked first. Certificates are compared with the
        company's RFC only if `cambios` sets `rfc`.

        Args:
            uid: the API's identifier of the company.
            cambios: the changes.
            validate: False skips the check of data and certificates, for callers that have checked them.

        Raises:
            InvalidInputError: `cambios` is empty, or a change would be refused; ``findings`` and ``report`` say why.
            NotFoundError: there is no such company.
            UnreadableAnswerError: it was changed, but the response is unreadable, or about another company.

        """
        if validate:
            await self._validate(cambios, wire.UPDATE.name)
        body = wire.write_cambios(cambios, self._engine.config.upload)
        reply = await self._engine.send_exclusive(wire.UPDATE, self._credentials, uid=uid, body=body)
        if cambios.rfc:
            self._engine.companies.renamed(str(uid), cambios.rfc)
        return _read_written(self._engine, reply, uid=str(uid), rfc=cambios.rfc or "")

    async def delete(self, uid: int | str) -> None:
        """Delete a company, without a confirmation (``POST /v4/account/{uid}/delete``).

        Args:
            uid: the API's identifier of the company.

        Raises:
            NotFoundError: there is no such company, or it was created a moment ago and is not visible yet.
            OutcomeUnknownError: it may have been deleted. This is also raised if the only sign is "not found" and the
                company was created, or first seen, less than ``Config.settle`` seconds ago: such a response may be
                older than the company.

        """
        verify = partial(is_gone, self._engine, wire.GET, self._credentials, uid)
        await self._engine.send_exclusive(
            wire.DELETE, self._credentials, uid=uid, body=wire.write_delete(), verify=verify
        )
        await self._engine.creates.forget(wire.DELETE.resource, self._credentials.fingerprint, str(uid))
        self._engine.companies.forget(str(uid))

    async def _validate(self, empresa: NuevaEmpresa | CambiosEmpresa, endpoint: str) -> None:
        """Validate a company's data and certificates; log the warnings."""
        # Imported when something is sent: most processes only read.
        from facturaonline_async.empresas._validation import validate_empresa  # noqa: PLC0415
        from facturaonline_async.sello._check_in_thread import check_in_thread  # noqa: PLC0415

        config = self._engine.config
        check_sello = check_in_thread if config.check_sello else None
        for finding in await validate_empresa(empresa, check_sello, production=config.is_production, endpoint=endpoint):
            LOGGER.warning("%s: %s", endpoint, finding)

    def _learn_uids(self, empresas: Iterable[Empresa]) -> None:
        """Record the uids of created companies whose create was answered without one."""
        pending = self._engine.pending
        if not pending.has_unknown_uids:
            return
        for empresa in empresas:
            if not empresa.keys_problem:
                pending.learn_uid(self._key(normalize_rfc(empresa.rfc)), empresa.uid)

    async def _index(self) -> dict[str, builtins.list[Empresa]]:
        """Return the companies by RFC; several companies may have the same one."""
        index: dict[str, builtins.list[Empresa]] = {}
        for batch in in_batches(await self.list()):
            for empresa in batch:
                index.setdefault(normalize_rfc(empresa.rfc), []).append(empresa)
            await asyncio.sleep(0)
        return index

    def _key(self, rfc: str) -> Key:
        """Return the key of a company in a store."""
        return wire.CREATE.resource, self._credentials.fingerprint, rfc

    # ── Verification: is it the requested company, and are the keys its own? ──────────────────────────────────────────

    @property
    def _own_key_mark(self) -> int:
        """`Empresa.key_mark` of this client's own API key."""
        return hash(self._credentials.api_key.reveal())

    async def _read(self, uid: int | str, on_start: Callable[[], None] | None = None) -> Empresa:
        reply = await self._engine.send(wire.GET, self._credentials, uid=uid, on_start=on_start)
        return _read_row(reply)

    def _problem(self, empresa: Empresa, uid: str) -> str:
        """Return why this company is not the requested one, or ``""``."""
        if empresa.uid != uid:
            return message("empresas.other_company", uid=uid, other=empresa.uid)
        return self._engine.companies.problem(empresa)

    def _flag_mismatch(self, empresa: Empresa, endpoint: str, *, uid: str = "") -> Empresa:
        """Set `Empresa.keys_problem` if the company is not the requested one."""
        problem = self._problem(empresa, uid or empresa.uid)
        if not problem:
            self._engine.companies.learn(empresa)
        return self._with_problem(empresa, problem, endpoint)

    async def _check_keys_owner(self, empresa: Empresa) -> str:
        """Ask the API who owns a company's keys; return the problem, or ``""``."""
        own = EmpresaService(self._engine, empresa.credentials)
        try:
            owner = await own.current()
        except FacturaOnlineError as error:
            if error.is_transient:
                raise
            unverified = message("empresas.owner_not_verified", uid=empresa.uid, reason=text_of(error))
            if not isinstance(error, (AuthenticationError, NotFoundError)):
                return unverified
        else:
            if owner.uid == empresa.uid and (not owner.rfc or same_rfc(owner.rfc, empresa.rfc)):
                return ""
            return message("empresas.keys_of_another", uid=empresa.uid, owner=owner.uid)
        problem = UnreadableAnswerError(unverified, endpoint=wire.CURRENT.name, uid=empresa.uid)
        problem.is_transient = True
        raise problem

    def _check_rows(self, rows: builtins.list[Empresa], listing: Listing | None) -> builtins.list[Empresa]:
        """Flag rows that contradict others, and record the uids of new companies.

        Args:
            rows: rows of a list.
            listing: all rows of the list; None: the list is filtered, and compared with earlier answers.

        """
        if listing is None:
            rows = [self._flag_mismatch(each, wire.LIST.name) for each in rows]
        elif listing.is_contradictory:
            rows = self._flag_contradictions(rows, listing)
        self._learn_uids(rows)
        return rows

    @staticmethod
    def _flag_contradictions(empresas: builtins.list[Empresa], listing: Listing) -> builtins.list[Empresa]:
        """Set `Empresa.keys_problem` of rows of a list that contradict each other."""
        problems = [listing.problem(empresa) for empresa in empresas]
        if wrong := [problem for problem in problems if problem]:
            LOGGER.warning("%s: %d rows contradict others; the first: %s", wire.LIST.name, len(wrong), wrong[0])
        return [
            evolve(empresa, keys_problem=str(problem)) if problem else empresa
            for empresa, problem in zip(empresas, problems, strict=True)
        ]

    @staticmethod
    def _with_problem(empresa: Empresa, problem: str, endpoint: str) -> Empresa:
        """Return the company with this `Empresa.keys_problem`; log a problem."""
        if not problem:
            return empresa
        LOGGER.warning("%s: %s", endpoint, problem)
        return evolve(empresa, keys_problem=str(problem))


async def get_with_keys(
    empresas: EmpresaService, uid: str, *, rfc: str, on_start: Callable[[], None] | None = None
) -> Empresa | None:
    """Return a company after verifying it and its keys; None if it has no keys yet.

    Args:
        empresas: service with the main keys.
        uid: the API's identifier of the company.
        rfc: the RFC that it must have.
        on_start: called when the limiter has started the read.

    Raises:
        NotFoundError: there is no such company, or it is not readable yet.
        UnreadableAnswerError: the answer is about another company, or gives another company's keys.

    """
    empresa = await empresas._get_verified(uid, rfc, on_start)  # noqa: SLF001  # not for users
    return empresa if empresa.api_key and empresa.secret_key else None


@define(eq=False)
class DesiredEmpresa:
    """A company that should exist.

    Attributes:
        key: key of the company in a store.
        nueva: its data, which have been validated.
        created: the company in the answer to its create; None before that.

    """

    _empresas: EmpresaService
    _engine: Engine
    _credentials: Credentials
    key: Key
    nueva: NuevaEmpresa
    created: Empresa | None = field(default=None, init=False)

    @property
    def endpoint(self) -> Endpoint:
        """Endpoint of the create."""
        return wire.CREATE

    async def find_all(self) -> builtins.list[Empresa]:
        """Return all companies with this RFC."""
        return await self._empresas.find_all(self.nueva.rfc)

    async def read(self, uid: str) -> Empresa | None:
        """Return the company with this uid and its own keys; None if it has no keys yet.

        Args:
            uid: the API's identifier of the company.

        Raises:
            NotFoundError: there is no such company, or it is not readable yet.
            UnreadableAnswerError: the answer is about another company, or gives another company's keys.

        """
        return await get_with_keys(self._empresas, uid, rfc=self.nueva.rfc)

    async def complete(self, value: Empresa) -> Empresa | None:
        """Read a listed company: a list may show a company before its keys exist.

        Args:
            value: the company as a list shows it.

        """
        return await self.read(value.uid)

    async def attempts(self) -> Attempts:
        """Return the attempts of the create."""
        body = wire.write_nueva(self.nueva, self._engine.config.upload)
        return self._engine.attempts(wire.CREATE, self._credentials, body=body)

    def created_uid(self, reply: Reply) -> str:
        """Return the uid in the answer to the create, and keep the company.

        Args:
            reply: the answer.

        Raises:
            UnreadableAnswerError: the answer is unreadable, or about another company.

        """
        self.created = _read_written(self._engine, reply, rfc=self.nueva.rfc)
        return self.created.uid


def desired_empresa(empresas: EmpresaService, nueva: NuevaEmpresa) -> DesiredEmpresa:
    """Return a company that should exist in the account of this service.

    Args:
        empresas: service with the main keys.
        nueva: its data, which have been validated.

    """
    return empresas._desired(nueva)  # noqa: SLF001  # not for users


def _read_written(engine: Engine, reply: Reply, *, rfc: str, uid: str = "") -> Empresa:
    """Parse the response to a write, and verify that it is about that company."""
    empresa = read_one(reply, wire.read_written_empresa)
    problem = ""
    if uid and empresa.uid != uid:
        problem = message("empresas.other_company_changed", uid=uid, other=empresa.uid)
    elif rfc and empresa.rfc and not same_rfc(empresa.rfc, rfc):
        problem = message("empresas.other_rfc_written", rfc=rfc, other=empresa.uid, other_rfc=empresa.rfc)
    if problem := problem or engine.companies.problem(empresa):
        raise reply.unreadable(problem)
    engine.companies.learn(empresa)
    wire.mask_echoes([empresa], reply.answer.secrets)
    return empresa


def _read_row(reply: Reply) -> Empresa:
    """Parse the response to a read of one company."""
    empresa = read_one(reply, wire.read_empresa)
    wire.mask_echoes([empresa], reply.answer.secrets)
    return empresa


def _read_batches(reply: Reply) -> Iterator[list[Empresa]]:
    """Parse the response to a list, in batches."""
    for batch in read_batches(reply, wire.read_empresa):
        wire.mask_echoes(batch, reply.answer.secrets)
        yield batch
