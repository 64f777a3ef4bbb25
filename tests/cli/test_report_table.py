"""A run as a table for a spreadsheet, and the rows of its plan that failed, to be corrected."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from openpyxl import load_workbook

from facturaonline_async._cli.provision import _failures
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision import RowOutcome, RunReport, SerieOutcome, State
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import plan, run
from tests.journals import row, write

RFCS = [f"AAA010101{number:03}" for number in range(3)]

RUN_IT = "Correct it, and run it as a plan."
CORRECT_IT = "Correct it, and run this file in place of the plan, with the same journal."


def lines(path: Path) -> list[list[str]]:
    """Return the cells of a CSV file or of a workbook, without the header."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [*csv.reader(file)][1:]
    (sheet,) = load_workbook(path).worksheets
    return [
        ["" if cell is None else str(cell) for cell in cells] for cells in sheet.iter_rows(min_row=2, values_only=True)
    ]


async def failed_run(folder: Path, emulator: Emulator) -> Path:
    """Run a plan of three companies with two series each; the second company has a wrong password."""
    path = plan(folder, 3, series="F:factura:1;P:pago:1")
    text = path.read_text(encoding="utf-8").splitlines()
    password = next(csv.DictReader(text))["password"]
    text[2] = text[2].replace(password, "equivocada")
    path.write_text("\n".join(text), encoding="utf-8")
    ran = await run("provision", path, "--journal", folder / "run.sqlite", "--yes", emulator=emulator)
    assert ran.code == 1
    return path


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_a_table_has_a_line_for_each_company_and_serie(tmp_path: Path, emulator: Emulator, suffix: str) -> None:
    await failed_run(tmp_path, emulator)
    table = tmp_path / f"table.{suffix}"
    ran = await run("report", tmp_path / "run.sqlite", f"--{suffix}", table)
    found = lines(table)

    assert (ran.code, ran.out, ran.err) == (0, "", f"{table}: 9 lines\n")
    assert [(line[0], line[1], line[2]) for line in found[:4]] == [
        ("2", RFCS[0], "empresa"),
        ("2", RFCS[0], "F:factura"),
        ("2", RFCS[0], "P:pago"),
        ("3", RFCS[1], "empresa"),
    ]
    assert [line[3] for line in found] == ["created"] * 3 + ["failed", "not tried", "not tried"] + ["created"] * 3
    assert [bool(line[4]) for line in found] == [True] * 3 + [False] * 3 + [True] * 3
    assert ("wrong_password" in found[3][5], table.stat().st_mode & 0o777) == (True, 0o600)


@pytest.mark.parametrize(("only", "count"), [("failed", 1), ("missing", 1)])
async def test_a_table_may_have_only_what_failed_or_is_missing(
    tmp_path: Path, emulator: Emulator, only: str, count: int
) -> None:
    await failed_run(tmp_path, emulator)
    ran = await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / "t.csv", "--json", "--only", only)

    assert [line[1:4] for line in lines(tmp_path / "t.csv")] == [[RFCS[1], "empresa", "failed"]] * count
    assert [each["rfc"] for each in ran.json["rows"]] == [RFCS[1]]


async def test_a_serie_without_an_answer_is_missing_and_did_not_fail(tmp_path: Path) -> None:
    empresa, serie = row(2, StepState.DONE, Origin.CREATED, series=1)
    serie.state, serie.reason = StepState.UNKNOWN, "no answer"
    await write(tmp_path / "run.sqlite", [empresa, serie])
    for only in ("failed", "missing"):
        await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / f"{only}.csv", "--only", only)

    found = [[line[2:4] for line in lines(tmp_path / f"{only}.csv")] for only in ("failed", "missing")]
    assert found == [[], [["F:factura", "unknown"]]]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_the_failed_rows_of_the_plan_are_corrected_and_run(
    tmp_path: Path, emulator: Emulator, suffix: str
) -> None:
    path = await failed_run(tmp_path, emulator)
    password = next(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))["password"]
    correct = tmp_path / f"correct.{suffix}"
    ran = await run("report", tmp_path / "run.sqlite", f"--{suffix}", correct, "--plan", path)
    assert (ran.code, ran.err) == (0, f"{correct}: 1 row to correct, before all others. {CORRECT_IT}\n")
    assert ("equivocada" in ran.out + ran.err, correct.stat().st_mode & 0o777) == (False, 0o600)

    if suffix == "csv":
        correct.write_text(correct.read_text(encoding="utf-8-sig").replace("equivocada", password), encoding="utf-8")
    else:
        book = load_workbook(correct)
        for row in book.worksheets[0].iter_rows():
            for cell in row:
                cell.value = password if cell.value == "equivocada" else cell.value
        book.save(correct)
    again = await run("provision", correct, "--journal", tmp_path / "run.sqlite", "--yes", emulator=emulator)

    assert (again.code, emulator.count("empresas.create"), emulator.count("series.create")) == (0, 3, 6), again.err


async def test_only_the_same_journal_knows_what_has_no_answer(tmp_path: Path, emulator: Emulator) -> None:
    """A run with another journal would send a create without an answer again."""
    path = await failed_run(tmp_path, emulator)
    ran = await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / "t.csv", "--plan", path, "--only", "failed")

    assert (ran.code, "--only leaves no row out" in ran.err, (tmp_path / "t.csv").exists()) == (2, True, False)


@pytest.mark.parametrize(("journal", "told", "count"), [(True, CORRECT_IT, 2), (False, RUN_IT, 1)])
async def test_faults_of_a_run_with_a_journal_are_for_the_same_journal(
    tmp_path: Path, emulator: Emulator, *, journal: bool, told: str, count: int
) -> None:
    path = plan(tmp_path, 2, series="F:factura:1;P:pago:1")
    emulator.inject(Fault.status(422), endpoint="series.create", times=1)
    options = ["--journal", tmp_path / "run.sqlite"] if journal else []
    ran = await run("provision", path, "--faults-out", tmp_path / "faults.csv", "--yes", *options, emulator=emulator)

    assert (ran.code, told in " ".join(ran.err.split()), len(lines(tmp_path / "faults.csv"))) == (1, True, count)


def test_a_row_with_a_create_without_an_answer_is_not_written_for_another_run() -> None:
    failed = SerieOutcome(letra="F", tipo_documento="factura", state=State.FAILED, reason="no")
    unknown = SerieOutcome(letra="P", tipo_documento="pago", state=State.UNKNOWN, reason="no answer")
    report = RunReport(planned_empresas=1, planned_series=2)
    report.add(RowOutcome(number=2, rfc=RFCS[0], state=State.CREATED, uid="1", series=(failed, unknown)))

    found = [[each.row for each in _failures(report, has_journal=journal)] for journal in (False, True)]
    assert found == [[], [2]]


async def test_a_row_is_found_by_its_rfc_as_a_person_writes_it(tmp_path: Path, emulator: Emulator) -> None:
    path = await failed_run(tmp_path, emulator)
    rfc = RFCS[1]
    written = path.read_text(encoding="utf-8").replace(f"{rfc},", f"{rfc[:3].lower()}-{rfc[3:9]} {rfc[9:]},", 1)
    path.write_text(written, encoding="utf-8")
    ran = await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / "correct.csv", "--plan", path)

    assert (ran.code, (tmp_path / "correct.csv").exists()) == (0, True), ran.err


async def test_the_rows_of_another_plan_are_not_written(tmp_path: Path, emulator: Emulator) -> None:
    path = await failed_run(tmp_path, emulator)
    header, _, *others = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *others]), encoding="utf-8")
    ran = await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / "correct.csv", "--plan", path)

    assert (ran.code, f"row 3 of {path} is not {RFCS[1]}" in ran.err) == (2, True)
    assert not (tmp_path / "correct.csv").exists()


async def test_without_a_failed_row_no_file_is_written(tmp_path: Path, emulator: Emulator) -> None:
    path = plan(tmp_path, 1)
    await run("provision", path, "--journal", tmp_path / "run.sqlite", "--yes", emulator=emulator)
    ran = await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / "correct.csv", "--plan", path)

    assert (ran.code, "Nothing failed" in ran.err, (tmp_path / "correct.csv").exists()) == (0, True, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--csv", "table.xlsx"], "must end in .csv"),
        (["--xlsx", "table.csv"], "must end in .xlsx"),
        (["--csv", "there.csv"], "--force"),
        (["--csv", "no/table.csv"], "does not exist"),
        (["--only", "failed"], "--only needs --csv"),
        (["--plan", "there.csv"], "--plan needs --csv"),
        (["--csv", "table.csv", "--html", "table.csv"], "is named twice"),
        (["--csv", "there.csv", "--plan", "there.csv", "--force"], "there.csv exists"),
        (["--csv", "table.csv", "--plan", "no/plan.csv"], "must be in the folder of the plan"),
    ],
)
async def test_a_table_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there.csv"
    there.write_text("mine", encoding="utf-8")
    ran = await run("report", "run.sqlite", *arguments)

    assert (ran.code, words in ran.err, there.read_text(encoding="utf-8")) == (2, True, "mine"), ran.err


async def test_an_existing_table_is_replaced_with_force(tmp_path: Path, emulator: Emulator) -> None:
    await failed_run(tmp_path, emulator)
    (tmp_path / "t.csv").write_text("old", encoding="utf-8")
    ran = await run("report", tmp_path / "run.sqlite", "--csv", tmp_path / "t.csv", "--force")

    assert (ran.code, len(lines(tmp_path / "t.csv"))) == (0, 9)


async def test_the_journal_is_not_taken_for_a_table(tmp_path: Path, emulator: Emulator) -> None:
    await failed_run(tmp_path, emulator)
    journal = (tmp_path / "run.sqlite").rename(tmp_path / "run.csv")
    before = journal.read_bytes()
    ran = await run("report", journal, "--csv", journal, "--force")

    assert (ran.code, "is the journal" in ran.err, journal.read_bytes()) == (2, True, before)
