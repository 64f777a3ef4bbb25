"""Map findings of a check to the columns of a plan."""

from __future__ import annotations

from attrs import evolve

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._plan.file_rows import FaultyRow, FileRow
from facturaonline_async.provision._plan.models import PlanProblem, PlanRow
from facturaonline_async.sat._findings import Finding, format_findings

__all__ = ["as_problem", "in_columns", "refused_in_columns"]


def in_columns(row: PlanRow | FaultyRow, finding: Finding) -> Finding:
    """Return a finding whose field is the plan's column.

    For a password, it names the environment variable.
    """
    kind, _, part = finding.field.rpartition(".")
    column = f"fiel{part}" if kind == "fiel" else part
    variables = row.variables if isinstance(row, (FileRow, FaultyRow)) else {}
    if variable := variables.get(column):
        seen = message("plan.in_variable", variable=variable, seen=finding.seen)
        return evolve(finding, field=f"{column}_env", seen=seen)
    return evolve(finding, field=column)


def as_problem(row: PlanRow | FaultyRow, finding: Finding) -> PlanProblem:
    """Return a finding as a problem of the plan's column."""
    found = in_columns(row, finding)
    reason = message("plan.finding", seen=found.seen, remedy=found.remedy, code=found.code)
    return PlanProblem(row=row.number, column=found.field, reason=reason)


def refused_in_columns(row: PlanRow, error: InvalidInputError) -> InvalidInputError:
    """Return an error whose findings name the plan's columns.

    Errors without findings, and errors of other rows, are returned unchanged.
    """
    if not error.findings or not isinstance(row, FileRow):
        return error
    findings = [in_columns(row, finding) for finding in error.findings]
    errors = [finding for finding in findings if finding.is_error]
    return InvalidInputError(format_findings(errors), field=errors[0].field, findings=findings, report=error.report)
