"""The command ``facturaonline plan export``: what an account holds, as a plan."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from attrs import define, field
from rich.console import Console

from facturaonline_async._cli import client_command, csv_tables, output, progress
from facturaonline_async._cli.client_command import BaseUrl
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.output_path_checks import check_folder, unwritable
from facturaonline_async._cli.template_columns import read_template
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.redaction import redact
from facturaonline_async._messages import Message, message
from facturaonline_async._private_files import publish_private
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.series._tipo_documento import misspelling

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.empresas._models import Empresa
    from facturaonline_async.provision import PlanProblem
    from facturaonline_async.provision._account import ListedEmpresa
    from facturaonline_async.series._models import Serie

__all__ = ["command"]

_SUFFIXES: Final = frozenset({".csv", ".xlsx"})
_CONCURRENCY: Final = 32
_READ: Final = (
    "razon_social", "codpos", "email", "calle", "exterior", "interior", "colonia", "delegacion", "ciudad", "estado",
    "telefono",
)  # fmt: skip
"""Columns that hold what a read shows. The régimen is a note: reads have its words, which no run can compare."""


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write, with a name in .xlsx or .csv.", show_default=False)
    ],
    no_series: Annotated[
        bool, typer.Option("--no-series", help="Leave out the series, which take a call for each company.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress.")] = False,
) -> None:
    """Write the companies of the account and their series into a new plan.

    The file holds no key, no password and no certificate, and only its owner may read it. Its column UID says that the
    companies exist: "provision" adopts them, creates series that you add, and with --existing update changes what you
    change. To renew certificates, fill in the columns Certificado, Llave and Contraseña. A run never creates a company
    of such a row.

    The columns whose names begin with # are notes: the régimen in words, paused series, and what a plan cannot hold.

    Examples:
      facturaonline plan export plan.xlsx
      facturaonline plan preview plan.xlsx --existing update

    The exit code is 1 if the series of a company could not be read, or a company has no place in a plan; the message
    names it.
    """
    _check_file(file, replaces=force)
    found = client_command.run(
        partial(_read, with_series=not no_series, quiet=as_json), base_url=base_url, database=database
    )
    table = _Table()
    for each in found:
        table.add(each)
    _write(file, table.to_bytes(file.suffix.lower()), replaces=force)
    series = sum(len(each.series or ()) for each in found)
    if as_json:
        output.print_json(
            {
                "file": str(file),
                "empresas": len(table.rows),
                "series": series,
                "without_series": [_problem(each.empresa, each.reason) for each in found if each.reason],
                "left_out": [_problem(empresa, reason) for empresa, reason in table.left_out],
            }
        )
    else:
        _report(file, table, found, series)
    if table.left_out or any(each.reason for each in found):
        raise typer.Exit(1)


async def _read(client: FacturaOnline, *, with_series: bool, quiet: bool) -> list[ListedEmpresa]:
    from facturaonline_async import bulk  # noqa: PLC0415  # imports anyio
    from facturaonline_async.provision._account import (  # noqa: PLC0415  # imports aiohttp
        ListedEmpresa,
        list_account,
        list_series,
    )

    companies = await list_account(client)
    if not with_series:
        return [ListedEmpresa(empresa) for empresa in companies]
    found: list[ListedEmpresa] = []
    with progress.bar(message("cli.label_series"), len(companies), quiet=quiet) as advance:
        async with bulk.stream(
            companies, partial(list_series, client), concurrency=_CONCURRENCY, ordered=True
        ) as outcomes:
            async for outcome in outcomes:
                found.append(outcome.result())
                advance()
    return found


def _problem(empresa: Empresa, reason: str) -> dict[str, str]:
    return {"rfc": empresa.rfc, "uid": empresa.uid, "reason": redact(str(reason))}


def _report(file: Path, table: _Table, found: Sequence[ListedEmpresa], series: int) -> None:
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for each in found:
        if each.reason:
            empresa = each.empresa
            text = message("cli.export_without_series", rfc=empresa.rfc, uid=empresa.uid, reason=redact(each.reason))
            errors.print(printable(message("cli.warning", text=text)))
    for empresa, reason in table.left_out:
        text = message("cli.export_left_out", rfc=empresa.rfc, uid=empresa.uid, reason=reason)
        errors.print(printable(message("cli.warning", text=text)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    of_empresas = message("cli.count_empresas", count=len(table.rows))
    of_series = message("cli.count_series", count=series)
    shown = printable_path(file)
    console.print(message("cli.export_written", path=shown, empresas=of_empresas, series=of_series))


# ── The table ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@define
class _Table:
    """Rows of the plan.

    Attributes:
        header: names of the columns, in the order of the template.
        rows: cells of each company.
        left_out: companies that a plan cannot hold, with the reasons.

    """

    header: list[str] = field(init=False)
    rows: list[list[str]] = field(factory=list, init=False)
    left_out: list[tuple[Empresa, Message]] = field(factory=list, init=False)
    _columns: list[str] = field(init=False)
    _last: Empresa | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        named = dict(_named_columns())
        self.header, self._columns = list(named), list(named.values())

    def add(self, listed: ListedEmpresa) -> None:
        """Add a company; of several with one RFC, the first one."""
        empresa = listed.empresa
        if self._last is not None and normalize_rfc(self._last.rfc) == normalize_rfc(empresa.rfc):
            self.left_out.append((empresa, message("cli.export_rfc_twice", uid=self._last.uid)))
            return
        cells, notes = self._cells(listed)
        for problem in self._problems(cells):
            if problem.column in {"rfc", "uid", ""}:
                self.left_out.append(
                    (empresa, message("cli.export_no_row", column=problem.column, reason=problem.reason))
                )
                return
            # A faulty cell would refuse the plan. A run leaves alone what an empty one stands for.
            notes.append(f"{problem.column}: {cells[problem.column]}")
            cells[problem.column] = ""
        cells["notes"] = "; ".join(notes)
        self._last = empresa
        self.rows.append([redact(cells.get(name, "")) for name in self._columns])

    def _cells(self, listed: ListedEmpresa) -> tuple[dict[str, str], list[str]]:
        """Return the cells of a company by column, and what stands in the notes."""
        empresa = listed.empresa
        notes: list[str] = []
        cells = {name: str(getattr(empresa, name)) for name in _READ}
        regimen = empresa.regimen_sat
        cells |= {
            "rfc": empresa.rfc,
            "uid": empresa.uid,
            "regimen_note": f"{regimen.codigo} - {regimen.descripcion}" if regimen else empresa.regimen_fiscal,
        }
        if listed.reason:
            notes.append(str(message("cli.export_note_not_read")))
        texts: dict[tuple[str, str], str] = {}
        for serie in sorted(listed.series or (), key=lambda serie: (serie.key, serie.uid)):
            if (text := _serie(serie)) is None:
                notes.append(str(message("cli.export_note_serie", serie=f"{serie.letra}:{serie.tipo_documento}")))
            else:
                texts[serie.key] = text
        cells["series"] = ";".join(texts.values())
        active = {serie.key for serie in listed.series or () if serie.is_active}
        if paused := [text for key, text in texts.items() if key not in active]:
            notes.append(str(message("cli.export_note_paused", series=", ".join(paused))))
        return cells, notes

    def _problems(self, cells: dict[str, str]) -> Sequence[PlanProblem]:
        """Return what a plan's reader would refuse in a row."""
        from facturaonline_async.provision import PlanError  # noqa: PLC0415  # imports the parsers
        from facturaonline_async.provision._plan.builder import PlanBuilder  # noqa: PLC0415  # as above
        from facturaonline_async.provision._plan.table import read_table  # noqa: PLC0415  # as above

        row = [cells.get(name, "") for name in self._columns]
        try:
            return read_table(iter([(1, self.header), (2, row)]), PlanBuilder(), Path(), any_tipo=False).problems
        except PlanError as error:
            return error.problems

    def to_bytes(self, suffix: str) -> bytes:
        """Return the file.

        Args:
            suffix: ".csv" or ".xlsx".

        """
        table = [self.header, *self.rows]
        if suffix == ".xlsx":
            from facturaonline_async._cli.workbooks import new_table  # noqa: PLC0415  # of the extra excel

            return new_table(table, {})
        return csv_tables.new_table(table)


def _named_columns() -> Iterator[tuple[str, str]]:
    """Yield the title and the name of each column, in the order of the template."""
    from facturaonline_async.provision._plan.column_names import (  # noqa: PLC0415  # imports the parsers
        find_column,
        is_note,
    )

    has_series = False
    for each in read_template().columns:
        column = find_column(each.title) or ""
        if is_note(each.title):
            yield each.title, "notes"
        elif column.rpartition("_")[2].isdecimal():
            if not has_series:
                yield "Series", "series"
            has_series = True
        else:
            yield each.title, column
        if column == "rfc":
            yield "UID", "uid"
        if column == "regimen":
            yield f"# {each.title}", "regimen_note"


def _serie(serie: Serie) -> str | None:
    """Return a serie as a cell writes it, or None if a cell cannot."""
    letra, tipo_documento = serie.key
    if ":" in letra or ";" in letra + tipo_documento or misspelling(tipo_documento) is not None:
        return None
    return f"{letra}:{tipo_documento}"


# ── The file ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_file(file: Path, *, replaces: bool) -> None:
    """Refuse a file that cannot be written, before the account is read."""
    if (suffix := file.suffix.lower()) not in _SUFFIXES:
        raise InvalidInputError(message("cli.export_suffix", path=printable_path(file)), field="FILE")
    if suffix == ".xlsx":
        import facturaonline_async._cli.workbooks  # noqa: F401, PLC0415  # raises without the extra excel
    if file.is_dir():
        raise unwritable(file, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), option="FILE")
    if not replaces and (file.exists() or file.is_symlink()):
        raise _exists(file)
    check_folder(file, option="FILE")


def _write(file: Path, content: bytes, *, replaces: bool) -> None:
    try:
        publish_private(file, content, replaces=replaces)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise unwritable(file, error, option="FILE") from None


def _exists(file: Path) -> InvalidInputError:
    return InvalidInputError(message("cli.export_exists", path=printable_path(file)), field="FILE")
