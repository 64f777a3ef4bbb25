"""Read a plan for a command: print its notices, and its faults as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from facturaonline_async._cli import output, progress
from facturaonline_async._messages import message
from facturaonline_async.provision import Existing, ParsedPlan, Plan, PlanError, PlanProblem

__all__ = ["ExistingCompanies", "parse_plan", "problem_values", "read_plan"]

ExistingCompanies = Annotated[
    Existing, typer.Option(help="Existing companies: keep them, change them to the values of the plan, or fail.")
]


def parse_plan(path: Path, *, any_tipo: bool, sheet: str | None, as_json: bool) -> ParsedPlan:
    """Read a plan and print its notices, also if it has faults.

    Args:
        path: the plan.
        any_tipo: value of --any-tipo.
        sheet: value of --sheet.
        as_json: value of --json.

    Raises:
        PlanError: it is not a plan.
        Exit: likewise, with --json; the faults are printed.

    """
    try:
        parsed = Plan.parse(path, any_tipo=any_tipo, sheet=sheet)
    except PlanError as error:
        if as_json:
            output.print_json(_faults(error.problems))
            raise typer.Exit(2) from None
        raise
    progress.print_notices(parsed.notices)
    return parsed


def read_plan(path: Path, *, any_tipo: bool, sheet: str | None, as_json: bool) -> Plan:
    """Read a plan that must have no fault, and print its notices; see `parse_plan`.

    Raises:
        PlanError: it has faults.
        Exit: likewise, with --json; the faults are printed.

    """
    parsed = parse_plan(path, any_tipo=any_tipo, sheet=sheet, as_json=as_json)
    if parsed.problems and as_json:
        output.print_json({"notices": problem_values(parsed.notices)} | _faults(parsed.problems))
        raise typer.Exit(2)
    return Plan.of(parsed)


def _faults(problems: Iterable[PlanProblem]) -> dict[str, Any]:
    return {"error": message("cli.plan_faulty"), "problems": problem_values(problems)}


def problem_values(problems: Iterable[PlanProblem]) -> list[dict[str, Any]]:
    """Return problems or notices as JSON values.

    One of the whole plan has a file and no row.

    Args:
        problems: problems or notices.

    """
    return [
        attrs.asdict(each, filter=lambda attribute, value: attribute.name != "file" or bool(value))
        | {"row": each.row or None}
        for each in problems
    ]
