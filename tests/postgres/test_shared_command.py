"""Commands that share rates, creates and journals with other processes."""

from __future__ import annotations

import asyncio
import csv
import shlex
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from facturaonline_async.postgres import Postgres
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import Ran, plan, run
from tests.postgres.servers import database_of
from tests.postgres.sql import Sql

pytestmark = pytest.mark.postgres

PASSWORD = "a-password-of-the-database"
SHARED = ("--settle", "150", "--no-audit")


@pytest.fixture(autouse=True)
def empty(sql: Sql) -> None:
    """Empty the tables, of which the template may hold rows of other tests."""
    sql("TRUNCATE facturaonline.windows, facturaonline.creates")


def uri(url: str) -> str:
    """Return the URL of a database, with a password that its server does not ask for."""
    parts = conninfo_to_dict(url)
    return f"postgresql://{parts['user']}:{PASSWORD}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def place(url: str) -> str:
    """Return what people read about the database."""
    parts = conninfo_to_dict(url)
    return f"{parts['host']}:{parts['port']}/{parts['dbname']}"


async def create_serie(emulator: Emulator, letra: str, *options: str, **env: str) -> Ran:
    ran = await run("series", "create", "--letra", letra, "--tipo", "factura", *options, emulator=emulator, env=env)
    assert ran.code == 0, ran.err
    return ran


def shared(sql: Sql) -> tuple[int, int]:
    """Return how many windows and how many creates the database has."""
    [(windows, creates)] = sql(
        "SELECT (SELECT count(*) FROM facturaonline.windows), (SELECT count(*) FROM facturaonline.creates)"
    )
    return windows, creates


async def test_a_variable_makes_a_command_share_rates_and_creates(url: str, sql: Sql, emulator: Emulator) -> None:
    await create_serie(emulator, "A", DATABASE_URL=url)
    assert shared(sql) == (0, 0)
    await create_serie(emulator, "B", FACTURAONLINE_DATABASE_URL=url)
    assert shared(sql) == (1, 1)


async def test_an_option_makes_a_command_share(url: str, sql: Sql, emulator: Emulator) -> None:
    await create_serie(emulator, "A", "--database", url)
    assert shared(sql) == (1, 1)
    await create_serie(emulator, "B", "--database", "env:DATABASE_URL", DATABASE_URL=url)
    assert shared(sql) == (1, 2)


async def test_a_variable_that_is_not_set_is_named(emulator: Emulator) -> None:
    ran = await run("series", "list", "--database", "env:NO_SUCH_URL", emulator=emulator)
    assert (ran.code, "NO_SUCH_URL is not set" in ran.err) == (2, True)


async def test_commands_at_the_same_time_create_a_serie_once(url: str) -> None:
    arguments = "series", "ensure", "--letra", "A", "--tipo", "factura", "--database", url
    async with Emulator(list_lag=1) as emulator:
        ran = await asyncio.gather(*(run(*arguments, emulator=emulator) for _ in range(4)))
        assert [each.code for each in ran] == [0] * 4, [each.err for each in ran]
        assert emulator.count("series.create") == 1


async def test_a_run_says_which_database_it_shares_and_not_the_password(
    url: str, sql: Sql, emulator: Emulator, tmp_path: Path
) -> None:
    arguments = "provision", plan(tmp_path, 2), "--journal", tmp_path / "j", *SHARED
    ran = await run(*arguments, emulator=emulator, env={"FACTURAONLINE_DATABASE_URL": uri(url)})
    assert (ran.code, f"are shared through the database {place(url)}." in ran.err) == (0, True), ran.err
    assert PASSWORD not in ran.out + ran.err
    assert shared(sql)[1] == 6


async def test_a_run_in_the_database_is_resumed_with_the_command_that_status_prints(
    url: str, emulator: Emulator, tmp_path: Path
) -> None:
    path, keys = plan(tmp_path, 3), tmp_path / "keys.csv"
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="empresas.create")
    begun = await run(
        "provision", path, "--journal", "pg:alta 1", "--json", "--database", uri(url), *SHARED, emulator=emulator
    )
    assert (begun.code, begun.json["database"], begun.json["empresas"]["created"]) == (1, place(url), 2), begun.err
    for env in ({"FACTURAONLINE_DATABASE_URL": url}, {}):
        options = [] if env else ["--database", url]
        status = await run("status", "pg:alta 1", "--json", *options, env=env)
        command = next(text for text in status.json["next"] if "facturaonline provision" in text)
        words = shlex.split(command.partition("run: ")[2].partition(". It")[0])
        assert words == [
            "facturaonline",
            "provision",
            "PLAN",
            "--journal",
            "pg:alta 1",
            *(["--database", "URL"] if not env else []),
        ]
    words = [str(path) if word == "PLAN" else url if word == "URL" else word for word in words[1:]]
    ended = await run(*words, "--keys-out", keys, *SHARED, emulator=emulator)
    assert (ended.code, "has the journal of the run alta 1" in ended.err) == (0, True), ended.err
    with keys.open(newline="") as file:
        assert len({row["rfc"] for row in csv.DictReader(file)}) == 3
    async with Postgres(url) as pg:
        assert [(each.name, each.done) for each in await pg.list_runs()] == [("alta 1", 9)]


async def test_the_emulator_of_a_run_is_shared_with_no_process(url: str, sql: Sql, tmp_path: Path) -> None:
    path = plan(tmp_path, 1)
    ran = await run("provision", path, "--emulator", env={"FACTURAONLINE_DATABASE_URL": url})
    assert (ran.code, shared(sql)) == (0, (0, 0)), ran.err
    for options in (["--database", url], ["--journal", "pg:alta"]):
        refused = await run("provision", path, "--emulator", *options)
        assert (refused.code, "--emulator belongs to this run alone" in refused.err) == (2, True)


async def test_a_database_without_the_schema_stops_a_command_before_its_first_call(
    empty_url: str, emulator: Emulator
) -> None:
    ran = await run("series", "list", "--database", empty_url, emulator=emulator)
    assert (ran.code, "facturaonline postgres install" in ran.err) == (2, True)
    assert database_of(empty_url) in ran.err
    assert emulator.requests == ()


async def test_a_preview_reads_the_journal_in_the_database_and_takes_no_run(
    tmp_path: Path, url: str, sql: Sql, emulator: Emulator
) -> None:
    path = plan(tmp_path, 2)
    options = ("--journal", "pg:alta", "--database", url)
    before = await run("plan", "preview", path, *options, "--json", emulator=emulator)
    await run("provision", path, *options, *SHARED, emulator=emulator)
    takes = sql("SELECT count(*) FROM facturaonline.takes")
    after = await run("plan", "preview", path, *options, "--json", emulator=emulator)

    assert (before.json["empresas"]["create"], after.json["empresas"]["done"], after.json["settled"]) == (2, 2, True)
    assert sql("SELECT count(*) FROM facturaonline.takes") == takes


# ── The preview of a run in the database ──────────────────────────────────────────────────────────────────────────────


async def test_a_preview_refuses_a_run_of_another_host_as_the_run_does(url: str, tmp_path: Path) -> None:
    path, journal = plan(tmp_path, 1), ("--journal", "pg:R", "--database", url)
    async with Emulator() as one, Emulator() as other:
        begun = await run("provision", path, *journal, *SHARED, emulator=one)
        previewed = await run("plan", "preview", path, *journal, emulator=other)
        again = await run("provision", path, *journal, *SHARED, emulator=other)
        requests = other.requests

    assert (begun.code, previewed.code, again.code, requests) == (0, 2, 2, ()), previewed.err
    assert f"belongs to {one.base_url}" in previewed.err
    assert previewed.err.splitlines()[-1] == again.err.splitlines()[-1]


async def test_a_preview_refuses_a_changed_row_that_was_sent_as_the_run_does(
    url: str, emulator: Emulator, tmp_path: Path
) -> None:
    path, journal = plan(tmp_path, 1), ("--journal", "pg:R", "--database", url)
    begun = await run("provision", path, *journal, *SHARED, emulator=emulator)
    same = await run("plan", "preview", path, *journal, emulator=emulator)
    changed = plan(tmp_path, 1, email="new@example.com")
    previewed = await run("plan", "preview", changed, *journal, emulator=emulator)
    again = await run("provision", changed, *journal, *SHARED, emulator=emulator)

    assert (begun.code, same.code, "Nothing to do" in same.out) == (0, 0, True), same.err
    assert (previewed.code, again.code, "email" in previewed.err) == (2, 2, True), previewed.err
    assert previewed.err.splitlines()[-1] == again.err.splitlines()[-1]


async def test_a_preview_of_a_run_leaves_it(url: str, sql: Sql, emulator: Emulator, tmp_path: Path) -> None:
    path = plan(tmp_path, 2)
    for name in ("R", "none"):
        if name == "R":
            await run("provision", path, "--journal", "pg:R", "--database", url, *SHARED, emulator=emulator)
        before = sql("SELECT r.xmin, r::text FROM facturaonline.runs AS r")
        ran = await run("plan", "preview", path, "--journal", f"pg:{name}", "--database", url, emulator=emulator)
        assert (ran.code, sql("SELECT r.xmin, r::text FROM facturaonline.runs AS r")) == (0, before), ran.err
