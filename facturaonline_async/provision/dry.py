"""A dry run: every row of a plan is made and checked as a run would, and nothing is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import field, frozen

from facturaonline_async import bulk
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.findings import Finding
from facturaonline_async.provision.checkers import checkers
from facturaonline_async.provision.plan import Plan
from facturaonline_async.provision.rows import PlanRow, Problem
from facturaonline_async.resources.empresas.revision import review

__all__ = ["RowCheck", "check"]

_CONCURRENCY = 32


@frozen(kw_only=True)
class RowCheck:
    """What is wrong with a row.

    Attributes:
        number: number of the row as a spreadsheet shows it.
        rfc: the company's RFC.
        problems: what would keep it from being sent; empty for a good row.
        warnings: what somebody should look at.

    """

    number: int
    rfc: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = field(default=())


@asynccontextmanager
async def check(
    plan: Plan, *, check_sello: bool = True, production: bool = False
) -> AsyncIterator[AsyncIterator[RowCheck]]:
    """Make and check every row, in worker processes. Give what was found as it comes, in no order.

    ::

        async with check(plan) as rows:
            async for row in rows:
                print(row.number, *row.problems)

    """
    async with checkers() as sellos:

        async def checked(row: PlanRow) -> tuple[Finding, ...]:
            return await review(await row.load(), sellos if check_sello else None, production=production)

        async with bulk.stream(plan, checked, concurrency=_CONCURRENCY) as outcomes:
            yield _told(outcomes)


async def _told(outcomes: AsyncIterator[bulk.Outcome[PlanRow, tuple[Finding, ...]]]) -> AsyncIterator[RowCheck]:
    async for outcome in outcomes:
        row, error = outcome.item, outcome.error
        if isinstance(error, InvalidInputError):
            findings: tuple[Finding, ...] = error.findings
            problems = [_problem(row, finding) for finding in findings if finding.is_error]
            if not findings:
                problems = [Problem(row=row.number, column=error.field, reason=str(error))]
        else:
            findings, problems = outcome.result(), []
        warnings = [_problem(row, finding) for finding in findings if not finding.is_error]
        yield RowCheck(number=row.number, rfc=row.rfc, problems=tuple(problems), warnings=tuple(warnings))


def _problem(row: PlanRow, finding: Finding) -> Problem:
    """Tell a finding by the plan's column."""
    kind, _, part = finding.field.rpartition(".")
    column = f"fiel{part}" if kind == "fiel" else part
    return Problem(row=row.number, column=column, reason=f"{finding.seen} {finding.remedy} [{finding.code}]")
