"""Options of the commands that read a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AnyTipo", "PlanFile", "SheetName"]

PlanFile = Annotated[
    Path,
    typer.Argument(
        metavar="PLAN",
        help="CSV file, workbook (.xlsx, .ods) or TOML file with one row per company.",
        show_default=False,
    ),
]
SheetName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help='Sheet of the workbook. Default: "Empresas", or else the only one with a header.',
        show_default=False,
    ),
]
AnyTipo = Annotated[
    bool, typer.Option("--any-tipo", help="Accept a tipo_documento that looks misspelt (such as facturas).")
]
