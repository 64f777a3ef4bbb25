"""A damaged journal, or another file, is refused in one line, for any damaged byte."""

from __future__ import annotations

import asyncio
import io
import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import typer
from hypothesis import example, given, strategies as st
from rich.console import Console

from facturaonline_async._cli import report, report_html, status as status_command
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision import InvalidJournalError, JournalError
from facturaonline_async.provision._journal.history import read_history
from facturaonline_async.provision._journal.progress import read_progress
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from tests.journals import HOST, all_steps, alter, fill, mixed, row, write

pytestmark = pytest.mark.one_python

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\x7f\x00"
"""Escapes, a C1 control, marks of direction, and what no text should have."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a journal of which each page is in use, as a run leaves it when it is killed: half of it in its -wal."""
    folder = tmp_path_factory.mktemp("whole")

    async def main() -> None:
        async with await SqliteJournal.open(folder / "j", account="keys", host=HOST) as journal:
            await fill(journal, mixed(12))
            await journal.adjust(baseline=[("AAA010110002", "F", "factura", str(uid)) for uid in range(9)])
            await journal.adjust()
            steps = await all_steps(journal)
            for step in steps:
                await journal.save(step)
            for suffix in ("", "-wal"):
                shutil.copy(folder / f"j{suffix}", folder / f"killed{suffix}")

    asyncio.run(main())
    return folder


def read_all(path: Path) -> None:
    """Read and show a journal in every way, without a process for each."""
    seen, ledger = read_progress(path), read_history(path)
    console = Console(file=io.StringIO(), width=120)
    console.print(status_command.render_status(seen))
    json.dumps([status_command.as_json(seen), report._as_json(ledger)])
    report_html.render(ledger)


async def resume(path: Path) -> None:
    """Read a journal as a run does that goes on with it."""
    async with await SqliteJournal.open(path, account="keys", host=HOST) as journal:
        steps = await all_steps(journal)
        for step in steps:
            await journal.steps_of_row(step.rfc)
        await journal.baseline()
        await journal.adjust()


def is_one_line(error: JournalError, path: Path) -> bool:
    return str(path) in str(error) and "\n" not in str(error)


@given(place=st.integers(0, 1 << 20), bits=st.integers(1, 255), is_wal=st.booleans())
def test_a_flipped_byte_raises_journal_error_or_does_no_harm(whole: Path, place: int, bits: int, is_wal: bool) -> None:  # noqa: FBT001
    path = whole / "flipped"
    for suffix in ("-shm", "-journal", ".lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        content = bytearray((whole / f"killed{suffix}").read_bytes())
        if is_wal is bool(suffix):
            content[place % len(content)] ^= bits
        Path(f"{path}{suffix}").write_bytes(content)
    for use in (read_all, lambda path: asyncio.run(resume(path))):
        try:
            use(path)
        except JournalError as error:
            assert is_one_line(error, path)


@example(start=114, length=3414, content=b"\x81", is_cut=False)  # a schema of several lines
@given(
    start=st.integers(0, 1 << 20), length=st.integers(1, 5000), content=st.binary(min_size=1, max_size=20),
    is_cut=st.booleans(),
)  # fmt: skip
def test_a_damaged_range_raises_journal_error_or_does_no_harm(
    whole: Path,
    start: int,
    length: int,
    content: bytes,
    is_cut: bool,  # noqa: FBT001
) -> None:
    path = whole / "stretch"
    for suffix in ("-wal", "-shm", "-journal", ".lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    found = bytearray((whole / "killed").read_bytes())
    start %= len(found)
    if is_cut:
        del found[start:]
    else:
        length = min(length, len(found) - start)
        found[start : start + length] = (content * length)[:length]
    path.write_bytes(found)
    for use in (read_all, lambda path: asyncio.run(resume(path))):
        try:
            use(path)
        except JournalError as error:
            assert is_one_line(error, path)


def _without(name: str) -> str:
    return f"DELETE FROM meta WHERE name = '{name}'"  # noqa: S608  # of ours


def _with(table: str, column: str, value: str, where: str = "1") -> str:
    return f"UPDATE {table} SET {column} = {value} WHERE {where}"  # noqa: S608  # of ours


_IMPOSSIBLE = ("9e999", "-9e999", "1e300", "-1.0")
_MOMENTS = (("steps", "due"), ("steps", "changed"), ("steps", "began"), ("runs", "began"), ("runs", "ended"))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE meta", "no such table: meta"),
        ("DROP TABLE steps", "no such table: steps"),
        ("DROP TABLE runs", "no such table: runs"),
        *((_without(name), f"its {name} is missing") for name in ("host", "began", "salt", "account")),
        ("UPDATE meta SET value = 7 WHERE name = 'host'", "its host is missing"),
        *((_with("meta", "value", value, "name = 'began'"), "its begin, ") for value in _IMPOSSIBLE),
        *(
            (_with(*moment, value), f"{moment[0]} has an invalid value")
            for moment in _MOMENTS
            for value in _IMPOSSIBLE
        ),
        ("UPDATE steps SET state = 'dona'", "steps has an invalid value"),
        ("UPDATE steps SET origin = 'made'", "steps has an invalid value"),
        ("UPDATE steps SET uid = '../../etc'", "steps has an invalid value"),
        ("UPDATE steps SET uid = 'x1' WHERE kind = 'series'", "steps has an invalid value"),
        ("UPDATE steps SET number = -1", "steps has an invalid value"),
        *(
            (f"UPDATE steps SET natural_key = {key} WHERE kind = 'series'", "steps has an invalid value")  # noqa: S608
            for key in ("replace(natural_key, char(9), ' ')", "natural_key || char(9)")
        ),
        ("UPDATE steps SET natural_key = 'F' WHERE kind = 'empresas'", "steps has an invalid value"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_an_error_of_one_line(tmp_path: Path, statement: str, reason: str) -> None:
    path = tmp_path / "j"
    asyncio.run(write(path, row(2, StepState.FAILED, series=2)))
    alter(path, statement)
    for use in (read_progress, read_history, lambda path: asyncio.run(resume(path))):
        with pytest.raises(JournalError) as caught:
            use(path)
        assert reason in str(caught.value)
        assert is_one_line(caught.value, path)


def test_a_moment_that_is_nan_cannot_be_written(tmp_path: Path) -> None:
    """SQLite keeps nan as NULL, and no moment of a step may be that; what lies too far ahead is cut down."""

    async def main() -> None:
        async with await SqliteJournal.open(tmp_path / "j", account="keys", host=HOST) as journal:
            await journal.adjust(add=[Step(number=2, owner="AAA")])
            await journal.save(Step(number=2, owner="AAA", state=StepState.UNKNOWN, due=1e300))
            with suppress(JournalError):
                await journal.save(Step(number=2, owner="AAA", state=StepState.UNKNOWN, due=math.nan))

    asyncio.run(main())
    read_all(tmp_path / "j")
    assert read_progress(tmp_path / "j").empresas["unknown"] == 1


@pytest.mark.parametrize("command", [status_command.command, report.command])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"rfc;razon_social\n" * 500),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: alter(path, "DELETE FROM meta"),
        lambda path: alter(path, "PRAGMA application_id = 7"),
        lambda path: alter(path, "PRAGMA user_version = 7"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_commands_report_a_damaged_journal_in_one_line_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., None], spoil: Callable[[Path], object]
) -> None:
    path = tmp_path / f"j{HOSTILE[:3]}"
    asyncio.run(write(path, mixed(20)))
    spoil(path)
    with pytest.raises(typer.Exit) as caught:
        command(path)
    out, err = capsys.readouterr()
    assert (caught.value.exit_code, out, err.count("\n"), err.rstrip("\n").isprintable()) == (2, "", 1, True)


def test_a_damaged_journal_raises_invalid_journal_error_and_is_not_changed(tmp_path: Path) -> None:
    asyncio.run(write(tmp_path / "j", mixed(20)))
    content = bytearray((tmp_path / "j").read_bytes())
    for place in range(4096, len(content), 4096):
        content[place] ^= 0xFF  # the kind of each page
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(InvalidJournalError, match=r"is damaged|malformed"):
        asyncio.run(resume(tmp_path / "j"))
    assert (tmp_path / "j").read_bytes() == content


def test_a_row_hidden_by_a_damaged_page_is_detected(tmp_path: Path) -> None:
    """The last row of a page is not counted any more: only its index still knows of it."""
    asyncio.run(write(tmp_path / "j", row(2, StepState.INTENT, series=2)))
    with closing(sqlite3.connect(tmp_path / "j")) as connection:
        (number,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'steps'").fetchone()
    content = bytearray((tmp_path / "j").read_bytes())
    head = (number - 1) * 4096
    content[head + 4] -= 1
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(InvalidJournalError, match="is damaged"):
        asyncio.run(resume(tmp_path / "j"))


# ── Texts out of a journal ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("in_json", [False, True])
def test_control_characters_of_a_journal_are_never_printed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    in_json: bool,  # noqa: FBT001
) -> None:
    path = tmp_path / f"j{HOSTILE[:-1]}"
    asyncio.run(
        write(path, [*row(2, StepState.FAILED, reason=HOSTILE), *row(3, StepState.DONE, Origin.CREATED, series=2)])
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'host'", (HOST + HOSTILE,))
        connection.execute("UPDATE steps SET owner = owner || ?", (HOSTILE,))
        connection.execute(
            "UPDATE steps SET natural_key = ? || natural_key || ? WHERE kind = 'series'", (HOSTILE[:-1],) * 2
        )
        connection.execute("UPDATE steps SET state = 'failed', reason = ? WHERE kind = 'series'", (HOSTILE,))
    status_command.command(path, in_json=in_json)
    report.command(path, in_json=in_json)
    shown = capsys.readouterr().out
    assert {character for character in shown if not character.isprintable()} == {"\n"}
    assert shown.isascii() or not in_json
    assert "gnp.exe" in shown


def test_the_page_shows_a_hostile_journal_as_text(tmp_path: Path) -> None:
    path = tmp_path / "j"
    asyncio.run(write(path, row(2, StepState.FAILED, reason=HOSTILE)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE steps SET owner = owner || ?", (HOSTILE,))
    text = report_html.render(read_history(path))
    assert {character for character in text if not character.isprintable()} <= {"\n"}
