"""A row's company: it is adopted, updated or created, and then opened with its own keys."""

from __future__ import annotations

import time
from typing import Final

from attrs import define, field, fields

from facturaonline_async._core.once.create import BeforeSend, poll_until
from facturaonline_async._core.once.pending import Key
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.empresas._models import CambiosEmpresa, Empresa, NuevaEmpresa
from facturaonline_async.empresas._validation import CheckSello, validate_empresa
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    UnreadableAnswerError,
)
from facturaonline_async.provision._engine.create import Sender, describe
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.reconcile import reconcile
from facturaonline_async.provision._engine.row import RowProgress
from facturaonline_async.provision._journal.opening import JournalError
from facturaonline_async.provision._plan.columns import refused_in_columns
from facturaonline_async.provision._plan.models import Existing
from facturaonline_async.provision._steps import Origin, Step, StepState

__all__ = ["SEVERAL", "EmpresaSteps"]

SEVERAL: Final = "the account has {} companies with this RFC"
_REFUSED: Final = "not tried: the API refused the main keys"
_REFUSED_LATER: Final = "it was sent, has not shown up, and is not sent again: the API refused the main keys"


@define
class EmpresaSteps:
    """Brings the companies of a plan about, one row at a time.

    Attributes:
        account: what the account holds.
        sender: what creates.
        check_sello: checks certificates; None: nobody does.
        existing: what to do with what exists, where a row does not say it.
        is_refused: whether the API has refused the main keys: no further company is tried.

    """

    inventory: Inventory
    sender: Sender
    check_sello: CheckSello | None
    existing: Existing
    is_refused: bool = field(default=False, init=False)

    async def advance(self, progress: RowProgress) -> None:
        """Bring the row's company about, as far as it goes now.

        Raises:
            JournalError: nothing more was sent.

        """
        step = progress.empresa
        try:
            if progress.is_new:
                await self._recheck(step)
            if step.phase is StepState.PLANNED:  # what has failed is tried again by the next run
                await self._ensure(progress)
            if step.phase is StepState.DONE and step.rfc not in self.inventory.done:
                await self._open(progress)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001  # a faulty row must not take the others with it
            self.is_refused |= isinstance(error, AuthenticationError)
            if step.phase in {StepState.PLANNED, StepState.FAILED}:
                step.phase = StepState.FAILED
            progress.is_unread = step.phase is StepState.DONE and getattr(error, "is_transient", False)
            step.reason = describe(error)
            await self.sender.recorder.save(step)

    def key(self, step: Step) -> Key:
        """Return what tells this create from all others of the session."""
        return self.inventory.key(step.rfc)

    async def _recheck(self, step: Step) -> None:
        """See whether a person has mended what an earlier run left to one."""
        if step.phase is StepState.CONFLICT or (step.phase is StepState.UNRESOLVED and not step.due):
            reconcile(step, self.inventory.existing.get(step.rfc, ()), (), is_due=True, several=SEVERAL)
            await self.sender.recorder.save(step)

    async def _ensure(self, progress: RowProgress) -> None:
        step = progress.empresa
        uids = self.inventory.existing.get(step.rfc, ())
        if self.is_refused:
            step.phase, step.reason = StepState.PLANNED, _REFUSED_LATER if step.sends else _REFUSED
        elif len(uids) > 1:
            step.phase, step.reason = StepState.CONFLICT, f"{SEVERAL.format(len(uids))}: {', '.join(uids)}"
        elif uids:
            await self._adopt_or_update(progress, uids[0])
        else:
            await self._create(progress)
            return
        await self.sender.recorder.save(step)

    async def _adopt_or_update(self, progress: RowProgress, uid: str) -> None:
        """Do with a company that exists what the plan says."""
        step, existing = progress.empresa, progress.row.existing or self.existing
        if existing == "fail":
            step.phase, step.reason = StepState.FAILED, f"the company exists (uid {uid}), and the plan forbids that"
            return
        nueva = await (self._load_validated(progress) if existing == "update" else self._load_for_digest(progress))
        if nueva is not None:
            step.digest = self.sender.recorder.empresa_digest(nueva)
        if nueva is not None and existing == "update":
            progress.own = await self._connect_own(uid, step.rfc)  # first of all: what is changed must be this company
            await self.inventory.client.empresas.update(uid, _changes(nueva), validate=False)
        how = Origin.UPDATED if existing == "update" else Origin.ADOPTED
        step.phase, step.how, step.uid, step.reason = StepState.DONE, how, uid, ""

    async def _load_for_digest(self, progress: RowProgress) -> NuevaEmpresa | None:
        """Load what a journal is to know again; nothing is sent of it, so that it need not be there."""
        if self.sender.recorder.journal is None:
            return None
        try:
            return await progress.row.load()
        except Exception:  # noqa: BLE001  # see above
            return None

    async def _load_validated(self, progress: RowProgress) -> NuevaEmpresa:
        """Load the company's data and certificates, and refuse what would be refused."""
        nueva = await progress.row.load()
        production = engine_of(self.inventory.client).config.is_production
        problem: InvalidInputError | None = None
        try:
            progress.warnings = await validate_empresa(nueva, self.check_sello, production=production)
        except InvalidInputError as error:
            problem = refused_in_columns(progress.row, error)
        if problem is not None:
            raise problem
        return nueva

    async def _create(self, progress: RowProgress) -> None:
        step, client = progress.empresa, self.inventory.client
        nueva = await self._load_validated(progress)
        step.digest = self.sender.recorder.empresa_digest(nueva)

        async def find_uids(uid: str | None) -> list[str]:
            listed = [empresa.uid for empresa in await client.empresas.find_all(step.rfc)]
            if listed or uid is None:
                return listed
            try:
                return [(await client.empresas.get_verified(uid, rfc=step.rfc)).uid]
            except NotFoundError:
                return []

        async def send(before_send: BeforeSend) -> str:
            return (await client.empresas.post(nueva, before_send)).uid

        await self.sender.create(step, self.key(step), send, find_uids)

    async def _open(self, progress: RowProgress) -> None:
        """Read the company, take its keys, and take it down as done."""
        step = progress.empresa
        assert step.uid is not None  # noqa: S101  # of a company, the create or a list has told it
        try:
            progress.own = progress.own or await self._connect_own(step.uid, step.rfc)
        except UnreadableAnswerError as error:
            was_verified = any(serie.sends for serie in progress.series)  # they were sent with this company's keys
            if error.is_transient or step.how is not Origin.CREATED or was_verified:
                raise
            await self._verify_uid(step, error)
            if step.phase is not StepState.DONE:
                return
            progress.own = await self._connect_own(step.uid, step.rfc)
        self.inventory.done[step.rfc] = step.uid
        self.inventory.key_marks[step.rfc] = hash(progress.own.credentials.api_key.reveal())
        if step.reason:
            step.reason = ""
            await self.sender.recorder.save(step)

    async def _verify_uid(self, step: Step, problem: UnreadableAnswerError) -> None:
        """Look by the RFC where the uid that a create's answer gave is contradicted: it may be another company's.

        Afterwards the step has the uid that the list gives. Where the list gives none yet, it is UNRESOLVED without
        one, and looked for when it must show.

        Raises:
            UnreadableAnswerError: `problem`; the list gives the same uid.

        """
        contradicted = step.uid
        try:
            uids = [empresa.uid for empresa in await self.inventory.client.empresas.find_all(step.rfc)]
        except FacturaOnlineError:
            uids = []
        if uids == [contradicted]:
            raise problem
        if len(uids) == 1:
            step.uid, step.how, step.reason = uids[0], Origin.ADOPTED, ""
        elif uids:
            step.phase, step.how, step.uid = StepState.CONFLICT, None, None
            step.reason = f"{SEVERAL.format(len(uids))}: {', '.join(uids)}"
        else:
            step.phase, step.how, step.uid = StepState.UNRESOLVED, None, None
            step.reason, step.due = describe(problem), time.time() + self.sender.settle
        await self.sender.recorder.save(step)

    async def _connect_own(self, uid: str, rfc: str) -> FacturaOnline:
        """Return a client with the company's own keys, as soon as it is readable: lists may be older than its keys.

        Raises:
            UnreadableAnswerError: it was not readable before the deadline, or its keys are another company's, which
                would create series in the wrong place.

        """
        client = self.inventory.client
        problem = UnreadableAnswerError(
            f"the company exists (uid {uid}), but was not readable before the deadline",
            endpoint="empresas.get",
            uid=uid,
        )

        async def find_uids() -> Empresa | None:
            empresa = await client.empresas.get_verified(uid, rfc=rfc)
            return empresa if empresa.api_key and empresa.secret_key else None

        return client.for_empresa(await poll_until(engine_of(client), find_uids, problem=problem))


def _changes(nueva: NuevaEmpresa) -> CambiosEmpresa:
    """Return all that the plan says of a company as changes; what it leaves empty stays as it is."""
    names = {each.name for each in fields(CambiosEmpresa)}
    given = {each.name: getattr(nueva, each.name) for each in fields(NuevaEmpresa) if each.name in names}
    return CambiosEmpresa(**{name: value for name, value in given.items() if value not in {"", None}})
