"""The language of the command: option, variable, profile, or locale."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import typer

from facturaonline_async._cli.settings_files import is_reachable, project_file, user_file
from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._messages import Language, current_language, message, use_language
from facturaonline_async._text import printable

__all__ = ["choose_language", "dialogue_language", "find_language"]

_JSON = "--json"
_VARIABLE = "FACTURAONLINE_LANG"
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables of the locale; the first that is set counts."""


def choose_language(wanted: Language | None, arguments: Sequence[str], of_profile: Language | None = None) -> None:
    """Choose the language of all that the command prints.

    JSON is for programs, and is always English. So are the errors and warnings beside it; see `dialogue_language` for
    what a person is asked.

    Args:
        wanted: value of ``--lang``. None: that of ``FACTURAONLINE_LANG``; if it is not set, that of the profile; if it
            has none, Spanish if the output goes to a terminal with a Spanish locale, or else English.
        arguments: arguments of the command.
        of_profile: language of the profile, or None.

    Raises:
        typer.BadParameter: the variable names no language.

    """
    _Dialogue.language = _choose(wanted, [each for each in arguments if each != _JSON], of_profile)
    use_language(_choose(wanted, arguments, of_profile))


class _Dialogue:
    """Language of what a person is asked."""

    language: ClassVar[Language] = "en"


@contextmanager
def dialogue_language() -> Iterator[None]:
    """Make messages in the language of the person inside the block, also with --json.

    A question goes to a terminal, and its answer comes from a person.
    """
    before = current_language()
    use_language(_Dialogue.language)
    try:
        yield
    finally:
        use_language(before)


def find_language(arguments: Sequence[str]) -> Language:
    """Return the language of help and usage errors, also before options are applied.

    The list of commands, and an error in the options, are shown before that; in English if the environment or a file
    has a fault.

    Args:
        arguments: arguments of the command.

    """
    if current_language() == "es":
        return "es"
    try:
        return _choose_early(arguments)
    except (typer.BadParameter, ValueError):  # the command reports it
        return current_language()


def _choose(wanted: Language | None, arguments: Sequence[str], of_profile: Language | None = None) -> Language:
    """Return the language.

    Raises:
        typer.BadParameter: the variable names no language.

    """
    if _JSON in arguments:
        return "en"
    if wanted is None and (named := os.environ.get(_VARIABLE)):
        if named not in ("en", "es"):
            raise typer.BadParameter(message("cli.language_unknown", variable=_VARIABLE, value=printable(named)))
        wanted = "es" if named == "es" else "en"
    return wanted or of_profile or ("es" if is_terminal(sys.stdout) and _is_spanish(os.environ) else "en")


def _choose_early(arguments: Sequence[str]) -> Language:
    """Return the language, without an import of what reads files if there is none.

    Raises:
        typer.BadParameter: the variable names no language.
        ValueError: a file cannot be read, or has a fault.

    """
    lang, profile, env_file = (_value_of(option, arguments) for option in ("--lang", "--profile", "--env-file"))
    wanted: Language | None = "es" if lang == "es" else "en" if lang == "en" else None
    if wanted is not None or os.environ.get(_VARIABLE):
        return _choose(wanted, arguments)
    if not (env_file or is_reachable(user_file()) or is_reachable(project_file())):
        return _choose(None, arguments)
    from facturaonline_async._cli.begin import begin  # noqa: PLC0415  # most people have no file

    begin(lang=None, profile=profile, env_file=Path(env_file) if env_file else None, arguments=arguments)
    return current_language()


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    for argument, following in pairwise((*arguments, "")):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None


def _is_spanish(environment: Mapping[str, str]) -> bool:
    locale = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return locale.lower().startswith("es")
