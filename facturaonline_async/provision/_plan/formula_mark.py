"""Mark cells of a CSV file that a spreadsheet would compute, and remove the mark.

A spreadsheet computes a cell of a CSV file that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and
a company's name may come from another person. An apostrophe before such a cell makes it a text. A cell that begins with
apostrophes before such a character gets one more, so that every text comes back unchanged.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["add_formula_mark", "remove_formula_mark"]

_MARK: Final = "'"
_FORMULA: Final = re.compile(rf"{_MARK}*+[=+\-@\t\r]")
_MARKED: Final = re.compile(rf"{_MARK}++[=+\-@\t\r]")


def add_formula_mark(text: str) -> str:
    """Return the text of a cell as a CSV file holds it.

    Args:
        text: text of the cell.

    """
    return f"{_MARK}{text}" if _FORMULA.match(text) else text


def remove_formula_mark(text: str) -> str:
    """Return the text that a cell of a CSV file means.

    Args:
        text: text of the cell, as `add_formula_mark` returned it, or as a person or a program wrote it.

    """
    return text[1:] if _MARKED.match(text) else text
