"""``facturaonline status`` and ``facturaonline report``: a run, seen from outside."""

from __future__ import annotations

import asyncio
import base64
import errno
import gc
import hashlib
import json
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from attrs import evolve
from hypothesis import given, strategies as st

from facturaonline_async import InvalidInputError
from facturaonline_async._cli import main, report, status as status_command
from facturaonline_async._cli.output import print_json_rows
from facturaonline_async._cli.report_chart import chart
from facturaonline_async._cli.report_html import MARK, render, templates
from facturaonline_async._cli.run_texts import format_duration, next_steps
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision._journal import progress
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.history import RunThroughput, read_history, throughput_of_runs
from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.provision._journal.reader import open_to_read, safe
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from tests.browser import browser
from tests.cli.test_app import environment, run, started
from tests.journals import HOST, alter, counted, end, fill, mixed, read_steps, rfc, row, save, state, worker, write

pytestmark = pytest.mark.slow

KEY = "JDJ5JDEwJDhhOVM4bzhXZWlSaFBoMVlUNmJuWHVuNnVQczFaZGlaQlVI"
EVIL = "<script>document.title='owned'</script></script><img src=x onerror=document.title='owned'>\x1b]0;owned\x07 "
CLOCK = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let whoever looks do so at a moment of ours."""
    monkeypatch.setattr(progress, "time", SimpleNamespace(time=lambda: CLOCK))
    return CLOCK


# ── status ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_status_counts_the_states_of_the_journal(path: Path) -> None:
    steps = mixed(200)
    await write(path, steps)
    told = (await run("status", path, "--json")).json
    for name, empresas in (("empresas", True), ("series", False)):
        counts = counted(steps, empresas=empresas)
        assert {state: told[name][state] for state in progress.STATES} == dict.fromkeys(progress.STATES, 0) | counts
        assert told[name]["all"] == sum(counts.values())
        assert told[name]["there"] == sum(counts[how.value] for how in Origin)
    assert (told["host"], told["running"], told["complete"], told["broken_off"]) == (HOST, False, False, False)


async def test_status_shows_the_counts_the_reasons_and_the_next_steps(path: Path) -> None:
    await write(
        path, [*row(2, StepState.DONE, Origin.CREATED), *row(3, StepState.FAILED, reason="no: la contraseña"), *row(4)]
    )
    ran = await run("status", path)
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"failed +│ +1 │ +0 │", ran.out)
    assert "1 x  failed  no: la contraseña  row 3, AAA010110003" in ran.out
    assert f"provision PLAN --journal {path}" in ran.out
    assert "1 row failed. Read the reason above, correct the row in the plan, and run again." in ran.out


async def test_rows_that_were_not_tried_have_a_reason_in_every_report(path: Path) -> None:
    done, new = row(2, StepState.DONE, Origin.CREATED, series=1), row(3, series=2)
    await write(path, [*done, *new])
    first, second = (await run("report", path, "--json")).json["rows"]
    not_started, company = "not tried: its row was not started yet", "not tried: its company comes first"
    assert [serie["reason"] for serie in first["series"]] == [not_started]
    assert (second["reason"], [serie["reason"] for serie in second["series"]]) == (not_started, [company] * 2)
    assert not_started in (await run("report", path)).out
    page = data(render(read_history(path)))
    assert page["reasons"] == ["", not_started, company]


async def test_the_next_step_of_an_emulator_run_has_the_option_emulator(path: Path) -> None:
    await write(path, row(2))
    path.with_name(f"{path.name}.emulator").touch()
    told = (await run("status", path, "--json")).json
    assert f"provision PLAN --journal {path} --emulator" in told["next"][0]


async def test_the_next_step_of_a_complete_run_is_nothing(path: Path) -> None:
    await write(path, row(2, StepState.DONE, Origin.ADOPTED))
    told = (await run("status", path, "--json")).json
    assert (told["complete"], told["next"]) == (True, ["Everything in the plan exists. You need to do nothing."])


async def test_status_reads_a_running_journal_without_disturbing_the_run(path: Path) -> None:
    await write(path, row(2, StepState.DONE, Origin.CREATED))
    async with worker(path) as process:
        told = (await run("status", path, "--json")).json
        assert (told["running"], told["ended"], told["runs"][-1]["pid"]) == (True, None, process.pid)
        assert told["empresas"]["intent"] == 1
        assert f"process {process.pid}" in (await run("status", path)).out
        await save(process)
        await end(process)
    seen = read_progress(path)
    assert (seen.is_running, seen.is_broken_off, seen.ended) == (False, False, seen.runs[-1].ended)


async def test_a_killed_run_is_reported_with_its_last_step_and_resumes(path: Path) -> None:
    await write(path, row(2, StepState.DONE, Origin.CREATED))
    async with worker(path) as process:
        process.kill()
        await process.wait()
        assert os.path.getsize(f"{path}-wal")  # noqa: ASYNC240, PTH202  # its last words are only there
        told = (await run("status", path, "--json")).json
        assert (told["running"], told["broken_off"], told["empresas"]["intent"]) == (False, True, 1)
        (*_, last) = read_history(path).rows
        assert [entry.state for entry in last.entries] == ["intent"]
    async with worker(path) as process:
        assert (read_progress(path).is_running, read_progress(path).runs[-1].pid) == (True, process.pid)


async def test_a_run_that_ends_while_status_reads_is_not_reported_as_killed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await SqliteJournal.open(path, account="keys", host=HOST):

        def ends_now(_: Path) -> bool:
            alter(path, "UPDATE runs SET ended = began + 1")
            return False

        monkeypatch.setattr(progress, "is_locked", ends_now)
        assert (seen := read_progress(path)).is_broken_off is False
        assert (seen.is_running, seen.runs[-1].ended) == (False, seen.runs[-1].began + 1)


async def test_rates_and_the_time_left_are_those_of_the_last_minute(path: Path, at: float) -> None:
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        done = [step for number in range(2, 122) for step in row(number, StepState.DONE, Origin.CREATED)]
        await fill(journal, [*done, *(step for number in range(122, 182) for step in row(number))])
        alter(
            path,
            "UPDATE runs SET began = :at - 600",
            "UPDATE steps SET began = :at - 300, changed = :at - 300 WHERE state = 'done'",
            "UPDATE steps SET changed = :at - 59 WHERE number < 32",  # 30 in the last minute: one in two seconds
            at=at,
        )
        seen = read_progress(path)
    assert seen.minute is not None
    assert seen.overall is not None
    assert (seen.minute.seconds, seen.minute.empresas, seen.overall.empresas) == (60, 0.5, 120 / 600)
    assert seen.eta == 60 / 0.5


async def test_adopted_rows_do_not_shorten_the_estimate(path: Path, at: float) -> None:
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        await fill(journal, [step for number in range(2, 62) for step in row(number, StepState.DONE, Origin.ADOPTED)])
        await fill(journal, [*row(62, StepState.DONE, Origin.CREATED), *row(63)])
        alter(
            path,
            "UPDATE runs SET began = :at - 10",
            "UPDATE steps SET changed = :at - 5",
            "UPDATE steps SET began = :at - 6 WHERE number = 62",
            at=at,
        )
        assert read_progress(path).eta == 10  # one was created in ten seconds, and one is left


async def test_the_time_left_includes_the_settle_time_of_unknown_rows(path: Path, at: float) -> None:
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        await fill(
            journal, [*row(2, StepState.DONE, Origin.CREATED), *row(3, StepState.UNKNOWN), *row(4, StepState.UNKNOWN)]
        )
        alter(
            path,
            "UPDATE runs SET began = :at - 1",
            "UPDATE steps SET began = :at - 1, changed = :at - 1, due = :at + 30 * (number - 2)",
            at=at,
        )
        seen = read_progress(path)
    assert (seen.due, seen.eta) == ((30, 60), 60)


async def test_the_time_left_excludes_series_of_failed_companies(path: Path, at: float) -> None:
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        await fill(journal, [*row(2, StepState.FAILED, series=3), *row(3, StepState.DONE, Origin.CREATED, series=1)])
        alter(path, "UPDATE runs SET began = :at - 1", "UPDATE steps SET began = :at, changed = :at", at=at)
        seen = read_progress(path)
    assert (seen.waiting, seen.eta) == (3, 1)


async def test_reasons_that_differ_only_in_rfc_and_uid_are_grouped(path: Path) -> None:
    def refused(number: int) -> list[Step]:
        return row(number, StepState.FAILED, reason=f"HTTP 422: {rfc(number)} ya existe (uid 607a062eae{number:04x})")

    await write(path, [*row(9, StepState.FAILED, reason="HTTP 400"), *refused(5), *refused(3), *refused(4)])
    reasons = (await run("status", path, "--json")).json["reasons"]
    assert [(each["count"], each["example"]["row"], each["reason"]) for each in reasons] == [
        (3, 3, f"HTTP 422: {rfc(3)} ya existe (uid 607a062eae0003)"),
        (1, 9, "HTTP 400"),
    ]


async def test_the_next_steps_name_each_state_that_needs_a_person(path: Path) -> None:
    await write(
        path,
        [
            *row(2, StepState.CONFLICT),
            *row(3, StepState.UNRESOLVED),
            *row(4, StepState.UNKNOWN),
            *row(5, StepState.FAILED),
        ],
    )
    alter(path, "UPDATE steps SET due = changed + 1e6 WHERE state = 'unknown'")
    steps = next_steps(read_progress(path))
    assert [re.match(r"To finish the rest|1 row [a-z ]+", step)[0] for step in steps] == [  # type: ignore[index]
        *(
            "To finish the rest",
            "1 row with an unknown outcome",
            "1 row failed",
            "1 row in conflict",
            "1 row unresolved",
        )
    ]
    assert "look for all of them in 11 d 13 h" in steps[1]


async def test_the_next_steps_name_no_further_run_if_it_could_do_nothing(path: Path) -> None:
    await write(path, [*row(2, StepState.UNRESOLVED, series=2)])
    assert "To finish the rest" not in " ".join(next_steps(read_progress(path)))
    await write(path, row(4, StepState.INTENT))
    assert [step[:27] for step in next_steps(read_progress(path))[:2]] == [
        *("To finish the rest, run: fa", "1 row in flight when it sto")
    ]


async def test_a_created_company_that_was_not_read_back_is_not_finished(path: Path) -> None:
    unseen = row(2, StepState.DONE, Origin.CREATED, reason="not readable before the deadline")
    await write(path, [*unseen, *row(3, StepState.DONE, Origin.CREATED)])
    seen = read_progress(path)
    assert (seen.is_complete, seen.unseen, [reason.state for reason in seen.reasons]) == (False, 1, ["created"])
    assert [step[:9] for step in next_steps(seen)] == ["To finish", "1 row wit"]
    first, second = read_history(path).rows
    assert (first.ok, [entry.label for entry in first.missing], second.ok) == (False, ["empresa"], True)


async def test_a_running_journal_is_recognised_by_every_name_of_its_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    async with await SqliteJournal.open(tmp_path / "link", account="keys", host=HOST):
        assert [read_progress(name).is_running for name in (path, tmp_path / "link")] == [True, True]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (134, "2 min 14 s"),
        (11100, "3 h 5 min"),
        (1e5, "1 d 3 h"),
    ],
)
def test_durations_are_shown_in_at_most_two_units(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


async def test_watch_goes_on_until_the_run_ends(path: Path) -> None:
    async with (
        worker(path) as process,
        started("status", path, "--watch", "--json", env=environment()) as watcher,
    ):
        assert watcher.stdout is not None
        first = json.loads(await watcher.stdout.readline())
        await end(process)
        rest, err = await watcher.communicate()
        assert (watcher.returncode, err) == (0, b"")
        looks = [first, *map(json.loads, rest.splitlines())]
        assert [each["running"] for each in looks] == [True] * (len(looks) - 1) + [False]


@pytest.mark.parametrize(("took", "pause"), [(0.01, 1.0), (2.0, 18.0)])
def test_watch_spends_a_tenth_of_its_time_at_most(took: float, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 0.0, list[float]()

    def read(_: object) -> Any:
        nonlocal now
        now += took
        return SimpleNamespace(is_running=len(pauses) < 3)

    monkeypatch.setattr(status_command, "readable", read)
    monkeypatch.setattr(status_command, "time", SimpleNamespace(monotonic=lambda: now, sleep=pauses.append))
    assert len(list(status_command._statuses(Path("j")))) == 4
    assert pauses == pytest.approx([pause] * 3)


async def test_watch_ends_with_the_status_of_a_finished_run(path: Path) -> None:
    await write(path, row(2, StepState.DONE, Origin.CREATED))
    ran = await run("status", path, "--watch")
    assert (ran.code, "Everything in the plan exists. You need to do nothing." in ran.out) == (0, True)


async def test_ctrl_c_ends_watch_and_not_the_run(path: Path) -> None:
    async with (
        worker(path) as process,
        started("status", path, "--watch", "--json", env=environment()) as watcher,
    ):
        assert watcher.stdout is not None
        await watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        _, err = await watcher.communicate()
        assert (watcher.returncode, err) == (130, b"")
        await save(process)


# ── What is no journal ────────────────────────────────────────────────────────────────────────────────────────────────


def no_journals(folder: Path) -> Iterator[tuple[Path, str]]:
    yield folder / "none", "does not exist"
    yield folder, "cannot be read"
    (folder / "empty").touch()
    yield folder / "empty", "not a journal of this library"
    (folder / "text").write_text("a text, and no database at all\n" * 100)
    yield folder / "text", "is not a journal of this library: it is not an SQLite file"
    alter(folder / "other", "CREATE TABLE t (a)")
    yield folder / "other", "not a journal of this library"


async def test_a_file_that_is_not_a_journal_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    for file, words in no_journals(tmp_path):
        with pytest.raises(JournalError, match=words) as caught:
            read_progress(file)
        assert str(file) in str(caught.value)
    for command in ("status", "report"):
        ran = await run(command, tmp_path / "none")
        assert (ran.code, ran.out, ran.err) == (2, "", f"the journal {tmp_path / 'none'} does not exist.\n")
    assert not (tmp_path / "none").exists()


async def test_a_journal_of_another_version_is_refused(path: Path) -> None:
    await write(path, row(2))
    alter(path, "PRAGMA user_version = 7")
    with pytest.raises(JournalError, match=r"another version of this library \(schema 7, not 3\)"):
        read_progress(path)


def test_a_damaged_journal_raises_journal_error(path: Path) -> None:
    asyncio.run(write(path, mixed(100)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + random.Random(1).randbytes(len(whole) - 4096))
    with pytest.raises(JournalError, match="is damaged"):
        read_progress(path)


async def test_a_journal_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "corrida 100% #1?.sqlite"
    await write(path, row(2, StepState.FAILED))
    told = (await run("status", path, "--json")).json
    assert (told["empresas"]["failed"], f"--journal '{path}'" in told["next"][0]) == (1, True)


async def test_a_reader_sees_one_snapshot_and_the_run_does_not_wait(path: Path) -> None:
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        await fill(journal, steps := row(2))
        with open_to_read(path) as connection:
            steps[0].state = StepState.FAILED
            await journal.save(steps[0])
            assert [step.state for step in read_steps(connection)] == [StepState.PLANNED]
        assert read_progress(path).empresas["failed"] == 1


# ── report ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_report_has_every_row_of_the_journal(path: Path) -> None:
    steps = mixed(60)
    await write(path, steps)
    rows = (await run("report", path, "--json")).json["rows"]
    found = [
        (row["row"], row["rfc"], each.get("letra", ""), each["state"], each["uid"], each["reason"])
        for row in rows
        for each in (row, *row["series"])
    ]
    empresas = {step.rfc: step for step in steps if step.is_empresa}

    def reason(step: Step) -> str:
        if step.state is not StepState.PLANNED:
            return step.reason
        is_next = step.is_empresa or empresas[step.rfc].state is StepState.DONE
        return f"not tried: {'its row was not started yet' if is_next else 'its company comes first'}"

    assert found == [(step.number, step.rfc, step.letra, state(step), step.uid, reason(step)) for step in steps]
    assert [row["ok"] for row in rows] == [
        all(step.state is StepState.DONE for step in steps[place : place + 4]) for place in range(0, len(steps), 4)
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_report_as_json_has_a_line_for_each_row(path: Path, count: int) -> None:
    await write(path, [step for number in range(2, 2 + count) for step in row(number, series=2)])
    ran = await run("report", path, "--json")
    lines = [line.removesuffix(",") for line in ran.out.splitlines() if line.startswith('    {"row": ')]
    assert [json.loads(line) for line in lines] == ran.json["rows"]
    assert [each["row"] for each in ran.json["rows"]] == list(range(2, 2 + count))
    assert ran.json["host"] == HOST


def test_json_with_a_line_for_each_row_is_printable_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_rows({"name": "\x7f"}, "rows", ["\x7f", "ñ"])
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"name": "\x7f", "rows": ["\x7f", "ñ"]}


def test_the_garbage_collector_runs_again_after_a_report(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        report.command(path)  # there is no journal
    assert gc.isenabled()
    asyncio.run(write(path, row(2)))
    report.command(path)
    assert gc.isenabled()
    assert "AAA010110002" in capsys.readouterr().out


async def test_a_report_as_text_lists_the_missing_companies_and_series(path: Path) -> None:
    done = row(3, StepState.DONE, Origin.CREATED, series=2)
    await write(path, [*row(2, StepState.FAILED, series=3, reason="no"), *done])
    ran = await run("report", path)
    missing = [line.split("│")[1:6] for line in ran.out.splitlines() if re.match(r"│ [0-9]", line)]
    assert [[cell.strip() for cell in line] for line in missing] == [
        ["2", rfc(2), "empresa", "failed", "no"],
        ["3", rfc(3), "F:factura", "not tried", "not tried: its row was not started yet"],
        ["3", rfc(3), "P:pago", "not tried", "not tried: its row was not started yet"],
    ]


def draw(throughput: list[RunThroughput]) -> str:
    """Draw a chart as the page does."""
    template: Any = templates().get_template("report_chart.html").module
    return str(template.draw(chart(throughput, UTC)))


@given(
    sessions=st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e7)), min_size=1, max_size=60),
    done=st.lists(st.tuples(st.floats(-1e7, 1e8), st.booleans()), max_size=30),
)
def test_the_chart_counts_every_finished_step_even_if_the_clock_was_set(
    sessions: list[tuple[float, float]], done: list[tuple[float, bool]]
) -> None:
    spans = []
    began = CLOCK
    for pause, length in sessions:
        spans.append((began := began + pause, began + length))  # also those that overlap: a clock was set back
    empresas, series = ([CLOCK + moment for moment, kind in done if kind is wanted] for wanted in (True, False))
    throughput = throughput_of_runs(spans, empresas, series)
    assert sum(sum(each.empresas) for each in throughput) == len(empresas)
    assert sum(sum(each.series) for each in throughput) == len(series)
    drawn = draw(throughput)
    assert (drawn.count('class="pause"'), re.findall(r"\b(?:nan|inf)\b|-[0-9.]+\"", drawn)) == (len(sessions) - 1, [])


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=60))
def test_the_chart_has_at_most_96_bars_and_one_per_run(lengths: list[float]) -> None:
    throughput = throughput_of_runs([(CLOCK, CLOCK + length) for length in lengths], [], [])
    assert sum(len(each.empresas) for each in throughput) <= 96 + len(lengths)


async def test_the_chart_shows_each_interval_and_the_pauses_between_runs(path: Path) -> None:
    await write(path, [step for number in range(6) for step in row(number, StepState.DONE, series=1)])
    alter(
        path,
        "UPDATE runs SET began = :at, ended = :at + 20",
        "INSERT INTO runs (pid, began, ended) VALUES (2, :at + 3620, :at + 3630)",
        "UPDATE steps SET state = 'done', changed = :at + 0.5 WHERE number < 3",
        "UPDATE steps SET changed = :at + 19.5 WHERE number >= 3",
        "UPDATE steps SET state = 'done', changed = :at + 3625.5 WHERE number = 5 AND kind = 'series'",
        at=CLOCK,
    )
    first, second = read_history(path).throughput
    assert (first.empresas, first.series) == ((3, *[0] * 18, 3), (3, *[0] * 19))
    assert (second.empresas, second.series) == ((0,) * 10, (0, 0, 0, 0, 0, 1, 0, 0, 0, 0))
    drawn = draw([first, second])
    assert re.findall(r"<title>([^<]*)</title>", drawn) == [
        "2023-11-14 22:13:20: 3 empresas, 3 series",
        "2023-11-14 22:13:39: 3 empresas, 0 series",
        "pause of 1 h",
        "2023-11-14 23:13:45: 0 empresas, 1 series",
    ]
    assert "done per s<" in drawn


def test_the_chart_shows_each_day_once() -> None:
    drawn = draw(throughput_of_runs([(CLOCK, CLOCK + 30 * 3600)], [], []))
    assert re.findall(r">(2023-[0-9-]+)<", drawn) == ["2023-11-14", "2023-11-15", "2023-11-16"]


@given(st.integers(0, 10**7))
def test_the_axis_has_equal_steps_and_room_for_the_highest_bar(most: int) -> None:
    throughput = throughput_of_runs([(CLOCK, CLOCK + 1)], [], [])
    drawn = draw([evolve(throughput[0], empresas=(most,))])
    labels = [int(each.replace(",", "")) for each in re.findall(r'text-anchor="end">([0-9,.]+)<', drawn)]
    assert labels == [labels[1] * place for place in range(5)]
    assert most <= labels[-1] <= max(4, 2 * most)


# ── The page ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def data(text: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


async def test_the_page_has_every_row_and_runs_only_its_own_script(path: Path, tmp_path: Path) -> None:
    steps = mixed(50)
    for step in steps:
        step.reason = EVIL if step.reason else ""
    await write(path, steps)
    ran = await run("report", path, "--html", tmp_path / "run.html")
    assert (ran.code, ran.out) == (0, "")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    held = data(text)
    assert [row[0] for row in held["rows"]] == list(range(2, 52))
    found = [held["states"][each[0]] for row in held["rows"] for each in (row[2], *(serie[2:] for serie in row[3]))]
    assert found == [state(step) for step in steps]
    assert "<img" not in text
    assert text.count("<script") == 2
    (allowed,) = re.findall(r"script-src '([^ ;]+)'", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert allowed == f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
    assert re.findall(r"\b(?:href|src)=\"(?!#|data:,\")", text) == []


async def test_no_report_shows_a_key_or_a_control_character(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await write(
        path,
        [*row(2, StepState.FAILED, reason=f"{EVIL} {KEY}"), *row(3, StepState.FAILED, reason=f'{{"Secret":"{KEY}"}}')],
    )
    report.command(path, tmp_path / "run.html", in_json=True)
    shown = [await run("status", path), await run("report", path)]
    texts = [*(ran.out + ran.err for ran in shown), (tmp_path / "run.html").read_text(), capsys.readouterr().out]
    assert [KEY in text or "\x1b" in text or "\x07" in text for text in texts] == [False] * 4
    assert all("***" in text and "document.title" in text for text in texts)


def test_a_page_replaces_only_a_page_unless_force_is_given(path: Path, tmp_path: Path) -> None:
    asyncio.run(write(path, row(2)))
    html, mine = tmp_path / "run.html", tmp_path / "thesis.html"
    mine.write_text("<!doctype html><p>years of work")
    (tmp_path / "link.html").symlink_to(html)
    report.command(path, html)
    asyncio.run(write(path, row(3)))
    report.command(path, tmp_path / "link.html")
    assert ((tmp_path / "link.html").is_symlink(), len(data(html.read_text())["rows"])) == (True, 2)
    ran = asyncio.run(run("report", path, "--html", mine))
    assert (ran.code, "--force" in ran.err, mine.read_text()) == (2, True, "<!doctype html><p>years of work")
    report.command(path, mine, force=True)
    assert MARK in mine.read_text()
    beside = [Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal", ".lock", ".emulator")]
    for other in (path, *beside, tmp_path, tmp_path / "none" / "run.html"):
        with pytest.raises(InvalidInputError) as caught:
            report.command(path, other, force=True)
        assert str(other) in str(caught.value)
    assert read_progress(path).empresas["not_tried"] == 2


def test_a_failed_write_keeps_the_old_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(write(path, row(2)))
    html = tmp_path / "run.html"
    report.command(path, html)
    before = html.read_text()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InvalidInputError, match="No space left"):
        report.command(path, html)
    assert (html.read_text(), list(tmp_path.glob("*.tmp"))) == (before, [])
    assert list(tmp_path.glob(".*")) == []


def test_without_jinja2_the_command_names_the_extra_cli(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(write(path, row(2)))
    templates.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(sys, "argv", ["facturaonline", "report", str(path), "--html", str(tmp_path / "run.html")])
    with pytest.raises(SystemExit, match=r"facturaonline-async\[cli\]"):
        main()
    assert not (tmp_path / "run.html").exists()


async def test_a_page_says_whether_its_run_is_running_or_was_interrupted(path: Path) -> None:
    async with worker(path) as process:
        assert 'class="verdict running">At work<' in render(read_history(path))
        process.kill()
        await process.wait()
        assert 'class="verdict bad">Interrupted<' in render(read_history(path))


# ── The page in a browser ─────────────────────────────────────────────────────────────────────────────────────────────

FOUND = "document.querySelector('#found').textContent"
ROWS = "document.querySelectorAll('#body tr').length"
FIRST = "document.querySelector('#body th').textContent"


async def test_a_page_of_twenty_thousand_rows_is_searched_filtered_sorted_and_paged(path: Path, tmp_path: Path) -> None:
    steps = [step for number in range(2, 20_002) for step in row(number, StepState.DONE, Origin.CREATED, series=3)]
    for step in steps:
        step.state, step.origin = StepState.DONE, Origin.CREATED
    for step in (steps[8], steps[41], steps[43]):  # row 4's company; two series of row 12
        step.state, step.origin, step.reason = StepState.FAILED, None, f"{EVIL} contraseña de {step.rfc}"
    await write(path, steps)
    await asyncio.to_thread(report.command, path, tmp_path / "run.html")
    async with browser(tmp_path / "profile") as tab:
        await tab.open((tmp_path / "run.html").as_uri())
        assert (await tab.ask(FOUND), await tab.ask(ROWS)) == ("20,000 rows, 1 to 100 shown", 100)
        await tab.click("[data-go=last]")
        assert (await tab.ask(FIRST), await tab.ask("document.querySelector('#page').textContent")) == (
            rfc(19_902),
            "Page 200 of 200",
        )
        await tab.type("#search", f"{rfc(777)} F:FACTURA")
        assert (await tab.ask(FOUND), await tab.ask(FIRST)) == ("1 of 20,000 rows", rfc(777))
        await tab.type("#search", "no such thing")
        assert (await tab.ask(FOUND), await tab.ask(ROWS)) == ("0 of 20,000 rows", 1)
        await tab.type("#search", "CONTRASENA")  # accents and case do not matter
        assert (await tab.ask(FOUND), await tab.ask(FIRST)) == ("2 of 20,000 rows", rfc(4))
        await tab.click("[data-sort=row]")  # it was up already
        assert await tab.ask(FIRST) == rfc(12)
        assert await tab.ask("document.querySelector('#body .why').textContent") == (
            f"F:factura, N:nomina {safe(EVIL)} contraseña de {rfc(12)}"
        )
        await tab.click("#clear")
        assert await tab.ask(FOUND) == "20,000 rows, 1 to 100 shown"
        await tab.click(".chip:has([value=failed])")
        assert await tab.ask(FOUND) == "2 of 20,000 rows"
        await tab.click("#clear")
        await tab.click("[data-reason='0']")  # the two series
        assert (await tab.ask(FOUND), await tab.ask(FIRST)) == ("1 of 20,000 rows", rfc(12))
        # Nothing that the API said was run, and nobody was asked for anything.
        assert (await tab.ask("document.title")).startswith(HOST)
        assert (tab.complaints, tab.requests) == ([], [(tmp_path / "run.html").as_uri()])


WIDER_THAN_THE_SCREEN = """
[...document.querySelectorAll('.totals, .reasons table, #rows table, .reasons td, #body td, #body th, .totals td')]
    .filter((each) => each.getBoundingClientRect().right > innerWidth).map((each) => each.textContent)
"""


async def test_a_phone_shows_all_states_and_reasons_without_scrolling_sideways(path: Path, tmp_path: Path) -> None:
    reason = "password: la contraseña no abre la llave privada [wrong_password]"
    steps = mixed(40)
    for step in steps:
        step.reason = step.reason and reason
    await write(path, steps)
    report.command(path, tmp_path / "run.html")
    async with browser(tmp_path / "profile") as tab:
        await tab.command("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        await tab.open((tmp_path / "run.html").as_uri())
        assert (await tab.ask(ROWS), await tab.ask("innerWidth")) == (40, 390)
        assert await tab.ask(WIDER_THAN_THE_SCREEN) == []
        shown = await tab.ask("document.querySelector('main').innerText")
        assert [word in shown for word in ("failed", "conflict", "not tried", reason)] == [True] * 4
        await tab.command("Emulation.setScriptExecutionDisabled", value=True)
        await tab.open((tmp_path / "run.html").as_uri())
        await tab.command("Emulation.setScriptExecutionDisabled", value=False)
        assert await tab.ask(WIDER_THAN_THE_SCREEN) == []


async def test_the_page_names_its_run(path: Path) -> None:
    await write(path, row(2))
    assert f"Provisioning report · <bdi>{path.name}</bdi>" in render(read_history(path))


async def test_the_page_is_readable_without_scripts_in_print_and_on_a_narrow_screen(path: Path, tmp_path: Path) -> None:
    await write(path, [*row(2, StepState.FAILED, reason="no"), *row(3, StepState.DONE, Origin.CREATED, series=2)])
    report.command(path, tmp_path / "run.html")
    async with browser(tmp_path / "profile") as tab:
        await tab.command("Emulation.setScriptExecutionDisabled", value=True)
        await tab.open((tmp_path / "run.html").as_uri())
        text = await tab.ask("document.querySelector('#rows').innerText")
        assert "not finished" in text
        assert [word in text for word in (rfc(2), "no", rfc(3), "F:factura", "P:pago", "Search")] == [True] * 5 + [
            False
        ]
        await tab.command("Emulation.setScriptExecutionDisabled", value=False)
        await tab.open((tmp_path / "run.html").as_uri())
        assert await tab.ask(ROWS) == 2
        await tab.command(
            "Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=False
        )
        assert await tab.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        await tab.command("Emulation.setEmulatedMedia", media="print")
        assert await tab.ask("getComputedStyle(document.querySelector('form')).display") == "none"
        colours = set()
        for scheme in ("light", "dark"):
            await tab.command(
                "Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}]
            )
            colours.add(await tab.ask("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2
        assert tab.complaints == []
