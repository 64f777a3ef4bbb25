"""``facturaonline emulator -- COMMAND``: a fresh emulator for one command."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from facturaonline_async.testing import Emulator
from tests.cli.test_app import run


async def test_a_command_gets_the_variables_of_a_fresh_emulator() -> None:
    code = "from facturaonline_async._cli import main; main()"

    ran = await run("emulator", "--", sys.executable, "-c", code, "empresas", "current", "--json")

    assert (ran.code, ran.json["rfc"]) == (0, "EMU200101PP5")


async def test_a_command_reaches_the_emulator_whatever_profile_it_names(tmp_path: Path, emulator: Emulator) -> None:
    folder = tmp_path / "facturaonline"
    folder.mkdir()
    settings = ["[profiles.acme]", 'api_key = "env:ACME_KEY"', 'secret_key = "env:ACME_SECRET"']
    settings.append(f'base_url = "{emulator.base_url}"')
    (folder / "facturaonline.toml").write_text("\n".join(settings), encoding="utf-8")
    code = "from facturaonline_async._cli import main; main()"
    keys = {
        "ACME_KEY": emulator.credentials.api_key.reveal(),
        "ACME_SECRET": emulator.credentials.secret_key.reveal(),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    named = ["--profile", "acme", "empresas", "current", "--json"]
    outside = await run(*named, env=keys)
    before = len(emulator.requests)
    inside = await run("emulator", "--", sys.executable, "-c", code, *named, env=keys)

    assert (outside.code, before, inside.code, len(emulator.requests)) == (0, 1, 0, 1)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 128 + signal.SIGKILL), ("exit 0", 0)])
async def test_the_exit_code_of_the_command_is_passed_on(script: str, code: int) -> None:
    ran = await run("emulator", "--", "sh", "-c", script)

    assert (ran.code, ran.out, ran.err) == (code, "", "")


async def test_a_command_that_does_not_exist_is_named() -> None:
    ran = await run("emulator", "--", "no-such-command", "-x")

    assert (ran.code, ran.err) == (2, "no-such-command cannot be started: No such file or directory.\n")


async def test_the_command_has_a_port_of_its_own(emulator: Emulator) -> None:
    """An emulator on the port 8080 does not matter."""
    ran = await run("emulator", "--", "sh", "-c", "echo $FACTURAONLINE_BASE_URL", emulator=emulator)

    assert ran.out.strip() not in {emulator.base_url, "http://127.0.0.1:8080/api", ""}
