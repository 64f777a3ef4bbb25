"""``facturaonline provision``: bring about what a plan asks for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console

from facturaonline_async.cli import loop, shown
from facturaonline_async.client import FacturaOnline, connect
from facturaonline_async.config import Config, Rate
from facturaonline_async.provision import Plan, PlanError, Report, RowOutcome, provision
from facturaonline_async.testing import Emulator

__all__ = ["command"]


def _rate(text: str) -> Rate:
    match = re.fullmatch(r"([0-9]+)/([0-9]+(?:\.[0-9]+)?)", text)
    if match is None or not int(match[1]) or not float(match[2]):
        raise typer.BadParameter("give CALLS/SECONDS, such as 20/1")
    return Rate(int(match[1]), float(match[2]))


def command(
    plan: Annotated[Path, typer.Argument(help="CSV file with one row per company.", show_default=False)],
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Prefix of the API, as https://sandbox.facturaonline.com.mx/api; else FACTURAONLINE_BASE_URL.",
        ),
    ] = None,
    rate: Annotated[
        Rate | None,
        typer.Option(
            parser=_rate,
            metavar="CALLS/SECONDS",
            help="Start no more calls than this, in all, instead of 10 per second for each endpoint and key pair.",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1024, help="Companies worked on, and calls in flight, at the same time.")
    ] = 32,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="For one attempt of a call. Default: 30 and 60.")
    ] = None,
    use_emulator: Annotated[
        bool, typer.Option("--emulator", help="Run against an emulator in this process: nothing is sent anywhere.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check the plan, and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress.")] = False,
) -> None:
    """Create the companies and series of PLAN that do not exist yet; adopt those that do.

    Each company is created with the account's main keys, and its series with its own. What exists is left as it is,
    so that the same plan can be run again. The keys of the account come from FACTURAONLINE_API_KEY and
    FACTURAONLINE_SECRET_KEY.

    A row has razon_social, rfc, codpos, email, regimen_nomina, cer, key and password (or password_env, the name of an
    environment variable); it may have regimen, fielcer, fielkey, fielpassword, series and any other attribute of
    NuevaEmpresa. Paths are relative to the plan. series is written as F:factura:1;P:pago.

    A plan with faults is refused before anything is sent, with all faulty cells at once (exit code 2). The exit code
    is 0 only if every company and every serie of the plan is there.
    """
    if use_emulator and base_url:
        raise typer.BadParameter("--emulator and --base-url exclude each other")
    try:
        read = Plan.from_csv(plan)
    except PlanError as error:
        if as_json:
            _print({"error": "the plan has faults", "problems": [attrs.asdict(each) for each in error.problems]})
            raise typer.Exit(2) from None
        raise
    for notice in read.notices:
        Console(stderr=True).print(f"[yellow]mended[/] {notice}", highlight=False)
    if dry_run:
        loop.run(_dry_run(read, as_json=as_json))
        return
    config = Config(base_url=base_url, concurrency=concurrency, concurrency_per_key=concurrency)
    if rate:
        config = attrs.evolve(config, rates=(), host_rates=rate)
    if timeout:
        config = attrs.evolve(config, total_timeout=timeout, upload_timeout=timeout)
    report = loop.run(
        _provision(read, config, concurrency=concurrency, use_emulator=use_emulator, as_json=as_json),
        interrupted="Interrupted. What was created stays, and is adopted by the next run.\n",
    )
    if not report.is_complete:
        raise typer.Exit(1)


async def _dry_run(plan: Plan, *, as_json: bool) -> None:
    for row in plan:
        await row.load()
    if as_json:
        _print({"dry_run": True, "empresas": len(plan), "series": plan.series_count})
    else:
        Console().print(f"The plan is well formed: {len(plan)} empresas, {plan.series_count} series. Nothing was sent.")


async def _provision(plan: Plan, config: Config, *, concurrency: int, use_emulator: bool, as_json: bool) -> Report:
    rows: list[dict[str, Any]] = []
    async with (
        _client(config, use_emulator=use_emulator) as client,
        provision(client, plan, concurrency=concurrency) as run,
    ):
        with shown.progress(run.report, quiet=as_json) as advance:
            async for outcome in run:
                advance(outcome)
                if as_json:
                    rows.append(_row(outcome))
    if as_json:
        _print(_result(run.report, plan) | {"rows": rows})
    else:
        shown.report(run.report)
    return run.report


@asynccontextmanager
async def _client(config: Config, *, use_emulator: bool) -> AsyncIterator[FacturaOnline]:
    if not use_emulator:
        async with connect(config=config) as client:
            yield client
        return
    async with (
        Emulator(log_limit=0) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=config) as client,
    ):
        yield client


def _row(outcome: RowOutcome) -> dict[str, Any]:
    return attrs.asdict(outcome) | {"ok": outcome.ok}


def _result(report: Report, plan: Plan) -> dict[str, Any]:
    return {
        "complete": report.is_complete,
        "seconds": round(report.seconds, 3),
        "empresas": {"planned": report.planned_empresas, **shown.counts(report.empresas)},
        "series": {"planned": report.planned_series, **shown.counts(report.series)},
        "notices": [attrs.asdict(notice) for notice in plan.notices],
    }


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
