"""``--env-file``: variables of the environment from a file."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from facturaonline_async.testing import Emulator, make_sello
from tests.cli.test_app import run
from tests.plans import ROW, written

SECRET = "p$word-not-to-be-shown"


def env_file(folder: Path, *lines: str) -> Path:
    path = folder / ".env"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    path.chmod(0o600)
    return path


def variables(emulator: Emulator) -> tuple[str, ...]:
    keys = emulator.credentials
    return (
        "# the emulator",
        f"export FACTURAONLINE_BASE_URL={emulator.base_url}",
        f"FACTURAONLINE_API_KEY='{keys.api_key.reveal()}'",
        f'FACTURAONLINE_SECRET_KEY = "{keys.secret_key.reveal()}"  # a comment',
        "",
    )


async def test_variables_of_the_file_count_as_those_of_the_environment(tmp_path: Path, emulator: Emulator) -> None:
    path = env_file(tmp_path, *variables(emulator), "FACTURAONLINE_LANG=es")
    ran = await run("--env-file", path, "series", "list")

    assert (ran.code, ran.out, ran.err) == (0, "No hay series.\n", "")


async def test_variables_that_are_set_stay_and_empty_ones_count_as_not_set(tmp_path: Path, emulator: Emulator) -> None:
    path = env_file(tmp_path, *variables(emulator), "FACTURAONLINE_LANG=es")
    ran = await run("--env-file", path, "series", "list", env={"FACTURAONLINE_LANG": "en", "FACTURAONLINE_API_KEY": ""})

    assert (ran.code, ran.out) == (0, "No series.\n")


@pytest.mark.parametrize("name", ["API_KEY", "SECRET_KEY", "BASE_URL", "DATABASE_URL"])
async def test_another_account_than_that_of_the_environment_is_refused(
    tmp_path: Path, emulator: Emulator, name: str
) -> None:
    variable = f"FACTURAONLINE_{name}"
    path = env_file(tmp_path, *variables(emulator), "FACTURAONLINE_DATABASE_URL=")
    ran = await run("--env-file", path, "series", "list", env={variable: SECRET})

    assert (ran.code, len(ran.err.splitlines()), len(emulator.requests)) == (2, 1, 0)
    assert f"{variable} is set already, and {path} has another value. Unset {variable}, or leave out" in ran.err
    assert (SECRET in ran.err, emulator.credentials.api_key.reveal() in ran.err) == (False, False)


async def test_the_account_of_the_environment_may_be_in_the_file(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("--env-file", env_file(tmp_path, *variables(emulator)), "series", "list", emulator=emulator)

    assert (ran.code, ran.err) == (0, "")


async def test_passwords_of_a_plan_come_from_the_file_as_they_are_written(tmp_path: Path) -> None:
    sello = make_sello(ROW["rfc"], password=SECRET)
    (tmp_path / "a.cer").write_bytes(sello.cer)
    (tmp_path / "a.key").write_bytes(sello.key)
    plan = written(tmp_path, [ROW | {"cer": "a.cer", "key": "a.key", "password": "", "password_env": "CSD"}])
    path = env_file(tmp_path, f"CSD={SECRET}")
    ran = await run("--env-file", path, "provision", plan, "--dry-run")

    assert (ran.code, SECRET in ran.out + ran.err) == (0, False)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (SECRET, 2),
        (f"A B={SECRET}", 2),
        (f'A="{SECRET}', 2),
        (f"\n\n A B={SECRET}", 4),
        (f"'A=B'={SECRET}", 2),
        (f"A\0={SECRET}", 2),
    ],
)
async def test_a_line_that_sets_no_variable_is_named_by_its_number(tmp_path: Path, line: str, number: int) -> None:
    path = env_file(tmp_path, "A=1", line)
    ran = await run("--env-file", path, "series", "list")

    assert (ran.code, f"line {number} of {path}" in ran.err, SECRET in ran.err) == (2, True, False)


@pytest.mark.parametrize("lang", ["en", "es"])
async def test_a_value_with_a_nul_is_named_by_its_variable(tmp_path: Path, lang: str) -> None:
    path = env_file(tmp_path, "A=1", f"CSD='{SECRET}\0'")
    ran = await run("--env-file", path, "--lang", lang, "series", "list")

    where = {"en": f"the value of CSD in line 2 of {path} has", "es": f"el valor de CSD en la línea 2 de {path} tiene"}
    assert (ran.code, len(ran.err.splitlines()), where[lang] in ran.err) == (2, 1, True)
    assert (" NUL" in ran.err, SECRET in ran.err) == (True, False)


@pytest.mark.skipif(os.name != "posix", reason="the environment is Unicode")
@pytest.mark.parametrize("lang", ["en", "es"])
@pytest.mark.parametrize("line", [f"CSD={SECRET}ñ", f"CSÑ={SECRET}"])
async def test_a_value_that_the_locale_cannot_hold_is_named_by_its_variable(
    tmp_path: Path, line: str, lang: str
) -> None:
    path = env_file(tmp_path, "A=1", line)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "facturaonline_async", "--env-file", path, "--lang", lang, "series", "list"),
        env=ascii_only,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()
    shown = error.decode("unicode_escape")

    name = line.partition("=")[0]
    where = {
        "en": f"{name} in line 2 of {path}, or its value, has",
        "es": f"{name} en la línea 2 de {path}, o su valor",
    }
    assert (process.returncode, len(shown.splitlines()), where[lang] in shown) == (2, 1, True)
    assert ("ascii" in shown, "LC_ALL=C.UTF-8" in shown, SECRET in shown) == (True, True, False)


@pytest.mark.parametrize("content", [None, b"A=\xff"])
async def test_a_file_that_cannot_be_read_ends_the_command(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / ".env"
    if content is not None:
        path.write_bytes(content)
    ran = await run("--env-file", path, "series", "list")

    assert (ran.code, len(ran.err.splitlines()), f"{path} cannot be read" in ran.err) == (2, 1, True)


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
async def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, emulator: Emulator) -> None:
    path = env_file(tmp_path, *variables(emulator))
    path.chmod(0o644)
    ran = await run("--env-file", path, "series", "list")

    assert (ran.code, ran.err) == (0, f"warning: other users of this machine can read {path}: chmod 600 {path}\n")
