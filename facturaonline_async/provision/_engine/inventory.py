"""Inventory: the account's companies before the run (the baseline) and now."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping, Sequence

from attrs import define, field, frozen

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.once.store import Key, Subscription
from facturaonline_async._messages import Message, message
from facturaonline_async.empresas._models import Empresa
from facturaonline_async.empresas._service import EmpresaService
from facturaonline_async.errors import NotFoundError, PermissionDeniedError
from facturaonline_async.provision._engine.background import in_background

__all__ = ["CompanyList", "Duplicate", "Inventory", "list_companies", "several_companies"]

_PER_PAGE = 500


async def list_companies(empresas: EmpresaService, rfcs: Container[str]) -> dict[str, tuple[str, ...]]:
    """Return the uids of all companies with one of these RFCs, by RFC.

    Args:
        empresas: companies of the account.
        rfcs: RFCs to look for.

    Raises:
        FacturaOnlineError: a page could not be read.

    """
    # The garbage collector does not track tuples of texts: 100,000 lists would be a third of all that it goes through.
    found: dict[str, tuple[str, ...]] = {}
    async for empresa in empresas.iterate(per_page=_PER_PAGE):
        if (rfc := normalize_rfc(empresa.rfc)) in rfcs:
            found[rfc] = (*found.get(rfc, ()), empresa.uid)
    return found


def several_companies(uids: Sequence[str]) -> Message:
    """Return the reason of a conflict: these companies have one RFC."""
    return message("run.several_companies", count=len(uids), uids=", ".join(uids))


@frozen
class Duplicate:
    """Difference between the list of companies and the run.

    Attributes:
        rfc: the company's RFC; ``""`` if the list could not be read.
        text: the difference, without the RFC.
        is_several: whether several companies have this RFC.

    """

    rfc: str
    text: Message
    is_several: bool = False


@frozen
class CompanyList:
    """List of companies that several runs have in common.

    A run uses it in place of a list of its own. It distinguishes new companies from old ones, and proves no absence:
    a create is refused if another process created its company after `subscription` began.

    Attributes:
        existing: uids of companies that existed, by RFC.
        subscription: began in the store of all processes before the list was read.

    """

    existing: Mapping[str, tuple[str, ...]]
    subscription: Subscription


@define
class Inventory:
    """Companies of the account when the run began, and now.

    Attributes:
        empresas: service with the main keys.
        account: fingerprint of the main keys.
        existing: uids of the plan's companies that existed when the run began, or that others have created since, by
            RFC.
        main: RFC and name of the main company when the run began; None if the API does not show it.
        done: uids of the plan's companies that exist now, by RFC.
        key_marks: hashes of the API keys that the run uses, by RFC; the final list must show the same keys.
        shows_at: moment of the wall clock, in seconds, when lists must show all created companies; 0 if there are none.

    """

    empresas: EmpresaService
    account: str
    existing: dict[str, tuple[str, ...]] = field(factory=dict, init=False)
    main: tuple[str, str] | None = field(default=None, init=False)
    done: dict[str, str] = field(factory=dict, init=False)
    key_marks: dict[str, int] = field(factory=dict, init=False)
    shows_at: float = field(default=0.0, init=False)
    _unlisted: str = field(default="", init=False)  # uid of the main company if lists omit it

    def key(self, rfc: str) -> Key:
        """Return the key of a company's create within the session."""
        return "empresas", self.account, rfc

    def uids(self, rfc: str) -> tuple[str, ...]:
        """Return uids of companies with this RFC that the run did not create."""
        return self.existing.get(rfc, ())

    def add(self, rfc: str, uids: Sequence[str]) -> None:
        """Count companies that have appeared since the first list as listed ones.

        Those that existed before stay: lists may omit the main company.

        Args:
            rfc: their RFC, normalised.
            uids: their uids.

        """
        self.existing[rfc] = tuple(dict.fromkeys((*self.uids(rfc), *uids)))

    async def read(self, rfcs: Container[str]) -> None:
        """List the companies of the account, and keep those of the plan.

        The main company is read at the same time.

        What an earlier call kept is dropped.

        Args:
            rfcs: RFCs of the plan.

        Raises:
            FacturaOnlineError: a page could not be read.

        """
        async with in_background(self.read_main()) as reading:
            try:
                existing = await list_companies(self.empresas, rfcs)
                main = await reading
            finally:
                del reading  # breaks the cycle between the error and this frame
        self.existing = existing
        self.main = None if main is None else (main.rfc, main.razon_social)
        # Lists may omit the main company; it must not be created again.
        if main is not None and (rfc := normalize_rfc(main.rfc)) in rfcs and main.uid not in self.uids(rfc):
            self.existing[rfc] = (*self.uids(rfc), main.uid)
            self._unlisted = main.uid

    async def read_main(self) -> Empresa | None:
        """Return the main company, or None if the API does not show it."""
        try:
            return await self.empresas.current()
        except (NotFoundError, PermissionDeniedError):
            return None

    async def expect_main(self) -> None:
        """Let `audit` accept that lists omit the main company."""
        main = await self.read_main()
        if main is not None and self.done.get(normalize_rfc(main.rfc)) == main.uid:
            self._unlisted = main.uid

    async def audit(self) -> list[Duplicate]:
        """Compare the API's list of companies with `done`, and return the differences.

        Raises:
            FacturaOnlineError: it could not be listed.

        """
        # Only the differences are kept, not the list.
        listed: set[str] = set()
        others: dict[str, list[str]] = {}
        with_other_keys: list[str] = []
        async for empresa in self.empresas.iterate(per_page=_PER_PAGE):
            if (rfc := normalize_rfc(empresa.rfc)) not in self.done:
                continue
            if empresa.uid == self.done[rfc]:
                listed.add(rfc)
                if (mark := empresa.key_mark()) and mark != self.key_marks.get(rfc, mark):
                    with_other_keys.append(rfc)
            else:
                others.setdefault(rfc, []).append(empresa.uid)
        found = [Duplicate(rfc, message("run.audit_other_keys", uid=self.done[rfc])) for rfc in with_other_keys]
        for batch in in_batches(self.done.items()):
            for rfc, uid in batch:
                is_there = rfc in listed or uid == self._unlisted
                uids = [*([uid] if is_there else []), *others.get(rfc, ())]
                if not is_there:
                    found.append(Duplicate(rfc, message("run.audit_company_not_listed", uid=uid)))
                if len(uids) > 1:
                    found.append(Duplicate(rfc, several_companies(uids), is_several=True))
            await asyncio.sleep(0)
        return found
