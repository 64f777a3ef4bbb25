"""Help and usage errors are printed in Spanish, with the same names, and no text is missing."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from facturaonline_async._cli import language
from facturaonline_async._cli.app import _MODULES, app
from facturaonline_async._cli.spanish_help import EXAMPLES, read_catalogue, translate_command
from tests.cli.test_app import run

CATALOGUE = read_catalogue()
FILE = "facturaonline_async/_messages/spanish_help.toml"

#: What is the same in both languages: options, variables, metavars, attributes, files, URLs, commands, numbers.
NAMES = re.compile(
    r"""
    (?<!\w)--?[a-z][a-z-]* | \b[a-z]+://\S+[\w] | "facturaonline[ ][^"]+" | facturaonline_\w+[\w.]* | \bfacturaonline\b
    | \.[a-z]{3,4}\b | \b[A-Za-z]+(?:_[A-Za-z]+)+\b | \b[A-Z]{3,}\b | \bpg:RUN\b | \benv:\w+ | \b[0-9]+\b
    """,
    re.VERBOSE,
)


def tree() -> Iterator[tuple[str, Any]]:
    """Give every command and group of a new tree, with the words that call it."""
    root: Any = get_command(app)
    yield "", root
    for name, module in _MODULES.items():
        command: Any = get_command(import_module(f"facturaonline_async._cli.{module}").app)
        yield name, command
        yield from ((f"{name} {each}", inner) for each, inner in getattr(command, "commands", {}).items())


def context(command: Any) -> Any:
    return command.context_class(command, info_name="facturaonline")


def helps(command: Any) -> list[str]:
    """Return all help texts of a command."""
    holders = (command, *command.get_params(context(command)))
    return [text for each in holders for text in (each.help, getattr(each, "epilog", None)) if text]


def paragraphs() -> Iterator[tuple[str, str]]:
    """Give each paragraph that needs a Spanish text, with the command that shows it."""
    for words, command in tree():
        for text in helps(command):
            yield from ((words, each) for each in text.split("\n\n") if not each.startswith(EXAMPLES))


PARAGRAPHS = {paragraph: words for words, paragraph in paragraphs()}


def singular(text: str) -> str:
    """Return a text with acronyms as Spanish has them: RFCs is RFC there."""
    return re.sub(r"\b([A-Z]{3,})s\b", r"\1", text)


# ── The catalogue ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_paragraph_of_a_help_has_a_spanish_text() -> None:
    missing = {each: words for each, words in PARAGRAPHS.items() if each not in CATALOGUE.texts}

    assert missing == {}, f"write their Spanish texts into {FILE}"


def test_every_spanish_text_is_of_a_paragraph_that_exists() -> None:
    assert [each for each in CATALOGUE.texts if each not in PARAGRAPHS] == [], f"remove them from {FILE}"


def test_no_paragraph_is_translated_twice() -> None:
    tables = tomllib.loads((Path(__file__).parents[1] / FILE).read_text("utf-8"))
    texts = [each["en"] for name, table in tables.items() if name != "words" for each in table]

    assert [text for text, count in Counter(texts).items() if count > 1] == []


@pytest.mark.parametrize("english", PARAGRAPHS)
def test_names_are_the_same_in_both_languages(english: str) -> None:
    expected, found = NAMES.findall(singular(english)), NAMES.findall(CATALOGUE.texts[english])

    assert {*found} == {*expected}


def test_sentences_end_alike_in_both_languages() -> None:
    assert [en for en, es in CATALOGUE.texts.items() if en.endswith(".") != es.endswith(".")] == []


def test_no_spanish_help_speaks_of_tu() -> None:
    words = {"tu", "tus", "tú", "te", "puedes", "debes", "tienes", "quieres"}
    found = [es for es in CATALOGUE.texts.values() if words & {each.strip(".,:;()").lower() for each in es.split()}]

    assert found == []


def test_examples_are_the_same_in_both_languages() -> None:
    texts = [(command.help or "", CATALOGUE.text(command.help or "")) for _, command in tree()]
    english, spanish = (
        [part.partition("\n")[2] for text in each for part in text.split("\n\n") if part.startswith(begin)]
        for each, begin in zip(zip(*texts, strict=True), (EXAMPLES, "Ejemplos:\n"), strict=True)
    )

    assert len(english) > 20
    assert spanish == english


def test_a_translated_command_has_no_english_help() -> None:
    left = {}
    for words, command in tree():
        english = {*helps(command)}
        translate_command(command, context(command))
        alike = {text for text in english if CATALOGUE.text(text) == text}
        left[words] = english & {*helps(command)} - alike

    assert {words: texts for words, texts in left.items() if texts} == {}


# ── The command ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("option", "columns"), [("-h", "160"), ("--help", "100")])  # in boxes, and without
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            "",
            ["Uso: facturaonline [OPCIONES] COMANDO [ARGUMENTOS]...", "Comandos", "Crea las empresas", "Comience con"],
        ),
        (
            "provision",
            ["Uso: facturaonline provision [OPCIONES]", "Argumentos", "[obligatorio]"],
        ),
        ("doctor", ["Revisa la conexión", "[por omisión: 10.0"]),
        ("series", ["Uso: facturaonline series [OPCIONES] COMANDO", "Muestra una serie.", "Opciones"]),
        ("series ensure", ["Muestra la serie con esta letra", "Ejemplos:\nfacturaonline series ensure --letra F"]),
    ],
)
async def test_the_help_of_a_command_is_spanish(words: str, shown: list[str], option: str, columns: str) -> None:
    ran = await run("--lang", "es", *words.split(), option, env={"COLUMNS": columns})
    lines = "\n".join(line.strip() for line in ran.out.splitlines())

    assert (ran.code, ran.err) == (0, "")
    assert [text for text in shown if text not in lines] == []
    assert re.findall(r"Usage|Options|Arguments|Commands|OPTIONS|default:|required|Examples|Show this", ran.out) == []


@pytest.mark.parametrize("words", ["", "series", "provision"])
async def test_a_missing_word_gets_spanish_help_or_a_spanish_error(words: str) -> None:
    ran = await run(*words.split(), env={"FACTURAONLINE_LANG": "es"})
    shown = ran.out + ran.err

    assert ran.code == 2
    assert "Uso: facturaonline" in shown
    assert re.findall(r"Usage|Options|Missing|Try", shown) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("provisoin", "No existe el comando 'provisoin'. ¿Quiso decir 'provision'?"),
        ("xyz", "No existe el comando 'xyz'."),
        ("--profile default", "Falta el comando."),
        ("--nothing", "No existe la opción --nothing."),
        ("provision p.csv --exsting fail", "No existe la opción --exsting. Opciones parecidas: --existing"),
        ("provision", "Falta el argumento 'PLAN'."),
        ("keys", "Falta la opción '--run'."),
        ("provision p.csv --json=1", "La opción '--json' no lleva ningún valor."),
        ("provision p.csv --journal", "La opción '--journal' necesita un valor."),
        ("provision p.csv q.csv", "Sobran argumentos: q.csv"),
        (
            "provision p.csv --existing all",
            "El valor de '--existing' no es válido: 'all' no es uno de 'adopt', 'update', 'fail'.",
        ),
        ("provision p.csv --rate 1", "El valor de '--rate' no es válido: indique LLAMADAS/SEGUNDOS, por ejemplo 20/1"),
    ],
)
async def test_a_usage_error_is_spanish(arguments: str, error: str) -> None:
    ran = await run("--lang", "es", *arguments.split())

    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err
    assert re.findall(r"Usage|Try|Invalid|option|argument\b", ran.err) == []


@pytest.mark.parametrize("value", ["a", "0", "99999"])
async def test_a_value_out_of_range_is_refused_in_spanish(value: str) -> None:
    ran = await run("--lang", "es", "provision", "p.csv", "--concurrency", value)

    assert re.search(
        r"'--concurrency' no es válido: (debe ser|'a' no es un número|\d+ no está en el intervalo)", ran.err
    )


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("'a' is not a valid integer.", "'a' no es un número entero."),  # typer 0.26
        ("'a' is not a valid integer range.", "'a' no es un número entero."),
        (
            "No such option: --exsting ('(Possible options: --existing)',)",
            "No existe la opción --exsting. Opciones parecidas: --existing",
        ),
        ("'a' is not a valid float.", "'a' no es un número."),
        ("0 is not in the range 1<=x<=9.", "0 no está en el intervalo 1<=x<=9."),
        ("Input should be a valid integer, unable to parse", "debe ser un número entero"),  # typer 0.29
        ("Input should be a valid number, unable to parse", "debe ser un número"),
        ("Input should be greater than or equal to 1", "debe ser 1 o más"),
        ("Input should be less than or equal to 9", "debe ser 9 o menos"),
        ("Value error, 'a' is not one of 'b', 'c'.", "'a' no es uno de 'b', 'c'."),
        ("Invalid value: indique en o es", "El valor no es válido: indique en o es"),
    ],
)
def test_reasons_of_several_versions_of_typer_are_known(english: str, expected: str) -> None:
    assert CATALOGUE.error(english) == expected


def test_an_unknown_error_stays_english() -> None:
    assert CATALOGUE.error("Something new.") == "Something new."


# ── The language of what is shown before the command begins ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words", ["--help", "--help --lang en", "--lang=en --help", "xyz", "--lang fr --help", "--json --help"]
)
async def test_help_and_errors_stay_english_without_spanish(words: str) -> None:
    ran = await run(*words.split())

    assert ("Usage: facturaonline [OPTIONS]" in ran.out + ran.err, "Uso" in ran.out + ran.err) == (True, False)


@pytest.mark.parametrize("words", ["--lang=es --help", "--help --lang es", "--lang es xyz"])
async def test_the_option_counts_wherever_it_stands(words: str) -> None:
    ran = await run(*words.split(), env={"FACTURAONLINE_LANG": "en"})

    assert "Uso: facturaonline [OPCIONES]" in ran.out + ran.err


async def test_a_usage_error_says_how_to_see_the_help() -> None:
    ran = await run("--lang", "es", "series", "list", "--nothing")

    assert "Uso: facturaonline series list [OPCIONES]" in ran.err
    assert "Pruebe 'facturaonline series list --help' para ver la ayuda." in ran.err


@pytest.mark.parametrize("words", ["--help", "provision --help", "xyz"])
async def test_a_profile_chooses_the_language_of_help(tmp_path: Path, words: str) -> None:
    (tmp_path / "facturaonline").mkdir()
    (tmp_path / "facturaonline" / "facturaonline.toml").write_text('[profiles.mx]\nlang = "es"\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    with_profile, without = await run("--profile", "mx", *words.split(), env=env), await run(*words.split(), env=env)

    assert ["Uso: " in ran.out + ran.err for ran in (with_profile, without)] == [True, False]


@pytest.mark.parametrize("words", ["--help", "provision --help"])
async def test_a_file_of_variables_chooses_the_language_of_help(tmp_path: Path, words: str) -> None:
    (tmp_path / "my.env").write_text("FACTURAONLINE_LANG=es\n")
    ran = await run("--env-file", tmp_path / "my.env", *words.split())

    assert (ran.code, "Uso: facturaonline" in ran.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "env"),
    [(["--env-file", "none.env"], {}), ([], {"FACTURAONLINE_LANG": "fr"}), (["--profile", "none"], {})],
)
async def test_the_list_of_commands_is_shown_in_spite_of_a_fault(arguments: list[str], env: dict[str, str]) -> None:
    ran = await run(*arguments, "--help", env=env)

    assert (ran.code, "Usage: facturaonline" in ran.out, ran.err) == (0, True, "")


@pytest.mark.parametrize(("locale", "found"), [("es_MX.UTF-8", "es"), ("en_US.UTF-8", "en")])
def test_a_terminal_gets_help_in_the_language_of_its_locale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, locale: str, found: str
) -> None:
    for name in ("FACTURAONLINE_LANG", "FACTURAONLINE_PROFILE", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ends = os.openpty()
    with open(ends[0], "rb"), open(ends[1], "w") as terminal:  # noqa: PTH123  # they are no paths
        monkeypatch.setattr(sys, "stdout", terminal)

        assert language.find_language(["facturaonline", "--help"]) == found
