"""``facturaonline postgres …``, as people run it: in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from facturaonline_async import SANDBOX, Config, InvalidInputError
from facturaonline_async.postgres import Postgres, _schema
from facturaonline_async.sharing import StepState
from facturaonline_async.testing import Emulator
from tests.cli.test_app import Ran, run
from tests.postgres.servers import Cluster, Server, database_of
from tests.terminals import at_terminal

pytestmark = pytest.mark.postgres


async def postgres(*arguments: object, url: str) -> Ran:
    return await run("postgres", *arguments, env={"FACTURAONLINE_DATABASE_URL": url})


@pytest.fixture
def worker(shared_server: Server, empty_url: str) -> Iterator[str]:
    """Make a role that owns nothing, and give its name."""
    name = f"worker {database_of(empty_url)}"
    shared_server.execute(f'CREATE ROLE "{name}" LOGIN')
    yield name
    shared_server.execute(f'DROP OWNED BY "{name}"', dbname=database_of(empty_url))
    shared_server.execute(f'DROP ROLE "{name}"')


async def test_install_shows_where_and_asks(empty_url: str, emulator: Emulator) -> None:
    question = f"(version {_schema.LATEST}) in the database {database_of(empty_url)} at 127.0.0.1:"
    declined = await at_terminal(
        "postgres", "install", "--database", empty_url, answers=[("[y/N]", "n\n")], emulator=emulator
    )
    assert (question in declined.err, "as role postgres?" in declined.err, declined.code) == (True, True, 1)
    assert "Nothing was changed." in declined.err
    with pytest.raises(InvalidInputError):
        await Postgres(empty_url).__aenter__()

    agreed = await at_terminal(
        "postgres", "install", "--database", empty_url, answers=[("[y/N]", "y\n")], emulator=emulator
    )
    assert (f"has the schema facturaonline, version {_schema.LATEST}." in agreed.out, agreed.code) == (True, 0)
    async with Postgres(empty_url):
        pass


async def test_without_a_terminal_install_needs_yes(empty_url: str) -> None:
    ran = await postgres("install", url=empty_url)
    assert (ran.code, "give --yes" in ran.err) == (2, True)
    again = [await postgres("install", "--yes", url=empty_url) for _ in range(2)]
    assert [each.code for each in again] == [0, 0]


async def test_install_grants_a_role_what_a_process_needs(empty_url: str, worker: str, shared_server: Server) -> None:
    assert (await postgres("install", "--yes", "--grant", worker, url=empty_url)).code == 0
    async with Postgres(shared_server.url(dbname=database_of(empty_url), user=worker)) as pg:
        store = pg.creates(Config(base_url=SANDBOX))
        key = ("series", "owner", "A", "factura")
        assert await store.begin((await store.look([key]))[key], "nonce") is not None
        assert (await store.look([key]))[key].pending is not None
    status = await postgres("status", url=shared_server.url(dbname=database_of(empty_url), user=worker))
    assert (status.code, f"as role {worker}" in status.out) == (0, True)


async def test_status_says_what_to_type(empty_url: str) -> None:
    missing = await postgres("status", url=empty_url)
    assert (missing.code, "run facturaonline postgres install" in missing.out) == (1, True)
    refused = await postgres("upgrade", "--yes", url=empty_url)
    assert (refused.code, "run facturaonline postgres install" in refused.err) == (2, True)
    await postgres("install", "--yes", url=empty_url)
    ready = await postgres("status", url=empty_url)
    assert (ready.code, f"version {_schema.LATEST}\n" in ready.out) == (0, True)
    assert "all creates wait for the settle time" in ready.out


async def test_status_counts_what_is_pending(url: str) -> None:
    async with Postgres(url) as pg:
        store = pg.creates(Config(base_url=SANDBOX))
        keys = [("series", "owner", letra, "factura") for letra in "AB"]
        for seen in (await store.look(keys)).values():
            await store.begin(seen, f"nonce {seen.key}")
    ran = await postgres("status", "--json", url=url)
    assert ran.code == 0
    assert {name: ran.json[name] for name in ("database", "version", "is_usable", "open", "unknown", "changed")} == {
        "database": database_of(url),
        "version": _schema.LATEST,
        "is_usable": True,
        "open": 2,
        "unknown": 0,
        "changed": None,
    }


async def test_a_hidden_timeline_is_said(url: str) -> None:
    async with Postgres(url) as pg:
        await pg._database.query("""
            CREATE OR REPLACE FUNCTION facturaonline.server_timeline() RETURNS text LANGUAGE sql AS $$ SELECT '' $$
        """)
        store = pg.creates(Config(base_url=SANDBOX))
        key = ("series", "owner", "A", "factura")
        assert (await store.look([key]))[key].pending is None
    ran = await postgres("status", url=url)
    assert (ran.code, "hidden by this server" in ran.out, "facturaonline postgres restored" in ran.out) == (
        0,
        True,
        True,
    )


async def test_restored_lets_creates_wait(url: str) -> None:
    assert (await postgres("restored", url=url)).code == 2
    ran = await postgres("restored", "--yes", url=url)
    assert (ran.code, ran.out) == (0, "All creates wait for the settle time from now on.\n")
    async with Postgres(url) as pg:
        key = ("series", "owner", "A", "factura")
        pending = (await pg.creates(Config(base_url=SANDBOX)).look([key]))[key].pending
    assert pending is not None
    assert pending.state is StepState.UNKNOWN
    assert "ago: creates wait" in (await postgres("status", url=url)).out


async def test_an_upgrade_keeps_what_is_recorded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of the version before goes on during the upgrade and after it."""
    script = "CREATE FUNCTION facturaonline.look_v2() RETURNS integer LANGUAGE sql AS $$ SELECT 7 $$;"
    real = _schema._migration
    monkeypatch.setattr(_schema, "LATEST", _schema.LATEST + 1)
    monkeypatch.setattr(_schema, "_migration", lambda number: script if number == _schema.LATEST else real(number))
    key = ("series", "owner", "A", "factura")
    async with Postgres(url) as pg, Postgres(url) as owner:
        store = pg.creates(Config(base_url=SANDBOX))
        grant = await store.begin((await store.look([key]))[key], "nonce")
        looks = asyncio.gather(*(store.look([key]) for _ in range(50)))
        installed = await _schema.migrate(owner._database)
        await looks

        assert installed.version == _schema.LATEST
        assert await owner._database.query("SELECT facturaonline.look_v2()") == [(7,)]
        assert grant is not None
        assert (await store.look([key]))[key].pending is not None


async def test_a_database_that_cannot_be_reached_is_said(cluster: Cluster) -> None:
    ran = await postgres("status", url="postgresql://127.0.0.1:1/nothing")
    assert (ran.code, "no connection to PostgreSQL" in ran.err, "Traceback" in ran.err) == (1, True, False)
    unset = await run("postgres", "status", env={"PGHOST": "", "PGDATABASE": "", "PGHOSTADDR": "", "PGSERVICE": ""})
    assert (unset.code, "FACTURAONLINE_DATABASE_URL" in unset.err) == (2, True)
    variables = await run(
        "postgres", "status", env={"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": "postgres"}
    )
    assert (variables.code, f"at 127.0.0.1:{cluster.port}" in variables.out) == (1, True)


async def test_doctor_shares_the_database_and_names_its_schema(url: str, emulator: Emulator) -> None:
    ran = await run("doctor", "--json", "--database", url, emulator=emulator)
    [found] = [check for check in ran.json["checks"] if check["name"] == "database"]
    assert (ran.code, found["facts"]["version"]) == (0, _schema.LATEST)


async def test_doctor_says_that_a_database_has_no_schema(empty_url: str, emulator: Emulator) -> None:
    ran = await run("doctor", "--json", "--database", empty_url, emulator=emulator)
    failed = [check for check in ran.json["checks"] if check["state"] == "failed"]
    assert (ran.code, [check["name"] for check in failed]) == (1, ["database"])
    assert "run facturaonline postgres install" in failed[0]["text"]
