"""No key, password or URL shows in the errors of a queue, and a worker ends as it is asked to.

No server is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("procrastinate", reason="the extra procrastinate is not installed")

from procrastinate.exceptions import ConnectorException

from facturaonline_async import Config, Credentials, InvalidInputError, NotSentError, Secret, SessionManager
from facturaonline_async.postgres import Postgres
from facturaonline_async.procrastinate import Worker, cancel, enqueue, folder_plans
from facturaonline_async.procrastinate._app import make_app
from facturaonline_async.procrastinate._jobs import Jobs, Settings
from facturaonline_async.provision import Plan
from tests.leaks import leaks
from tests.plans import ROW
from tests.provision.plan.test_workbook import cells, workbook

PASSWORD = "a-password-of-the-database"
KEY = "a-key-of-the-user"
HOST = "http://127.0.0.1:9/api"
CREDENTIALS = Credentials(api_key="main-api-key", secret_key="main-secret-key")


def url_of(port: int) -> str:
    return f"postgresql://user:{PASSWORD}@127.0.0.1:{port}/database"


@pytest.fixture
def away() -> str:
    """Return the URL of a database that refuses connections."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return url_of(closed.getsockname()[1])


async def listen(url: str) -> None:
    async def ignore(**_: Any) -> None:
        """Get no notice."""

    await make_app(Secret(url)).connector.listen_notify(ignore, ["channel"])


# ── Passwords of the database ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_listener_shows_no_password(away: str) -> None:
    with pytest.raises(ConnectorException) as refused:
        await listen(away)

    assert leaks(refused.value, [PASSWORD]) == []
    assert str(refused.value) == "OperationalError"


async def test_a_listener_that_is_cancelled_while_it_connects_shows_no_password() -> None:
    connected, is_over = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()  # until the end
        writer.close()
        is_over.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        listening = asyncio.create_task(listen(url_of(server.sockets[0].getsockname()[1])))
        await connected.wait()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await listening
        await is_over.wait()

    assert leaks(cancelled.value, [PASSWORD]) == []


@pytest.mark.parametrize("as_secret", [False, True])
async def test_a_run_that_cannot_be_enqueued_or_cancelled_shows_no_password(away: str, *, as_secret: bool) -> None:
    database = Secret(away) if as_secret else away
    with pytest.raises(NotSentError) as not_enqueued:
        await enqueue(
            Plan.from_values([]), run="alta", shards=1, credentials=CREDENTIALS, base_url=HOST, database=database
        )
    with pytest.raises(NotSentError) as not_cancelled:
        await cancel("alta", database=database)

    assert [leaks(error, [PASSWORD]) for error in (not_enqueued.value, not_cancelled.value)] == [[], []]


# ── Errors of the user's program ──────────────────────────────────────────────────────────────────────────────────────


async def carry_out(away: str, plans: Callable[[str], Awaitable[Plan]]) -> None:
    """Carry out a shard as procrastinate does."""
    app = make_app(Secret(away))
    settings = Settings(plans, CREDENTIALS, None, "queue", 1, "adopt", 30.0)
    Jobs(settings, app, SessionManager(Config(base_url=HOST)), Postgres(away), asyncio.Event()).register()
    await app.tasks["facturaonline.shard"](run="alta", shard=0, count=1)


async def test_the_text_of_a_foreign_error_is_not_repeated(away: str) -> None:
    """Procrastinate logs the traceback of a job."""

    async def plans(run: str) -> Plan:
        raise ValueError(run + KEY)

    with pytest.raises(RuntimeError) as failed:
        await carry_out(away, plans)

    assert leaks(failed.value, [KEY]) == []
    assert str(failed.value) == (
        "the job ended with ValueError: its text is not repeated here, because it may hold keys"
    )


async def test_an_error_of_the_library_stays_as_it_is(away: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="the plan of the run 'alta' is not in the folder"):
        await carry_out(away, folder_plans(tmp_path))


# ── The end of a worker ───────────────────────────────────────────────────────────────────────────────────────────────


def make_worker(away: str) -> Worker:
    return Worker(Config(base_url=HOST), plans=folder_plans("."), database=away, credentials=CREDENTIALS)


async def test_a_worker_that_is_stopped_before_it_runs_ends_at_once(
    away: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker(away)
    worker.stop()
    await worker.run()
    assert caplog.messages == []

    running = asyncio.create_task(worker.run())  # the stop ended one run
    while not any("the worker waits for the database" in text for text in caplog.messages):
        assert not running.done()
        await asyncio.sleep(0.01)
    worker.stop()
    await running


class Job:
    """A job at work, in place of all jobs of a worker: it ends when it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Cancel the job."""
        self.cancelled.set()


@pytest.fixture
async def ending(away: str) -> AsyncIterator[tuple[Job, asyncio.Task[None], asyncio.Task[None]]]:
    """Begin the end of a worker; give its job, procrastinate's worker, and the task that waits for its end."""
    job = Job()
    worker = make_worker(away)
    worker._jobs = cast("Any", job)

    async def work() -> None:
        """Wait for the job when it is cancelled, as procrastinate's worker does."""
        try:
            await asyncio.Event().wait()
        finally:
            await job.cancelled.wait()
            for _ in range(10):  # its job is put back into the queue
                await asyncio.sleep(0)

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    ending = asyncio.create_task(worker._end(working))
    await asyncio.sleep(0)
    yield job, working, ending
    job.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def test_a_second_cancellation_cancels_the_jobs_and_waits_for_them(
    ending: tuple[Job, asyncio.Task[None], asyncio.Task[None]],
) -> None:
    job, working, end = ending
    end.cancel()
    with pytest.raises(asyncio.CancelledError):
        await end

    assert (job.cancelled.is_set(), working.done()) == (True, True)


# ── Plans ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["alta.xlsx", "alta/plan.xlsx"])
async def test_a_workbook_of_a_folder_is_the_plan_of_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "alta").mkdir()
    workbook((tmp_path / name).parent, {"Empresas": cells(ROW)}).rename(tmp_path / name)

    assert [row.rfc for row in await folder_plans(tmp_path)("alta")] == ["EKU9003173C9"]
