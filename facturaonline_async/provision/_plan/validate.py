"""Dry run: load and check every row of a plan, without sending anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import anyio
from attrs import evolve, field, frozen

from facturaonline_async import bulk
from facturaonline_async.empresas._validation import CheckSello, validate_empresa
from facturaonline_async.errors import InvalidInputError, text_of
from facturaonline_async.provision._plan.builder import ParsedPlan
from facturaonline_async.provision._plan.file_rows import FaultyRow, load_data
from facturaonline_async.provision._plan.finding_columns import as_problem
from facturaonline_async.provision._plan.models import PlanProblem, PlanRow
from facturaonline_async.provision._plan.plan import Plan
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello._check_in_thread import check_in_thread

__all__ = ["RowCheck", "validate"]

_CONCURRENCY: Final = 32
_CHECKS: Final = 2
"""Number of checking threads. A run has one; here no request has to wait for the event loop."""


@frozen(kw_only=True)
class RowCheck:
    """Result of the dry run of one row.

    Attributes:
        number: number of the row, as a spreadsheet shows it.
        rfc: the company's RFC; ``""`` if it is faulty.
        problems: problems for which a run would refuse the row; empty for a valid row.
        warnings: problems that do not prevent the create, but need attention.

    """

    number: int
    rfc: str
    problems: tuple[PlanProblem, ...] = ()
    warnings: tuple[PlanProblem, ...] = field(default=())


_Row: TypeAlias = PlanRow | FaultyRow


@asynccontextmanager
async def validate(
    plan: Plan | ParsedPlan, *, check_sello: bool = True, production: bool = False
) -> AsyncIterator[AsyncIterator[RowCheck]]:
    """Load and check every row of a plan, without sending anything.

    Certificates are checked in two threads. Results come as they are ready, in no particular order.

    ::

        async with validate(plan) as rows:
            async for row in rows:
                print(row.number, *row.problems)

    Args:
        plan: a plan, or the result of `Plan.parse`. Of a row with a faulty cell, the certificates that can be read are
            checked; the problems of its cells (`ParsedPlan.problems`) are not repeated.
        check_sello: whether to check certificates, keys and passwords.
        production: whether to warn about the SAT's test certificates.

    Yields:
        An async iterator over the result of each row.

    """
    check_in_two = partial(check_in_thread, limiter=anyio.CapacityLimiter(_CHECKS))
    checker = _Checker(check_in_two if check_sello else None, production)
    async with bulk.stream(_rows(plan), checker.check, concurrency=_CONCURRENCY) as outcomes:
        yield _row_checks(outcomes)


def _rows(plan: Plan | ParsedPlan) -> Iterator[_Row]:
    if isinstance(plan, ParsedPlan):
        yield from plan.rows
        yield from plan.faulty
    else:
        yield from plan


@frozen
class _Checker:
    """Checks rows.

    Attributes:
        check_sello: checks certificates; None: no check.
        production: whether to warn about the SAT's test certificates.

    """

    check_sello: CheckSello | None
    production: bool

    async def check(self, row: _Row) -> tuple[Finding, ...]:
        """Return the findings of a row.

        Raises:
            InvalidInputError: a run would refuse the row.

        """
        if isinstance(row, FaultyRow):
            return tuple(await self._check_sellos(row)) if self.check_sello is not None else ()
        return await validate_empresa(await load_data(row), self.check_sello, production=self.production)

    async def _check_sellos(self, row: FaultyRow) -> list[Finding]:
        assert self.check_sello is not None  # noqa: S101  # see above
        findings: list[Finding] = []
        for kind, sello in await row.load_sellos():
            report = await self.check_sello(sello, rfc=row.rfc, kind=kind, production=self.production)
            findings += [evolve(finding, field=f"{kind}.{finding.field}") for finding in report.findings]
        return findings


async def _row_checks(outcomes: AsyncIterator[bulk.Outcome[_Row, tuple[Finding, ...]]]) -> AsyncIterator[RowCheck]:
    """Yield the result of each row, with findings as problems of its columns."""
    async for outcome in outcomes:
        row, error = outcome.item, outcome.error
        problems: list[PlanProblem] = []
        if isinstance(error, InvalidInputError):
            findings: tuple[Finding, ...] = error.findings
            if not findings:
                problems = [PlanProblem(row=row.number, column=error.field, reason=text_of(error))]
        else:
            findings = outcome.result()
        problems += [as_problem(row, finding) for finding in findings if finding.is_error]
        warnings = [as_problem(row, finding) for finding in findings if not finding.is_error]
        yield RowCheck(number=row.number, rfc=row.rfc or "", problems=tuple(problems), warnings=tuple(warnings))
