"""Collect the rows of a plan's file and all their problems."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Concatenate, ParamSpec, TypeAlias

from attrs import evolve, field, frozen

from facturaonline_async._messages import Message, message
from facturaonline_async.provision._plan.file_rows import FaultyRow, FileRow, FileRows
from facturaonline_async.provision._plan.models import DuplicateFinder, PlanError, PlanProblem, PlanRow
from facturaonline_async.provision._plan.row_parser import RowParser

__all__ = ["ParsedPlan", "PlanBuilder", "count_series", "file_problem", "name_file_in_problems", "open_plan"]

_P = ParamSpec("_P")
_Path: TypeAlias = str | os.PathLike[str]


@frozen(kw_only=True)
class ParsedPlan:
    """Contents of a plan's file, with the problems of its cells.

    `Plan.parse` returns one; `Plan.of` makes a plan of it if it has no problems. `provision.validate` checks the
    certificates of all its rows, including those with a faulty cell, so that all problems can be shown at once.

    Attributes:
        rows: rows without a faulty cell, in the order of the file.
        faulty: rows with a faulty cell, reduced to what the check of their certificates needs.
        problems: all problems: row, column and reason.
        notices: corrections that were made while the file was read.

    """

    rows: Sequence[PlanRow] = field(repr=lambda rows: f"<{len(rows)} rows>")
    faulty: tuple[FaultyRow, ...] = field(default=(), repr=False)
    problems: tuple[PlanProblem, ...] = ()
    notices: tuple[PlanProblem, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.rows) + len(self.faulty)

    @property
    def series_count(self) -> int:
        """Number of series of all rows, including those with a faulty cell."""
        return count_series(self.rows) + sum(row.series_count for row in self.faulty)


def count_series(rows: Sequence[PlanRow]) -> int:
    """Return the number of series of all rows together."""
    return rows.series_count if isinstance(rows, FileRows) else sum(len(row.series) for row in rows)


class PlanBuilder:
    """Collects rows, problems and notices while a file is read.

    Attributes:
        problems: problems so far.
        notices: corrections so far.

    """

    def __init__(self) -> None:
        self._rows: list[FileRow] = []
        self.problems: list[PlanProblem] = []
        self.notices: list[PlanProblem] = []
        self._faulty: list[FaultyRow] = []
        self._duplicates = DuplicateFinder()

    def add(self, cells: RowParser) -> None:
        """Add one row with its problems and notices.

        Args:
            parser: the parser of the row.

        """
        row = cells.row()
        self.notices += cells.notices
        self.problems += cells.problems
        if cells.rfc is not None:
            self.problems += self._duplicates.find_rfc(cells.rfc, cells.number)
        if row is None:
            self._faulty.append(cells.faulty)
        else:
            self._rows.append(row)
            self.problems += self._duplicates.find_series(row.series, row.number)

    def build(self, *, none: Message) -> ParsedPlan:
        """Return the collected rows, problems and notices.

        Args:
            none: reason of the problem if there is no row.

        """
        if not self._rows and not self.problems:
            self.problems.append(file_problem(none))
        return ParsedPlan(
            rows=FileRows(self._rows),
            faulty=tuple(self._faulty),
            problems=tuple(self.problems),
            notices=tuple(self.notices),
        )


def file_problem(reason: Message) -> PlanProblem:
    """Return a problem of the file as a whole.

    `name_file_in_problems` adds the file's name.
    """
    return PlanProblem(row=0, column="", reason=reason)


def name_file_in_problems(
    read: Callable[Concatenate[_Path, _P], ParsedPlan],
) -> Callable[Concatenate[_Path, _P], ParsedPlan]:
    """Decorate a reader: problems of the file as a whole name the file."""

    @functools.wraps(read)
    def named(path: _Path, /, *args: _P.args, **kwargs: _P.kwargs) -> ParsedPlan:
        """Read the plan, and name its file in the problems."""
        name = Path(path).name
        try:
            parsed = read(path, *args, **kwargs)
        except PlanError as error:
            problems = _named(name, error.problems)
        else:
            notices = _named(name, parsed.notices)
            return evolve(parsed, problems=_named(name, parsed.problems), notices=notices)
        raise PlanError.of(problems)  # raised here, so that its traceback holds no text of the file

    return named


def _named(name: str, problems: Iterable[PlanProblem]) -> tuple[PlanProblem, ...]:
    return tuple(each if each.row or each.file else evolve(each, file=name) for each in problems)


@contextmanager
def open_plan(path: Path) -> Iterator[BinaryIO]:
    """Open a plan's file as a seekable stream; a pipe is read into memory.

    Raises:
        PlanError: the file cannot be read.

    """
    reason: str
    try:
        with path.open("rb") as file:
            yield file if file.seekable() else io.BytesIO(file.read())
    except FileNotFoundError:
        reason = message("plan.missing")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    problem = PlanProblem(row=0, column="", reason=message("plan.unreadable", reason=reason), file=str(path))
    raise PlanError.of([problem])
