"""What a plan's file holds is gathered row by row: never all of it at once, and all that is wrong with it together."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facturaonline_async.provision.cells import Cells
from facturaonline_async.provision.packed import PackedRows
from facturaonline_async.provision.rows import PlanError, Problem, Repeats

__all__ = ["Gathered", "opened", "whole"]


class Gathered:
    """Rows, what is wrong with them, and what was mended in them."""

    def __init__(self) -> None:
        self.rows: PackedRows = PackedRows()
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []
        self._repeats = Repeats()

    def add(self, cells: Cells) -> None:
        """Take one row."""
        record = cells.record()
        self.notices += cells.notices
        self.problems += cells.problems
        if cells.rfc is not None:
            self.problems += self._repeats.of_rfc(cells.rfc, cells.number)
        if record is not None:
            self.problems += self._repeats.of_series(self.rows.append(record), cells.number)

    def done(self, *, none: str) -> tuple[PackedRows, list[Problem]]:
        """Return the rows, and what was mended.

        Args:
            none: what is wrong if there is no row.

        Raises:
            PlanError: with every faulty row, column and reason.

        """
        if not self.rows and not self.problems:
            self.problems.append(whole(none))
        if self.problems:
            raise PlanError.of(self.problems)
        return self.rows, self.notices


def whole(reason: str) -> Problem:
    """Return what is wrong with the plan as a whole."""
    return Problem(row=0, column="", reason=reason)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plan's file, to be read more than once. A pipe is read into memory.

    Raises:
        PlanError: it cannot be read.

    """
    reason = ""
    try:
        with path.open("rb") as file:
            yield file if file.seekable() else io.BytesIO(file.read())
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
    if reason:
        raise PlanError.of([whole(f"{path} cannot be read: {reason}")])
