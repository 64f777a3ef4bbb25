"""The command ``facturaonline sello check``: check certificates and keys."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import anyio
import attrs
import typer
from attrs import frozen
from rich.text import Text

from facturaonline_async import bulk
from facturaonline_async._cli import interruption, output, progress, sello_pairs
from facturaonline_async._cli.command_groups import command_group
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._cli.tables import Rows, facts
from facturaonline_async._cli.terminals import is_terminal
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret, SecretBytes
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision import ParsedPlan, Plan, PlanError, PlanRow
from facturaonline_async.provision._plan.file_rows import FaultyRow, load_data
from facturaonline_async.provision._plan.plan import PLAN_SUFFIXES
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import Certificado, CheckReport, Kind, Sello, read_file
from facturaonline_async.sello._check_in_thread import check_in_thread

__all__ = ["app", "command"]

PASSWORD: Final = "FACTURAONLINE_SELLO_PASSWORD"  # noqa: S105  # a name
_CONCURRENCY: Final = 16
_CHECKS: Final = 2
"""Threads that check."""
_LONGEST: Final = 1 << 16
_UNREADABLE: Final = "unreadable_file"
_STYLES: Final = {"error": "red", "warning": "yellow"}


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CER|DIR|PLAN",
            help="Certificate, folder of pairs, or plan (.csv, .xlsx, .ods, .toml).",
            show_default=False,
        ),
    ],
    key: Annotated[Path | None, typer.Argument(metavar="[KEY]", help="Its private key.", show_default=False)] = None,
    rfc: Annotated[str | None, typer.Option(metavar="RFC", help="RFC that the certificates must have.")] = None,
    kind: Annotated[
        Literal["csd", "fiel"] | None,
        typer.Option(help="Expected kind. Default: csd for one pair, any for a folder."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the key's password from the standard input.")
    ] = False,
    production: Annotated[bool, typer.Option("--production", help="Warn of the SAT's test certificates.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check one certificate with its key, all pairs of a folder, or a plan.

    Nothing is sent. The command asks for the password without showing it, reads it from the standard input
    (--password-stdin), or takes it from the environment variable FACTURAONLINE_SELLO_PASSWORD; all pairs of a folder
    share it. A plan has its own passwords. In a folder, a pair is a .cer and a .key with one name, or with one public
    key if the password opens the key, or the only two files.

    The exit code is 1 if a certificate would be refused (warnings do not count), and 2 if a file cannot be read. All
    readable files are checked, also those of a plan with faulty cells.
    """
    parsed: ParsedPlan | None = None
    if key is None and path.suffix.lower() in PLAN_SUFFIXES:
        if rfc is not None or kind is not None or password_stdin:
            raise typer.BadParameter(message("cli.options_of_a_plan"))
        parsed = Plan.parse(path, any_tipo=True)
        pairs = list(_of_plan(parsed))
    elif key is None and path.is_dir():
        pairs = list(_of_folder(path, rfc, kind, _password(as_stdin=password_stdin)))
        if not pairs:
            raise InvalidInputError(message("cli.no_pairs", folder=printable_path(path)), field="DIR")
    elif key is None:
        raise typer.BadParameter(message("cli.nothing_to_check"))
    else:
        files = read_file("CER", path), read_file("KEY", key)
        sello = Sello(*files, _password(as_stdin=password_stdin))
        pairs = [_Pair(printable_path(path), rfc, kind or "csd", sello)]
    checked = interruption.run(_check(pairs, production=production, quiet=as_json or len(pairs) == 1))
    if as_json:
        output.print_json([_as_json(*each) for each in checked])
    elif len(checked) == 1:
        _show(checked[0][1])
    elif checked:
        _show_all(checked)
    if parsed is not None and parsed.problems:
        raise PlanError.of(parsed.problems, parsed.notices)
    if any(finding.code == _UNREADABLE for _, report in checked for finding in report.findings):
        raise typer.Exit(2)
    if not all(report.ok for _, report in checked):
        raise typer.Exit(1)


app: typer.Typer = command_group("Check certificates, keys and passwords (CSD, FIEL).", check=command)


@frozen
class _Pair:
    """A pair to check: a Sello, the source of one, or the reason that there is none."""

    name: str
    rfc: str | None
    kind: Kind | None
    source: Sello | PlanRow | FaultyRow | tuple[Path, Path, Secret] | Finding


def _password(*, as_stdin: bool) -> Secret:
    if as_stdin:
        return _decoded(SecretBytes(sys.stdin.buffer.readline(_LONGEST)))
    if PASSWORD in os.environ:
        return Secret(os.environ[PASSWORD])
    if not is_terminal(sys.stdin):
        raise InvalidInputError(message("cli.password_of_key_without_terminal", variable=PASSWORD), field="password")
    question = message("cli.password_of_key")
    return Secret(typer.prompt(question, hide_input=True, err=True, default="", show_default=False))


def _decoded(line: SecretBytes) -> Secret:
    """Return the password in a line as UTF-8, UTF-16 or cp1252, as Windows writes it."""
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Secret(line.decode("utf-16", "ignore").rstrip("\r\n"))
    encoding = "utf-8-sig"
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"
    return Secret(line.decode(encoding, "replace").rstrip("\r\n"))


def _of_plan(plan: ParsedPlan) -> Iterator[_Pair]:
    rows: list[PlanRow | FaultyRow] = [*plan.rows, *plan.faulty]
    for row in sorted(rows, key=lambda row: row.number):
        name = message("cli.pair_of_row", row=row.number)
        yield _Pair(name, row.rfc, "csd", row)
        yield _Pair(name, row.rfc, "fiel", row)


def _of_folder(folder: Path, rfc: str | None, kind: Kind | None, password: Secret) -> Iterator[_Pair]:
    for found in sello_pairs.find_pairs(folder, password):
        content = found.content
        yield _Pair(found.name, rfc, kind, content if isinstance(content, Finding) else (*content, password))


async def _check(pairs: Sequence[_Pair], *, production: bool, quiet: bool) -> list[tuple[_Pair, CheckReport]]:
    """Check all pairs; return the existing ones with their reports, in order."""
    found: dict[int, CheckReport] = {}
    limiter = anyio.CapacityLimiter(_CHECKS)

    async def check(numbered: tuple[int, _Pair]) -> CheckReport | None:
        """Check a pair that comes with its number."""
        return await _check_pair(numbered[1], limiter, production=production)

    with progress.bar(message("cli.label_certificates"), len(pairs), quiet=quiet) as advance:
        async with bulk.stream(list(enumerate(pairs)), check, concurrency=_CONCURRENCY) as outcomes:
            async for outcome in outcomes:
                advance()
                if (result := outcome.result()) is not None:
                    found[outcome.item[0]] = result
    return [(pairs[number], found[number]) for number in sorted(found)]


async def _check_pair(pair: _Pair, limiter: anyio.CapacityLimiter, *, production: bool) -> CheckReport | None:
    """Return the report of a pair; None if a row of a plan has no such pair.

    A file that cannot be read is a finding.
    """
    if isinstance(pair.source, Finding):
        return CheckReport(None, (pair.source,))
    try:
        sello = await _loaded(pair)
    except InvalidInputError as error:
        # A row of a plan has two pairs; the first one reports its unreadable files.
        is_reported = not isinstance(pair.source, tuple) and pair.kind != "csd"
        return None if is_reported else CheckReport(None, (Finding(_UNREADABLE, error.field or "cer", str(error)),))
    if sello is None:
        return None
    return await check_in_thread(sello, rfc=pair.rfc, kind=pair.kind, production=production, limiter=limiter)


async def _loaded(pair: _Pair) -> Sello | None:
    source = pair.source
    if isinstance(source, Sello):
        return source
    if isinstance(source, tuple):
        cer, key, password = source
        return await Sello.from_files(cer, key, password=password)
    assert not isinstance(source, Finding)  # noqa: S101  # reported by the caller
    if isinstance(source, FaultyRow):
        return next((sello for kind, sello in await source.load_sellos() if kind == pair.kind), None)
    data = await load_data(source)
    return data.csd if pair.kind == "csd" else data.fiel


# ── What people see ───────────────────────────────────────────────────────────────────────────────────────────────────


def _facts(certificado: Certificado) -> list[tuple[str, str]]:
    kind, bits = certificado.kind or "unknown", certificado.key_bits
    return [
        (message("cli.label_kind"), message(f"cli.kind_{kind}")),
        (message("cli.label_rfc"), certificado.rfc),
        (message("cli.fact_nombre"), certificado.nombre),
        (message("cli.fact_curp"), certificado.curp),
        (message("cli.fact_sucursal"), certificado.sucursal),
        (message("cli.fact_rfc_representante"), certificado.rfc_representante),
        (message("cli.fact_curp_representante"), certificado.curp_representante),
        (message("cli.label_number"), certificado.numero),
        (message("cli.fact_not_before"), f"{certificado.not_before:%Y-%m-%d %H:%M} UTC"),
        (message("cli.label_valid_until"), f"{certificado.not_after:%Y-%m-%d %H:%M} UTC"),
        (message("cli.fact_issuer"), certificado.issuer),
        (message("cli.fact_key"), message("cli.key_rsa", bits=bits) if bits else message("cli.key_not_rsa")),
    ]


def _show(report: CheckReport) -> None:
    """Print the facts of one certificate and all findings."""
    console = new_console()
    if report.certificado is not None:
        console.print(facts(_facts(report.certificado)))
    for finding in report.findings:
        console.print(_line(finding), soft_wrap=True)
    console.print(_verdict([report]))


def _show_all(checked: Sequence[tuple[_Pair, CheckReport]]) -> None:
    """Print the certificates, a line for each finding, and the remedies."""
    console = new_console()
    console.print(_verdict([report for _, report in checked]))
    headings = (
        "",
        message("cli.label_kind"),
        message("cli.label_rfc"),
        message("cli.label_number"),
        message("cli.label_valid_until"),
    )
    rows = [
        (
            pair.name,
            certificado.kind or message("cli.kind_unknown"),
            certificado.rfc,
            certificado.numero,
            f"{certificado.not_after:%Y-%m-%d}",
        )
        for pair, report in checked
        if (certificado := report.certificado) is not None
    ]
    if rows:
        console.print(Rows(headings, rows))
    for pair, report in checked:
        for finding in report.findings:
            code = (f"{finding.severity} {finding.code}", _STYLES[finding.severity])
            console.print(Text.assemble(f"{pair.name}: ", code, f": {finding.seen}"), soft_wrap=True)
    for each in {finding.code: finding for _, report in checked for finding in report.findings}.values():
        console.print(Text.assemble("→ ", (each.code, _STYLES[each.severity]), f": {each.remedy}"), soft_wrap=True)


def _line(finding: Finding) -> Text:
    style = _STYLES[finding.severity]
    return Text.assemble((f"{finding.severity} {finding.code}", style), f": {finding.seen} {finding.remedy}")


def _verdict(reports: Sequence[CheckReport]) -> Text:
    errors = sum(not report.ok for report in reports)
    warnings = sum(bool(report.warnings) for report in reports)
    if len(reports) == 1:
        text, style = (message("cli.sello_refused"), "red") if errors else (message("cli.sello_ok"), "green")
        return Text(text, style=style)
    return Text(message("cli.sellos", count=len(reports), errors=errors, warnings=warnings))


def _as_json(pair: _Pair, report: CheckReport) -> dict[str, Any]:
    facts = report.certificado
    return {
        "name": pair.name,
        "ok": report.ok,
        "certificado": None
        if facts is None
        else attrs.asdict(facts)
        | {"not_before": facts.not_before.isoformat(), "not_after": facts.not_after.isoformat()},
        "findings": [
            attrs.asdict(finding) | {"severity": finding.severity, "remedy": finding.remedy}
            for finding in report.findings
        ],
    }
