"""A lock on a file: one process has it, and it ends with that process and not before."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import filelock
import pytest

from facturaonline_async.provision._journal.filelock import FileLock, is_locked
from tests.forks import fork, in_child


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def taken(path: Path) -> FileLock:
    lock = FileLock(path)
    assert lock.acquire()
    return lock


def is_free_elsewhere(path: Path) -> bool:
    """Return whether another process can take the lock."""
    return in_child(FileLock(path).acquire)


def test_a_lock_that_is_taken_is_refused_within_100_ms(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    lock = taken(path)
    assert (FileLock(path).acquire(), is_locked(path), sum(pauses) < 0.1) == (False, True, True)
    assert is_free_elsewhere(path) is False
    lock.close()
    lock.close()
    assert (is_locked(path), is_free_elsewhere(path)) == (False, True)


def test_the_file_of_a_lock_is_private_and_stays(path: Path) -> None:
    taken(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_process_that_is_killed_leaves_no_lock(path: Path) -> None:
    read, write = os.pipe()
    if not (pid := fork()):
        taken(path)
        os.write(write, b"taken")
        signal.pause()
    assert (os.read(read, 5), is_locked(path)) == (b"taken", True)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)
    assert (is_locked(path), is_free_elsewhere(path)) == (False, True)


def test_a_forked_child_does_not_release_the_lock_of_its_parent(path: Path) -> None:
    lock = taken(path)
    in_child(lock.close)
    in_child(lambda: is_locked(path))
    assert (is_locked(path), is_free_elsewhere(path)) == (True, False)
    lock.close()
    assert is_locked(path) is False


def test_reading_waits_for_no_writer_and_creates_no_file(path: Path) -> None:
    assert is_locked(path) is False
    assert not path.exists()


def test_reading_needs_no_write_access(path: Path) -> None:
    lock = taken(path)
    path.chmod(0o400)
    assert is_locked(path) is True
    lock.close()
    assert is_locked(path) is False


def test_reading_in_another_process_keeps_no_run_from_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.open(path, os.O_RDWR | os.O_CREAT)
    assert filelock.lock_descriptor(look, blocking=False)  # as `is_locked` does, but for longer
    monkeypatch.setattr(time, "sleep", lambda _: os.close(look))
    taken(path).close()


def test_two_concurrent_readers_do_not_mistake_each_other_for_a_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.open(path, os.O_RDWR | os.O_CREAT)
    assert filelock.lock_descriptor(look, blocking=False)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(look))
    assert is_locked(path) is False


def test_a_lock_returns_the_text_that_was_written_last(path: Path) -> None:
    lock = taken(path)
    for text in ("a" * 32, "broken", ""):
        lock.write(text)
        assert lock.read() == text
    path.write_bytes(b"mark\r\n")  # a text file of another system
    assert lock.read() == "mark"
    lock.close()
