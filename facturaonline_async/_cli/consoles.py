"""Consoles that print every text as it is."""

from __future__ import annotations

from rich.console import Console

__all__ = ["new_console"]


def new_console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """Return a console that finds no markup, emoji codes or values in a text.

    Names come from files and answers: ``[red]`` and ``A:B:pago`` are names, too.

    Args:
        stderr: whether it prints to the standard error.
        soft_wrap: whether the terminal wraps long lines, so that copies are whole.

    """
    return Console(stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)
