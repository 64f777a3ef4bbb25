"""Every text exists in Spanish, with the same parameters, and the command prints it."""

from __future__ import annotations

import csv
import os
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from facturaonline_async import InvalidInputError, NuevaEmpresa, Sello
from facturaonline_async._cli.language import _is_spanish, choose_language
from facturaonline_async._messages import current_language, message, use_language
from facturaonline_async._messages.english import all_texts
from facturaonline_async._messages.plural import Plural
from facturaonline_async._messages.spanish import read_texts
from facturaonline_async._messages.value_text import ValueText
from facturaonline_async.testing import Emulator
from tests.cli.test_app import plan, run
from tests.plans import ROW, written

SPANISH = read_texts()
TEXTS = all_texts()


@pytest.fixture
def spanish() -> Iterator[None]:
    use_language("es")
    yield
    use_language("en")


def forms(text: str | Plural | ValueText) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def parameters(text: str) -> list[tuple[str, str | None]]:
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None)


def test_every_text_exists_in_spanish() -> None:
    assert (sorted(TEXTS.keys() - SPANISH.keys()), sorted(SPANISH.keys() - TEXTS.keys())) == ([], [])


def test_every_spanish_text_has_the_forms_and_parameters_of_the_english_one() -> None:
    wrong = [
        code
        for code, text in TEXTS.items()
        if type(SPANISH[code]) is not type(text)
        or [*map(parameters, forms(SPANISH[code]))] != [*map(parameters, forms(text))]
    ]

    assert wrong == []


def test_sentences_end_alike_in_both_languages() -> None:
    """Texts are put together: a clause stays a clause."""
    ends = (".", "?", ":")
    wrong = [
        code
        for code, text in TEXTS.items()
        for english, other in zip(forms(text), forms(SPANISH[code]), strict=True)
        if english.endswith(ends) != other.endswith(ends)
    ]

    assert wrong == []


def test_no_spanish_text_speaks_of_tu() -> None:
    words = {"tu", "tus", "tú", "puedes", "debes", "indica", "corrige"}
    found = [
        code
        for code, text in SPANISH.items()
        for form in forms(text)
        if words & {word.strip(".,:;¿?()") for word in form.split()}
    ]

    assert found == []


@pytest.mark.usefixtures("spanish")
def test_a_message_has_the_same_code_in_spanish() -> None:
    made = message("cli.count_empresas", count=1)

    assert (made, made.code, made.parameters) == ("1 empresa", "cli.count_empresas", {"count": 1})


@pytest.mark.usefixtures("spanish")
def test_parts_of_a_message_are_spanish_too() -> None:
    made = message("plan.was_read", changes=(message("plan.read_trimmed"), message("plan.read_composed")))

    assert made == "se leyó sin los espacios que lo rodean, con caracteres compuestos (NFC)"


def test_python_speaks_english() -> None:
    with pytest.raises(InvalidInputError) as refused:
        NuevaEmpresa(razon_social="", rfc="x", codpos="x", email="x", regimen_nomina="x", csd=Sello(b"a", b"b", "c"))

    assert (current_language(), str(refused.value)) == ("en", "razon_social is required, and empty.")


# ── The command ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_is_told_in_spanish(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        command = ("--lang", "es", "provision", plan(tmp_path, 2), "--settle", "0.3")
        ran = await run(*command, emulator=emulator, env={"COLUMNS": "160"})

    assert (ran.code, "Completo en" in ran.out, " planeada " in ran.out) == (0, True, True)


async def test_faults_of_a_plan_are_told_in_spanish(tmp_path: Path) -> None:
    faults = tmp_path / "errores.csv"
    path = written(tmp_path, [ROW | {"codpos": "x", "regimen": "600.5"}])
    ran = await run("provision", path, "--emulator", "--faults-out", faults, env={"FACTURAONLINE_LANG": "es"})
    [header, row] = csv.reader(faults.read_text("utf-8-sig").splitlines(keepends=True))

    assert "fila 2, codpos: debe ser un código postal de 5 dígitos, y era 'x'" in ran.err
    assert (ran.code, header[:2], row[1]) == (2, ["# errores", "# fila"], "2")
    assert "debe ser una clave de 3 dígitos" in row[0]


async def test_json_stays_english(tmp_path: Path) -> None:
    path = written(tmp_path, [ROW | {"codpos": "x"}])
    ran = await run("--lang", "es", "provision", path, "--emulator", "--json")

    assert [problem["reason"] for problem in ran.json["problems"] if problem["column"] == "codpos"] == [
        "must be a código postal of 5 digits"
    ]


async def test_a_pipe_gets_english_in_a_spanish_locale(tmp_path: Path) -> None:
    path = written(tmp_path, [ROW | {"codpos": "x"}])
    ran = await run("provision", path, "--emulator", env={"LC_ALL": "es_MX.UTF-8"})

    assert "must be a código postal of 5 digits" in ran.err


@pytest.mark.usefixtures("spanish")  # it restores English
@pytest.mark.parametrize(("locale", "language"), [("es_MX.UTF-8", "es"), ("en_US.UTF-8", "en"), ("", "en")])
def test_a_terminal_gets_the_language_of_its_locale(
    monkeypatch: pytest.MonkeyPatch, locale: str, language: str
) -> None:
    monkeypatch.delenv("FACTURAONLINE_LANG", raising=False)
    monkeypatch.setenv("LC_ALL", locale)
    for name in ("LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    ends = os.openpty()
    with open(ends[0], "rb"), open(ends[1], "w") as terminal:  # noqa: PTH123  # they are no paths
        monkeypatch.setattr(sys, "stdout", terminal)
        choose_language(None, [])

    assert current_language() == language


async def test_an_unknown_language_is_refused() -> None:
    ran = await run("status", "none.sqlite", env={"FACTURAONLINE_LANG": "fr"})

    assert (ran.code, "FACTURAONLINE_LANG must be en or es, and was fr" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "es_MX.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "es_ES"}, True),
        ({"LANG": "es_MX.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": ""}, False),
        ({}, False),
    ],
)
def test_the_first_variable_of_the_locale_counts(environment: dict[str, str], *, expected: bool) -> None:
    assert _is_spanish(environment) is expected
