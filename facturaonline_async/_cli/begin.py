"""The beginning of every command: environment, settings and language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facturaonline_async._cli.language import choose_language
from facturaonline_async._cli.settings import load_settings
from facturaonline_async._messages import Language

__all__ = ["begin"]


def begin(*, lang: Language | None, profile: str | None, env_file: Path | None, arguments: Sequence[str]) -> None:
    """Apply the options before the command.

    Args:
        lang: value of --lang.
        profile: value of --profile.
        env_file: value of --env-file.
        arguments: arguments of the command.

    Raises:
        InvalidInputError: the file of --env-file cannot be read, or has a fault.
        typer.BadParameter: a variable names no language.

    """
    choose_language(lang, arguments)  # errors about files are printed in it
    if env_file is not None:
        from facturaonline_async._cli.env_file import load_env_file  # noqa: PLC0415  # few commands have one

        load_env_file(env_file)
    choose_language(lang, arguments, load_settings(profile).lang)
