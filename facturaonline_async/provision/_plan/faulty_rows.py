"""Read rows of a plan's file as they are written there, to be corrected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from attrs import field, frozen

from facturaonline_async._messages import message
from facturaonline_async.provision._plan.column_names import NUMBERED
from facturaonline_async.provision._plan.csv_reader import csv_records
from facturaonline_async.provision._plan.header import find_header, is_comment
from facturaonline_async.provision._plan.models import PlanError, PlanProblem
from facturaonline_async.provision._plan.workbook_reader import SUFFIXES, workbook_records

__all__ = ["PlanTable", "read_rows"]


@frozen
class PlanTable:
    """Rows of a plan's file, as they are written. They may hold passwords.

    Attributes:
        header: names of the columns.
        columns: column of each name, as in a `PlanProblem`; None for notes.
        rows: texts of the cells, by the number of the row.

    """

    header: tuple[str, ...]
    columns: tuple[str | None, ...]
    rows: Mapping[int, tuple[str, ...]] = field(repr=False)

    def places(self, column: str) -> list[int]:
        """Return where the cells of a column stand in a row; a serie may have several.

        Args:
            column: column of a problem.

        """
        found = [place for place, name in enumerate(self.columns) if name == column]
        if not found and column == "series":
            return [place for place, name in enumerate(self.columns) if name and name.rpartition("_")[0] in NUMBERED]
        return found


def read_rows(path: Path, numbers: Collection[int] | None, *, sheet: str | None = None) -> PlanTable:
    """Read rows of a CSV file or a workbook.

    Args:
        path: the plan.
        numbers: numbers of the rows; None: all.
        sheet: name of the sheet of a workbook.

    Raises:
        PlanError: the file is a TOML file, or cannot be read.

    """
    suffix = path.suffix.lower()
    if suffix == ".toml":
        reason = message("plan.rows_of_toml")
        raise PlanError.of([PlanProblem(row=0, column="", reason=reason, file=path.name)])
    with workbook_records(path, sheet) if suffix in SUFFIXES else csv_records(path, []) as records:
        header, below = find_header(records)
        rows = {
            number: cells
            for number, cells in below
            if (not is_comment(cells) if numbers is None else number in numbers)
        }
    # A row may have more cells than the header.
    width = max((len(header.cells), *map(len, rows.values())))
    columns = (*header.columns, *[""] * (width - len(header.cells)))
    padded = {number: (*cells, *[""] * (width - len(cells))) for number, cells in rows.items()}
    return PlanTable((*header.cells, *[""] * (width - len(header.cells))), columns, padded)
