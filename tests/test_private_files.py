"""Files with keys or names in them are for their owner alone, with any umask."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from facturaonline_async import Credentials
from facturaonline_async._cli import empresas, example, report
from facturaonline_async._cli.keys_out import KeysFile
from facturaonline_async._private_files import make_private_folder, open_private, publish_private
from facturaonline_async.provision._journal.writer import SqliteJournal
from tests.journals import HOST, row, write

CREDENTIALS = Credentials(api_key="a" * 20, secret_key="b" * 20)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> set[tuple[str, str]]:
    """Return the modes of everything below a folder, by what it is."""
    found = set()
    for path in folder.rglob("*"):
        found.add(("folder" if path.is_dir() else "file", oct(stat.S_IMODE(path.stat().st_mode))))
    return found


PRIVATE = {("file", "0o600")}


def test_a_journal_its_lock_and_its_wal_are_private(tmp_path: Path, umask: int) -> None:
    async def main() -> None:
        async with await SqliteJournal.open(tmp_path / "j", account="keys", host=HOST):
            assert modes(tmp_path) == PRIVATE

    asyncio.run(main())
    assert modes(tmp_path) == PRIVATE


def test_an_html_report_is_private_and_stays_private_when_replaced(tmp_path: Path, umask: int) -> None:
    asyncio.run(write(tmp_path / "j", row(2)))
    for _ in range(2):
        report.command(tmp_path / "j", tmp_path / "run.html")
        assert modes(tmp_path) == PRIVATE


def test_an_example_and_its_folders_are_private(tmp_path: Path, umask: int) -> None:
    example.command(tmp_path / "new" / "demo", 2)
    assert modes(tmp_path) == {("file", "0o600"), ("folder", "0o700")}


def test_key_files_are_private(tmp_path: Path, umask: int) -> None:
    with KeysFile.open(tmp_path / "keys.csv") as keys:
        keys.add("AAA010101AAA", "1", CREDENTIALS)
    empresas._write_keys(CREDENTIALS, tmp_path / "keys.env")
    assert modes(tmp_path) == PRIVATE


def test_an_existing_folder_and_an_existing_file_keep_their_modes(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o640)
    (tmp_path / "file").chmod(0o640)
    os.close(open_private(tmp_path / "file", os.O_RDWR | os.O_CREAT))
    assert modes(tmp_path) == {("file", "0o640")}
    with pytest.raises(FileExistsError):
        open_private(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path)


@pytest.mark.parametrize("replaces", [True, False])
def test_a_published_file_is_private_and_leaves_no_draft(tmp_path: Path, umask: int, *, replaces: bool) -> None:
    publish_private(tmp_path / "file", b"new", replaces=replaces)

    assert (modes(tmp_path), os.listdir(tmp_path)) == (PRIVATE, ["file"])  # noqa: PTH208  # `iterdir` is no list
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        publish_private(tmp_path / "file", b"new", replaces=False)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "mine")]


def test_a_file_is_replaced_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    publish_private(tmp_path / "link", b"new", replaces=True)

    assert ((tmp_path / "link").is_symlink(), (tmp_path / "file").read_text()) == (True, "new")


@pytest.mark.parametrize("taken", [False, True])
def test_a_file_system_without_links_gets_the_file_unless_its_name_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, taken: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    if taken:
        (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError) if taken else nullcontext():
        publish_private(tmp_path / "file", b"new", replaces=False)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "mine" if taken else "new")]
    assert taken or modes(tmp_path) == PRIVATE


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize(("call", "replaces"), [("fsync", True), ("fsync", False), ("link", False), ("replace", True)])
def test_a_file_that_is_not_finished_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, *, replaces: bool, error: type[BaseException]
) -> None:
    seen: list[str] = []

    def interrupt(*_: object) -> None:
        seen.extend(path.name for path in tmp_path.iterdir())
        raise error

    monkeypatch.setattr(os, call, interrupt)
    with pytest.raises(error):
        publish_private(tmp_path / "file", b"new", replaces=replaces)

    assert ([name.endswith(".tmp") for name in seen], [*tmp_path.iterdir()]) == ([True], [])
