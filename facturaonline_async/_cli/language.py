"""The language of the command: option, variable, profile, or locale."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import typer

from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._messages import Language, message, use_language
from facturaonline_async._text import printable

__all__ = ["choose_language"]

_VARIABLE = "FACTURAONLINE_LANG"
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables of the locale; the first that is set counts."""


def choose_language(wanted: Language | None, arguments: Sequence[str], of_profile: Language | None = None) -> None:
    """Choose the language of all that the command prints.

    JSON is for programs, and is always English.

    Args:
        wanted: value of ``--lang``. None: that of ``FACTURAONLINE_LANG``; if it is not set, that of the profile; if it
            has none, Spanish if the output goes to a terminal with a Spanish locale, or else English.
        arguments: arguments of the command.
        of_profile: language of the profile, or None.

    Raises:
        typer.BadParameter: the variable names no language.

    """
    if "--json" in arguments:
        return
    if wanted is None and (named := os.environ.get(_VARIABLE)):
        if named not in ("en", "es"):
            raise typer.BadParameter(message("cli.language_unknown", variable=_VARIABLE, value=printable(named)))
        wanted = "es" if named == "es" else "en"
    wanted = wanted or of_profile
    if wanted is None:
        wanted = "es" if is_terminal(sys.stdout) and _is_spanish(os.environ) else "en"
    use_language(wanted)


def _is_spanish(environment: Mapping[str, str]) -> bool:
    locale = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return locale.lower().startswith("es")
