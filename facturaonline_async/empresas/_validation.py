"""Validation of a company's data and certificates before they are sent."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from typing import Protocol

from attrs import evolve

from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.sat._findings import Finding, format_findings
from facturaonline_async.sello import CheckReport, Kind, Sello
from facturaonline_async.sello._check_on_demand import check

__all__ = ["CheckSello", "assess_empresa", "check_sellos", "validate_empresa"]


class CheckSello(Protocol):
    """A function that checks a Sello outside the event loop."""

    def __call__(self, sello: Sello, *, rfc: str | None, kind: Kind, production: bool) -> Awaitable[CheckReport]:
        """Return the report of `facturaonline_async.sello.check`."""
        ...


async def validate_empresa(
    empresa: NuevaEmpresa | CambiosEmpresa, check_sello: CheckSello | None, *, production: bool, endpoint: str = ""
) -> tuple[Finding, ...]:
    """Validate a company's data and certificates; return the warnings.

    Args:
        empresa: the data.
        check_sello: checks each certificate; None leaves the certificates unchecked.
        production: whether the company goes to production, where test certificates are refused.
        endpoint: name of the endpoint for the error.

    Raises:
        InvalidInputError: the API or the SAT would refuse the data; the error holds all findings.

    """
    reports: list[tuple[Kind, CheckReport]] = []
    if check_sello is not None:
        for kind, sello in _sellos(empresa):
            report = await check_sello(sello, rfc=empresa.rfc or None, kind=kind, production=production)
            reports.append((kind, report))
    return assess_empresa(empresa, reports, endpoint=endpoint)


def check_sellos(empresa: NuevaEmpresa | CambiosEmpresa, *, production: bool) -> list[tuple[Kind, CheckReport]]:
    """Check the certificates of a company. Blocking.

    Args:
        empresa: the company.
        production: whether test certificates are refused.

    """
    return [
        (kind, check(sello, rfc=empresa.rfc or None, kind=kind, production=production))
        for kind, sello in _sellos(empresa)
    ]


def assess_empresa(
    empresa: NuevaEmpresa | CambiosEmpresa, reports: Iterable[tuple[Kind, CheckReport]], *, endpoint: str = ""
) -> tuple[Finding, ...]:
    """Return the warnings about a company; refuse it if there are errors.

    Args:
        empresa: the data.
        reports: reports about its certificates, as far as they were checked.
        endpoint: name of the endpoint for the error.

    Raises:
        InvalidInputError: the API or the SAT would refuse the data; the error holds all findings.

    """
    findings = _data(empresa)
    faulty: CheckReport | None = None
    for kind, report in reports:
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
    """Return the findings about the texts that are not empty."""
    findings: list[Finding] = []
    if empresa.rfc:
        findings += identifiers.check_rfc(empresa.rfc)
    if empresa.curp:
        findings += identifiers.check_curp(empresa.curp)
    if empresa.codpos:
        findings += identifiers.check_codpos(empresa.codpos)
    if empresa.email:
        findings += identifiers.check_email(empresa.email)
    if empresa.mail_conta:
        findings += identifiers.check_email(empresa.mail_conta, "mail_conta")
    if empresa.telefono:
        findings += identifiers.check_telefono(empresa.telefono)
    if empresa.regimen:
        findings += identifiers.check_regimen(empresa.regimen, empresa.rfc)
    if empresa.regimen_nomina:
        findings += identifiers.check_regimen(empresa.regimen_nomina, empresa.rfc, "regimen_nomina")
    return findings
