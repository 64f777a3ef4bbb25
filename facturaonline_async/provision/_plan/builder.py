"""The rows of a plan's file, and all their faults together."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from attrs import evolve, field, frozen

from facturaonline_async.provision._plan.file_rows import FaultyRow, FileRow
from facturaonline_async.provision._plan.models import DuplicateFinder, PlanError, PlanProblem, PlanRow
from facturaonline_async.provision._plan.row_parser import RowParser

__all__ = ["ParsedPlan", "PlanBuilder", "file_problem", "name_file_in_problems", "open_plan"]


@frozen(kw_only=True)
class ParsedPlan:
    """What a plan's file says, with the faults of its cells. `Plan.parse` makes one; `Plan.of` takes it without faults.

    `provision.check` checks the certificates of all its rows, those with faulty cells too, so that everything that is
    wrong with a plan can be shown at once.

    Attributes:
        rows: the rows without a faulty cell, in the order of the file.
        faulty: the other rows: as much of each as a check of its certificates needs.
        problems: every faulty row, column and reason.
        notices: what was mended.

    """

    rows: tuple[PlanRow, ...] = field(repr=lambda rows: f"<{len(rows)} rows>")
    faulty: tuple[FaultyRow, ...] = field(default=(), repr=False)
    problems: tuple[PlanProblem, ...] = ()
    notices: tuple[PlanProblem, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.rows) + len(self.faulty)

    @property
    def series_count(self) -> int:
        """How many series all rows have together, those with a faulty cell too."""
        return sum(len(row.series) for row in self.rows) + sum(row.series_count for row in self.faulty)


class PlanBuilder:
    """Rows, what is wrong with them, and what was mended in them."""

    def __init__(self) -> None:
        self._rows: list[FileRow] = []
        self.problems: list[PlanProblem] = []
        self.notices: list[PlanProblem] = []
        self._faulty: list[FaultyRow] = []
        self._duplicates = DuplicateFinder()

    def add(self, cells: RowParser) -> None:
        """Take one row."""
        row = cells.row()
        self.notices += cells.notices
        self.problems += cells.problems
        if cells.rfc is not None:
            self.problems += self._duplicates.check_rfc(cells.rfc, cells.number)
        if row is None:
            self._faulty.append(cells.faulty)
        else:
            self._rows.append(row)
            self.problems += self._duplicates.check_series(row.series, row.number)

    def build(self, *, none: str) -> ParsedPlan:
        """Return all of it.

        Args:
            none: what is wrong if there is no row.

        """
        if not self._rows and not self.problems:
            self.problems.append(file_problem(none))
        return ParsedPlan(
            rows=tuple(self._rows),
            faulty=tuple(self._faulty),
            problems=tuple(self.problems),
            notices=tuple(self.notices),
        )


def file_problem(reason: str) -> PlanProblem:
    """Return what is wrong with the plan as a whole; `name_file_in_problems` adds the file's name."""
    return PlanProblem(row=0, column="", reason=reason)


class _Read(Protocol):
    def __call__(self, path: str | os.PathLike[str], *, any_tipo: bool = False) -> ParsedPlan: ...


def name_file_in_problems(read: _Read) -> _Read:
    """Let what is wrong with, or was mended in, all of a plan's file name the file."""

    @functools.wraps(read)
    def named(path: str | os.PathLike[str], *, any_tipo: bool = False) -> ParsedPlan:
        name = Path(path).name
        try:
            parsed = read(path, any_tipo=any_tipo)
        except PlanError as error:
            problems = _named(name, error.problems)
        else:
            notices = _named(name, parsed.notices)
            return evolve(parsed, problems=_named(name, parsed.problems), notices=notices)
        raise PlanError.of(problems)  # without the frames that hold what was read

    return named


def _named(name: str, problems: Iterable[PlanProblem]) -> tuple[PlanProblem, ...]:
    return tuple(each if each.row or each.file else evolve(each, file=name) for each in problems)


@contextmanager
def open_plan(path: Path) -> Iterator[BinaryIO]:
    """Open a plan's file, to be read more than once. A pipe is read into memory.

    Raises:
        PlanError: it cannot be read.

    """
    reason = ""
    try:
        with path.open("rb") as file:
            yield file if file.seekable() else io.BytesIO(file.read())
    except FileNotFoundError:
        reason = "the file does not exist."
    except OSError as problem:
        reason = f"{problem.strerror or type(problem).__name__}."
    if reason:
        raise PlanError.of([PlanProblem(row=0, column="", reason=f"the plan cannot be read: {reason}", file=str(path))])
