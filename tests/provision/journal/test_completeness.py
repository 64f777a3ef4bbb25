"""Completeness: a journal that is not all that its last run wrote is known, and costs a wait and no duplicate."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facturaonline_async import connect
from facturaonline_async._core.once.states import StepState
from facturaonline_async.provision import InvalidJournalError, JournalError, JournalInUseError, State, provision
from facturaonline_async.provision._journal.completeness import side_file
from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.journals import all_steps
from tests.provision.verdict import Verdict, judge
from tests.provision.victim import make_plan

pytestmark = pytest.mark.one_python

KEYS = {"account": "fingerprint", "host": "https://example.com/api"}
COPIED = "it may be a copy, an earlier state, or without its -wal"
TORN = "its -wal is not whole"
Kill = Callable[..., None]

_WRITES_AND_DIES = """
    import asyncio, json, os, sys
    from facturaonline_async.provision._journal import writer as journals
    from facturaonline_async.provision._journal.writer import SqliteJournal
    from facturaonline_async.provision._journal.completeness import Completeness
    from facturaonline_async._core.once.states import StepState
    from facturaonline_async.provision._steps import Step

    def die(*_):
        os.kill(os.getpid(), 9)

    async def main(path, steps, intents, wal_bytes, in_checkpoint):
        journals._WAL_BYTES = wal_bytes
        journal = await SqliteJournal.open(path, account="fingerprint", host="https://example.com/api")
        await journal.adjust(add=[Step(number=n, owner=str(n)) for n in range(steps)])
        if in_checkpoint:
            Completeness.renew = die
        await journal.adjust()
        for n in range(intents):
            await journal.save(Step(number=n, owner=str(n), state=StepState.INTENT))
        die()

    for line in sys.stdin:  # a process of its own for each; only this one has to load everything
        if not (child := os.fork()):
            asyncio.run(main(*json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def mortals() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", textwrap.dedent(_WRITES_AND_DIES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def killed(mortals: subprocess.Popen[str]) -> Kill:
    """Give a function that lets a process write a plan and so many intents, and die."""

    def kill(
        path: Path, *, steps: int = 40, intents: int = 20, wal_bytes: int = 4 << 20, in_checkpoint: bool = False
    ) -> None:
        assert mortals.stdin is not None
        assert mortals.stdout is not None
        mortals.stdin.write(json.dumps([str(path), steps, intents, wal_bytes, in_checkpoint]) + "\n")
        mortals.stdin.flush()
        assert mortals.stdout.readline() == f"{-signal.SIGKILL}\n"

    return kill


async def ended(path: Path) -> None:
    """Leave a journal that a run has closed, with something that is still to be done."""
    async with await SqliteJournal.open(path, **KEYS) as journal:
        await journal.adjust(add=[Step(number=number, owner=str(number)) for number in range(3)])


async def gap(path: Path) -> str:
    """Return the gap that a next run finds, and end that run."""
    async with await SqliteJournal.open(path, **KEYS) as journal:
        return journal.gap


async def intents(path: Path) -> int:
    async with await SqliteJournal.open(path, **KEYS) as journal:
        steps = await all_steps(journal)
        return sum(step.state is StepState.INTENT for step in steps)


def copied(path: Path, folder: Path, *suffixes: str) -> Path:
    """Copy a journal with these of the files beside it."""
    folder.mkdir(exist_ok=True)
    for suffix in ("", *suffixes):
        shutil.copy(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return folder / path.name


# ── What proves itself ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_journal_is_complete(tmp_path: Path) -> None:
    assert await gap(tmp_path / "j") == ""


async def test_the_journal_of_an_ended_run_is_complete(tmp_path: Path) -> None:
    await ended(tmp_path / "j")
    assert await gap(tmp_path / "j") == ""


async def test_the_journal_of_a_killed_run_is_complete_with_its_wal(tmp_path: Path, killed: Kill) -> None:
    killed(tmp_path / "j")
    assert read_progress(tmp_path / "j").empresas["intent"] == 20  # reading changes nothing
    assert await gap(tmp_path / "j") == ""


async def test_a_journal_in_a_renamed_folder_is_complete(tmp_path: Path, killed: Kill) -> None:
    (tmp_path / "old").mkdir()
    killed(tmp_path / "old" / "j")
    (tmp_path / "old").rename(tmp_path / "new")
    assert await gap(tmp_path / "new" / "j") == ""


async def test_a_journal_whose_wal_another_program_checkpointed_is_complete(tmp_path: Path, killed: Kill) -> None:
    """It moves the whole -wal into the file when it leaves, and with it the mark."""
    killed(tmp_path / "j")
    with closing(sqlite3.connect(tmp_path / "j")) as connection:
        connection.execute("SELECT count(*) FROM steps").fetchone()
    assert not side_file(tmp_path / "j", "-wal").exists()
    assert (await gap(tmp_path / "j"), await intents(tmp_path / "j")) == ("", 20)


# ── What does not ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _without_wal(path: Path) -> Path:
    Path(f"{path}-wal").unlink()
    return path


def _copy_of_the_one_file(path: Path) -> Path:
    return copied(path, path.parent / "copy")


def _copy_of_the_one_file_in_its_place(path: Path) -> Path:
    copy = copied(path, path.parent / "copy")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    shutil.copy(copy, path)
    return path


def _copy_with_its_wal(path: Path) -> Path:
    return copied(path, path.parent / "copy", "-wal")


def _copy_with_everything(path: Path) -> Path:
    return copied(path, path.parent / "copy", "-wal", "-shm", ".lock")


def _without_lock(path: Path) -> Path:
    Path(f"{path}.lock").unlink()
    return path


def _cut_off(path: Path) -> Path:
    wal = Path(f"{path}-wal")
    os.truncate(wal, wal.stat().st_size - 100)
    return path


def _flipped(path: Path) -> Path:
    wal = Path(f"{path}-wal")
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 1
    wal.write_bytes(content)
    Path(f"{path}-shm").unlink()
    return path


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_without_wal, COPIED),
        (_copy_of_the_one_file, COPIED),
        (_copy_of_the_one_file_in_its_place, COPIED),
        (_copy_with_its_wal, COPIED),
        (_copy_with_everything, COPIED),
        (_without_lock, COPIED),
        (_cut_off, TORN),
        (_flipped, TORN),
    ],
)
async def test_a_changed_journal_of_a_killed_run_is_incomplete(
    tmp_path: Path, spoil: Callable[[Path], Path], reason: str, killed: Kill
) -> None:
    killed(tmp_path / "j")
    assert await gap(spoil(tmp_path / "j")) == reason


@pytest.mark.parametrize("spoil", [_copy_of_the_one_file, _without_lock])
async def test_the_journal_of_an_ended_run_that_may_be_a_copy_is_incomplete(
    tmp_path: Path, spoil: Callable[[Path], Path]
) -> None:
    """The run may have gone on with the other one."""
    await ended(tmp_path / "j")
    assert await gap(spoil(tmp_path / "j")) == COPIED


async def test_an_earlier_state_restored_into_the_same_file_is_incomplete(tmp_path: Path) -> None:
    await ended(tmp_path / "j")
    backup = (tmp_path / "j").read_bytes()
    assert await gap(tmp_path / "j") == ""
    (tmp_path / "j").write_bytes(backup)
    assert await gap(tmp_path / "j") == COPIED


async def test_a_new_journal_in_the_place_of_a_deleted_one_is_incomplete(tmp_path: Path) -> None:
    await ended(tmp_path / "j")
    (tmp_path / "j").unlink()
    assert await gap(tmp_path / "j") == "an earlier journal of this name was removed"


async def test_a_journal_stays_incomplete_until_it_is_cleared(tmp_path: Path, killed: Kill) -> None:
    killed(tmp_path / "j")
    _without_wal(tmp_path / "j")
    assert [await gap(tmp_path / "j"), await gap(tmp_path / "j")] == [COPIED, COPIED]
    async with await SqliteJournal.open(tmp_path / "j", **KEYS) as journal:
        await journal.clear_gap()
        assert journal.gap == ""
    assert await gap(tmp_path / "j") == ""


@pytest.mark.parametrize("seed", range(4))
async def test_the_file_of_a_killed_run_without_its_wal_is_incomplete_at_every_moment(
    tmp_path: Path, seed: int, killed: Kill
) -> None:
    """The -wal moves into the file after every few intents: with it the journal is whole, without it there is a gap."""
    intended = random.Random(seed).randrange(40)
    for name in ("with", "without"):
        killed(tmp_path / name, intents=intended, wal_bytes=12_000)
    assert (await gap(tmp_path / "with"), await intents(tmp_path / "with")) == ("", intended)
    assert await gap(_without_wal(tmp_path / "without")) == COPIED


def test_a_run_killed_during_a_checkpoint_leaves_an_incomplete_journal(tmp_path: Path, killed: Kill) -> None:
    """The file may have the mark by then, and not all that stood behind it."""
    killed(tmp_path / "j", in_checkpoint=True)
    assert asyncio.run(gap(tmp_path / "j")) == COPIED


async def test_a_journal_is_complete_although_a_reader_blocked_a_checkpoint(tmp_path: Path) -> None:
    async with await SqliteJournal.open(tmp_path / "j", **KEYS) as journal:
        await journal.adjust(add=[Step(number=1, owner="1")])
        with closing(sqlite3.connect(f"file:{tmp_path / 'j'}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM steps").fetchone() == (1,)
            await journal.save(Step(number=1, owner="1", state=StepState.INTENT))
            await journal.adjust()
            await journal.save(Step(number=1, owner="1", state=StepState.DONE))
            copy = copied(tmp_path / "j", tmp_path / "copy", "-wal")
    assert read_progress(tmp_path / "j").empresas["created"] == 1
    assert read_progress(copy).empresas["created"] == 1
    assert await gap(tmp_path / "j") == ""


async def test_a_reader_open_at_the_end_leaves_the_wal_and_a_complete_journal(tmp_path: Path) -> None:
    await ended(tmp_path / "j")
    with closing(sqlite3.connect(f"file:{tmp_path / 'j'}?mode=ro", uri=True, isolation_level=None)) as reader:
        async with await SqliteJournal.open(tmp_path / "j", **KEYS) as journal:
            await journal.adjust(add=[Step(number=9, owner="9")])
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM steps").fetchone()
        assert side_file(tmp_path / "j", "-wal").exists()
    assert await gap(tmp_path / "j") == ""


# ── What is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_with_bytes_and_without_tables_is_refused(tmp_path: Path) -> None:
    """What `kill -9` leaves in the one file where the tables stand in its -wal."""
    with closing(sqlite3.connect(tmp_path / "j", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE steps (number)")
        shutil.copy(tmp_path / "j", tmp_path / "copy")
    before = (tmp_path / "copy").read_bytes()
    assert len(before) == 4096
    with pytest.raises(InvalidJournalError, match=r"copy has no tables.*its -wal is missing \(copy-wal\)"):
        await SqliteJournal.open(tmp_path / "copy", **KEYS)
    with pytest.raises(InvalidJournalError, match="its -wal is missing"):
        read_progress(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == before


async def test_an_empty_file_beside_a_wal_is_refused(tmp_path: Path, killed: Kill) -> None:
    killed(tmp_path / "j")
    os.truncate(tmp_path / "j", 0)
    with pytest.raises(InvalidJournalError, match="is empty, but its -wal is not"):
        await SqliteJournal.open(tmp_path / "j", **KEYS)


@pytest.mark.parametrize("times", range(0, 60, 6))
def test_a_first_run_that_dies_never_leaves_bytes_without_tables(tmp_path: Path, times: int) -> None:
    """The process dies at one of its first writes."""
    code = """
        import asyncio, os, sqlite3, sys
        from facturaonline_async.provision._journal.writer import SqliteJournal

        left = int(sys.argv[2])

        def count(*_):
            global left
            left -= 1
            if left < 0:
                os._exit(9)

        connect = sqlite3.connect

        def counted(*given, **more):
            connection = connect(*given, **more)
            connection.set_progress_handler(count, 20)
            return connection

        sqlite3.connect = counted
        asyncio.run(SqliteJournal.open(sys.argv[1], account="fingerprint", host="https://example.com/api"))
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "j"), str(times)], check=False)
    assert died.returncode in {0, 9}
    copy = copied(tmp_path / "j", tmp_path / "copy") if (tmp_path / "j").exists() else None
    if copy is not None and copy.stat().st_size:
        with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
            assert connection.execute("SELECT count(*) FROM meta").fetchone()[0] >= 4
    asyncio.run(gap(tmp_path / "j"))


async def test_a_journal_in_use_raises_journal_in_use_error(tmp_path: Path) -> None:
    async with await SqliteJournal.open(tmp_path / "j", **KEYS):
        with pytest.raises(JournalInUseError, match="Wait for it, or stop it") as caught:
            await SqliteJournal.open(tmp_path / "j", **KEYS)
    assert isinstance(caught.value, JournalError)


# ── The run ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_with_a_copied_journal_creates_no_duplicate(tmp_path: Path) -> None:
    """The whole way: killed with all in flight, the one file copied, and the plan run again with the copy."""
    plan = make_plan(3)
    letras = {row.rfc: [serie.letra for serie in row.series] for row in plan}
    async with Emulator(list_lag=1.0) as emulator:

        async def client_of(journal: Path, *, is_left: bool) -> tuple[str, bool, int]:
            async with (
                connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
                provision(client, plan, journal=journal, settle=2.0) as run,
            ):
                caution = run.caution
                if is_left:
                    copied(journal, tmp_path / "copy")  # the plan is in it, and none of what follows
                async for _ in run:
                    if is_left:
                        break
                return caution, run.report.is_complete, run.report.empresas[State.ADOPTED]

        assert (await client_of(tmp_path / "j", is_left=True))[0] == ""
        before = emulator.count("empresas.create")
        assert before > 0
        caution, is_complete, adopted = await client_of(tmp_path / "copy" / "j", is_left=False)
        assert judge(emulator.state, letras, tmp_path / "copy" / "j") == Verdict(0, 0, 0)
    assert f"may be incomplete: {COPIED}. The run waits 2 s, lists what exists, adopts it" in caution
    assert (is_complete, adopted) == (True, before)
