"""``facturaonline provision`` with a journal: it can be ended at any time, and goes on where it stood."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import shutil
import signal
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from facturaonline_async import InvalidInputError
from facturaonline_async._cli.keys_out import KeysFile
from facturaonline_async._cli.provision import command as provision_command
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import Ran, environment, run, started
from tests.plans import ROW, certify, written, written_toml

pytestmark = pytest.mark.slow

QUICK = ("--rate", "1000/1", "--settle", "0.3", "--no-check")
MAIN = "607a062eae2bb"


def plan(path: Path, companies: int, **more: Any) -> Path:
    rfcs = [f"AAA010101{number:03}" for number in range(companies)]
    certify(path, ["AAA010101000"])
    files = {"cer": "c/AAA010101000.cer", "key": "c/AAA010101000.key"}
    return written(path, [ROW | files | {"rfc": rfc} | more for rfc in rfcs])


def made(emulator: Emulator) -> tuple[int, int, set[int]]:
    """Return how many companies and series there are, and how many series companies have."""
    owners = Counter(row["empresa"] for row in emulator.state["series"].values())
    return len(emulator.state["empresas"]) - 1, len(emulator.state["series"]), set(owners.values())


async def ended(process: asyncio.subprocess.Process) -> Ran:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def until(emulator: Emulator, endpoint: str, times: int) -> None:
    while emulator.count(endpoint) < times:  # noqa: ASYNC110  # the emulator rings no bell
        await asyncio.sleep(0.01)


async def test_ctrl_c_waits_for_calls_in_flight_and_names_the_command_to_resume(tmp_path: Path) -> None:
    async with Emulator(latency=0.05) as emulator:
        command = ("provision", plan(tmp_path, 30), "--journal", tmp_path / "run.sqlite", *QUICK, "--concurrency", "4")
        async with started(*command, env=environment(emulator)) as process:
            await until(emulator, "series.create", 3)
            process.send_signal(signal.SIGINT)
            ran = await ended(process)
        assert (ran.code, "Traceback" in ran.err, "the same command resumes" in ran.err) == (130, False, True)
        assert "Interrupted after" in ran.out
        assert 0 < made(emulator)[0] < 30
        answered = [request.status for request in emulator.requests if request.endpoint.endswith(".create")]
        assert set(answered) == {200}  # nobody hung up
        again = await run(*command, "--json", emulator=emulator)
        assert (again.code, made(emulator), again.json["complete"]) == (0, (30, 60, {2}), True)


@pytest.mark.parametrize(
    "signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGKILL]]
)
async def test_a_run_ended_by_two_signals_or_a_kill_resumes_and_creates_nothing_twice(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    async with Emulator(latency=0.3) as emulator:
        command = ("provision", plan(tmp_path, 12), "--journal", tmp_path / "run.sqlite", *QUICK)
        async with started(*command, env=environment(emulator)) as process:
            await until(emulator, "series.create", 3)
            for number in signals:
                process.send_signal(number)
                await asyncio.sleep(0.05)
            ran = await ended(process)
        assert ("Traceback" in ran.err, ran.code) == (False, -9 if signals == [signal.SIGKILL] else 130)
        again = await run(*command, "--json", emulator=emulator)
        assert (again.code, made(emulator)) == (0, (12, 24, {2}))


async def test_a_call_without_an_answer_does_not_block_ctrl_c(tmp_path: Path, emulator: Emulator) -> None:
    emulator.inject(Fault.delay(30), endpoint="empresas.create")
    command = ("provision", plan(tmp_path, 2), "--journal", tmp_path / "run.sqlite", *QUICK)
    async with started(*command, env=environment(emulator)) as process:
        await until(emulator, "empresas.create", 2)
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
    assert (ran.code, "Traceback" in ran.err) == (130, False)


async def test_keys_of_new_companies_are_written_only_to_the_file_of_keys_out(
    tmp_path: Path, emulator: Emulator
) -> None:
    emulator.add_empresa(rfc="AAA010101001")
    emulator.inject(Fault.drop_after_commit(), endpoint="empresas.create")
    keys = tmp_path / "keys.csv"
    command = ("provision", plan(tmp_path, 4), "--journal", tmp_path / "run.sqlite", *QUICK, "--keys-out", keys)
    ran = await run(*command, emulator=emulator)
    lines = list(csv.reader(keys.read_text().splitlines()))
    expected = [
        [row["rfc"], uid, row["api_key"], row["secret_key"]]
        for uid, row in emulator.state["empresas"].items()
        if row["rfc"] not in {"AAA010101001", "EMU200101PP5"}
    ]
    assert (ran.code, lines[0], sorted(lines[1:])) == (0, ["rfc", "uid", "api_key", "secret_key"], sorted(expected))
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    secrets = [secret for row in emulator.state["empresas"].values() for secret in (row["api_key"], row["secret_key"])]
    written_down = ran.out + ran.err + (tmp_path / "run.sqlite").read_bytes().decode("latin-1")
    assert [secret for secret in secrets if secret in written_down] == []
    # What an earlier run did not come to write is read again; nothing is written twice.
    keys.write_text("\n".join(",".join(line) for line in lines[:2]) + "\n")
    assert (await run(*command, emulator=emulator)).code == 0
    assert sorted(csv.reader(keys.read_text().splitlines())) == sorted(lines)


@pytest.mark.parametrize(
    ("mode", "content", "hint"), [(0o644, "", "chmod 600"), (0o600, "rfc,nombre\n", "not a file of keys")]
)
async def test_keys_out_refuses_an_unsuitable_file_before_anything_is_sent(
    tmp_path: Path, emulator: Emulator, mode: int, content: str, hint: str
) -> None:
    keys = tmp_path / "keys.csv"
    keys.write_text(content)
    keys.chmod(mode)
    ran = await run("provision", plan(tmp_path, 1), *QUICK, "--keys-out", keys, emulator=emulator)
    assert (ran.code, hint in ran.err, len(emulator.requests), keys.read_text()) == (2, True, 0, content)


async def test_an_error_about_the_keys_file_names_the_option_keys_out(tmp_path: Path, emulator: Emulator) -> None:
    keys = tmp_path / "none" / "keys.csv"
    ran = await run("provision", plan(tmp_path, 1), *QUICK, "--keys-out", keys, emulator=emulator)
    remedy = f"the folder {tmp_path / 'none'} does not exist. Create it, or give another path."
    assert (ran.code, ran.err) == (2, f"--keys-out {keys} cannot be written: {remedy}\n")
    assert len(emulator.requests) == 0


@pytest.mark.parametrize(
    ("name", "what"), [("plan.csv", "the plan"), ("c/AAA010101000.cer", "a file that the plan names")]
)
@pytest.mark.parametrize("use_emulator", [False, True])
def test_the_journal_cannot_be_a_file_of_the_plan(
    tmp_path: Path,
    name: str,
    what: str,
    use_emulator: bool,  # noqa: FBT001  # pytest gives it by its name
) -> None:
    path, journal = plan(tmp_path, 1), tmp_path / name
    with pytest.raises(InvalidInputError) as caught:
        provision_command(path, journal=journal, use_emulator=use_emulator)
    assert str(caught.value) == f"--journal {journal} is {what}: give another file."


def _link(path: Path, to: Path) -> Path:
    path.symlink_to(to, target_is_directory=to.is_dir())
    return path


def _hard_link(path: Path, to: Path) -> Path:
    path.hardlink_to(to)
    return path


OF_THE_RUN: dict[str, Callable[[Path], Path]] = {
    "the plan": lambda folder: folder / "plan.csv",
    "a certificate": lambda folder: folder / "c" / "AAA010101000.cer",
    "a key": lambda folder: folder / "c" / "AAA010101000.key",
    "a key by a hard link": lambda folder: _hard_link(folder / "hard", folder / "c" / "AAA010101000.key"),
    "the journal": lambda folder: folder / "run.sqlite",
    "its lock": lambda folder: folder / "run.sqlite.lock",
    "its -wal": lambda folder: folder / "run.sqlite-wal",
    "its -shm": lambda folder: folder / "run.sqlite-shm",
    "its -journal": lambda folder: folder / "run.sqlite-journal",
    "the emulator's file": lambda folder: folder / "run.sqlite.emulator",
    "the journal by dots": lambda folder: folder / "c" / ".." / "run.sqlite",
    "the journal by a link": lambda folder: _link(folder / "link", folder / "run.sqlite"),
    "the lock by a folder's link": lambda folder: _link(folder / "here", folder) / "run.sqlite.lock",
}


@pytest.mark.parametrize("has_run", [False, True])
@pytest.mark.parametrize("name", OF_THE_RUN)
def test_keys_out_refuses_every_file_that_the_run_reads_or_writes(tmp_path: Path, name: str, has_run: bool) -> None:  # noqa: FBT001
    """None of them is touched, by whatever name; neither before the first run, nor after it."""
    path = plan(tmp_path, 2)
    for each in tmp_path.rglob("*"):
        each.chmod(0o700 if each.is_dir() else 0o600)  # as a file for keys would have to be
    if has_run:
        for suffix in ("", ".lock", "-wal", "-shm", "-journal", ".emulator"):
            (tmp_path / f"run.sqlite{suffix}").touch(0o600)
    keys = OF_THE_RUN[name](tmp_path)
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    with pytest.raises(InvalidInputError, match=r"^--keys-out .* is .*, which this run reads or writes itself"):
        provision_command(path, journal=tmp_path / "run.sqlite", keys_out=keys, use_emulator=True)
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == before


def test_keys_out_writes_a_line_for_each_new_company(tmp_path: Path) -> None:
    path, seen = plan(tmp_path, 2), []
    with contextlib.suppress(typer.Exit):
        provision_command(path, keys_out=tmp_path / "keys.csv", use_emulator=True, no_check=True, as_json=True)
        seen = (tmp_path / "keys.csv").read_text().splitlines()
    assert len(seen) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x80", b"x" * 200_000])
def test_keys_out_refuses_a_file_with_other_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "picture").write_bytes(content)
    (tmp_path / "picture").chmod(0o600)
    with pytest.raises(InvalidInputError, match="is not a file of keys"), KeysFile.open(tmp_path / "picture"):
        pass
    assert (tmp_path / "picture").read_bytes() == content


async def test_a_second_command_with_the_same_journal_is_refused(tmp_path: Path, emulator: Emulator) -> None:
    command = ("provision", plan(tmp_path, 1), "--journal", tmp_path / "run.sqlite", *QUICK)
    keys = emulator.credentials.fingerprint
    async with await SqliteJournal.open(tmp_path / "run.sqlite", account=keys, host=emulator.base_url):
        second = await run(*command, emulator=emulator)
    assert (second.code, "another process uses the journal" in second.err) == (1, True)
    assert (emulator.count("empresas.create"), (await run(*command, emulator=emulator)).code) == (0, 0)


async def test_a_copied_journal_causes_one_warning(tmp_path: Path, emulator: Emulator) -> None:
    command = ("provision", plan(tmp_path, 1), *QUICK, "--journal")
    assert (await run(*command, tmp_path / "run.sqlite", emulator=emulator)).code == 0
    (tmp_path / "copy").mkdir()
    copy = shutil.copy(tmp_path / "run.sqlite", tmp_path / "copy")
    again = await run(*command, copy, emulator=emulator)
    (warning,) = [line for line in again.err.splitlines() if "may be incomplete" in line]
    assert (again.code, warning.startswith("warning: the journal ")) == (0, True)


async def test_a_journal_of_another_account_is_refused(tmp_path: Path, emulator: Emulator) -> None:
    command = ("provision", plan(tmp_path, 1), "--journal", tmp_path / "run.sqlite", *QUICK)
    assert (await run(*command, emulator=emulator)).code == 0
    async with Emulator(seed=5) as other:
        ran = await run(*command, emulator=other)
    assert (ran.code, "belongs to" in ran.err, other.count("empresas.create")) == (2, True, 0)


async def test_failed_rows_may_be_corrected_and_sent_rows_must_not_change(tmp_path: Path, emulator: Emulator) -> None:
    body = {"status": "error", "message": {"password": ["La contraseña no es correcta"]}}
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.create")
    command = ("provision", plan(tmp_path, 3), "--journal", tmp_path / "run.sqlite", *QUICK, "--concurrency", "1")
    ran = await run(*command, "--json", emulator=emulator)
    assert (ran.code, [row["state"] for row in ran.json["rows"]]) == (1, ["failed", "created", "created"])
    table = tmp_path / "plan.csv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("Compañía", "Cía", 2), encoding="utf-8")
    changed = await run(*command, emulator=emulator)
    assert (changed.code, "row 3" in changed.err, "changed since it was sent" in changed.err) == (2, True, True)
    assert ("row 2" in changed.err, "row 4" in changed.err) == (False, False)
    table.write_text(text.replace("Compañía", "Cía", 1), encoding="utf-8")
    again = await run(*command, emulator=emulator)
    assert (again.code, made(emulator)) == (0, (3, 6, {2}))
    assert "ÑANDÚ & CÍA, S.A." in {row["razon_social"] for row in emulator.state["empresas"].values()}


@pytest.mark.parametrize(
    ("existing", "code", "name"), [("adopt", 0, "VIEJA"), ("update", 0, None), ("fail", 1, "VIEJA")]
)
async def test_existing_decides_whether_a_company_is_adopted_updated_or_refused(
    tmp_path: Path, emulator: Emulator, existing: str, code: int, name: str | None
) -> None:
    uid = emulator.add_empresa(rfc="AAA010101000", razon_social="VIEJA")
    ran = await run("provision", plan(tmp_path, 1), *QUICK, "--existing", existing, "--json", emulator=emulator)
    row = emulator.state["empresas"][uid]
    assert (ran.code, row["razon_social"]) == (code, name or "ÑANDÚ & COMPAÑÍA, S.A.")
    state = {"adopt": "adopted", "update": "updated", "fail": "failed"}[existing]
    assert (ran.json["rows"][0]["state"], ran.json["empresas"][state]) == (state, 1)


async def test_a_journal_in_a_missing_folder_is_refused_before_anything_is_sent(
    tmp_path: Path, emulator: Emulator
) -> None:
    ran = await run("provision", plan(tmp_path, 1), *QUICK, "--journal", tmp_path / "none" / "r", emulator=emulator)
    assert (ran.code, "cannot be opened" in ran.err, ran.err.count("\n")) == (1, True, 1)
    assert emulator.count("empresas.create") == 0


# ── The emulator of the command itself ────────────────────────────────────────────────────────────────────────────────


def emulated(path: Path) -> Counter[tuple[str, ...]]:
    """Count companies and series in the file of an emulator: no row is ever changed by a run."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    empresas = {row["key"]: row["row"]["rfc"] for row in rows if row.get("table") == "empresas"}
    found: Counter[tuple[str, ...]] = Counter((rfc,) for rfc in empresas.values())
    found.update(
        (empresas[row["row"]["empresa"]], row["row"]["letra"], row["row"]["tipo_documento"])
        for row in rows
        if row.get("table") == "series"
    )
    return found


KILLED = """
import os, signal
from facturaonline_async.testing._emulator.state_file import StateFile
write = StateFile._write
def write_and_die(self, entry):
    write(self, entry)
    if self._path.read_bytes().count(b"\\n") >= {lines}:
        os.kill(os.getpid(), signal.SIGKILL)
StateFile._write = write_and_die
"""


async def test_a_run_with_the_emulator_resumes_after_kills_and_creates_everything_once(tmp_path: Path) -> None:
    """Killed again and again at some change more; then to its end. The emulator dies with the command, and goes on."""
    journal, state = tmp_path / "run.sqlite", tmp_path / "run.sqlite.emulator"
    command = ("provision", plan(tmp_path, 12), "--emulator", "--journal", journal, "--rate", "40/1", "--no-check")
    for lines in (4, 12, 25):
        async with started(*command, env=environment(), first=KILLED.format(lines=lines)) as process:
            assert (await ended(process)).code == -signal.SIGKILL
    ran = await run(*command, "--json")
    assert (ran.code, ran.json["complete"], ran.json["empresas"]["planned"]) == (0, True, 12)
    made_once = emulated(state)
    assert (set(made_once.values()), len(made_once)) == ({1}, 1 + 12 + 24)
    again = await run(*command, "--json")
    assert (again.code, emulated(state)) == (0, made_once)


async def test_an_emulator_journal_without_its_state_file_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "run.sqlite"
    command = ("provision", plan(tmp_path, 1), "--emulator", "--journal", journal, "--no-check")
    assert (await run(*command)).code == 0
    (tmp_path / "run.sqlite.emulator").unlink()
    ran = await run(*command)
    assert ran.code == 2
    assert ran.err == (
        f"the journal {journal} was not begun with --emulator, or the state of its emulator is gone (the file "
        "run.sqlite.emulator): give another journal.\n"
    )


async def test_the_command_accepts_a_toml_plan(tmp_path: Path) -> None:
    rfcs = ("AAA010101AAA", "AAA010102AAA")
    certify(tmp_path, rfcs)
    table = ROW | {"series": [{"letra": "F", "tipo_documento": "factura"}, {"letra": "P", "tipo_documento": "pago"}]}
    plan = written_toml(tmp_path, [table | {"rfc": rfc, "cer": f"c/{rfc}.cer", "key": f"c/{rfc}.key"} for rfc in rfcs])
    dry = await run("provision", plan, "--dry-run")
    assert (dry.code, "The plan is well formed: 2 empresas, 4 series." in dry.out) == (0, True)
    checked = await run("sello", "check", plan, "--json")
    assert [(pair["name"], pair["ok"]) for pair in json.loads(checked.out)] == [("row 1", True), ("row 2", True)]
