"""Columns of the plan that a person fills in, from ``templates/plan.toml``."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Literal

import cattrs
from attrs import frozen

__all__ = ["Column", "Template", "read_template"]


@frozen
class Column:
    """A column of the template.

    Attributes:
        title: its name in the header.
        help: what to write into it.
        example: cell of the example.
        is_required: whether each company needs it.
        choices: the catalogue from which its cells are chosen.

    """

    title: str
    help: str
    example: str = ""
    is_required: bool = False
    choices: Literal["", "regimen", "tipo_documento"] = ""


@frozen
class Template:
    """Texts of the template.

    Attributes:
        sheet: name of the sheet that explains the columns.
        help_header: header of that sheet.
        required: word for a column that each company needs.
        outside_title: title of the warning about a value that no list has.
        outside: text of that warning.
        columns: the columns.

    """

    sheet: str
    help_header: tuple[str, ...]
    required: str
    outside_title: str
    outside: str
    columns: tuple[Column, ...]


def read_template() -> Template:
    """Return the texts of the template."""
    text = files("facturaonline_async._cli").joinpath("templates", "plan.toml").read_text("utf-8")
    return cattrs.structure(tomllib.loads(text), Template)
