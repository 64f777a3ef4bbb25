"""Statements survive lost connections, cancellation, conflicts and any isolation level, and show no password."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from facturaonline_async import InvalidInputError, NotSentError, Secret, SharedUnavailableError
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.postgres._connection import Database, StatementError, read_url
from tests.forks import in_child
from tests.postgres.servers import Cluster, Server, database_of, free_port

pytestmark = pytest.mark.postgres


def opened(url: str, *, connections: int = 2, timeout: float = 5.0) -> Database:
    return Database(read_url(Secret(url), timeout), connections=connections, timeout=timeout)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with opened(url) as database:
        yield database


def backends(server: Server, url: str) -> list[int]:
    """Return the server's processes for a database."""
    found = server.execute(f"SELECT pid FROM pg_stat_activity WHERE datname = '{database_of(url)}'")
    return sorted(pid for (pid,) in found)


async def gone(server: Server, url: str) -> None:
    """Wait until a database has no connection."""
    async with asyncio.timeout(10):
        while backends(server, url):  # noqa: ASYNC110  # the server tells no one
            await asyncio.sleep(0.02)


# ── Transactions ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("level", ["serializable", "repeatable read", "read committed"])
async def test_statements_are_read_committed_at_any_default(url: str, shared_server: Server, level: str) -> None:
    shared_server.execute(f"ALTER DATABASE {database_of(url)} SET default_transaction_isolation = '{level}'")
    shared_server.execute(f"ALTER DATABASE {database_of(url)} SET default_transaction_read_only = on")
    async with opened(url) as database:
        [found] = await database.query(
            "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), %s", ["it's %"]
        )
        [(after,)] = await database.query("SELECT current_setting('default_transaction_isolation')")

    assert found == ("read committed", "off", "it's %")
    assert after == level


async def test_a_failed_statement_leaves_the_connection_usable(
    database: Database, url: str, shared_server: Server
) -> None:
    await database.query("SELECT 1")
    before = backends(shared_server, url)
    with pytest.raises(StatementError, match="division by zero") as caught:
        await database.query("UPDATE facturaonline.meta SET version = 7; SELECT 1 / %s", [0])

    assert caught.value.sqlstate == "22012"
    assert await database.query("SELECT facturaonline.version_v1()") == [(_schema.LATEST,)]
    assert backends(shared_server, url) == before


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_serialization_failure_and_a_deadlock_are_repeated(database: Database, code: str) -> None:
    await database.query("CREATE SEQUENCE tries")
    statement = f"""DO $$ BEGIN
        IF nextval('tries') < 4 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{code}'; END IF;
    END $$; SELECT last_value FROM tries"""

    assert await database.query(statement) == [(4,)]


async def test_a_conflict_that_lasts_is_an_error(database: Database) -> None:
    with pytest.raises(NotSentError, match="again") as caught:
        await database.query("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")

    assert caught.value.is_transient


# ── Connections ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_connections_are_bounded_and_used_again(database: Database, url: str, shared_server: Server) -> None:
    await asyncio.gather(*(database.query("SELECT pg_sleep(0.01)") for _ in range(20)))

    assert len(backends(shared_server, url)) == 2


async def test_terminated_connections_are_made_anew_at_once(
    database: Database, url: str, shared_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.gather(*(database.query("SELECT pg_sleep(0.05)") for _ in range(2)))
    before = backends(shared_server, url)
    shared_server.execute(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY{before}) AS pid")

    assert [await database.query("SELECT 1") for _ in range(3)] == 3 * [[(1,)]]
    assert not set(before) & set(backends(shared_server, url))
    assert caplog.messages == []


async def test_a_connection_that_is_lost_during_a_statement_is_made_anew_and_the_statement_repeated(
    database: Database,
) -> None:
    await database.query("CREATE SEQUENCE tries")
    statement = "SELECT CASE WHEN nextval('tries') = 1 THEN pg_terminate_backend(pg_backend_pid()) ELSE true END"

    assert await database.query(statement) == [(True,)]
    assert await database.query("SELECT last_value FROM tries") == [(2,)]


async def test_the_second_lost_connection_is_an_outage(database: Database) -> None:
    with pytest.raises(SharedUnavailableError, match="no connection to PostgreSQL") as caught:
        await database.query("SELECT pg_terminate_backend(pg_backend_pid())")

    assert caught.value.is_transient


async def test_an_outage_is_one_warning_and_its_end_another(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(cluster.conninfo) as database:
        await database.query("SELECT 1")
        cluster.stop()
        try:
            for _ in range(3):
                with pytest.raises(SharedUnavailableError, match="no connection to PostgreSQL"):
                    await database.query("SELECT 1")
        finally:
            cluster.start()
        assert await database.query("SELECT 1") == [(1,)]

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert caplog.messages[1] == "PostgreSQL answers again"


async def test_a_server_that_does_not_answer_is_given_up_in_time(cluster: Cluster) -> None:
    async with opened(cluster.conninfo, timeout=0.3) as database:
        await database.query("SELECT 1")
        stopped = cluster.pids
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(SharedUnavailableError, match=r"did not answer in 0\.3 s"):
                await database.query("SELECT 1")
            assert time.monotonic() - began < 5
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert await database.query("SELECT 1", seconds=10) == [(1,)]


async def test_an_outage_ends_the_wait_of_all_that_have_no_connection(cluster: Cluster) -> None:
    async with opened(cluster.conninfo, timeout=0.5) as database:
        stopped = cluster.pids
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            results = await asyncio.gather(*(database.query("SELECT 1") for _ in range(40)), return_exceptions=True)
            assert {type(each) for each in results} == {SharedUnavailableError}
            assert time.monotonic() - began < 5
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert await database.query("SELECT 1", seconds=10) == [(1,)]
        assert database._slots.free == 2


async def test_the_wait_for_a_connection_is_no_outage(database: Database) -> None:
    """Statements that take longer together than one may."""
    async with opened(database._conninfo.reveal(), timeout=0.5) as slow:
        await asyncio.gather(*(slow.query("SELECT pg_sleep(0.1)") for _ in range(20)))


async def test_the_server_ends_a_statement_that_no_one_waits_for(url: str, shared_server: Server) -> None:
    async with opened(url, timeout=0.3) as database:
        with pytest.raises(NotSentError):
            await database.query("SELECT pg_sleep(30)")
        await gone(shared_server, url)


async def test_a_cancelled_statement_leaves_no_connection_and_ends_at_once(
    database: Database, url: str, shared_server: Server
) -> None:
    for pause in (0, 0.001, 0.003, 0.01, 0.05):
        tasks = [asyncio.create_task(database.query("SELECT pg_sleep(1)")) for _ in range(4)]
        await asyncio.sleep(pause)
        began = time.monotonic()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in results} == {asyncio.CancelledError}
        assert time.monotonic() - began < 0.5

    assert await asyncio.gather(*(database.query("SELECT 1") for _ in range(4))) == 4 * [[(1,)]]
    assert database._slots.free == 2
    await database.aclose()
    await gone(shared_server, url)


async def test_closing_closes_every_connection(url: str, shared_server: Server) -> None:
    database = opened(url)
    async with database:
        late = asyncio.create_task(database.query("SELECT pg_sleep(0.2)"))
        await database.query("SELECT 1")
        await asyncio.sleep(0.05)

    assert len(await late) == 1
    await gone(shared_server, url)
    with pytest.raises(NotSentError, match="is not open"):
        await database.query("SELECT 1")


async def test_another_event_loop_is_refused(database: Database) -> None:
    def other() -> str:
        with pytest.raises(NotSentError) as caught:
            asyncio.run(database.query("SELECT 1"))
        return caught.value.code

    assert await asyncio.to_thread(other) == "postgres.other_event_loop"


async def test_a_forked_child_is_refused_and_harms_no_connection_of_its_parent(
    database: Database, url: str, shared_server: Server
) -> None:
    await database.query("SELECT 1")
    before = backends(shared_server, url)

    def child() -> str:
        """Use, close and drop the parent's connections, and close their sockets."""
        code = ""
        try:
            database.query("SELECT 1").send(None)
        except NotSentError as error:
            code = error.code
        with suppress(StopIteration):
            database.aclose().send(None)
        database._idle.clear()
        return code

    assert in_child(child) == "postgres.forked"
    assert await database.query("SELECT 1") == [(1,)]
    assert backends(shared_server, url) == before


# ── Secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PASSWORD = "hunter2-hunter2"


@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@[h/db", f"hots=x password={PASSWORD}", f"u:{PASSWORD}@h"])
def test_a_malformed_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Postgres(url)

    assert (caught.value.field, caught.value.code) == ("url", "postgres.invalid_url")
    assert caught.value.__context__ is None
    assert PASSWORD not in str(caught.value)
    [_, *frames] = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert [frame.name for frame in frames if PASSWORD in str(frame.locals)] == []


async def test_no_repr_error_or_log_shows_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pg = Postgres(f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/db")
    with pytest.raises(SharedUnavailableError, match="no connection to PostgreSQL") as caught:
        await pg.__aenter__()

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    texts = [repr(pg), str(caught.value), "".join(shown.format()), caplog.text, repr(vars(caught.value))]
    assert [text for text in texts if PASSWORD in text] == []
    assert caught.value.__context__ is None


async def test_a_cancelled_connect_shows_no_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = opened(f"postgresql://u:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/db")
        async with database:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await database.query("SELECT 1")

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "_connect" in "".join(shown.format())
    assert PASSWORD not in "".join(shown.format())


async def test_the_reason_of_a_refused_password_does_not_show_it(cluster: Cluster) -> None:
    rules = cluster.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text("host all asks 127.0.0.1/32 scram-sha-256\n" + before)
        cluster.execute("SELECT pg_reload_conf()")
        cluster.execute("CREATE ROLE asks LOGIN PASSWORD 'another'")
        await asyncio.sleep(0.2)
        async with opened(cluster.url(user="asks", password="asks")) as database:
            with pytest.raises(NotSentError, match=r'password authentication failed for user "\*\*\*"'):
                await database.query("SELECT 1")
    finally:
        rules.write_text(before)
        cluster.execute("SELECT pg_reload_conf()")
        cluster.execute("DROP ROLE asks")


def test_a_missing_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FACTURAONLINE_DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidInputError, match="FACTURAONLINE_DATABASE_URL"):
        Postgres()
    monkeypatch.setenv("FACTURAONLINE_DATABASE_URL", "postgresql://127.0.0.1/x")
    Postgres()
    monkeypatch.delenv("FACTURAONLINE_DATABASE_URL")
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    Postgres()
