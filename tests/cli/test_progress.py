"""What people see of a run: bars that count what was done before, a table, and warnings by their causes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from facturaonline_async._cli import progress
from facturaonline_async.provision import PlanProblem, Progress, RowOutcome, RunReport, SerieOutcome, State


def resumed() -> RunReport:
    """Return the report of a run that begins where 80 of 100 rows are done."""
    report = RunReport(planned_empresas=100, planned_series=200)
    report.empresas[State.CREATED] = report.earlier_empresas[State.CREATED] = 80
    report.series[State.ADOPTED] = report.earlier_series[State.ADOPTED] = 160
    return report


def followed(report: RunReport, clock: Callable[[], float] = lambda: 0.0) -> Progress:
    return Progress(report, clock, lambda: 0.0)


def test_the_bar_of_a_resumed_run_begins_where_the_earlier_one_ended() -> None:
    bars = progress.bars_of(followed(resumed()).snapshot)
    assert [(task.description, task.completed, task.total) for task in bars.tasks] == [
        ("empresas", 80, 100),
        ("series", 160, 200),
    ]


def test_the_bars_show_the_rate_and_the_time_left_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 20 rows with two series each, 10 are done in 10 seconds: the rest takes 10 more."""
    now = 0.0
    run = followed(resumed(), lambda: now)
    serie = SerieOutcome(letra="F", tipo_documento="factura", state=State.CREATED)
    with progress.run_bars(run, quiet=False) as redraw:
        for second in range(1, 11):
            now = float(second)
            run.add(RowOutcome(number=second, rfc="AAA010101AA1", state=State.CREATED, series=(serie, serie)))
        redraw()
    shown = capsys.readouterr().err.splitlines()
    (empresas,) = {" ".join(line.split()[-3:]) for line in shown if "90/100" in line}
    (series,) = {" ".join(line.split()[-2:]) for line in shown if "180/200" in line}
    assert (empresas, series) == ("90/100 1.0/s 0:00:10", "180/200 2.0/s")


def test_progress_includes_the_rows_of_earlier_runs(capsys: pytest.CaptureFixture[str]) -> None:
    run = followed(resumed())
    with progress.run_bars(run, quiet=False) as redraw:
        for number in range(20):
            run.add(RowOutcome(number=number, rfc="AAA010101AA1", state=State.CREATED))
            redraw()
    assert "100/100" in capsys.readouterr().err


@pytest.mark.parametrize("state", [State.FAILED, State.NOT_TRIED, State.UNKNOWN])
def test_the_bars_count_only_companies_and_series_that_exist(capsys: pytest.CaptureFixture[str], state: State) -> None:
    """A row of which nothing exists is reported, too, and moves no bar."""
    run = followed(RunReport(planned_empresas=2, planned_series=2))
    done, not_done = (
        SerieOutcome(letra="F", tipo_documento="factura", state=each) for each in (State.CREATED, State.NOT_TRIED)
    )
    with progress.run_bars(run, quiet=False) as redraw:
        for number, each, serie in ((2, State.CREATED, done), (3, state, not_done)):
            run.add(RowOutcome(number=number, rfc=f"AAA010101AA{number}", state=each, series=(serie,)))
            redraw()
    last = re.findall(r"(empresas|series) +\S* *(\d+)/(\d+)", capsys.readouterr().err)[-2:]
    assert last == [("empresas", "1", "2"), ("series", "1", "2")]


def words(text: str) -> list[list[str]]:
    return [re.findall(r"\w+", line) for line in text.splitlines() if "empresas" in line or "series" in line]


def test_the_table_has_columns_for_earlier_runs_and_for_rows_not_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    report = resumed()
    report.empresas[State.CREATED] += 5
    report.add_not_begun()
    progress.print_report(report, interrupted=True)
    text = capsys.readouterr().out
    assert ("not tried" in text, "Interrupted" in text) == (True, True)
    assert words(text) == [
        ["empresas", "100", *("85", "80", "by", "an", "earlier", "run"), "0", "15", "0", "0"],
        ["series", "200", "0", *("160", "160", "by", "an", "earlier", "run"), "40", "0", "0"],
    ]


def test_rows_that_a_stopped_run_did_not_try_are_counted_and_not_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    report = RunReport(planned_empresas=2, planned_series=0)
    report.add(RowOutcome(number=2, rfc="AAA010101AA2", state=State.NOT_TRIED, reason="not tried: the run was stopped"))
    report.add(RowOutcome(number=3, rfc="AAA010101AA3", state=State.FAILED, reason="no"))
    progress.print_report(report, interrupted=True)
    text = capsys.readouterr().out
    assert ("AAA010101AA2" in text, "AAA010101AA3" in text) == (False, True)


def test_a_reason_does_not_repeat_its_state(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    report = RunReport(planned_empresas=1, planned_series=0)
    report.add(RowOutcome(number=2, rfc="AAA010101AA2", state=State.NOT_TRIED, reason="not tried: the run was stopped"))
    progress.print_report(report)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "AAA010101AA2" in line]
    assert [cell.strip() for cell in line.strip("│ ").split("│")][-2:] == ["not tried", "the run was stopped"]


def test_warnings_are_grouped_by_their_cause_with_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    digit = "{} does not fit. Compare it. [rfc_check_digit]"
    found = [PlanProblem(row=row, column="rfc", reason=digit.format(row)) for row in (4, 2, 3)]
    found += [PlanProblem(row=9, column="cer", reason="It expires soon. Renew it. [expires_soon]")]
    found += [PlanProblem(row=9, column="rfc", reason="a text without a code", seen="x")]
    progress.print_warnings(found)
    assert capsys.readouterr().err.splitlines() == [
        "warning 3 x, such as row 2, rfc: 2 does not fit. Compare it. [rfc_check_digit]",
        "warning row 9, cer: It expires soon. Renew it. [expires_soon]",
        "warning row 9, rfc: a text without a code, and was 'x'",
    ]
