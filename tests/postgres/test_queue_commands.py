"""``facturaonline enqueue``, ``worker``, ``cancel``, ``keys``, and what other commands show of their runs."""

from __future__ import annotations

import asyncio
import csv
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("procrastinate", reason="the extra procrastinate is not installed")

from facturaonline_async import SANDBOX, InvalidInputError
from facturaonline_async._cli.worker import command
from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._postgres import database_of
from facturaonline_async.procrastinate import folder_plans
from facturaonline_async.procrastinate._schema import install_queue
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import COMMAND, Ran, environment, plan, run
from tests.postgres.servers import Server, database_of as name_of
from tests.postgres.sql import Sql
from tests.postgres.test_worker import EMPRESAS as COMPANIES, at_work, make_worker, put, until

pytestmark = pytest.mark.postgres

EMPRESAS = 6
SHARDS = 3
RUN = "alta"
BATCH = """
import os
from facturaonline_async import Config
from facturaonline_async.procrastinate import Worker, folder_plans

worker = Worker(
    Config(base_url=os.environ["FACTURAONLINE_BASE_URL"], rates=(), check_sello=False),
    plans=folder_plans("plans"),
    listen=os.environ["FACTURAONLINE_DATABASE_URL"],
)
not_a_worker = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a module that has a worker, and the plan of the run."""
    (tmp_path / "plans" / RUN).mkdir(parents=True)
    plan(tmp_path / "plans" / RUN, EMPRESAS)
    (tmp_path / "batch.py").write_text(BATCH, encoding="utf-8")
    return tmp_path


@pytest.fixture
async def queue(pg: Postgres) -> None:
    await install_queue(database_of(pg))


def plan_of(folder: Path) -> Path:
    return folder / "plans" / RUN / "plan.csv"


@asynccontextmanager
async def worker(folder: Path, emulator: Emulator, url: str) -> AsyncIterator[Process]:
    """Run a worker as people do, and stop it with SIGTERM."""
    env = environment(emulator) | {"FACTURAONLINE_DATABASE_URL": url}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "worker", "batch:worker", cwd=folder, env=env, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "The worker has ended; its jobs are in the queue." in err.decode()


async def enqueue(folder: Path, emulator: Emulator, url: str, *more: object) -> Ran:
    arguments = ("enqueue", plan_of(folder), "--shards", SHARDS, "--run", RUN, "--database", url, *more)
    return await run(*arguments, emulator=emulator)


async def created(sql: Sql, number: int) -> None:
    while sql.states().get("done", 0) < number:  # noqa: ASYNC110  # a database rings no bell
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("queue")
async def test_a_run_goes_from_the_plan_to_the_keys(folder: Path, emulator: Emulator, url: str, sql: Sql) -> None:
    env = {"FACTURAONLINE_DATABASE_URL": url}
    enqueued = await enqueue(folder, emulator, url)
    text = f"The run {RUN} is enqueued: {EMPRESAS} empresas, {2 * EMPRESAS} series, {SHARDS} shards.\n"
    assert (enqueued.code, enqueued.out) == (0, text), enqueued.err
    before = (await run("status", "--run", RUN, "--json", env=env)).json
    assert (before["empresas"]["not_tried"], before["series"]["not_tried"]) == (EMPRESAS, 2 * EMPRESAS)

    async with worker(folder, emulator, url):
        await created(sql, 3 * EMPRESAS)
        at_work = (await run("status", "--run", RUN, "--json", env=env)).json
    assert (at_work["running"], at_work["empresas"]["created"]) == (True, EMPRESAS)
    assert at_work["unaudited_rows"] == EMPRESAS  # the settle time is not over

    [listed] = (await run("runs", "list", "--json", env=env)).json
    assert (listed["name"], listed["planned"], listed["done"]) == (RUN, 3 * EMPRESAS, 3 * EMPRESAS)
    page = await run("report", "--run", RUN, "--json", env=env)
    assert [row["ok"] for row in page.json["rows"]] == [True] * EMPRESAS

    file = folder / "keys.csv"
    keys = await run("keys", "--run", RUN, "--out", file, emulator=emulator, env=env)
    assert (keys.code, f"has the keys of {EMPRESAS} companies of the run {RUN}.\n" in keys.out) == (0, True), keys.err
    known = {row["rfc"]: row["api_key"] for row in emulator.state["empresas"].values() if not row.get("main")}
    with file.open(encoding="utf-8", newline="") as lines:
        assert {row["rfc"]: row["api_key"] for row in csv.DictReader(lines)} == known
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    asked = emulator.count("empresas.get")
    assert (await run("keys", "--run", RUN, "--out", file, emulator=emulator, env=env)).code == 0
    assert emulator.count("empresas.get") == asked

    assert (await run("runs", "delete", RUN, "--yes", env=env)).code == 0
    assert sql("SELECT count(*) FROM facturaonline.runs") == [(0,)]


@pytest.mark.usefixtures("queue")
async def test_keys_that_cannot_be_read_are_named(folder: Path, emulator: Emulator, url: str, sql: Sql) -> None:
    await enqueue(folder, emulator, url)
    async with worker(folder, emulator, url):
        await created(sql, 3 * EMPRESAS)
    uid = next(uid for uid, row in emulator.state["empresas"].items() if not row.get("main"))
    arguments = ("keys", "--run", RUN, "--out", folder / "keys.csv", "--database", url)
    async with Emulator() as another:
        refused = await run(*arguments, emulator=another)
    assert (refused.code, f"belongs to {emulator.base_url}" in refused.err) == (2, True)
    emulator.inject(Fault.status(200, body={"status": "error", "message": "no existe"}), endpoint="empresas.get")
    ran = await run(*arguments, emulator=emulator)
    assert (ran.code, "were not read" in ran.err) == (1, True), ran.err
    assert f"has the keys of {EMPRESAS - 1} companies" in ran.out
    again = await run(*arguments, emulator=emulator)
    assert (again.code, f"has the keys of {EMPRESAS} companies" in again.out) == (0, True), (again.err, uid)


@pytest.mark.usefixtures("queue")
async def test_a_run_is_cancelled_and_enqueued_again(folder: Path, emulator: Emulator, url: str, sql: Sql) -> None:
    await enqueue(folder, emulator, url)
    cancelled = await run("cancel", "--run", RUN, "--database", url)
    assert (cancelled.code, f"The run {RUN} is cancelled." in cancelled.out) == (0, True), cancelled.err
    assert sql("SELECT count(*) FROM procrastinate_jobs") == [(0,)]
    again = await enqueue(folder, emulator, url)
    assert again.code == 0
    assert sql("SELECT count(*) FROM procrastinate_jobs") == [(1,)]
    unknown = await run("cancel", "--run", "unknown", "--database", url)
    assert (unknown.code, "the journal pg:unknown does not exist." in unknown.err) == (1, True)


@pytest.mark.usefixtures("queue")
async def test_another_number_of_shards_is_refused(folder: Path, emulator: Emulator, url: str) -> None:
    await enqueue(folder, emulator, url)
    refused = await enqueue(folder, emulator, url, "--shards", 4)
    assert (refused.code, "is divided into 3 shards, not 4" in refused.err) == (2, True), refused.err


@pytest.mark.usefixtures("queue")
async def test_a_faulty_plan_is_not_enqueued(folder: Path, emulator: Emulator, url: str, sql: Sql) -> None:
    path = plan_of(folder)
    path.write_text(path.read_text(encoding="utf-8").replace("codpos", "nonsense", 1), encoding="utf-8")
    refused = await enqueue(folder, emulator, url)
    assert (refused.code, "nonsense" in refused.err) == (2, True), refused.err
    assert sql("SELECT count(*) FROM facturaonline.runs") == [(0,)]


async def test_install_makes_the_tables_of_the_queue(empty_url: str, shared_server: Server) -> None:
    """A role that got the grants can do all that a worker does."""
    name = f"worker {name_of(empty_url)}"
    shared_server.execute(f'CREATE ROLE "{name}" LOGIN')
    try:
        ran = await run("postgres", "install", "--yes", "--grant", name, env={"FACTURAONLINE_DATABASE_URL": empty_url})
        assert (ran.code, "has the tables of procrastinate." in ran.out) == (0, True), ran.err
        workers = shared_server.url(dbname=name_of(empty_url), user=name)
        sql = Sql(shared_server, empty_url)
        async with Emulator() as emulator:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("facturaonline_async._core.shared._MARGIN", -100)
                await put(emulator, workers)
                async with at_work(make_worker(emulator, workers)):
                    await until(lambda: sql.states() == {"done": 4 * COMPANIES})
    finally:
        shared_server.execute(f'DROP OWNED BY "{name}"', dbname=name_of(empty_url))
        shared_server.execute(f'DROP ROLE "{name}"')


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("batch", "'batch' is no worker: give MODULE:WORKER"),
        ("missing:worker", "there is no module 'missing'"),
        ("batch:missing", "the module batch has no 'missing'"),
        ("batch:not_a_worker", "'batch:not_a_worker' must be a Worker, and is"),
    ],
)
def test_what_is_no_worker_is_bad_input(folder: Path, name: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("FACTURAONLINE_BASE_URL", SANDBOX)
    monkeypatch.setenv("FACTURAONLINE_DATABASE_URL", "postgresql://127.0.0.1/x")
    monkeypatch.delitem(sys.modules, "batch", raising=False)
    with pytest.raises(InvalidInputError) as caught:
        command(name)
    assert reason in str(caught.value)
    sys.modules.pop("batch", None)


# ── Plans in a folder ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_plan_of_a_run_is_a_file_or_in_a_folder_of_its_name(folder: Path) -> None:
    read = folder_plans(folder / "plans")
    assert len(await read(RUN)) == EMPRESAS
    plan(folder, 2).rename(folder / "plans" / "other.csv")
    (folder / "c").rename(folder / "plans" / "c")
    assert len(await read("other")) == 2


@pytest.mark.parametrize("name", ["missing", "", "..", "../plans/alta", "/etc/passwd", "a\\b"])
async def test_no_name_of_a_run_leads_out_of_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="is not in the folder"):
        await folder_plans(folder / "plans")(name)
