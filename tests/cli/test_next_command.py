"""What the command says to do next, with the names of the real files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from facturaonline_async._cli.next_command import repeat_command
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import plan, run


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["provision", "mi plan.csv", "--journal", "a.sqlite"], "provision 'mi plan.csv' --journal a.sqlite"),
        (["--profile", "acme", "provision", "p.csv"], "--profile acme provision p.csv"),
        (["provision", "p.csv", "--faults-out", "f.csv", "--yes"], "provision p.csv --yes"),
        (["provision", "p.csv", "--faults-out=f.csv"], "provision p.csv"),
        (["provision", "p.csv", "--database", "postgresql://u:secret@h/d"], "provision p.csv --database URL"),
        (["provision", "p.csv", "--database=postgresql://u:secret@h/d"], "provision p.csv --database URL"),
        (["provision", "p.csv", "--database", "env:DB"], "provision p.csv --database env:DB"),
        (["provision", "p\x1b[31m.csv"], "provision 'p\ufffd[31m.csv'"),
    ],
)
def test_the_command_is_repeated_without_secrets_and_used_files(arguments: list[str], shown: str) -> None:
    assert repeat_command(arguments) == f"facturaonline {shown}"


async def test_the_line_after_a_failed_run_finishes_it(tmp_path: Path, emulator: Emulator) -> None:
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="empresas.create")
    path, journal, faults = plan(tmp_path, 2), tmp_path / "run.sqlite", tmp_path / "faults.csv"
    options = ("--journal", journal, "--faults-out", faults, "--settle", "0.3", "--yes")
    failed = await run("provision", path, *options, emulator=emulator)
    [line] = [line for line in failed.err.splitlines() if line.startswith("→ ")]
    found = re.search(r"run: facturaonline (.*)\. It creates nothing twice\.$", line)
    assert found is not None
    again = await run(*shlex.split(found[1]), emulator=emulator)

    assert (failed.code, str(path) in line, str(journal) in line, str(faults) in line) == (1, True, True, False)
    assert (again.code, "→" in again.err) == (0, False)


async def test_a_run_without_a_journal_is_repeated_later(tmp_path: Path, emulator: Emulator) -> None:
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="empresas.create")
    path = plan(tmp_path, 1)
    ran = await run("--lang", "es", "provision", path, "--yes", "--settle", "0.3", emulator=emulator)
    as_json = await run("provision", path, "--yes", "--json", emulator=emulator)

    assert "espere tres minutos" in ran.err
    assert f"ejecute: facturaonline --lang es provision {path} " in ran.err
    assert "→" not in as_json.err
