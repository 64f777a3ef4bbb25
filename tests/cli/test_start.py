"""What the command imports: the first second of a user is the import of modules that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from typer.main import get_command

from facturaonline_async._cli.app import app

pytestmark = pytest.mark.one_python

#: Dependencies that take long to import.
SLOW = {"aiohttp", "anyio", "asyncio", "attrs", "cattrs", "cryptography", "jinja2", "msgspec", "sqlite3", "ssl"}

#: What only calls, runs and certificates need, and takes long. msgspec takes a twentieth of what aiohttp takes.
WORK = {"aiohttp", "cattrs", "cryptography", "jinja2", "psycopg"}

COMMANDS = (
    "provision",
    "status",
    "report",
    "runs",
    "doctor",
    "probe",
    "emulator",
    "plan",
    "sello",
    "postgres",
    "empresas",
    "series",
)


MAIN = "from facturaonline_async._cli import main; main()"


def run(arguments: Sequence[str], code: str = MAIN) -> tuple[str, set[str]]:
    """Run code, or the command, in a new process; return what it prints, and the modules that it has imported."""
    env = {name: value for name, value in os.environ.items() if "COV" not in name}  # coverage loads more
    listed = f"import atexit, sys; atexit.register(lambda: print('\\nmodules', *sys.modules)); {code}"
    ran = subprocess.run(
        [sys.executable, "-c", listed, *arguments], capture_output=True, text=True, check=False, env=env
    )
    assert "Traceback" not in ran.stderr
    shown, _, modules = ran.stdout.rpartition("\nmodules ")
    return shown, set(modules.split())


def test_the_version_is_printed_without_any_slow_dependency() -> None:
    shown, modules = run(["--version"])
    assert shown.startswith("facturaonline ")
    assert modules & (SLOW | {"rich"}) == set()
    assert {name for name in modules if name.startswith("facturaonline_async._cli")} == {
        "facturaonline_async._cli",
        "facturaonline_async._cli.app",
    }


@pytest.mark.parametrize("arguments", [["--help"], [], ["--lang", "es", "--help"]])
def test_the_list_of_commands_is_printed_without_the_modules_of_the_commands(arguments: list[str]) -> None:
    shown, modules = run(arguments)
    assert [name for name in COMMANDS if f" {name} " not in shown] == []
    assert modules & SLOW == set()
    assert {f"facturaonline_async._cli.{name}" for name in (*COMMANDS, "example")} & modules == set()


@pytest.mark.parametrize("name", [each for each in COMMANDS if each != "plan"])
def test_the_help_of_a_command_is_printed_without_what_its_work_needs(name: str) -> None:
    shown, modules = run([name, "--help"])
    assert f"Usage: facturaonline {name} " in shown
    assert modules & WORK == set()


def test_a_command_without_a_database_imports_no_driver() -> None:
    code = (
        "import os; os.environ |= {'FACTURAONLINE_API_KEY': 'a', 'FACTURAONLINE_SECRET_KEY': 'b', "
        f"'FACTURAONLINE_BASE_URL': 'http://127.0.0.1:9/api'}}; {MAIN}"
    )
    _, modules = run(["series", "list"], code)
    assert "aiohttp" in modules
    assert {name for name in modules if name.startswith(("psycopg", "facturaonline_async.postgres."))} == {
        "facturaonline_async.postgres._environment"
    }


@pytest.mark.parametrize(("language", "is_read"), [("en", False), ("es", True)])
def test_spanish_texts_are_read_for_spanish_only(language: str, is_read: bool) -> None:  # noqa: FBT001
    modules = run(["--lang", language, "--help"])[1]
    assert ("facturaonline_async._cli.spanish_help" in modules, "tomllib" in modules) == (is_read, is_read)


def test_a_command_that_shows_no_help_reads_no_help() -> None:
    modules = run(["--lang", "es", "status", "none.sqlite"])[1]
    assert "facturaonline_async._cli.status" in modules
    assert "facturaonline_async._cli.spanish_help" not in modules


def test_a_wrong_name_of_a_command_imports_no_module_of_a_command() -> None:
    assert run(["provisoin"])[1] & (SLOW | {"facturaonline_async._cli.provision"}) == set()


def complete(line: str) -> tuple[list[str], set[str]]:
    """Let bash complete the last word of a line; return the words that fit, and the modules that are imported."""
    asked = {
        "_FACTURAONLINE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    shown, modules = run([], f"import os; os.environ |= {asked}; {MAIN}")
    return shown.split(), modules


@pytest.mark.parametrize(
    ("begun", "completed"), [("pro", ["provision", "probe"]), ("s", ["status", "sello", "series"])]
)
def test_the_name_of_a_command_is_completed_without_the_modules_of_the_commands(
    begun: str, completed: list[str]
) -> None:
    words, modules = complete(f"facturaonline {begun}")
    assert words == completed
    assert modules & (SLOW | {"rich"}) == set()


def test_names_and_options_of_a_command_are_completed_without_what_its_work_needs() -> None:
    words, modules = complete("facturaonline series ac")
    assert (words, modules & WORK) == (["activate"], set())
    words, modules = complete("facturaonline provision --j")
    assert (words, modules & WORK) == (["--journal", "--json"], set())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_describes_each_command_as_its_own_help_does(name: str) -> None:
    root: Any = get_command(app)
    context = root.make_context("facturaonline", [], resilient_parsing=True)
    placeholder = root.get_command(context, name)
    _, command, rest = root.resolve_command(context, [name, "--help"])
    assert (command.help.split("\n")[0], rest) == (placeholder.help, ["--help"])
    assert command is not placeholder
