"""Step handler for companies: adopt, update or create, then read their own keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field

from facturaonline_async._core.once.create import poll_until
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import Key
from facturaonline_async._messages import message
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.empresas._models import CambiosEmpresa, Empresa, NuevaEmpresa
from facturaonline_async.empresas._service import EmpresaService, desired_empresa, get_with_keys
from facturaonline_async.empresas._validation import assess_empresa, check_sellos
from facturaonline_async.errors import (
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    SharedUnavailableError,
    UnreadableAnswerError,
)
from facturaonline_async.provision._engine.comparison import Action, changes_of, choose_action, compare, refusal
from facturaonline_async.provision._engine.creator import Creator
from facturaonline_async.provision._engine.inventory import Inventory, several_companies
from facturaonline_async.provision._engine.reconcile import reconcile_empresa, refuse_other_uid
from facturaonline_async.provision._engine.recorder import Recorder, describe
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._engine.worker import Worker
from facturaonline_async.provision._plan.file_rows import FileRow, load_data
from facturaonline_async.provision._plan.finding_columns import refused_in_columns
from facturaonline_async.provision._plan.models import Existing
from facturaonline_async.provision._steps import Step
from facturaonline_async.sello import CheckReport, Kind

__all__ = ["EmpresaSteps"]


@define
class EmpresaSteps:
    """Advances the companies of a plan.

    Attributes:
        client: client with the main keys.
        inventory: companies of the account.
        creator: sends the creates.
        recorder: where each step is written.
        settle: seconds after which lists certainly show a create that took effect.
        worker: thread that reads files and checks certificates, one row at a time.
        check_sello: whether certificates are checked.
        existing: what to do with a company that exists, unless its row overrides it.
        is_refused: whether the API refused the main keys; no further company is tried then.

    """

    client: FacturaOnline
    inventory: Inventory
    creator: Creator
    recorder: Recorder
    settle: float
    worker: Worker
    check_sello: bool
    existing: Existing
    is_refused: bool = field(default=False, init=False)
    _empresas: EmpresaService = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._empresas = self.client.empresas

    def key(self, step: Step) -> Key:
        """Return the key of this create within the session."""
        return self.inventory.key(step.rfc)

    async def recheck(self, progress: RowProgress) -> None:
        """Check whether a person has resolved the company's step since an earlier run.

        Args:
            progress: the row.

        Raises:
            JournalError: the journal could not be written.

        """
        step = progress.empresa
        if step.state is StepState.CONFLICT or (step.state is StepState.UNRESOLVED and not step.due):
            reconcile_empresa(step, progress.row, self.inventory.uids(step.rfc), is_due=True)
            await self.recorder.save(step)

    async def ensure(self, progress: RowProgress) -> None:
        """Adopt, update or create the company of a PLANNED step; do not wait.

        Args:
            progress: the row. A FAILED company is tried again by the next run.

        Raises:
            JournalError: the journal could not be written; nothing more was sent.
            Exception: another error, for `record_failure`.

        """
        step = progress.empresa
        if step.state is not StepState.PLANNED:
            return
        uids = self.inventory.uids(step.rfc)
        action = choose_action(progress.row, uids, self.existing, step.uid)
        if action is Action.CREATE and not self.is_refused:
            if not (appeared := await self._create(progress)):
                return
            self.inventory.add(step.rfc, [empresa.uid for empresa in appeared])
            uids = self.inventory.uids(step.rfc)
            action = choose_action(progress.row, uids, self.existing)
        if self.is_refused:
            step.state = StepState.PLANNED
            step.reason = message("run.sent_and_keys_refused" if step.sends else "run.not_tried_keys_refused")
        elif action is Action.CONFLICT:
            step.state, step.reason = StepState.CONFLICT, several_companies(uids)
        elif action is Action.REFUSE:
            step.state, step.reason = StepState.FAILED, refusal(progress.row, uids, step.uid)
        elif action is Action.UPDATE:
            await self._update(progress, uids[0])
        else:
            await self._adopt(progress, uids[0])
        await self.recorder.save(step)

    async def record_failure(self, progress: RowProgress, error: Exception) -> None:
        """Record why the company could not be ensured or connected.

        Args:
            progress: the row.
            error: the error of `ensure` or `connect`.

        Raises:
            JournalError: the journal could not be written.

        """
        step = progress.empresa
        self.is_refused |= isinstance(error, AuthenticationError)
        if step.state in {StepState.PLANNED, StepState.FAILED}:
            step.state = StepState.FAILED
        progress.is_unread = step.state is StepState.DONE and getattr(error, "is_transient", False)
        step.reason = describe(error)
        await self.recorder.save(step)

    async def _create(self, progress: RowProgress) -> Sequence[Empresa]:
        """Create a company; return those that others have created meanwhile."""
        step, nueva = progress.empresa, await self._load_validated(progress)
        assert isinstance(nueva, NuevaEmpresa)  # noqa: S101  # rows with changes are not created
        step.digest = self.recorder.empresa_digest(nueva)
        return await self.creator.create(step, desired_empresa(self._empresas, nueva), on_begin=progress.started)

    async def _update(self, progress: RowProgress, uid: str) -> None:
        """Change a company that exists to the plan's data, if something may differ."""
        step = progress.empresa
        nueva = await self._load_validated(progress)
        # Read first: the uid must be this company's.
        empresa = await self._read_own(uid, step.rfc, progress.started)
        progress.own = self.client.for_empresa(empresa)
        cambios = changes_of(nueva)
        if is_needed := compare(cambios, empresa).is_needed:
            await self._empresas.update(uid, cambios, validate=False)
        step.digest = self.recorder.empresa_digest(nueva, is_equal=not is_needed)
        step.origin = Origin.UPDATED if is_needed else Origin.ADOPTED
        step.state, step.uid, step.reason = StepState.DONE, uid, ""

    async def _adopt(self, progress: RowProgress, uid: str) -> None:
        """Adopt a company that exists."""
        step, nueva = progress.empresa, await self._load_for_digest(progress)
        step.digest = None if nueva is None else self.recorder.empresa_digest(nueva)
        step.state, step.origin, step.uid, step.reason = StepState.DONE, Origin.ADOPTED, uid, ""

    async def _load_for_digest(self, progress: RowProgress) -> NuevaEmpresa | CambiosEmpresa | None:
        """Load the data for the journal's digest, or None if they cannot be loaded.

        The data of an adopted company are not sent, so that files may be missing.
        """
        if self.recorder.journal is None:
            return None
        row = progress.row
        try:
            if not isinstance(row, FileRow):
                return await load_data(row)
            return await self.worker.call(row.read) if any(row.files) else row.read()
        except Exception:  # noqa: BLE001  # see above
            return None

    async def _load_validated(self, progress: RowProgress) -> NuevaEmpresa | CambiosEmpresa:
        """Load the company's data and certificates, and validate them.

        Raises:
            InvalidInputError: the data have errors; the findings name the plan's columns.

        """
        row, production = progress.row, engine_of(self.client).config.is_production
        source = row if isinstance(row, FileRow) else await load_data(row)

        def prepare() -> tuple[NuevaEmpresa | CambiosEmpresa, list[tuple[Kind, CheckReport]]]:
            """Read the files, and check the certificates: both in one call of the thread."""
            nueva = source.read() if isinstance(source, FileRow) else source
            return nueva, check_sellos(nueva, production=production) if self.check_sello else []

        is_blocking = self.check_sello or isinstance(source, FileRow)
        nueva, reports = await self.worker.call(prepare) if is_blocking else prepare()
        problem: InvalidInputError | None = None
        try:
            progress.warnings = assess_empresa(nueva, reports)
        except InvalidInputError as error:
            problem = refused_in_columns(row, error)
        if problem is not None:
            raise problem
        return nueva

    async def connect(self, progress: RowProgress) -> None:
        """Read the keys of a company that exists, and add it to the inventory.

        The row then has a client with these keys.

        Args:
            progress: the row.

        Raises:
            JournalError: the journal could not be written.
            Exception: another error, for `record_failure`.

        """
        step = progress.empresa
        if step.state is not StepState.DONE or step.rfc in self.inventory.done:
            return
        assert step.uid is not None  # noqa: S101  # a company's create or a list returned it
        try:
            if progress.own is None:
                empresa = await self._read_own(step.uid, step.rfc, progress.started)
                progress.own = self.client.for_empresa(empresa)
        except UnreadableAnswerError as error:
            was_verified = any(serie.sends for serie in progress.series)  # sent with this company's keys
            if error.is_transient or step.origin is not Origin.CREATED or was_verified:
                raise
            if not await self._verify_uid(progress, error):
                return
            progress.own = self.client.for_empresa(await self._read_own(step.uid, step.rfc))
        self.inventory.done[step.rfc] = step.uid
        self.inventory.key_marks[step.rfc] = hash(progress.own.credentials.api_key.reveal())
        if step.reason:
            step.reason = ""
            await self.recorder.save(step)

    async def _verify_uid(self, progress: RowProgress, problem: UnreadableAnswerError) -> bool:
        """List by RFC to verify a created uid; return whether one company is there.

        The uid of the create's answer may belong to another company.

        Afterwards the step has the uid of the list. If the list has none yet, the step is UNRESOLVED without a uid,
        and is listed again after the settle time.

        Args:
            progress: a row whose company was created.
            problem: the error that contradicts its uid.

        Raises:
            UnreadableAnswerError: `problem`, because the list has the same uid.
            SharedUnavailableError: the service that processes share is away; nothing is known.

        """
        step = progress.empresa
        contradicted = step.uid
        try:
            uids = [empresa.uid for empresa in await self._empresas.find_all(step.rfc)]
        except SharedUnavailableError:
            raise
        except FacturaOnlineError:
            uids = []
        if uids == [contradicted]:
            raise problem
        if len(uids) == 1:
            step.uid, step.origin, step.reason = uids[0], Origin.ADOPTED, ""
            refuse_other_uid(step, progress.row)
        elif uids:
            step.state, step.origin, step.uid = StepState.CONFLICT, None, None
            step.reason = several_companies(uids)
        else:
            step.state, step.origin, step.uid = StepState.UNRESOLVED, None, None
            step.reason, step.due = describe(problem), time.time() + self.settle
        await self.recorder.save(step)
        return step.state is StepState.DONE

    async def _read_own(self, uid: str, rfc: str, on_start: Callable[[], None] | None = None) -> Empresa:
        """Poll the company until it is readable, and return it with its own keys.

        Args:
            uid: the company's uid.
            rfc: the RFC that it must have.
            on_start: called, perhaps several times, when the limiter has started a read.

        Raises:
            UnreadableAnswerError: it was not readable before the deadline, or its keys belong to another company, in
                which series would be created by mistake.
            SharedUnavailableError: the service that processes share is away.

        """
        problem = UnreadableAnswerError(
            message("run.company_not_readable_yet", uid=uid), endpoint="empresas.get", uid=uid
        )

        read = partial(get_with_keys, self._empresas, uid, rfc=rfc, on_start=on_start)
        away = (SharedUnavailableError,)
        return await poll_until(engine_of(self.client), read, problem=problem, raising=away)
