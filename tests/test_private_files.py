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

from facturaonline_async import Credentials, _private_files
from facturaonline_async._cli import empresas, example, report
from facturaonline_async._cli.keys_out import KeysFile
from facturaonline_async._private_files import is_private, make_private_folder, open_private, publish_private
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


ROOT, USER, OTHER = 0, 1000, 1001
posix_only = pytest.mark.skipif(os.name != "posix", reason="the system has no modes")


@posix_only
@pytest.mark.parametrize(
    ("owner", "mode", "elsewhere", "in_secrets"),
    [
        (USER, 0o600, True, True),
        (USER, 0o400, True, True),
        (USER, 0o640, False, True),
        (USER, 0o444, False, True),  # a secret of Compose: the file of another user on the host
        (USER, 0o620, False, False),
        (OTHER, 0o440, False, True),
        (ROOT, 0o640, True, True),
        (ROOT, 0o440, True, True),  # Kubernetes with fsGroup
        (ROOT, 0o644, False, True),
        (ROOT, 0o444, False, True),  # Docker
        (ROOT, 0o404, False, True),
        (ROOT, 0o660, False, False),
        (ROOT, 0o646, False, False),
    ],
)
def test_a_file_is_private_if_no_other_user_can_read_or_change_it(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, *, elsewhere: bool, in_secrets: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, owner, USER, 1, 0, 0, 0))

    found = [is_private(status, Path(folder, "api_key")) for folder in ("/etc", "/run/secrets", "/run/secrets/acme")]
    assert found == [elsewhere, in_secrets, in_secrets]


@posix_only
@pytest.mark.parametrize("mode", [0o640, 0o440])
def test_a_file_of_root_that_runs_the_command_is_its_own(monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """Root can correct its mode, as any other user."""
    monkeypatch.setattr(os, "geteuid", lambda: ROOT)
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, ROOT, ROOT, 1, 0, 0, 0))

    assert not is_private(status, Path("/etc/api_key"))


@posix_only
def test_a_link_counts_as_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes makes links in the folder. A link from it leads to any file, and one to it does not matter."""
    secrets = tmp_path.resolve() / "secrets"
    monkeypatch.setattr(_private_files, "_SECRETS", secrets)
    data = secrets / "..2026_11_30"
    data.mkdir(parents=True)
    (secrets / "..data").symlink_to(data.name)
    for path in (data / "key", tmp_path / "elsewhere"):
        path.write_text("key")
        path.chmod(0o444)
    (secrets / "key").symlink_to("..data/key")
    (secrets / "from").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "to").symlink_to(secrets / "key")

    found = {path: is_private(path.stat(), path) for path in (secrets / "key", secrets / "from", tmp_path / "to")}
    assert found == {secrets / "key": True, secrets / "from": False, tmp_path / "to": True}
