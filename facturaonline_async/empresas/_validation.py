"""What is looked at before a company is sent: its data, and its certificates."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import Protocol

from attrs import evolve

from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.sat._findings import Finding, format_findings
from facturaonline_async.sello import CheckReport, Kind, Sello

__all__ = ["CheckSello", "review"]


class CheckSello(Protocol):
    """Checks a Sello somewhere outside the event loop."""

    def __call__(self, sello: Sello, *, rfc: str | None, kind: Kind, production: bool) -> Awaitable[CheckReport]:
        """Return what `facturaonline_async.sello.check` returns."""
        ...


async def review(
    empresa: NuevaEmpresa | CambiosEmpresa, check_sello: CheckSello | None, *, production: bool, endpoint: str = ""
) -> tuple[Finding, ...]:
    """Return what is worth a warning; `check_sello` None leaves the certificates unchecked.

    Raises:
        InvalidInputError: something would be refused; all findings are told at once.

    """
    findings = _data(empresa)
    faulty: CheckReport | None = None
    for kind, sello in _sellos(empresa):
        if check_sello is None:
            break
        report = await check_sello(sello, rfc=empresa.rfc or None, kind=kind, production=production)
        findings += [evolve(finding, field=f"{kind}.{finding.field}") for finding in report.findings]
        faulty = faulty or (None if report.ok else report)
    if errors := [finding for finding in findings if finding.is_error]:
        raise InvalidInputError(
            format_findings(errors), field=errors[0].field, endpoint=endpoint, findings=findings, report=faulty
        )
    return tuple(findings)


def _sellos(empresa: NuevaEmpresa | CambiosEmpresa) -> Iterator[tuple[Kind, Sello]]:
    if empresa.csd is not None:
        yield "csd", empresa.csd
    if empresa.fiel is not None:
        yield "fiel", empresa.fiel


def _data(empresa: NuevaEmpresa | CambiosEmpresa) -> list[Finding]:
    """Return what is wrong with the texts that are sent and not empty."""
    findings: list[Finding] = []
    if empresa.rfc:
        findings += identifiers.rfc(empresa.rfc)
    if empresa.curp:
        findings += identifiers.curp(empresa.curp)
    if empresa.codpos:
        findings += identifiers.codpos(empresa.codpos)
    if empresa.regimen:
        findings += identifiers.regimen(empresa.regimen, empresa.rfc)
    if empresa.regimen_nomina:
        findings += identifiers.regimen(empresa.regimen_nomina, empresa.rfc, "regimen_nomina")
    return findings
