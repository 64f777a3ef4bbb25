"""Read a plan from the rows of a table, which a CSV file or a workbook holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from facturaonline_async._free_text import find_error_value
from facturaonline_async._messages import Message, message
from facturaonline_async.provision._plan.builder import ParsedPlan, PlanBuilder
from facturaonline_async.provision._plan.cell_values import FLAGS
from facturaonline_async.provision._plan.column_names import NUMBERED
from facturaonline_async.provision._plan.doubtful_cell import DoubtfulCell
from facturaonline_async.provision._plan.file_lookup import FileLookup
from facturaonline_async.provision._plan.header import Header, Record, find_header, is_comment
from facturaonline_async.provision._plan.models import PlanProblem
from facturaonline_async.provision._plan.row_parser import RowParser, misspelling_finder

__all__ = ["read_table"]


def read_table(records: Iterator[Record], builder: PlanBuilder, folder: Path, *, any_tipo: bool) -> ParsedPlan:
    """Read a plan from rows, with the problems of its cells.

    Args:
        records: rows that are not empty, the header among them.
        builder: collects the rows.
        folder: where relative paths start.
        any_tipo: accept a ``tipo_documento`` that looks like a misspelt documented one.

    Raises:
        PlanError: no row is a header, or it has wrong columns.

    """
    files, find_misspelling = FileLookup(folder), misspelling_finder()
    header, rows = find_header(records)
    builder.notices += header.notices
    for number, record in rows:
        if is_comment(record):
            builder.notices.append(PlanProblem(row=number, column="", reason=message("plan.comment")))
            continue
        texts = {name: cell for name, cell in zip(header.columns, record, strict=False) if name}
        refused = {
            name: cell for name, cell in texts.items() if isinstance(cell, DoubtfulCell) and not _fits(name, cell)
        }
        texts |= dict.fromkeys(refused, "")
        parts = [[texts.pop(f"{name}_{each}", "").strip() for name in NUMBERED] for each in header.numbers]
        if parts:
            texts["series"] = ";".join(":".join(serie).rstrip(":") for serie in parts if any(serie))
        is_uneven = len(record) != len(header.columns)
        parser = RowParser(
            number, texts, files, is_uneven=is_uneven, any_tipo=any_tipo, find_misspelling=find_misspelling
        )
        for name, cell in refused.items():
            parser.reject_column(name, cell.problem)
        if (reason := _cell_count_problem(header, record)) is not None:
            parser.add_problem("", reason)
        for each, serie in zip(header.numbers, parts, strict=True):
            for name, part in zip(NUMBERED, serie, strict=True):
                if (fault := _part_fault(part)) is not None:
                    parser.add_problem(f"{name}_{each}", fault)
        builder.add(parser)
    return builder.build(none=message("plan.no_rows"))


def _fits(name: str, cell: DoubtfulCell) -> bool:
    """Return whether a cell that is true or false stands in a column of flags."""
    return cell.is_flag and name in FLAGS


def _part_fault(part: str) -> Message | None:
    """Return why a cell is no part of a serie, or None."""
    if ":" in part or ";" in part:
        return message("plan.separator_in_serie")
    return find_error_value(part)


def _cell_count_problem(header: Header, record: Sequence[str]) -> Message | None:
    """Return the problem with the number of cells, or None.

    It shows no cell: one may be a password.
    """
    columns = header.columns
    if any(cell.strip() for cell in record[len(columns) :]):
        is_quoted = any(cell.lstrip().startswith('"') != cell.startswith('"') for cell in record)
        remedy = message("plan.blank_before_quotation" if is_quoted else "plan.quote_separators")
        return message("plan.too_many_cells", cells=len(record), columns=len(columns)).then(remedy)
    if any(cell.strip() for name, cell in zip(columns, record, strict=False) if name == ""):
        return message("plan.cell_without_column")
    return None
