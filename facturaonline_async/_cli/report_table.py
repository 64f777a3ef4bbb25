"""A run as a table for a spreadsheet: ``report --csv`` and ``report --xlsx``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import frozen

from facturaonline_async._cli import csv_tables
from facturaonline_async._cli.faults_out import check_faults_out, write_faults
from facturaonline_async._cli.output_path_checks import check_folder, same_file, unwritable
from facturaonline_async._cli.run_texts import format_moment, missing_row_headings, state_name
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import Message, message
from facturaonline_async._private_files import publish_private
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.history import HistoryEntry, HistoryRow
from facturaonline_async.provision._plan.faulty_rows import read_rows
from facturaonline_async.provision._plan.models import PlanProblem
from facturaonline_async.provision._steps import State

__all__ = ["Only", "Table", "chosen_rows"]

#: Which companies and series a table has: those that failed, or all that do not exist or were not read back.
Only: TypeAlias = Literal["failed", "missing"]

_BETWEEN: Final = re.compile(r"[\s-]")
"""What people write between the parts of an RFC."""


def chosen_rows(rows: Sequence[HistoryRow], only: Only | None) -> list[tuple[HistoryRow, Sequence[HistoryEntry]]]:
    """Return the rows of a run, each with its companies and series to be shown.

    Args:
        rows: rows of the run.
        only: which companies and series are shown; None: all.

    """
    chosen: list[tuple[HistoryRow, Sequence[HistoryEntry]]] = []
    for row in rows:
        if only is None:
            entries = row.entries
        elif only == "missing":
            entries = row.missing
        else:
            entries = [entry for entry in row.entries if entry.state == State.FAILED]
        if entries:
            chosen.append((row, entries))
    return chosen


@frozen
class Table:
    """A file of ``report --csv`` or ``report --xlsx``.

    Attributes:
        path: the file.
        option: the option that names it.
        force: whether an existing file is replaced; one with rows of a plan never is.

    """

    path: Path
    option: str
    force: bool

    @property
    def _suffix(self) -> str:
        return self.option.replace("--", ".")

    def check(self, journal: Sequence[Path], plan: Path | None) -> None:
        """Refuse a file that cannot be written, before the journal is read.

        Args:
            journal: files of the journal.
            plan: the plan whose rows are written, or None.

        Raises:
            InvalidInputError: it cannot be written, or a workbook is wanted without the extra excel.

        """
        shown, field = printable_path(self.path), self.option
        if self.path.suffix.lower() != self._suffix:
            raise InvalidInputError(message("cli.report_table_suffix", path=shown, suffix=self._suffix), field=field)
        if same_file(self.path, journal):
            raise InvalidInputError(message("cli.report_is_the_journal", path=shown), field=field)
        if plan is not None:
            check_faults_out(self.path, plan, journal, option=self.option)
            return
        if not self.force and (self.path.exists() or self.path.is_symlink()):
            raise InvalidInputError(message("cli.export_exists", path=shown), field=field)
        if self._suffix == ".xlsx":
            import facturaonline_async._cli.workbooks  # noqa: F401, PLC0415  # raises without the extra excel
        check_folder(self.path, option=self.option)

    def write(self, rows: Sequence[HistoryRow], only: Only | None) -> Message:
        """Write one line for each company and each serie.

        Args:
            rows: rows of the run.
            only: which companies and series it has; None: all.

        Returns:
            What was written.

        Raises:
            InvalidInputError: the file cannot be written.

        """
        row, rfc, what, state, reason = missing_row_headings()
        headings = [row, rfc, what, state, message("cli.label_uid"), reason, message("cli.page_last_written")]
        lines = [_line(each, entry) for each, entries in chosen_rows(rows, only) for entry in entries]
        table = [[str(name) for name in headings], *lines]
        if self._suffix == ".xlsx":
            from facturaonline_async._cli.workbooks import new_table  # noqa: PLC0415  # of the extra excel

            content = new_table(table, {})
        else:
            content = csv_tables.new_table(table)
        try:
            publish_private(self.path, content, replaces=self.force)
        except OSError as error:
            raise unwritable(self.path, error, option=self.option) from None
        return message("cli.report_table_written", path=printable_path(self.path), count=len(lines))

    def write_plan(self, rows: Sequence[HistoryRow], plan: Path, sheet: str | None) -> Message:
        """Write the plan's own rows, those that failed first, with their reasons.

        All rows are there, because the file is run with the same journal: another one would not know which creates
        have no answer yet, and send them again.

        Args:
            rows: rows of the run.
            plan: the plan of the run. It may hold passwords.
            sheet: name of the sheet of a workbook.

        Returns:
            What was written.

        Raises:
            InvalidInputError: the file cannot be written, or a row of the plan has another RFC than in the run.
            PlanError: the plan cannot be read.

        """
        chosen = chosen_rows(rows, "failed")
        _refuse_another_plan({row.number: row.rfc for row, _ in chosen}, plan, sheet)
        problems = [problem for row, entries in chosen for problem in _problems(row, entries)]
        shown = printable_path(self.path)
        count = write_faults(self.path, plan, problems, sheet=sheet, with_all=True, option=self.option)
        if not count:
            return message("cli.report_no_row_to_correct", path=shown)
        return message("cli.report_rows_to_correct", path=shown, count=count)


def _line(row: HistoryRow, entry: HistoryEntry) -> list[str]:
    changed = "" if entry.changed is None else format_moment(entry.changed)
    return [str(row.number), row.rfc, entry.label, str(state_name(entry.state)), entry.uid or "", entry.reason, changed]


def _problems(row: HistoryRow, entries: Sequence[HistoryEntry]) -> Iterator[PlanProblem]:
    for entry in entries:
        reason = entry.reason or str(state_name(entry.state))
        if entry.letra:
            yield PlanProblem(
                row=row.number, column="series", reason=message("cli.failed_serie", serie=entry.label, reason=reason)
            )
        else:
            yield PlanProblem(row=row.number, column="", reason=reason)


def _refuse_another_plan(rfcs: dict[int, str], plan: Path, sheet: str | None) -> None:
    """Refuse a plan whose rows were moved or replaced since the run.

    Raises:
        InvalidInputError: a row has another RFC, or is not there.

    """
    table = read_rows(plan, rfcs, sheet=sheet)
    places = table.places("rfc")
    for number, rfc in rfcs.items():
        cells = table.rows.get(number, ())
        found = next((cells[place] for place in places if place < len(cells)), "")
        if normalize_rfc(_BETWEEN.sub("", found)) != normalize_rfc(rfc):
            text = message("cli.report_of_another_plan", row=number, path=printable_path(plan), rfc=rfc)
            raise InvalidInputError(text, field="--plan")
