"""A process that provisions a plan, and dies at a given point of the protocol: ``victim.py JSON``.

It dies by ``os._exit``: nothing is flushed, closed, awaited or cleaned up, as with ``kill -9``.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from attrs import evolve

from facturaonline_async import Credentials, connect
from facturaonline_async._core.http.transport import Transport
from facturaonline_async._core.once.states import StepState
from facturaonline_async.provision import Plan, PlanSerie, provision
from facturaonline_async.provision._engine import resume
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._engine.series import SerieSteps
from facturaonline_async.provision._engine.waiting_rows import WaitingRows
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._steps import Step
from tests.conftest import QUICK
from tests.plans import nueva

__all__ = ["POINTS", "REACHED", "make_plan"]

REACHED = 77
"""Exit code of a process that came to its point."""


Moment: TypeAlias = Literal["before", "after"]


def make_plan(empresas: int) -> Plan:
    """Return a plan of companies with three series each; each letra is one company's alone."""
    return Plan.from_values(
        (
            nueva(f"AAA010101{number:03}"),
            [PlanSerie(letra=f"{kind}{number}", tipo_documento="factura", folio=1) for kind in "FPN"],
        )
        for number in range(empresas)
    )


def die() -> None:
    os._exit(REACHED)


def patch(owner: type, name: str, moment: Moment, when: Callable[..., bool], *, skip: int) -> None:
    """Let the process die at a call of this method, before it or when it is done, after so many that also fit."""
    original = getattr(owner, name)
    left = skip

    def is_reached(*given: Any, **more: Any) -> bool:
        nonlocal left
        if not when(*given, **more):
            return False
        left -= 1
        return left < 0

    async def after(result: Any) -> Any:
        value = await result
        die()
        return value

    @functools.wraps(original)
    def dying(*given: Any, **more: Any) -> Any:
        if not is_reached(*given, **more):
            return original(*given, **more)
        if moment == "before":
            die()
        return after(original(*given, **more))

    setattr(owner, name, dying)


def saves(phase: StepState, *, empresa: bool) -> Callable[..., bool]:
    """Fit the writing of a phase."""

    def fits(_: SqliteJournal, *steps: Step) -> bool:
        return any(step.state is phase and step.is_empresa is empresa for step in steps)

    return fits


def sends(endpoint: str) -> Callable[..., bool]:
    """Fit the sending of a call."""
    return lambda _, call, *__: call.endpoint.name == endpoint


def always(*_: Any, **__: Any) -> bool:
    return True


def waits(_: WaitingRows, work: Any) -> bool:
    return bool(work.waiting)


#: Where to die, by name: the class, its method, whether before it or after it, and which calls of it.
POINTS: dict[str, tuple[type, str, Moment, Callable[..., bool]]] = {
    "before the plan and the baseline are committed": (SqliteJournal, "adjust", "before", always),
    "after the plan and the baseline are committed": (SqliteJournal, "adjust", "after", always),
    "before a company's intent": (SqliteJournal, "save", "before", saves(StepState.INTENT, empresa=True)),
    "after a company's intent, before the first byte": (
        SqliteJournal,
        "save",
        "after",
        saves(StepState.INTENT, empresa=True),
    ),
    "after a company's answer, before it is read": (Transport, "attempt", "after", sends("empresas.create")),
    "after a company's answer, before it is done": (
        SqliteJournal,
        "save",
        "before",
        saves(StepState.DONE, empresa=True),
    ),
    "after a company is done, before it is read": (SqliteJournal, "save", "after", saves(StepState.DONE, empresa=True)),
    "after a company is read, before its series are listed": (SerieSteps, "advance", "before", always),
    "before the series' baseline": (SerieSteps, "_save_baseline", "before", always),
    "after the series' baseline": (SerieSteps, "_save_baseline", "after", always),
    "before a serie's intent": (SqliteJournal, "save", "before", saves(StepState.INTENT, empresa=False)),
    "after a serie's intent, before the first byte": (
        SqliteJournal,
        "save",
        "after",
        saves(StepState.INTENT, empresa=False),
    ),
    "after a serie's answer, before it is read": (Transport, "attempt", "after", sends("series.create")),
    "after a serie's answer, before it is done": (
        SqliteJournal,
        "save",
        "before",
        saves(StepState.DONE, empresa=False),
    ),
    "between two series": (SqliteJournal, "save", "after", saves(StepState.DONE, empresa=False)),
    "before the uids are listed": (SerieSteps, "_find_uids", "before", always),
    "after the uids are listed": (SerieSteps, "_find_uids", "after", always),
    "before something unknown waits": (WaitingRows, "put", "before", waits),
    "while something unknown is looked for": (WaitingRows, "_reconcile_companies", "before", always),
    "after something unknown was looked for": (WaitingRows, "_reconcile_companies", "after", always),
    "while a journal and a plan are compared": (resume.PlanDiff, "commit", "before", always),
    "after a journal and a plan are compared": (resume.PlanDiff, "commit", "after", always),
    "before the list at the end": (Inventory, "audit", "before", always),
    "after the list at the end": (Inventory, "audit", "after", always),
}


async def main(given: dict[str, Any]) -> None:
    config = evolve(QUICK, **given.get("config", {}))
    keys = Credentials(api_key=given["api_key"], secret_key=given["secret_key"])
    async with (
        connect(keys, base_url=given["base_url"], config=config) as client,
        provision(
            client,
            make_plan(given["empresas"]),
            journal=given["journal"],
            settle=given["settle"],
            concurrency=given.get("concurrency", 2),
        ) as run,
    ):
        async for _ in run:
            pass
    sys.stdout.write(json.dumps({"complete": run.report.is_complete}))


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    if orders["point"]:
        patch(*POINTS[orders["point"]], skip=orders.get("skip", 0))
    asyncio.run(main(orders))
