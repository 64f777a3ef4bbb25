"""The command ``facturaonline plan template``: an empty plan to be filled in."""

from __future__ import annotations

import csv
import io
import shlex
from pathlib import Path
from typing import Annotated

import typer

from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.output_path_checks import unwritable
from facturaonline_async._cli.template_columns import Template, read_template
from facturaonline_async._messages import message
from facturaonline_async._private_files import open_private
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError

__all__ = ["command"]


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="New file, with a name in .xlsx or .csv.", show_default=False)
    ],
) -> None:
    """Write an empty plan in Spanish, a workbook or a CSV file, to be filled in.

    The workbook (extra excel) explains each column, offers the catalogues of régimen and tipo de documento as lists,
    and keeps the zeros of a código postal. The example below the header is a comment, and is not read.

    Examples:
      facturaonline plan template plan.xlsx
      facturaonline provision plan.xlsx --dry-run
    """
    if (suffix := file.suffix.lower()) not in {".csv", ".xlsx"}:
        raise InvalidInputError(message("cli.template_suffix", path=printable_path(file)), field="FILE")
    template = read_template()
    content = _workbook(template) if suffix == ".xlsx" else _csv(template)
    try:
        with open(file, "xb", opener=open_private) as new:  # it will hold passwords
            new.write(content)
    except FileExistsError:
        raise InvalidInputError(message("cli.template_exists", path=printable_path(file)), field="FILE") from None
    except OSError as error:
        raise unwritable(file, error, option="FILE") from None
    console = new_console(soft_wrap=True)
    shown = printable_path(file)
    console.print(message("cli.template_written", path=shown))
    console.print(f"  facturaonline provision {shlex.quote(shown)} --dry-run")


def _csv(template: Template) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(([each.title for each in template.columns], [each.example for each in template.columns]))
    return text.getvalue().encode("utf-8-sig")  # with the mark, Excel reads accents


def _workbook(template: Template) -> bytes:
    from facturaonline_async._cli.template_workbook import make_workbook  # noqa: PLC0415  # of the extra excel

    return make_workbook(template)
