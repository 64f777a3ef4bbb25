"""What a run would do is shown before anything is sent, and a person is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import PRODUCTION, Config, Credentials, FacturaOnline, InvalidInputError, Rate, connect
from facturaonline_async._cli.confirmation import Confirmation
from facturaonline_async._cli.provision import RunJob
from facturaonline_async._cli.run_target import RunTarget
from facturaonline_async._core.once.states import StepState
from facturaonline_async.postgres import Postgres
from facturaonline_async.provision import Plan
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from facturaonline_async.testing import Emulator
from tests.cli.test_app import COMMAND, Ran, environment, plan, run
from tests.terminals import at_terminal

QUICK = ("--settle", "0.3", "--rate", "1000/1")
KEYS = {"FACTURAONLINE_API_KEY": "key", "FACTURAONLINE_SECRET_KEY": "secret"}


async def provision(path: Path, *options: object, answers: Any, emulator: Emulator) -> Ran:
    return await at_terminal("provision", path, *QUICK, *options, answers=answers, emulator=emulator)


def typed_after(change: Callable[[], object]) -> str:
    """Return the answer yes, which is typed after somebody else has changed the account."""
    loop = asyncio.get_running_loop()

    async def make() -> None:
        change()

    class Late(str):
        """An answer that changes the account when it is typed."""

        __slots__ = ()

        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
            asyncio.run_coroutine_threadsafe(make(), loop).result()
            return b"y\n"

    return Late()


def created(emulator: Emulator) -> int:
    return emulator.count("empresas.create")


# ── The question ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("answer", "code", "companies"), [("n", 1, 0), ("", 1, 0), ("y", 0, 2), ("s", 0, 2)])
async def test_a_person_sees_what_a_run_would_do_and_is_asked(
    tmp_path: Path, emulator: Emulator, answer: str, code: int, companies: int
) -> None:
    ran = await provision(plan(tmp_path, 2), answers=[("[y/N]", f"{answer}\n")], emulator=emulator)

    for text in (
        f"LOCAL  {emulator.base_url}",
        "account: EMU200101PP5",
        "+ To create: 2 empresas",
        "row 2, AAA010101000, new series: F:factura, P:pago",
        "In all: 2 empresas and 4 series to create.",
        f"Carry this out in LOCAL ({emulator.base_url})?",
    ):
        assert text in ran.err
    assert (ran.code, created(emulator), "Nothing was created." in ran.err) == (code, companies, code == 1)


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_a_person_is_asked_in_the_language_of_the_person_also_with_json(
    tmp_path: Path, emulator: Emulator, options: tuple[str, ...]
) -> None:
    arguments = ("--lang", "es", "provision", plan(tmp_path, 1), *QUICK, *options)
    declined = await at_terminal(*arguments, answers=[("[s/N]", "n\n")], emulator=emulator)
    agreed = await at_terminal(*arguments, answers=[("[s/N]", "s\n")], emulator=emulator)

    shown = ("cuenta: EMU200101PP5", "¿Realizar esto en ", "No se creó nada.")
    assert (declined.code, [text in declined.err for text in shown]) == (1, [True] * 3)
    assert (agreed.code, created(emulator), not options or agreed.json["complete"]) == (0, 1, True)


async def test_yes_names_the_host_and_begins_without_a_look_and_a_question(tmp_path: Path, emulator: Emulator) -> None:
    ran = await provision(plan(tmp_path, 1), "--yes", "--no-audit", answers=[], emulator=emulator)
    lists = emulator.count("empresas.list")
    await run("provision", plan(tmp_path, 1), "--no-audit", emulator=emulator)

    assert (ran.code, f"LOCAL  {emulator.base_url}" in ran.err, "To create" in ran.err) == (0, True, False)
    assert ("[y/N]" in ran.err, lists) == (False, emulator.count("empresas.list") - lists)


async def test_ctrl_c_at_the_question_ends_the_command_at_once(tmp_path: Path, emulator: Emulator) -> None:
    ran = await provision(plan(tmp_path, 1), answers=[("[y/N]", "\x03")], emulator=emulator)

    assert (ran.code, "Interrupted. Nothing was changed." in ran.err, created(emulator)) == (130, True, 0)


@pytest.mark.virtual_clock
async def test_the_rate_limit_holds_for_the_preview_and_the_run_together(tmp_path: Path, emulator: Emulator) -> None:
    class Target(RunTarget):
        """A target with the emulator of the test, which has a log."""

        @asynccontextmanager
        async def open_client(self, shared: Postgres | None) -> AsyncIterator[FacturaOnline]:
            assert shared is None
            async with connect(emulator.credentials, base_url=emulator.base_url, config=self.config) as client:
                yield client

    config = Config(rates=(), host_rates=Rate(1, 100.0))
    target = Target(config=config, use_emulator=True)
    read = Plan.from_csv(plan(tmp_path, 1, series=""))
    confirmation = Confirmation(target, read, "adopt", yes=False)
    confirmation._has_terminal = True  # an emulator needs no confirmation: the preview is shown
    options = {"concurrency": 1, "settle": 0.2, "existing": "adopt", "audit": "none"}

    clock = asyncio.get_running_loop().time
    began = clock()
    await RunJob(read, target, None, confirmation, options).run()

    assert clock() - began >= 100 * (len(emulator.requests) - 1)


async def test_a_question_that_no_terminal_shows_is_not_asked(tmp_path: Path, emulator: Emulator) -> None:
    ran = await at_terminal("provision", plan(tmp_path, 1), *QUICK, answers=[], emulator=emulator, errors_apart=True)

    assert (ran.code, "[y/N]" in ran.err, created(emulator)) == (0, False, 1)  # as without a terminal


async def test_a_command_with_a_closed_standard_input_runs(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "provision", plan(tmp_path, 1), "--emulator", "--yes",
        "--settle", "0.3", env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()

    assert (process.returncode, "Traceback" in err.decode()) == (0, False)


async def test_the_emulator_needs_no_base_url(tmp_path: Path) -> None:
    ran = await run("provision", plan(tmp_path, 1), "--emulator", env={"FACTURAONLINE_BASE_URL": "no url"})

    assert (ran.code, "base_url" in ran.err) == (0, False)


async def test_nobody_is_asked_for_an_emulator(tmp_path: Path, emulator: Emulator) -> None:
    ran = await provision(plan(tmp_path, 1), "--emulator", answers=[], emulator=emulator)

    assert (ran.code, " EMULATOR  http://127.0.0.1:" in ran.err, "[y/N]" in ran.err) == (0, True, False)


async def test_nobody_is_asked_and_nothing_runs_if_there_is_nothing_to_do(tmp_path: Path, emulator: Emulator) -> None:
    path = plan(tmp_path, 1)
    assert (await run("provision", path, emulator=emulator)).code == 0
    journal = tmp_path / "run.sqlite"

    ran = await provision(path, "--journal", journal, answers=[], emulator=emulator)
    as_json = await provision(path, "--json", answers=[], emulator=emulator)

    assert (ran.code, "Nothing to do: everything in the plan exists." in ran.err, journal.exists()) == (0, True, False)
    assert (as_json.code, as_json.json["complete"], as_json.json["empresas"]["adopted"]) == (0, True, 1)


async def test_a_run_that_is_resumed_asks_if_the_plan_has_other_rows(tmp_path: Path, emulator: Emulator) -> None:
    whole, journal = plan(tmp_path, 2), ("--journal", tmp_path / "run.sqlite")
    path = whole.with_name("one.csv")
    path.write_text("".join(whole.read_text().splitlines(keepends=True)[:2]))
    assert (await provision(path, *journal, answers=[("[y/N]", "y\n")], emulator=emulator)).code == 0
    lists = emulator.count("empresas.list")

    same = await provision(path, *journal, "--no-audit", answers=[], emulator=emulator)
    lists_of_run = emulator.count("empresas.list") - lists
    other = await provision(whole, *journal, answers=[("[y/N]", "n\n")], emulator=emulator)

    assert (same.code, "To create" in same.err, other.code, "To create: 1 empresa" in other.err) == (0, False, 1, True)
    assert "Done by an earlier run: 1 empresa" in other.err
    assert lists_of_run == 2  # those of the run itself


async def test_a_run_that_is_resumed_asks_before_it_changes_what_it_refused_before(
    tmp_path: Path, emulator: Emulator
) -> None:
    emulator.add_empresa(rfc="AAA010101000", email="old@example.com")
    path, journal = plan(tmp_path, 1), ("--journal", tmp_path / "run.sqlite")
    refused = await provision(path, *journal, "--existing", "fail", answers=[("[y/N]", "y\n")], emulator=emulator)

    ran = await provision(path, *journal, "--existing", "update", answers=[("[y/N]", "n\n")], emulator=emulator)

    assert (refused.code, ran.code, "To change: 1 empresa" in ran.err) == (1, 1, True)
    assert emulator.count("empresas.update") == 0


@pytest.mark.parametrize(("answer", "code", "companies"), [("n", 1, 0), ("y", 0, 1)])
async def test_a_person_is_asked_again_if_the_account_has_changed_since_the_preview(
    tmp_path: Path, emulator: Emulator, answer: str, code: int, companies: int
) -> None:
    late = typed_after(lambda: emulator.add_empresa(rfc="AAA010101001"))

    ran = await provision(plan(tmp_path, 2), answers=[("[y/N]", late), ("[y/N]", f"{answer}\n")], emulator=emulator)

    _, warning, again = ran.err.partition("1 company of the plan has appeared since the preview: AAA010101001")
    assert (warning != "", "To create: 1 empresa" in again) == (True, True)
    assert (ran.code, created(emulator)) == (code, companies)


async def test_a_serie_that_was_deleted_after_the_preview_is_named_when_it_is_created(
    tmp_path: Path, emulator: Emulator
) -> None:
    uid = emulator.add_empresa(rfc="AAA010101000")
    serie = emulator.add_serie(uid, letra="F", tipo_documento="factura")
    late = typed_after(lambda: emulator.state["series"].pop(serie))

    ran = await provision(plan(tmp_path, 1), "--no-audit", answers=[("[y/N]", late)], emulator=emulator)

    assert (ran.code, "In all: 0 empresas and 1 serie to create." in ran.err) == (0, True)
    assert "warning: the run created 1 serie more than the preview showed" in ran.err


async def test_the_screen_before_a_run_is_spanish_on_request(tmp_path: Path, emulator: Emulator) -> None:
    ran = await at_terminal(
        "--lang", "es", "provision", plan(tmp_path, 1), *QUICK, answers=[("[s/N]", "n\n")], emulator=emulator
    )

    for text in ("cuenta: EMU200101PP5", "Por crear: 1 empresa", "¿Realizar esto en LOCAL", "No se creó nada."):
        assert text in ran.err


# ── Without a terminal ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_a_terminal_a_run_begins_at_once_where_nothing_is_real(
    tmp_path: Path, emulator: Emulator
) -> None:
    ran = await run("provision", plan(tmp_path, 1), emulator=emulator)

    assert (ran.code, created(emulator), "To create" in ran.err) == (0, 1, False)


@pytest.mark.parametrize("host", [PRODUCTION, "https://unknown.example/api"])
async def test_without_a_terminal_production_needs_yes(tmp_path: Path, host: str) -> None:
    ran = await run("provision", plan(tmp_path, 1), env=KEYS | {"FACTURAONLINE_BASE_URL": host})

    assert (ran.code, host in ran.err, "plan preview, then give --yes" in ran.err) == (2, True, True)


@pytest.mark.parametrize(
    ("state", "sends", "asked"),
    [
        (StepState.UNKNOWN, 1, "no"),
        (StepState.PLANNED, 0, "yes"),
        (StepState.FAILED, 1, "yes"),
    ],
)
async def test_without_a_terminal_production_resumes_only_what_was_sent_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StepState, sends: int, asked: str
) -> None:
    """The journal alone says so: nothing is sent to the host."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    path, journal = plan(tmp_path, 1, series=""), tmp_path / "run.sqlite"
    read = Plan.from_csv(path)
    account = Credentials(api_key="key", secret_key="secret").fingerprint
    async with await SqliteJournal.open(journal, account=account, host=PRODUCTION) as new:
        await new.adjust(add=[Step(number=2, owner=read.rows[0].rfc, state=state, sends=sends)])
    target = RunTarget(Config(base_url=PRODUCTION), journal=journal)

    async with target.open_client(None) as client:
        with pytest.raises(InvalidInputError, match="PRODUCTION") if asked == "yes" else nullcontext():
            assert await Confirmation(target, read, "adopt", yes=False).ask(None, client) is None


# ── plan preview ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_plan_preview_shows_each_kind_with_its_first_rows(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="AAA010101000", email="old@example.com")
    emulator.add_serie(uid, letra="F", tipo_documento="factura")
    for _ in range(2):
        emulator.add_empresa(rfc="AAA010101001")
    path = plan(tmp_path, 9)

    ran = await run("plan", "preview", path, "--existing", "update", "--rows", 3, emulator=emulator)

    assert ran.code == 0
    for text in (
        "+ To create: 7 empresas",
        "and 4 rows more",
        "~ To change: 1 empresa",
        "    row 2, AAA010101000, new series: P:pago",
        "        email: 'old@example.com' → 'a@example.com'",
        "because the API does not show them: regimen_nomina, cer/key/password, regimen",
        "! Exist several times, so that a person must decide: 1 empresa",
        "In all: 7 empresas and 15 series to create, 1 empresa to change.",
    ):
        assert text in ran.out
    assert ("12345678a" in ran.out, created(emulator)) == (False, 0)


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--exit-code",), 4)])
async def test_exit_code_4_says_that_there_is_something_to_do(
    tmp_path: Path, emulator: Emulator, options: tuple[str, ...], code: int
) -> None:
    path = plan(tmp_path, 1)
    before = await run("plan", "preview", path, *options, emulator=emulator)
    await run("provision", path, emulator=emulator)
    after = await run("plan", "preview", path, *options, emulator=emulator)

    assert (before.code, after.code, "Nothing to do" in after.out) == (code, 0, True)


async def test_a_faulty_plan_has_exit_code_2_also_with_exit_code(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("plan", "preview", plan(tmp_path, 1, codpos="x"), "--exit-code", emulator=emulator)

    assert (ran.code, "row 2, codpos" in ran.err, emulator.requests) == (2, True, ())


async def test_plan_preview_shows_the_notices_of_the_plan_as_provision_does(tmp_path: Path, emulator: Emulator) -> None:
    path = plan(tmp_path, 1, codpos="6500")

    shown = await run("plan", "preview", path, emulator=emulator)
    as_json = await run("plan", "preview", path, "--json", emulator=emulator)
    checked = await run("provision", path, "--dry-run", emulator=emulator)

    assert ("row 2, codpos" in shown.err, shown.err.strip() in checked.err) == (True, True), shown.err
    assert [(each["row"], each["column"]) for each in as_json.json["notices"]] == [(2, "codpos")]


@pytest.mark.parametrize("fault", ["cell", "header"])
async def test_plan_preview_prints_the_faults_of_a_plan_as_json(tmp_path: Path, emulator: Emulator, fault: str) -> None:
    path = plan(tmp_path, 1, codpos="x")
    if fault == "header":
        path.write_text("no,columns\n1,2\n")

    ran = await run("plan", "preview", path, "--json", emulator=emulator)
    checked = await run("provision", path, "--json", emulator=emulator)

    assert (ran.code, checked.code, emulator.requests) == (2, 2, ())
    assert ran.json["problems"] == checked.json["problems"] != []
    assert ran.json["error"] == checked.json["error"]


async def test_plan_preview_as_json_has_all_rows(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("plan", "preview", plan(tmp_path, 12), "--json", emulator=emulator)

    assert (ran.json["environment"], ran.json["account"]["rfc"], len(ran.json["rows"])) == ("local", "EMU200101PP5", 12)
    assert (ran.json["empresas"]["create"], ran.json["series"]["create"], ran.json["settled"]) == (12, 24, False)


async def test_plan_preview_reads_the_journal_and_leaves_it(tmp_path: Path, emulator: Emulator) -> None:
    path, journal = plan(tmp_path, 2), tmp_path / "run.sqlite"
    await run("provision", path, "--journal", journal, emulator=emulator)
    before = journal.read_bytes()

    ran = await run("plan", "preview", path, "--journal", journal, emulator=emulator)

    assert ("= Done by an earlier run: 2 empresas" in ran.out, journal.read_bytes()) == (True, before)


async def test_a_company_that_was_sent_and_is_not_listed_counts_as_up_to(tmp_path: Path, emulator: Emulator) -> None:
    path, journal = plan(tmp_path, 2), tmp_path / "run.sqlite"
    sent, other = Plan.from_csv(path).rows
    async with await SqliteJournal.open(
        journal, account=emulator.credentials.fingerprint, host=emulator.base_url
    ) as new:
        steps = [
            step
            for row in (sent, other)
            for step in (
                Step(number=row.number, owner=row.rfc),
                *(Step.of_serie(row.number, row.rfc, *serie.key) for serie in row.series),
            )
        ]
        await new.adjust(add=steps)
        await new.save(evolve(steps[0], state=StepState.UNKNOWN, sends=1))

    ran = await run("plan", "preview", path, "--journal", journal, emulator=emulator)

    assert "? Sent by an earlier run and not listed yet, so that the run looks for them first: 1 empresa" in ran.out
    assert ran.out.endswith(
        "In all: 1 empresa and 2 series to create. Up to 1 empresa and 2 series more, if the run does not find them.\n"
    )


async def test_plan_preview_leaves_the_state_of_an_emulator_that_runs(tmp_path: Path) -> None:
    path, journal = plan(tmp_path, 1), tmp_path / "run.sqlite"
    assert (await run("plan", "preview", path, "--emulator", "--journal", journal)).code == 0
    assert not (tmp_path / "run.sqlite.emulator").exists()
    await run("provision", path, "--emulator", "--journal", journal)
    state = tmp_path / "run.sqlite.emulator"

    async with Emulator(state_file=state):  # it has the port, as a run has
        before = state.read_bytes()
        ran = await run("plan", "preview", path, "--emulator", "--journal", journal)

        assert (ran.code, "Done by an earlier run: 1 empresa" in ran.out) == (0, True)
        assert state.read_bytes() == before


async def test_no_line_of_a_preview_is_wrapped_in_a_narrow_terminal(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("plan", "preview", plan(tmp_path, 1), emulator=emulator, env={"COLUMNS": "40"})

    assert "    row 2, AAA010101000, new series: F:factura, P:pago\n" in ran.out
