"""The journal alone: what it says is written is written, for its owner's eyes, and by one process at a time."""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import FacturaOnline, connect
from facturaonline_async._core.once.states import StepState
from facturaonline_async.provision import JournalError, Plan, PlanSerie, provision
from facturaonline_async.provision._journal.reader import open_to_read
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from facturaonline_async.testing import Emulator, make_sello
from tests.conftest import QUICK
from tests.journals import recorded
from tests.plans import nueva, private_key
from tests.provision.verdict import Verdict, judge, phases
from tests.provision.victim import make_plan

KEYS = {"account": "fingerprint", "host": "https://example.com/api"}
RFC = "EKU9003173C9"


def step(number: int = 1, **more: Any) -> Step:
    return Step(number=number, owner=f"AAA010101{number:03}", **more)


async def opened(path: Path, **more: str) -> SqliteJournal:
    return await SqliteJournal.open(path, **(KEYS | more))


async def begun(path: Path, steps: int = 3) -> None:
    """Leave a journal there with some steps."""
    async with await opened(path) as journal:
        await journal.adjust(add=[step(number) for number in range(steps)])


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def run(code: str, *arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run this in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


# ── What is written ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_jobs_queued_together_are_written_in_one_transaction(tmp_path: Path) -> None:
    """Two thousand durable records cost a few syncs, not two thousand."""
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    async with await opened(tmp_path / "j") as journal:
        await journal.adjust(add=(step(number) for number in range(2000)))
        journal._connection.set_trace_callback(count)
        await asyncio.gather(*(journal.save(step(number, state=StepState.INTENT)) for number in range(2000)))
        journal._connection.set_trace_callback(None)
    assert commits <= 50
    assert phases(tmp_path / "j") == {"intent": 2000}


async def test_the_database_has_wal_full_sync_and_strict_tables(tmp_path: Path) -> None:
    async with await opened(tmp_path / "j") as journal:
        settings = [
            await journal._submit(lambda cursor: cursor.execute("PRAGMA journal_mode").fetchone()),
            await journal._submit(lambda cursor: cursor.execute("PRAGMA synchronous").fetchone()),
        ]
        tables = await journal._submit(lambda cursor: cursor.execute("PRAGMA table_list").fetchall())
    full = 2
    assert settings == [("wal",), (full,)]
    is_strict = {row[1]: bool(row[5]) for row in tables if not row[1].startswith("sqlite_")}
    assert is_strict == dict.fromkeys(("meta", "steps", "baseline", "runs"), True)


async def test_all_files_of_a_journal_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with await opened(tmp_path / "j") as journal:
            await journal.adjust(add=[step()])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("j", "j-wal", "j-shm", "j.lock"), 0o600)


async def test_no_file_of_a_journal_contains_a_secret(tmp_path: Path) -> None:
    """Searched for as they are, in base64, in hexadecimal and reversed, in the middle of a run and after it."""
    sello = make_sello(RFC, password="clave-muy-secreta-1", private_key=private_key())
    plan = Plan.from_values([(nueva(RFC, csd=sello), [PlanSerie(letra="F", tipo_documento="factura")])])
    found: list[bytes] = []
    async with Emulator() as emulator:
        async with (
            connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
            provision(client, plan, journal=tmp_path / "j", settle=0.1) as run,
        ):
            async for _ in run:
                found += [path.read_bytes() for path in files(tmp_path)]
        found += [path.read_bytes() for path in files(tmp_path)]
        keys = [row[name].encode() for row in emulator.state["empresas"].values() for name in ("api_key", "secret_key")]
    everything = b"".join(found)
    assert RFC.encode() in everything  # it does read where steps are stored
    for secret in (*keys, b"clave-muy-secreta-1", sello.key[40:400], sello.cer[40:400]):
        for offset in range(3):
            part = base64.b64encode(secret[offset:])[2:-4]
            assert part not in everything
        for form in (secret, secret.hex().encode(), secret[::-1], emulator.credentials.fingerprint.encode()):
            assert form not in everything


# ── Who may use it ────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _of_something_else(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bills (id)")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_of_another_version, r"was written by another version of this library \(schema 99, not 3\)"),
        (_of_something_else, "is a database of another program, not a journal"),
        (
            lambda path: path.write_bytes(b"rfc;razon_social\n" * 500),
            "is not a journal of this library: it is not an SQLite file",
        ),
    ],
)
async def test_a_file_that_is_no_journal_is_refused_with_the_same_error_and_not_changed(
    tmp_path: Path, spoil: Any, reason: str
) -> None:
    path = tmp_path / "j"
    await begun(path)
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=reason) as to_write:
        await opened(path)
    with pytest.raises(JournalError) as to_read, open_to_read(path):
        pass
    assert (str(to_read.value), to_read.value.code) == (str(to_write.value), to_write.value.code)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [each.name for each in files(tmp_path)] == ["j", "j.lock"]


async def test_a_folder_is_refused_as_a_journal(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(JournalError, match="folder cannot be opened: Is a directory"):
        await opened(folder)
    assert files(folder) == []


async def test_a_journal_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="gone/j cannot be opened: No such file or directory"):
        await opened(tmp_path / "gone" / "j")


@pytest.mark.parametrize("content", [None, b"not a database at all", b""])
def test_reading_a_file_that_is_not_a_journal_raises_an_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "j").write_bytes(content)
    with (
        pytest.raises(JournalError, match=r"cannot be read|is not a journal|does not exist"),
        open_to_read(tmp_path / "j"),
    ):
        pass
    assert (tmp_path / "j").exists() is (content is not None)


# ── When it cannot be written ─────────────────────────────────────────────────────────────────────────────────────────

EMPRESAS = 20
PLAN = make_plan(EMPRESAS)
LETRAS = {row.rfc: [serie.letra for serie in row.series] for row in PLAN}


async def provisioned(client: FacturaOnline, journal: Path) -> bool:
    async with provision(client, PLAN, journal=journal, settle=0.2, concurrency=4) as under_way:
        async for _ in under_way:
            pass
    return under_way.report.is_complete


@pytest.mark.parametrize("pages", [2, 4])
async def test_a_full_disk_stops_the_run_and_loses_nothing(
    emulator: Emulator, client: FacturaOnline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """The disk is full some pages after the plan was committed; then there is room again."""
    adjust = SqliteJournal.adjust

    async def adjust_and_fill(journal: SqliteJournal, **more: Any) -> None:
        await adjust(journal, **more)
        if "add" in more:
            await journal._submit(_fill)

    def _fill(cursor: sqlite3.Cursor) -> None:
        (used,) = cursor.execute("PRAGMA page_count").fetchone()
        cursor.execute(f"PRAGMA max_page_count = {used + pages}")

    save = SqliteJournal.save

    def save_much(journal: SqliteJournal, *steps: Step) -> Any:
        return save(journal, *map(_padded, steps))

    def _padded(step: Step) -> Step:
        padding = "" if step.state is StepState.DONE else "x" * 2000  # a DONE step with a reason would be read again
        return evolve(step, reason=step.reason or padding)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteJournal, "adjust", adjust_and_fill)
        patch.setattr(SqliteJournal, "save", save_much)
        with pytest.raises(JournalError, match=r"cannot be written: database or disk is full\. Nothing more is sent"):
            await provisioned(client, tmp_path / "j")
    sent = emulator.count("empresas.create"), emulator.count("series.create")
    await asyncio.sleep(0.05)
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == sent
    assert sent[0] < EMPRESAS
    assert await provisioned(client, tmp_path / "j")
    assert judge(emulator.state, LETRAS, tmp_path / "j") == Verdict(0, 0, 0)


_LIMITED = """
    import asyncio, os, resource, sys
    from facturaonline_async import Credentials, connect
    from facturaonline_async.provision import JournalError, provision
    from facturaonline_async.provision._journal.writer import SqliteJournal
    from tests.conftest import QUICK
    from tests.provision.victim import make_plan

    url, api_key, secret_key, path, empresas = sys.argv[1:]
    adjust = SqliteJournal.adjust

    async def adjust_and_limit(journal, **more):
        await adjust(journal, **more)
        if "add" not in more:
            return
        most = max(each.stat().st_size for each in journal.path.parent.iterdir()) + 16_384
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    SqliteJournal.adjust = adjust_and_limit

    async def main():
        keys = Credentials(api_key=api_key, secret_key=secret_key)
        async with connect(keys, base_url=url, config=QUICK) as client:
            async with provision(client, make_plan(int(empresas)), journal=path, settle=0.2, concurrency=4) as run:
                async for _ in run:
                    pass

    try:
        asyncio.run(main())
    except JournalError as error:
        print(error)
"""


async def test_a_failed_write_stops_the_run(emulator: Emulator, client: FacturaOnline, tmp_path: Path) -> None:
    """The kernel refuses to make any file larger: what a real disk does when it is full."""
    keys = emulator.credentials
    arguments = emulator.base_url, keys.api_key.reveal(), keys.secret_key.reveal(), tmp_path / "j", EMPRESAS
    ended = await asyncio.to_thread(run, _LIMITED, *arguments)
    assert "cannot be written: " in ended.stdout, ended.stderr
    assert emulator.count("empresas.create") < EMPRESAS
    assert await provisioned(client, tmp_path / "j")
    assert judge(emulator.state, LETRAS, tmp_path / "j") == Verdict(0, 0, 0)


_NOBODY = 65534
_READS_ONLY = """
    import asyncio, os, sys
    import sqlite3, encodings.idna
    from facturaonline_async.provision import JournalError
    from facturaonline_async.provision._journal.writer import SqliteJournal

    async def main():
        await asyncio.to_thread(str)
        if os.getuid() == 0:
            os.setuid(int(sys.argv[2]))
        try:
            await SqliteJournal.open(sys.argv[1], account="fingerprint", host="https://example.com/api")
        except JournalError as error:
            print(error)

    asyncio.run(main())
"""


@pytest.mark.parametrize("what", ["file", "folder", "folder of others"])
async def test_a_read_only_journal_is_refused(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "j"
    await begun(path)
    if os.getuid() == 0:  # whom nothing stops
        for each in (folder, tmp_path, *tmp_path.parents):
            if not each.stat().st_mode & stat.S_IXOTH:
                each.chmod(each.stat().st_mode | stat.S_IXOTH)
        for each in (folder, *folder.iterdir()):
            os.chown(each, _NOBODY, _NOBODY)
    before = path.read_bytes()
    if what == "folder of others":
        folder.chmod(0o600)
    elif what == "folder":
        (folder / "j.lock").unlink()
        folder.chmod(0o555)
    else:
        path.chmod(0o400)
    ended = await asyncio.to_thread(run, _READS_ONLY, path, _NOBODY)
    folder.chmod(0o755)
    assert ended.stdout == f"the journal {path} cannot be opened: Permission denied.\n", ended.stderr
    assert path.read_bytes() == before


# ── Ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_close_that_is_cancelled_again_and_again_writes_everything_first(tmp_path: Path) -> None:
    """A service that shuts down cancels a task, and `asyncio.run` cancels it once more."""
    await begun(tmp_path / "j")
    journal = await opened(tmp_path / "j")
    blocked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def block(_: sqlite3.Cursor) -> None:
        loop.call_soon_threadsafe(blocked.set)
        time.sleep(0.1)

    journal._submit(block)
    await blocked.wait()
    journal.save(step(1, state=StepState.DONE))
    closing_it = asyncio.create_task(journal.aclose())
    await asyncio.sleep(0)
    for _ in range(3):
        closing_it.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await closing_it
    await (await opened(tmp_path / "j")).aclose()
    assert [each.state for each in recorded(tmp_path / "j")] == [StepState.PLANNED, StepState.DONE, StepState.PLANNED]


def test_a_loop_that_closes_before_its_journal_loses_no_step(tmp_path: Path) -> None:
    async def main() -> SqliteJournal:
        await begun(tmp_path / "j")
        journal = await opened(tmp_path / "j")
        journal._jobs.put((lambda _: time.sleep(0.1), loop.create_future()))
        journal.save(step(1, state=StepState.INTENT))
        return journal

    loop = asyncio.new_event_loop()
    journal = loop.run_until_complete(main())
    loop.close()
    journal._jobs.put(None)
    journal._thread.join()
    assert [each.state for each in recorded(tmp_path / "j")] == [StepState.PLANNED, StepState.INTENT, StepState.PLANNED]
