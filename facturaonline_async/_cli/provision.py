"""The command ``facturaonline provision``: run a plan."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer

from facturaonline_async._cli import interruption, output, progress
from facturaonline_async._cli.client_command import BaseUrl
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.confirmation import Confirmation, StalePreviewError, refuse_stale, warn_of_series
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.faults_out import check_faults_out, write_faults
from facturaonline_async._cli.journals import find_journal, read_companies
from facturaonline_async._cli.keys_out import KeysFile
from facturaonline_async._cli.next_command import repeat_command
from facturaonline_async._cli.output_path_checks import journal_files, same_file
from facturaonline_async._cli.plan_options import AnyTipo, PlanFile, SheetName
from facturaonline_async._cli.plans import ExistingCompanies, parse_plan, problem_values
from facturaonline_async._cli.profiles import MAX_CONCURRENCY, parse_rate
from facturaonline_async._cli.run_target import RunTarget
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable, printable_path
from facturaonline_async.config import Config, Rate
from facturaonline_async.errors import FacturaOnlineError, InvalidInputError
from facturaonline_async.provision import (
    ParsedPlan,
    Plan,
    PlanError,
    PlanProblem,
    RowOutcome,
    RunReport,
    State,
    validate,
)
from facturaonline_async.provision._journal.errors import JournalError

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.postgres import Postgres
    from facturaonline_async.provision import Preview, Run

__all__ = ["RunJob", "app", "check", "command"]

_CONCURRENCY: Final = 128


def _rate(text: str) -> Rate:
    rate = parse_rate(text)
    if rate is None:
        raise typer.BadParameter(message("cli.rate_malformed"))
    return rate


def command(
    plan: PlanFile,
    sheet: SheetName = None,
    base_url: BaseUrl = None,
    rate: Annotated[
        Rate | None,
        typer.Option(
            parser=_rate,
            metavar="CALLS/SECONDS",
            help="Maximum rate of all calls together, instead of 10 per second for each endpoint and key pair.",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_CONCURRENCY,
            help=f"Maximum number of companies, and of calls, at the same time. Default: {_CONCURRENCY}.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001, metavar="SECONDS", help="Time-out of one attempt of a call. Default: 30, with files 60."
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|pg:RUN",
            help="Record everything before it is sent, and resume from it: a file, or a run in the database.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseUrl = None,
    settle: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long to wait before a create without an answer counts as not done. Default: 150, or 2 with "
            "--emulator.",
        ),
    ] = None,
    existing: ExistingCompanies = "adopt",
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Send certificates, keys and passwords without checking them.")
    ] = False,
    no_audit: Annotated[
        bool,
        typer.Option(
            "--no-audit",
            help="Skip the final list of the created rows, after the settle time, that finds duplicates.",
        ),
    ] = False,
    keys_out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the new companies' API keys to this file (CSV, mode 0600). They appear nowhere else.",
            show_default=False,
        ),
    ] = None,
    faults_out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the faulty and failed rows to this new file (.csv or .xlsx), with their reasons, to be "
            "corrected and run as a plan. It holds what the plan holds (mode 0600).",
            show_default=False,
        ),
    ] = None,
    use_emulator: Annotated[
        bool,
        typer.Option(
            "--emulator",
            help="Use an emulator in this process. With --journal FILE its state is kept in FILE.emulator.",
        ),
    ] = False,
    any_tipo: AnyTipo = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Begin without a question, for scripts. Needed in production by a script.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check the plan, and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress.")] = False,
) -> None:
    """Create the companies and series of PLAN; adopt those that exist.

    The keys of the account come from FACTURAONLINE_API_KEY and FACTURAONLINE_SECRET_KEY, or from the profile. They
    create the companies; the keys of each company create its series. Existing companies and series are not changed.
    After a create without an answer the run looks for the new row, and creates it again only if there is none after the
    settle time.

    At the end, the run waits for the settle time (150 s after the last create) and lists the created rows once more, to
    find duplicates. --no-audit skips that.

    First the command reads the account and shows what it would do, on which host, and whether that is production; then
    it asks. If companies appear or go before the run begins, it asks again. If there is nothing to do, it ends. It does
    not ask with --emulator or --yes, or if --journal shows that all of the plan was sent already. Without a terminal it
    needs --yes in production, and begins at once elsewhere. "facturaonline plan preview" shows the same, and changes
    nothing.

    With a database, all processes that have it keep the rates together and create nothing twice; the run says where it
    is. With --journal pg:RUN any machine can resume the run.

    With --journal you can end a run at any time (Ctrl-C, a crash): the same command resumes it and creates nothing
    twice. You may correct failed rows in the plan and add rows. See "facturaonline status FILE". Without a journal,
    wait three minutes before you run the same plan again: the API's lists may show new rows late, and the run would
    create them again.

    A row has razon_social, rfc, codpos, email, regimen_nomina, cer, key and password (or password_env, the name of an
    environment variable). It may have regimen, fielcer, fielkey, fielpassword, series and any other attribute of
    NuevaEmpresa. Paths are relative to the plan. series is written as F:factura:1;P:pago.

    A plan with a faulty cell is refused before anything is sent (exit code 2); the message lists all faulty cells and
    certificates. If all cells are well formed, a refused certificate fails only its row; --dry-run checks the
    certificates of all rows. The exit code is 0 only if every company and every serie of the plan exists.
    """
    settings = current_settings()
    concurrency = concurrency or settings.concurrency or _CONCURRENCY
    config = Config(
        base_url=base_url, concurrency=concurrency, concurrency_per_key=concurrency, check_sello=not no_check
    )
    target = RunTarget.of(
        _limited(config, rate or settings.rate, timeout or settings.timeout),
        journal=journal,
        database=database,
        use_emulator=use_emulator,
        as_json=as_json,
    )
    file = target.journal
    url = None if use_emulator else settings.find_base_url(base_url)
    if file is not None and same_file(file, [plan]):
        raise InvalidInputError(message("cli.journal_is_the_plan", path=printable_path(file)), field="journal")
    written = [*(journal_files(file) if file is not None else ()), *([keys_out] if keys_out is not None else ())]
    check_faults_out(faults_out, plan, written)
    parsed = parse_plan(plan, any_tipo=any_tipo, sheet=sheet, as_json=as_json)
    if dry_run or parsed.problems:
        production = Config(base_url=url).is_production
        checked = check(parsed, as_json=as_json, dry_run=dry_run, check_sello=not no_check, production=production)
        problems = interruption.run(checked)
        _write_faults(faults_out, plan, problems, sheet, is_run=False, has_journal=False)
        _refuse_faulty(parsed, problems, as_json=as_json)
        return
    read = Plan.of(parsed)
    if file is not None and same_file(file, read.files()):
        raise InvalidInputError(message("cli.journal_is_in_the_plan", path=printable_path(file)), field="journal")
    if keys_out is not None:
        _refuse_as_keys_out(keys_out, plan, read, file)
    if not use_emulator:
        settings.find_account(base_url, or_emulator=True)
    job = RunJob(
        plan=read,
        target=target,
        keys_out=keys_out,
        confirmation=Confirmation(target, read, existing, yes),
        options={
            "concurrency": concurrency,
            "settle": _EMULATOR_SETTLE if settle is None and use_emulator else settle,
            "existing": existing,
            "audit": "none" if no_audit else "run",
        },
    )
    with _rare_collections():
        report = job.carry_out()
    has_journal = bool(target.journal_name)
    failures = list(_failures(report, has_journal=has_journal))
    _write_faults(faults_out, plan, failures, sheet, is_run=True, has_journal=has_journal)
    if not report.is_complete:
        if not as_json:
            _print_next_step(has_journal=journal is not None)
        raise typer.Exit(1)


app: typer.Typer = single_command("provision", command)


def _print_next_step(*, has_journal: bool) -> None:
    """Print how the rest of the plan is carried out."""
    command = repeat_command(sys.argv[1:])
    text = message("cli.next_run_without_journal", command=command)
    if has_journal:
        text = message("cli.next_run", command=command)
    sys.stderr.write(f"→ {text}\n")


def _limited(config: Config, rate: Rate | None, timeout: float | None) -> Config:
    """Return the settings with the rate and the time-out that were given."""
    if rate:
        config = attrs.evolve(config, rates=(), host_rates=rate)
    if not timeout:
        return config
    deadline = max(config.deadline, 3 * timeout)
    return attrs.evolve(config, read_timeout=timeout, total_timeout=timeout, upload_timeout=timeout, deadline=deadline)


def _refuse_faulty(plan: ParsedPlan, problems: list[PlanProblem], *, as_json: bool) -> None:
    """End the command if the plan has problems; as JSON they are printed already.

    Raises:
        PlanError: the plan has problems.

    """
    if problems and as_json:
        raise typer.Exit(2)
    if problems:
        raise PlanError.of(problems, plan.notices)


def _refuse_as_keys_out(keys_out: Path, plan: Path, read: Plan, journal: Path | None) -> None:
    """Refuse --keys-out if the run reads or writes that file for something else."""
    others = [plan, *(journal_files(journal) if journal is not None else ())]
    if found := same_file(keys_out, chain(others, read.files())):
        raise InvalidInputError(
            message("cli.keys_in_use", path=printable_path(keys_out), file=printable_path(found)),
            field="keys-out",
        )


_EMULATOR_SETTLE = 2.0
_UNCERTAIN = {State.UNKNOWN, State.UNRESOLVED}
_ALLOCATIONS = 10_000


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector run after 10,000 new objects instead of 700.

    It takes 4 % of the CPU of a row otherwise, and finds little: most objects of a run are freed without it.
    """
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def check(
    plan: ParsedPlan, *, as_json: bool, dry_run: bool = True, check_sello: bool = True, production: bool = False
) -> list[PlanProblem]:
    """Check every company of a plan as a run does, and return all faults.

    The result is printed as JSON, or else if there are no faults.
    """
    problems = list(plan.problems)
    warnings: list[PlanProblem] = []
    with progress.bar(message("cli.label_rows"), len(plan), quiet=as_json) as advance:
        async with validate(plan, check_sello=check_sello, production=production) as rows:
            async for row in rows:
                problems += row.problems
                warnings += row.warnings
                advance()
    for found in (problems, warnings):
        found.sort(key=lambda problem: problem.row)
    if as_json:
        answer: dict[str, Any] = {
            "dry_run": dry_run,
            "empresas": len(plan),
            "series": plan.series_count,
            "notices": problem_values(plan.notices),
            "warnings": problem_values(warnings),
        }
        if problems:
            answer |= {"error": message("cli.plan_faulty"), "problems": problem_values(problems)}
        output.print_json(answer)
        return problems
    progress.print_warnings(warnings)
    if not problems:
        empresas = message("cli.count_empresas", count=len(plan))
        series = message("cli.count_series", count=plan.series_count)
        new_console().print(message("cli.plan_well_formed", empresas=empresas, series=series))
    return problems


def _failures(report: RunReport, *, has_journal: bool) -> Iterator[PlanProblem]:
    """Yield what failed in a run and can be corrected in the plan.

    Rows with a create without an answer are left out: another run could send it again.
    """
    for row in report.failed:
        if not has_journal and any(serie.state in _UNCERTAIN for serie in row.series):
            continue
        if row.state is State.FAILED:
            yield PlanProblem(row=row.number, column="", reason=row.reason)
        for serie in row.series:
            if serie.state is State.FAILED:
                key = f"{serie.letra}:{serie.tipo_documento}"
                reason = message("cli.failed_serie", serie=key, reason=serie.reason)
                yield PlanProblem(row=row.number, column="series", reason=reason)


def _write_faults(
    path: Path | None, plan: Path, problems: list[PlanProblem], sheet: str | None, *, is_run: bool, has_journal: bool
) -> None:
    """Write the file of --faults-out, and say what to do with it.

    Before a run, and for a run with a journal, it gets all other rows, too, so that it takes the place of the plan.
    Only the same journal knows which creates have no answer yet.
    """
    if path is None or not problems:
        return
    if not (count := write_faults(path, plan, problems, sheet=sheet, with_all=has_journal or not is_run)):
        return
    shown = printable_path(path)
    if not is_run:
        text = message("cli.faults_written_with_all", path=shown, count=count)
    elif has_journal:
        text = message("cli.report_rows_to_correct", path=shown, count=count)
    else:
        text = message("cli.faults_written", path=shown, count=count)
    sys.stderr.write(f"{text}\n")


@attrs.define
class RunJob:
    """One run of a plan, from its confirmation to the printed result.

    Attributes:
        plan: the plan.
        target: where the run takes place.
        keys_out: file for the new companies' keys, or None.
        confirmation: is needed before anything is sent.
        options: further arguments of `provision`.
        rows: outcomes of the rows, if the result is JSON.
        warnings: findings about rows that were sent.

    """

    plan: Plan
    target: RunTarget
    keys_out: Path | None
    confirmation: Confirmation
    options: dict[str, Any]
    rows: list[RowOutcome] = attrs.field(factory=list, init=False)
    warnings: list[PlanProblem] = attrs.field(factory=list, init=False)
    _has_begun: bool = attrs.field(default=False, init=False)
    _report: RunReport | None = attrs.field(default=None, init=False)
    _is_interrupted: bool = attrs.field(default=False, init=False)

    def carry_out(self) -> RunReport:
        """Ask, run the plan, and print the result.

        Raises:
            Exit: the answer is no, or Ctrl-C was pressed. The standard error says what may have been changed.

        """
        return interruption.run(self.run(), interrupted=self._interrupted)

    def _interrupted(self) -> Message:
        """Return what to say after Ctrl-C."""
        if not self._has_begun:
            return message("cli.interrupted").then(message("cli.nothing_changed"))
        if not self.target.journal_name:
            return message("cli.interrupted_run")
        return message("cli.interrupted_run_with_journal", journal=self.target.journal_name)

    async def run(self) -> RunReport:
        """Ask, run the plan and print the result, also after an interruption.

        One client does all of it, so that its rate limits hold for the preview and the run together.
        """
        try:
            async with self.target.open_shared() as pg, self.target.open_client(pg) as client:
                report = await self._ask_and_run(pg, client)
        except asyncio.CancelledError:
            if self._report is not None:
                self._show(self._report, interrupted=True)
            raise
        except FacturaOnlineError as error:
            if self._report is None and not isinstance(error, (InvalidInputError, JournalError)):
                error.add_note(message("cli.nothing_created"))
            raise
        if self._has_begun or self.target.as_json:
            self._show(report, interrupted=self._is_interrupted)
        if self._is_interrupted:
            raise asyncio.CancelledError
        return report

    async def _ask_and_run(self, pg: Postgres | None, client: FacturaOnline) -> RunReport:
        """Run the plan if something is left to do and the run is confirmed.

        If companies have appeared or gone since the preview, nothing is sent, and the person is asked again.
        """
        while True:
            confirmed = await self.confirmation.ask(pg, client)
            if confirmed is not None and confirmed.is_settled:
                return _nothing_done(confirmed)
            try:
                report = await self._provision(pg, client, confirmed)
            except StalePreviewError as stale:
                self._has_begun = False
                stale.print_warnings()
                continue
            if confirmed is not None:
                warn_of_series(confirmed, report)
            return report

    async def _provision(self, pg: Postgres | None, client: FacturaOnline, confirmed: Preview | None) -> RunReport:
        """Run the plan.

        Args:
            pg: the open database, or None.
            client: client with the main keys.
            confirmed: the preview that was confirmed; None: no confirmation was needed.

        Raises:
            StalePreviewError: the companies are not those of the preview. Nothing was sent.

        """
        from facturaonline_async.provision._run import journal_store, running  # noqa: PLC0415  # imports aiohttp

        journal = self.target.find_journal(pg)
        self._has_begun = True
        with contextlib.ExitStack() as stack:
            keys = stack.enter_context(KeysFile.open(self.keys_out)) if self.keys_out else None
            async with running(
                client,
                self.plan,
                store=None if journal is None else journal_store(journal),
                on_event=None,
                on_listed=None if confirmed is None else partial(refuse_stale, confirmed),
                **self.options,
            ) as run:
                report = self._report = run.report
                if run.caution:
                    sys.stderr.write(f"{message('cli.warning', text=printable(run.caution))}\n")
                with interruption.interruptible(run.stop) as interrupt:
                    await self._follow(run, keys)
                    if keys is not None and not interrupt.is_wanted:
                        await self._add_missing_keys(keys, client)
            report.seconds = run.report.seconds
            self._is_interrupted = interrupt.is_wanted
        return report

    async def _add_missing_keys(self, keys: KeysFile, client: FacturaOnline) -> None:
        """Add the keys of companies that earlier runs created but did not write."""
        from facturaonline_async import bulk  # noqa: PLC0415  # imports aiohttp

        target = self.target
        if target.journal is None and target.run_name is None:
            return
        database = None if target.run_name is None else target.database
        journal = find_journal(target.journal, target.run_name, database)
        _, created = await asyncio.to_thread(read_companies, journal)
        left = [(rfc, uid) for rfc, uid in created if rfc not in keys.rfcs]
        for each in await bulk.run(left, lambda one: client.empresas.get_verified(one[1], rfc=one[0])):
            keys.add(*each.item, each.result().credentials)

    async def _follow(self, run: Run, keys: KeysFile | None) -> None:
        as_json = self.target.as_json
        with progress.run_bars(run.progress, quiet=as_json) as redraw:
            async for outcome in run:
                redraw()
                if not as_json and len(self.plan) == sum(run.report.empresas.values()) and run.audit_wait >= 1:
                    progress.print_audit_wait(run.audit_wait)
                self.warnings.extend(outcome.warnings)
                if as_json:
                    self.rows.append(outcome)
                if keys is not None and outcome.is_new and outcome.uid and outcome.credentials:
                    keys.add(outcome.rfc, outcome.uid, outcome.credentials)

    def _show(self, report: RunReport, *, interrupted: bool) -> None:
        if not self.target.as_json:
            progress.print_report(report, interrupted=interrupted)
            progress.print_warnings(self.warnings)
            return
        begun = {row.number for row in self.rows}
        rows = [*self.rows, *(row for row in report.failed if row.number not in begun)]
        output.print_json(
            {
                "complete": report.is_complete,
                "interrupted": interrupted,
                "database": self.target.address,
                "seconds": round(report.seconds, 3),
                "empresas": _counts(report.planned_empresas, report.empresas, report.earlier_empresas),
                "series": _counts(report.planned_series, report.series, report.earlier_series),
                "audit": report.audit,
                "notices": problem_values(self.plan.notices),
                "warnings": problem_values(sorted(self.warnings, key=lambda problem: problem.row)),
                "rows": [_row(row) for row in sorted(rows, key=lambda row: row.number)],
            }
        )


def _nothing_done(found: Preview) -> RunReport:
    """Return the report of a plan of which everything exists, without a run."""
    report = RunReport(planned_empresas=found.planned_empresas, planned_series=found.planned_series, has_audit=False)
    report.empresas[State.ADOPTED], report.series[State.ADOPTED] = found.planned_empresas, found.planned_series
    return report


def _row(outcome: RowOutcome) -> dict[str, Any]:
    fields = attrs.asdict(outcome, filter=lambda attribute, _: attribute.name not in {"credentials", "warnings"})
    return fields | {"ok": outcome.ok}


def _counts(planned: int, found: Mapping[State, int], earlier: Mapping[State, int]) -> dict[str, Any]:
    """Return the planned number, the number in each state, and those of earlier runs."""
    numbers: dict[str, Any] = {"planned": planned} | {state.value: found[state] for state in State}
    return numbers | {"earlier": {state.value: earlier[state] for state in State if state.is_there}}
