"""EmpresaService: what can be done with the companies of one account."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from attrs import evolve, frozen

from facturaonline_async._core.company_registry import Listing, same_rfc
from facturaonline_async._core.engine import Engine
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.once.create import BeforeSend, ensure, poll_until, send_create
from facturaonline_async._core.once.pending import Key
from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.read import read_all, read_one
from facturaonline_async.config import Credentials
from facturaonline_async.empresas import _wire as wire
from facturaonline_async.empresas._models import (
    CambiosEmpresa,
    Empresa,
    NuevaEmpresa,
    key_marks,
    normalize_rfc,
)
from facturaonline_async.empresas._validation import review
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    UnreadableAnswerError,
)
from facturaonline_async.sello._check_in_thread import check_in_thread

__all__ = ["EmpresaService"]

_ROWS_AT_ONCE: Final = 500
"""Rows looked at between two checkpoints of the event loop."""


@frozen
class EmpresaService:
    """The companies of the account that the keys belong to.

    Cancelling a call gives its connection and its turn back; a write cancelled in flight may have happened. Every
    method raises an error of `facturaonline_async.errors` whose kind tells whether the call happened.

    Calls that change one company run one at a time. Where nobody knows whether one was done, an update is sent again,
    for twice is the same as once; before a delete is repeated, the company is looked at.

    An answer about another company than the one that was asked for, or with another company's keys, is never taken for
    it: `find`, `ensure`, `create`, `update` and `get_verified` raise `UnreadableAnswerError`; values of `list`,
    `iterate`, `get` and `current` carry an `Empresa.keys_problem`, which is logged as a warning, and
    `Empresa.credentials` raises it.
    """

    _engine: Engine
    _credentials: Credentials

    async def list(self, *, rfc: str | None = None, razon_social: str | None = None) -> builtins.list[Empresa]:
        """Return all companies, each with its own keys (``GET /v1/accounts``).

        Args:
            rfc: asks the server for companies with this RFC only.
            razon_social: asks the server for companies whose name holds this text.

        The filters are documented by the sister product only. **A host that does not know them answers with every
        company**; `find` filters here and is right on both.

        """
        query = wire.list_query(rfc=rfc, razon_social=razon_social)
        reply = await self._engine.send(wire.LIST, self._credentials, query=query)
        if query:  # a part of the companies: no evidence against what whole lists have said
            empresas = await read_all(reply, wire.read_empresa)
            empresas = [self._checked(each, wire.LIST.name) for each in empresas]
            await self._tell_uids(empresas)
            return empresas
        listing = self._engine.companies.listing(self._credentials.fingerprint)
        empresas = await read_all(reply, wire.read_empresa, note=lambda rows: listing.add(rows, key_marks(rows)))
        listing.end()
        empresas = self._without_wrong_keys(empresas, listing)
        await self._tell_uids(empresas)
        return empresas

    async def iterate(self, *, per_page: int = 100) -> AsyncIterator[Empresa]:
        """Give all companies, asking for `per_page` of them at a time. Each is given once.

        A host that ignores pages answers with every company each time, and is asked twice.

        Raises:
            InvalidInputError: `per_page` is not a whole number above 0.

        """
        if isinstance(per_page, bool) or not isinstance(per_page, int) or per_page < 1:
            raise InvalidInputError(f"per_page must be a whole number above 0, and was {per_page!r}.", field="per_page")
        seen: set[str] = set()
        listing = self._engine.companies.listing(self._credentials.fingerprint)
        page = 0
        while True:
            page += 1
            query = wire.page_query(page, per_page)
            reply = await self._engine.send(wire.LIST, self._credentials, query=query)
            fresh = [empresa for empresa in await read_all(reply, wire.read_empresa) if empresa.uid not in seen]
            seen.update(empresa.uid for empresa in fresh)
            listing.add(fresh, key_marks(fresh))
            is_last = not fresh or (reply.last_page is not None and page >= reply.last_page)
            if is_last:
                listing.end()
            fresh = self._without_wrong_keys(fresh, listing)
            await self._tell_uids(fresh)
            for empresa in fresh:
                yield empresa
            if is_last:
                return

    async def current(self) -> Empresa:
        """Return the company that the keys belong to (``GET /v1/current/account``)."""
        reply = await self._engine.send(wire.CURRENT, self._credentials)
        empresa = read_one(reply, wire.read_empresa)
        self._engine.companies.prove(self._own_mark, empresa.uid)
        return self._checked(empresa, wire.CURRENT.name)

    async def get(self, uid: int | str) -> Empresa:
        """Return one company, with its own keys (``GET /v1/account/{uid}``).

        An answer about another company is returned, too, and logged as a warning; its `Empresa.credentials` raises.

        Raises:
            NotFoundError: there is none, or it was created a moment ago and is not readable yet.

        """
        empresa = self._checked(await self._read(uid), wire.GET.name, uid=str(uid))
        await self._tell_uids([empresa])
        return empresa

    async def get_verified(self, uid: int | str, *, rfc: str) -> Empresa:
        """Return one company whose keys are going to be used: it surely is the one that was asked for.

        Its uid and its RFC are compared, and its keys with those of all companies that this session has listed. Where
        no list has shown them (the company is new, or lists leave out keys), or they are those of this client, one call
        more asks the API whose they are (``GET /v1/current/account``), once for each key.

        Args:
            uid: the company's.
            rfc: the RFC that it must have; compared as in `find`.

        Raises:
            NotFoundError: there is none, or it was created a moment ago and is not readable yet.
            UnreadableAnswerError: the answer is about another company, or gives another company's keys; the text names
                both uids. Where the API refuses the keys as unknown, ``is_transient`` is true: those of a company that
                was created a moment ago may work a moment later.

        """
        empresa = await self._read(uid)
        problem = self._problem(empresa, str(uid))
        if not problem and not same_rfc(empresa.rfc, rfc):
            problem = (
                f"asked for the company {uid} with the RFC {rfc}, the API answered with the company {empresa.uid} "
                f"with the RFC {empresa.rfc or '(none)'}"
            )
        identities, account = self._engine.companies, self._credentials.fingerprint
        if not problem and identities.needs_proof(empresa, account, self._own_mark):
            problem = await self._disproof(empresa)
        if problem:
            raise UnreadableAnswerError(problem, endpoint=wire.GET.name, uid=uid)
        identities.learn(empresa)
        return empresa

    async def find(self, rfc: str) -> Empresa | None:
        """Return the company with this RFC, or None; of several, the first in the API's list.

        RFCs are compared in upper case, without blanks around them, and in composed form (NFC). Finds that run at the
        same time share one list.

        Raises:
            UnreadableAnswerError: the list contradicts itself about this company: it gives its uid or its keys to
                another one, too.

        """
        found = await self.find_all(rfc)
        return found[0] if found else None

    async def find_all(self, rfc: str) -> builtins.list[Empresa]:
        """Return the companies with this RFC, in the order of the API's list; see `find`.

        Raises:
            UnreadableAnswerError: the list contradicts itself about one of them.

        """
        if not (wanted := normalize_rfc(rfc)):
            raise InvalidInputError("rfc is empty.", field="rfc")
        empresas = await self._engine.single_flight.read((wire.LIST.name, self._credentials.fingerprint), self._index)
        found = empresas.get(wanted, [])
        for empresa in found:
            if empresa.keys_problem:
                raise UnreadableAnswerError(empresa.keys_problem, endpoint=wire.LIST.name, uid=empresa.uid)
        if found:
            self._engine.pending.see(self._key(wanted), found[0].uid, self._engine.config.settle)
        return found

    async def create(
        self, nueva: NuevaEmpresa, *, validate: bool = True, before_send: BeforeSend | None = None
    ) -> Empresa:
        """Create a company (``POST /v4/account/create``).

        Its data and certificates are checked first (see `NuevaEmpresa`, `Config.check_sello`).

        The answer carries no keys that are ready for use: `ensure` gives them, or ``get(uid)`` a moment later.

        Args:
            nueva: what is sent.
            validate: check data and certificates first; False where you have checked them yourself.
            before_send: awaited before each attempt, when it has its turn, and before its first byte: for a journal of
                your own. What it raises is raised, and nothing is sent.

        Raises:
            InvalidInputError: the data or a certificate would be refused: ``findings`` and ``report`` say why.
            ValidationError: the API refused the data; ``fields`` names the API's own fields.
            OutcomeUnknownError: it may have been created. Look before you repeat: nothing stops the API from
                creating a second one.
            UnreadableAnswerError: it was created, but the answer cannot be read, or is about another company.

        """
        if validate:
            await self._review(nueva, wire.CREATE.name)
        made: builtins.list[Empresa] = []

        async def send(before: BeforeSend) -> str:
            made.append(await self.post(nueva, before))
            return made[0].uid

        await send_create(self._engine, self._key(nueva.rfc), send, before_send=before_send)
        return made[0]

    async def post(self, nueva: NuevaEmpresa, before_send: BeforeSend | None = None) -> Empresa:
        """Send a create as it is: `create` without its check, and without the session's memory of it.

        For callers that keep both themselves, as `facturaonline_async.provision` does.
        """
        body = wire.write_nueva(nueva, self._engine.config.upload)
        reply = await self._engine.send(wire.CREATE, self._credentials, body=body, before_send=before_send)
        return self._written(reply, rfc=nueva.rfc)

    async def ensure(self, nueva: NuevaEmpresa, *, validate: bool = True) -> Empresa:
        """Return the company with this RFC, with its own keys, creating it if it is not there.

        Its data and certificates are checked before anything is sent (see `NuevaEmpresa`, `Config.check_sello`).

        Args:
            nueva: what is sent if it is not there.
            validate: check data and certificates first; False where you have checked them yourself.

        What exists is left as it is. A create whose outcome is unknown is looked for until ``Config.deadline``, and
        never repeated; the session remembers it for ``Config.settle`` seconds, also if the caller is cancelled. For as
        long it remembers what `create`, `find` and `ensure` have made or seen: if a later list lacks it, it is read by
        its uid. A `delete` that was done ends that. A new company is not readable at once: it is asked for until it is.

        A new company's keys are proved with one call more, made with these keys: the API must name that company.

        Each call reads the list of all companies first (shared among those that run at the same time). For thousands
        of companies use `facturaonline_async.provision`, which reads it once.

        One session runs the ensures of one RFC one at a time. **Two processes can still race** and create two:
        provision from one of them.

        Raises:
            InvalidInputError: the data or a certificate would be refused: ``findings`` and ``report`` say why.
            OutcomeUnknownError: it may have been created, but has not shown up before the deadline; or it was there
                less than ``Config.settle`` ago, and does not show any more.
            UnreadableAnswerError: it exists, but was not readable before the deadline; or the answers are about
                another company, or give another company's keys. The text names both uids.

        """
        if validate:
            await self._review(nueva, wire.CREATE.name)
        return await ensure(
            self._engine,
            self._key(nueva.rfc),
            find=lambda: self._find_readable(nueva.rfc),
            create=partial(self._create_for_its_uid, nueva),
            look=partial(self._look, nueva.rfc),
        )

    async def update(self, uid: int | str, cambios: CambiosEmpresa, *, validate: bool = True) -> Empresa:
        """Change a company (``POST /v4/account/{uid}/update``); only what `cambios` sets is sent, and checked first.

        Certificates are compared with the company's RFC only if `cambios` sets it.

        Args:
            uid: the company's.
            cambios: what is changed.
            validate: check data and certificates first; False where you have checked them yourself.

        Raises:
            InvalidInputError: there is nothing to change, or what is there would be refused: ``findings`` and
                ``report`` say why.
            NotFoundError: there is no such company.
            UnreadableAnswerError: it was changed, but the answer cannot be read, or is about another company.

        """
        if validate:
            await self._review(cambios, wire.UPDATE.name)
        body = wire.write_cambios(cambios, self._engine.config.upload)
        reply = await self._engine.send_exclusive(wire.UPDATE, self._credentials, uid=uid, body=body)
        if cambios.rfc:
            self._engine.companies.renamed(str(uid), cambios.rfc)
        return self._written(reply, uid=str(uid), rfc=cambios.rfc or "")

    async def delete(self, uid: int | str) -> None:
        """Delete a company, without asking twice (``POST /v4/account/{uid}/delete``).

        Raises:
            NotFoundError: there is no such company, or it was created a moment ago and does not show yet.
            OutcomeUnknownError: it may have been deleted. So it is also where only "not found" says that it is gone,
                and it was created, or first seen, less than ``Config.settle`` ago: answers may be older than it.

        """
        with self._engine.pending.deleting("empresas", self._credentials.fingerprint, uid):
            await self._engine.send_exclusive(
                wire.DELETE,
                self._credentials,
                uid=uid,
                body=wire.write_delete(),
                reached=partial(self._is_gone, uid),
            )
        self._engine.companies.forget(str(uid))

    async def _review(self, empresa: NuevaEmpresa | CambiosEmpresa, endpoint: str) -> None:
        """Refuse what would be refused, and log what is worth a warning."""
        config = self._engine.config
        check_sello = check_in_thread if config.check_sello else None
        for finding in await review(empresa, check_sello, production=config.is_production, endpoint=endpoint):
            LOGGER.warning("%s: %s", endpoint, finding)

    async def _is_gone(self, uid: int | str, until: float) -> bool:
        try:
            await self._engine.send(wire.GET, self._credentials, uid=uid, until=until)
        except NotFoundError:  # which proves nothing of what answers may still lack
            return not self._engine.pending.is_pending("empresas", self._credentials.fingerprint, uid)
        return False

    async def _tell_uids(self, empresas: Sequence[Empresa]) -> None:
        """Let the session know the uids of what it has created, where creates did not tell them."""
        doubts = self._engine.pending
        for start in range(0, len(empresas) if doubts.has_unknown_uids else 0, _ROWS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for empresa in empresas[start : start + _ROWS_AT_ONCE]:
                if not empresa.keys_problem:
                    doubts.learn_uid(self._key(normalize_rfc(empresa.rfc)), empresa.uid)

    async def _index(self) -> dict[str, builtins.list[Empresa]]:
        """Return the companies by their RFCs, of which several may have the same one."""
        index: dict[str, builtins.list[Empresa]] = {}
        for empresa in await self.list():
            index.setdefault(normalize_rfc(empresa.rfc), []).append(empresa)
        return index

    async def _find_readable(self, rfc: str) -> Empresa | None:
        """Find the company, and read it as soon as it is readable: lists may be older than their companies' keys."""
        found = await self.find(rfc)
        if found is None:
            return None
        problem = UnreadableAnswerError(
            "the company exists, but was not readable before the deadline: read it with get(uid) later",
            endpoint=wire.GET.name,
            uid=found.uid,
        )
        return await poll_until(self._engine, lambda: self._get_with_keys(rfc, found.uid), problem=problem)

    async def _get_with_keys(self, rfc: str, uid: str) -> Empresa | None:
        """Read a company whose keys are going to be used, or None if they are not there yet."""
        empresa = await self.get_verified(uid, rfc=rfc)
        return empresa if empresa.api_key and empresa.secret_key else None

    def _key(self, rfc: str) -> Key:
        """Return by what the session remembers this company."""
        return wire.CREATE.name, self._credentials.fingerprint, rfc

    async def _look(self, rfc: str, uid: str | None) -> Empresa | None:
        """Look once for a company that no list has shown: by its uid, if one is known, and else by a list."""
        problem: FacturaOnlineError | None = None
        if uid is not None:
            try:
                return await self._get_with_keys(rfc, uid)
            except (NotFoundError, UnreadableAnswerError) as error:  # perhaps the uid is another company's
                problem = error
        found = await self.find(rfc)
        if found is not None and found.uid != uid:
            return await self._get_with_keys(rfc, found.uid)
        if problem is not None:
            raise problem
        return None if found is None else await self._get_with_keys(rfc, found.uid)

    async def _create_for_its_uid(self, nueva: NuevaEmpresa, before_send: BeforeSend) -> str:
        return (await self.post(nueva, before_send)).uid

    # ── Whose company it is ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _own_mark(self) -> int:
        """By what the API key of this client is known."""
        return hash(self._credentials.api_key.reveal())

    async def _read(self, uid: int | str) -> Empresa:
        reply = await self._engine.send(wire.GET, self._credentials, uid=uid)
        return read_one(reply, wire.read_empresa)

    def _problem(self, empresa: Empresa, uid: str) -> str:
        """Return what contradicts that this company is the one that was asked for, or ``""``."""
        if empresa.uid != uid:
            return f"asked for the company {uid}, the API answered with the company {empresa.uid}"
        return self._engine.companies.problem(empresa)

    def _checked(self, empresa: Empresa, endpoint: str, *, uid: str = "") -> Empresa:
        """Return the company, flagged where something contradicts that it is the one that was asked for."""
        problem = self._problem(empresa, uid or empresa.uid)
        if not problem:
            self._engine.companies.learn(empresa)
        return self._flagged(empresa, problem, endpoint)

    def _written(self, reply: Reply, *, rfc: str, uid: str = "") -> Empresa:
        """Return the company that the answer to a create or an update tells, if it is the one that was written."""
        empresa = read_one(reply, wire.read_written_empresa)
        problem = ""
        if uid and empresa.uid != uid:
            problem = f"the company {uid} was changed, and it is about the company {empresa.uid}"
        elif rfc and empresa.rfc and not same_rfc(empresa.rfc, rfc):
            problem = f"the RFC sent was {rfc}, and it is about the company {empresa.uid} with the RFC {empresa.rfc}"
        if problem := problem or self._engine.companies.problem(empresa):
            raise reply.unreadable(problem)
        self._engine.companies.learn(empresa)
        return empresa

    async def _disproof(self, empresa: Empresa) -> str:
        """Ask the API whose the keys are. Return what is wrong with them, or ``""``."""
        own = EmpresaService(self._engine, empresa.credentials)
        try:
            owner = await own.current()
        except FacturaOnlineError as error:
            if error.is_transient:
                raise
            unseen = f"whether the keys of the company {empresa.uid} are its own could not be seen: {error}"
            if not isinstance(error, (AuthenticationError, NotFoundError)):
                return unseen
        else:
            if owner.uid == empresa.uid and (not owner.rfc or same_rfc(owner.rfc, empresa.rfc)):
                return ""
            return f"the API gave the keys of the company {owner.uid} for the company {empresa.uid}"
        problem = UnreadableAnswerError(unseen, endpoint=wire.CURRENT.name, uid=empresa.uid)
        problem.is_transient = True
        raise problem

    def _without_wrong_keys(self, empresas: builtins.list[Empresa], listing: Listing) -> builtins.list[Empresa]:
        """Return the rows of a list, flagged where it contradicts itself."""
        if not listing.is_contradictory:
            return empresas
        problems = [listing.problem(empresa) for empresa in empresas]
        if wrong := [problem for problem in problems if problem]:
            LOGGER.warning("%s: %d rows contradict others; the first: %s", wire.LIST.name, len(wrong), wrong[0])
        return [
            evolve(empresa, keys_problem=problem) if problem else empresa
            for empresa, problem in zip(empresas, problems, strict=True)
        ]

    @staticmethod
    def _flagged(empresa: Empresa, problem: str, endpoint: str) -> Empresa:
        """Return the company; where something contradicts that the keys are its own, without giving them."""
        if not problem:
            return empresa
        LOGGER.warning("%s: %s", endpoint, problem)
        return evolve(empresa, keys_problem=problem)
