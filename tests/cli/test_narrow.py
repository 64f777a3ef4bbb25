"""Every screen of the command on a terminal of 40 columns: no value is cut, no name, no number."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from facturaonline_async._cli import app, progress
from facturaonline_async._cli.tables import finding_lines
from facturaonline_async._messages import use_language
from facturaonline_async.provision import Progress, RowOutcome, RunReport, State
from facturaonline_async.testing import Emulator, Fault, make_sello
from tests.cli.test_app import Ran, plan, run
from tests.plans import private_key
from tests.terminals import at_terminal

WIDTH = 40
LANGUAGES = ("en", "es")
RFC = "AAA010101000"
REASON = "El certificado no es válido para este contribuyente"


async def narrow(language: str, *arguments: object, **how: Any) -> Ran:
    how["env"] = {"COLUMNS": str(WIDTH)} | how.get("env", {})
    return await run("--lang", language, *arguments, **how)


def whole(text: str) -> str:
    """Return a text without the line breaks of a narrow terminal."""
    return " ".join(text.split())


def too_wide(text: str, examples: str = "") -> list[str]:
    """Return lines that a terminal has to break, except single words and examples to copy."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if len(line) > WIDTH and " " in line.strip() and line.strip() not in examples]


# ── Help ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, module in app._MODULES.items():
        command: Any = get_command(import_module(f"facturaonline_async._cli.{module}").app)
        found[name] = command
        found |= {f"{name} {each}": made for each, made in getattr(command, "commands", {}).items()}
    return found


async def test_the_list_of_commands_is_whole() -> None:
    ran = await narrow("en", "--help")

    assert (ran.code, ran.err, too_wide(ran.out), "…" in ran.out) == (0, "", [], False)
    assert [name for name in app._MODULES if f"\n  {name} " not in ran.out] == []
    assert [name for name in ("--lang", "--profile NAME", "--env-file FILE", "-h") if name not in ran.out] == []


@pytest.mark.parametrize("name", commands())
async def test_the_help_of_a_command_has_each_option_and_each_text(name: str) -> None:
    ran = await narrow("en", *name.split(), "--help")
    parameters, about = commands()[name].params, commands()[name].help
    examples = "".join(part for part in about.split("\n\n") if part.startswith("Examples:"))
    options = [option for each in parameters for option in each.opts if option.startswith("-")]

    assert (ran.code, ran.err, too_wide(ran.out, examples)) == (0, "", [])
    assert [option for option in options if not re.search(rf"^ +.*{option}\b", ran.out, re.MULTILINE)] == []
    assert [each.name for each in parameters if whole(each.help or "") not in whole(ran.out)] == []


# ── Runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_run_its_status_and_its_report_are_whole(tmp_path: Path, emulator: Emulator, language: str) -> None:
    emulator.inject(Fault.status(422, body={"message": REASON}), endpoint="empresas.create")
    journal = tmp_path / "run.sqlite"
    ran = await narrow(
        language, "provision", plan(tmp_path, 3), "--yes", "--journal", journal, "--settle", 0.3, emulator=emulator
    )
    shown = ran, await narrow(language, "status", journal), await narrow(language, "report", journal)
    words = {"en": ("failed", "planned: 3", "created: 2"), "es": ("fallida", "planeada: 3", "creada: 2")}[language]

    assert [each.code for each in shown] == [1, 0, 0]
    assert [line for each in shown for line in too_wide(each.out)] == []
    assert [each.out for each in shown if "…" in each.out or REASON not in whole(each.out)] == []
    assert [each.out for each in shown if words[0] not in each.out] == []
    assert [word for word in words[1:] if f"  {word}\n" not in ran.out] == []
    assert [each.out for each in shown if not re.search(rf"{RFC[:-1]}\d\b", each.out)] == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_preview_and_a_dry_run_are_whole(tmp_path: Path, emulator: Emulator, language: str) -> None:
    path = plan(tmp_path, 2)
    preview = await narrow(language, "plan", "preview", path, emulator=emulator)
    faulty = plan(tmp_path, 2, codpos="x", email="nobody")
    dry = await narrow(language, "provision", faulty, "--dry-run")

    assert (preview.code, "…" in preview.out, f"{RFC}," in preview.out, emulator.base_url in preview.out) == (
        0, False, True, True,
    )  # fmt: skip
    # One fault, one line.
    assert [line.split(":")[0].split()[1:] for line in dry.err.splitlines() if line.startswith(("row ", "fila "))] == [
        [f"{row},", column] for row in (2, 3) for column in ("codpos", "email")
    ]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_question_at_a_terminal_is_whole(tmp_path: Path, emulator: Emulator, language: str) -> None:
    words = {"en": "[y/N]", "es": "[s/N]"}[language]
    ran = await at_terminal(
        "--lang", language, "provision", plan(tmp_path, 1), answers=[(words, "n\n")], emulator=emulator,
        variables={"COLUMNS": str(WIDTH)},
    )  # fmt: skip

    assert (ran.code, f"{RFC}," in ran.err, "…" in ran.err) == (1, True, False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_progress_of_a_run_shows_all_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    use_language("es" if language == "es" else "en")
    followed = Progress(RunReport(planned_empresas=12_000, planned_series=36_000), lambda: 0.0, lambda: 0.0)
    with progress.run_bars(followed, quiet=False) as redraw:
        for number, state in enumerate((State.CREATED, State.FAILED, State.UNKNOWN, State.CONFLICT), 2):
            followed.add(RowOutcome(number=number, rfc=RFC, state=state))
        redraw()
    use_language("en")
    shown = capsys.readouterr().err
    states = ("fallida", "incierta", "en conflicto") if language == "es" else ("failed", "unknown", "conflict")

    assert ("1/12000" in shown.replace(" ", ""), "0/36000" in shown.replace(" ", ""), "…" in shown) == (
        True, True, False,
    )  # fmt: skip
    assert [state for state in states if f"1 {state}" not in whole(shown)] == []


# ── Findings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [WIDTH, 160])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_each_finding_of_a_folder_is_one_line(tmp_path: Path, language: str, width: int) -> None:
    for name in ("uno", "dos"):
        sello = make_sello(RFC, private_key=private_key(), password="otra")
        (tmp_path / f"{name}.cer").write_bytes(sello.cer)
        (tmp_path / f"{name}.key").write_bytes(sello.key)
    env = {"FACTURAONLINE_SELLO_PASSWORD": "falsa", "COLUMNS": str(width)}
    ran = await narrow(language, "sello", "check", tmp_path, "--rfc", "EKU9003173C9", env=env)
    lines = [line for line in ran.out.splitlines() if re.match(r"(uno|dos)\.cer: error \w+: .", line)]

    assert (ran.code, "…" in ran.out, len(lines)) == (1, False, 4)
    assert {line.split(": ")[1].split()[1] for line in lines} == {"wrong_password", "rfc_mismatch"}
    assert ran.out.count("→ wrong_password: ") == 1
    assert len(re.findall(rf"\b{RFC}\b", ran.out)) >= 2


@pytest.mark.parametrize("language", LANGUAGES)
async def test_one_certificate_is_shown_with_whole_facts(tmp_path: Path, language: str) -> None:
    sello = make_sello(RFC, razon_social="COMERCIALIZADORA INTERNACIONAL DEL BAJIO", private_key=private_key())
    (tmp_path / "a.cer").write_bytes(sello.cer)
    (tmp_path / "a.key").write_bytes(sello.key)
    env = {"FACTURAONLINE_SELLO_PASSWORD": "12345678a"}
    ran = await narrow(language, "sello", "check", tmp_path / "a.cer", tmp_path / "a.key", env=env)

    assert (ran.code, "…" in ran.out, too_wide(ran.out.split("warning")[0])) == (0, False, [])
    assert ("COMERCIALIZADORA INTERNACIONAL DEL BAJIO" in whole(ran.out), RFC in ran.out) == (True, True)


def test_a_reason_of_several_findings_has_a_line_for_each() -> None:
    reason = "cer: It expired. Renew it. [expired] password: It opens no key. Correct it. [wrong_password]"

    assert finding_lines(reason).splitlines() == [
        "cer: It expired. Renew it. [expired]",
        "password: It opens no key. Correct it. [wrong_password]",
    ]
    assert finding_lines("refused by the API") == "refused by the API"
