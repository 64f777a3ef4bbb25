"""Runs in PostgreSQL as people look at them: status, report, and the list of runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import Secret
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._runs import RunReader
from facturaonline_async.provision import Journal, JournalError, JournalInUseError, JournalStore, Step
from facturaonline_async.provision._journal.history import read_history
from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.provision._journal.writer import SqliteJournalStore
from tests import journals
from tests.cli.test_app import Ran, run
from tests.postgres.sql import Sql

pytestmark = pytest.mark.postgres

RUN = "alta 2026-11"


async def opened(store: JournalStore) -> Journal:
    return await store.open(account="keys", host=journals.HOST)


async def filled(store: JournalStore, steps: list[Step]) -> None:
    journal = await opened(store)
    await journal.adjust(add=steps)
    for step in steps:
        if step.state is not StepState.PLANNED:
            await journal.save(evolve(step, state=StepState.INTENT, uid=None, origin=None))
            await journal.save(step)
    await journal.aclose()


def reader(url: str, name: str = RUN) -> RunReader:
    return RunReader(Secret(url), name)


async def command(*arguments: object, url: str) -> Ran:
    return await run(*arguments, env={"FACTURAONLINE_DATABASE_URL": url})


def comparable(value: Any) -> Any:
    """Return JSON without moments, durations and the journal's name."""
    if isinstance(value, dict):
        varying = {"journal", "began", "ended", "now", "changed", "unknown_due", "rate", "eta", "throughput", "runs"}
        return {name: comparable(each) for name, each in value.items() if name not in varying}
    return [comparable(each) for each in value] if isinstance(value, list) else value


async def test_status_and_report_show_a_run_as_they_show_a_file(pg: Postgres, url: str, tmp_path: Path) -> None:
    steps = journals.mixed(12)
    for step in steps:
        step.sends = int(step.state is not StepState.PLANNED)
        step.due = 5e9 if step.state is StepState.UNKNOWN or step.origin is Origin.CREATED else 0.0
    await filled(pg.journal(RUN), steps)
    await filled(SqliteJournalStore(tmp_path / "j"), steps)
    for name in ("status", "report"):
        of_run = await command(name, f"pg:{RUN}", "--json", url=url)
        of_file = await command(name, tmp_path / "j", "--json", url=url)
        assert (of_run.code, of_file.code) == (0, 0), of_run.err
        shown, expected = json.loads(of_run.out), json.loads(of_file.out)
        next_of_file = [text.replace(str(tmp_path / "j"), f"'pg:{RUN}'") for text in expected.pop("next")]
        assert shown.pop("next") == next_of_file
        assert comparable(shown) == comparable(expected)
        assert shown["journal"] == f"pg:{RUN}"
        assert shown["unknown_due"]["last"] == pytest.approx(expected["unknown_due"]["last"], abs=60)


async def test_status_finds_a_run_by_its_name(pg: Postgres, url: str, tmp_path: Path) -> None:
    await filled(pg.journal(RUN), journals.row(2, StepState.DONE, Origin.CREATED))
    ran = await run("status", "--run", RUN, "--database", url)
    assert (ran.code, f"pg:{RUN} ({journals.HOST})" in ran.out) == (0, True), ran.err
    page = await command("report", "--run", RUN, "--html", tmp_path / "page.html", url=url)
    assert (page.code, journals.rfc(2) in (tmp_path / "page.html").read_text()) == (0, True), page.err


async def test_a_run_is_shown_at_work_while_a_process_has_it(pg: Postgres, url: str, sql: Sql) -> None:
    journal = await opened(pg.journal(RUN))
    await journal.adjust(add=[Step(number=2, owner="AAA010101AAA"), Step(number=3, owner="AAA010102AAA")])
    await journal.save(Step(number=2, owner="AAA010101AAA", state=StepState.INTENT))
    await journal.save(Step(number=2, owner="AAA010101AAA", state=StepState.DONE, origin=Origin.CREATED, uid="7"))
    at_work = await asyncio.to_thread(read_progress, reader(url))
    assert (at_work.is_running, at_work.left, at_work.empresas["created"]) == (True, 1, 1)
    assert at_work.eta is not None
    sql.silence()
    killed = await asyncio.to_thread(read_progress, reader(url))
    assert (killed.is_running, killed.is_broken_off) == (False, True)
    await journal.aclose()
    ended = await asyncio.to_thread(read_history, reader(url))
    assert (ended.status.is_running, ended.status.is_broken_off) == (False, False)
    assert [row.rfc for row in ended.rows] == ["AAA010101AAA", "AAA010102AAA"]
    assert sum(ended.throughput[0].empresas) == 1


async def test_the_moments_of_a_server_with_another_clock_are_those_of_the_reader(
    pg: Postgres, url: str, sql: Sql
) -> None:
    sql(
        "CREATE OR REPLACE FUNCTION facturaonline.clock() RETURNS timestamptz LANGUAGE sql "
        "AS $$ SELECT pg_catalog.clock_timestamp() - interval '3 days' $$"
    )
    await filled(pg.journal(RUN), journals.row(2, StepState.DONE, Origin.CREATED))
    status = await asyncio.to_thread(read_progress, reader(url))
    moments = [status.began, status.last, status.ended, status.runs[0].began]
    assert [moment == pytest.approx(status.now, abs=60) for moment in moments] == [True] * 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["pg:missing"], "the journal pg:missing does not exist."),
        ([], "name one journal: a file, pg:RUN, or --run NAME."),
        (["j", "--run", "x"], "name one journal: a file, pg:RUN, or --run NAME."),
        (["j", "--database", "postgresql://"], "j is a file: --database is for a journal pg:RUN."),
        (["pg:x", "--database", "postgresql://127.0.0.1:1/x"], "the journal pg:x cannot be read: no connection"),
    ],
)
@pytest.mark.parametrize("name", ["status", "report"])
async def test_a_journal_that_cannot_be_found_is_bad_input(
    url: str, name: str, arguments: list[str], reason: str
) -> None:
    ran = await command(name, *arguments, url=url)
    assert (ran.code, reason in ran.err, ran.out) == (2, True, ""), ran.err


async def test_runs_are_listed_and_deleted(pg: Postgres, url: str, sql: Sql) -> None:
    await filled(pg.journal("first"), [*journals.row(2, StepState.DONE, Origin.CREATED, series=2)])
    second = await opened(pg.journal("second"))
    [at_work, ended] = await pg.list_runs()
    assert (at_work.name, at_work.is_running, at_work.planned) == ("second", True, 0)
    assert (ended.name, ended.is_running, ended.planned, ended.done) == ("first", False, 3, 1)
    assert ended.created_at <= ended.heard_at <= at_work.heard_at

    listed = await command("runs", "list", url=url)
    assert [word in listed.out for word in ("first", "second", "1/3", "at work", journals.HOST)] == [True] * 5
    assert [each["name"] for each in json.loads((await command("runs", "list", "--json", url=url)).out)] == [
        *("second", "first"),
    ]
    refused = await command("runs", "delete", "second", "--yes", url=url)
    assert (refused.code, "another process uses the journal pg:second" in refused.err) == (1, True), refused.err
    with pytest.raises(JournalInUseError):
        await pg.delete_run("second")
    asked = await command("runs", "delete", "first", url=url)
    assert (asked.code, "--yes" in asked.err) == (2, True)
    deleted = await command("runs", "delete", "first", "--yes", url=url)
    assert (deleted.code, deleted.out) == (0, "The journal of the run first is deleted.\n"), deleted.err
    with pytest.raises(JournalError, match="pg:first does not exist"):
        await pg.delete_run("first")
    await second.aclose()
    await pg.delete_run("second")
    for table in ("runs", "takes", "steps", "baseline"):
        assert sql(f"SELECT count(*) FROM facturaonline.{table}") == [(0,)]
