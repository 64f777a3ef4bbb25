"""Reading a journal where nothing can be written: in an archive, on a mount, or as another user."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from facturaonline_async._cli.run_texts import format_run, next_steps
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision import JournalError
from facturaonline_async.provision._journal.progress import Status, read_progress
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from tests.journals import HOST, mixed, row, save, worker, write

_NOBODY = 65534
_LOOKS = """
    import asyncio, encodings.idna, os, sys
    from facturaonline_async.provision._journal.history import read_history
    from facturaonline_async.provision._journal.errors import JournalError
    if os.getuid() == 0:
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
    try:
        status = read_history(sys.argv[1]).status
        print(dict(status.empresas), status.is_running, status.is_without_wal)
    except JournalError as error:
        print(error)
"""


def look_as_another(path: Path) -> str:
    """Look at a journal as a user that may only read it."""
    command = [sys.executable, "-c", textwrap.dedent(_LOOKS), str(path), str(_NOBODY)]
    # Coverage would be written down where that user may not write.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.stderr == ""
    return ran.stdout.strip()


def expected(status: Status) -> str:
    return f"{dict(status.empresas)} {status.is_running} {status.is_without_wal}"


@pytest.fixture
def archive() -> Iterator[Path]:
    """Give a folder that others can come to: every pytest that starts closes the folders of all of them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lock_up(folder: Path) -> None:
    """Make a folder readable and not writable for all users."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)


async def test_an_ended_run_leaves_its_whole_journal_in_one_file(tmp_path: Path) -> None:
    await write(tmp_path / "j", mixed(20))
    assert names(tmp_path) == ["j", "j.lock"]
    shutil.copy(tmp_path / "j", tmp_path / "copy")
    assert dict(read_progress(tmp_path / "copy").empresas) == dict(read_progress(tmp_path / "j").empresas)
    assert names(tmp_path) == ["copy", "j", "j.lock"]


def test_another_user_can_read_a_finished_journal_in_a_read_only_folder(tmp_path: Path, archive: Path) -> None:
    asyncio.run(write(tmp_path / "j", mixed(20)))
    shutil.copy(tmp_path / "j", archive)
    lock_up(archive)
    assert look_as_another(archive / "j") == expected(read_progress(tmp_path / "j"))
    assert names(archive) == ["j"]


@pytest.mark.parametrize("suffixes", [("-wal",), ("-wal", "-shm")])
async def test_the_journal_and_wal_of_a_killed_run_are_readable_in_a_read_only_folder(
    tmp_path: Path, archive: Path, suffixes: tuple[str, ...]
) -> None:
    await write(tmp_path / "j", row(2, StepState.DONE, Origin.CREATED))
    async with worker(tmp_path / "j") as process:
        process.kill()
        await process.wait()
    for suffix in ("", *suffixes):
        shutil.copy(tmp_path / f"j{suffix}", archive)
    lock_up(archive)
    seen = await asyncio.to_thread(look_as_another, archive / "j")
    assert seen == expected(read_progress(tmp_path / "j"))
    assert "'intent': 1" in seen
    assert len(names(archive)) == 1 + len(suffixes)


async def test_a_copy_of_a_running_journal_without_its_wal_is_recognised(tmp_path: Path, archive: Path) -> None:
    await write(tmp_path / "j", row(2, StepState.DONE, Origin.CREATED))
    async with worker(tmp_path / "j") as process:
        shutil.copy(tmp_path / "j", archive)
        shutil.copy(tmp_path / "j", tmp_path / "copy")
        await save(process)
        assert read_progress(tmp_path / "j").is_without_wal is False
    before = names(tmp_path)
    seen = read_progress(tmp_path / "copy")
    assert names(tmp_path) == before
    assert (seen.is_without_wal, seen.is_running, seen.empresas["created"]) == (True, False, 1)
    assert format_run(seen).startswith("without its -wal: ")
    assert next_steps(seen)[0].startswith("The last changes are missing: the file copy-wal is missing or empty.")
    lock_up(archive)
    assert await asyncio.to_thread(look_as_another, archive / "j") == expected(seen)


def test_a_journal_without_read_permission_raises_journal_error(archive: Path) -> None:
    if os.getuid():
        pytest.skip("only root can be another user")
    asyncio.run(write(archive / "j", row(2)))
    assert look_as_another(archive / "j").startswith(f"the journal {archive / 'j'} cannot be read: ")


async def test_reading_a_missing_journal_creates_no_file(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="does not exist"):
        read_progress(tmp_path / "j")
    assert names(tmp_path) == []


async def test_a_journal_is_read_during_its_run(tmp_path: Path) -> None:
    async with await SqliteJournal.open(tmp_path / "j", account="keys", host=HOST) as journal:
        await journal.adjust(add=[Step(number=2, owner="AAA")])
        seen = read_progress(tmp_path / "j")
        assert (seen.is_running, seen.is_without_wal, seen.empresas["not_tried"]) == (True, False, 1)
