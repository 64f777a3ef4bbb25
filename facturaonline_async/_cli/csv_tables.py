"""CSV files that the command writes, and that a plan's reader reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from facturaonline_async.provision._plan.formula_mark import add_formula_mark

__all__ = ["new_table"]


def new_table(rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV file in which no cell is a formula.

    Args:
        rows: the header and the rows.

    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows([add_formula_mark(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")  # with the mark, Excel reads accents
