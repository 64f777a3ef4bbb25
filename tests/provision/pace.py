"""How long a job takes beside what its limits and the latency need, on the virtual clock: exact on every machine."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import pytest
from attrs import define

from facturaonline_async import Config
from facturaonline_async._endpoint_names import ENDPOINT_NAMES
from facturaonline_async.provision import Existing, Run, provision
from facturaonline_async.provision._engine.row_progress import RowProgress
from tests.provision.stage import Stage, slow
from tests.provision.test_model import plan_of
from tests.virtual import virtually

__all__ = ["CHAIN", "Pace", "ideal", "play"]

CHAIN: Final = (
    "empresas.create",
    "empresas.get",
    "empresas.current",
    "series.list",
    "series.create",
    "series.list",
)
"""The calls of one new company that wait for each other. Its series are created side by side."""


_OWN: Final = Config()
DEFAULTS: Final = {
    name: getattr(_OWN, name) for name in ("rates", "retry", "deadline", "total_timeout", "upload_timeout", "settle")
}
"""The library's own settings, in the place of those of the stage."""


def ideal(companies: int, latency: float) -> float:
    """Return the seconds that the default limits and the latency need, from the first create to the last outcome.

    The limiter starts the first creates at once and spreads the others. Then the last company goes through its chain.
    """
    (rate,) = _OWN.rates
    others = companies - rate.calls
    last_start = rate.per + (others - 1) * rate.per / rate.calls if others > 0 else 0.0
    return last_start + len(CHAIN) * latency


@define
class Pace:
    """What a job took.

    Attributes:
        first: seconds until the first outcome.
        seconds: seconds until the last outcome.
        end: seconds until the end of the audit.
        most: rows that were in progress at the same time, at most.
        calls: calls of each endpoint up to the last outcome.
        audit: calls of each endpoint after it.

    """

    first: float
    seconds: float
    end: float
    most: int
    calls: Counter[str]
    audit: Counter[str]


def play(
    companies: int, latency: float, *, concurrency: int | None = None, existing: Existing | None = None, **config: Any
) -> Pace:
    """Carry out a plan with three series for each company; each call takes so many seconds.

    Limits and settings are the library's own, unless given. With `existing`, all companies exist before.
    """

    async def main() -> Pace:
        stage, active, most = Stage(), 0, 0
        for endpoint in ENDPOINT_NAMES:
            stage.on(endpoint, slow(latency))
        process = Run._process

        async def counted(run: Run, progress: RowProgress) -> Any:
            nonlocal active, most
            active += 1
            most = max(most, active)
            try:
                return await process(run, progress)
            finally:
                active -= 1

        plan = plan_of([3] * companies)
        for row in plan if existing is not None else ():
            stage.state.add_empresa({"rfc": row.rfc})
        given = {"concurrency": concurrency, "existing": existing}
        own: Any = {name: value for name, value in given.items() if value is not None}
        clock = asyncio.get_running_loop().time
        times: list[float] = []
        before = Counter[str]()
        with stage.rules(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Run, "_process", counted)
            async with (
                stage.session(**DEFAULTS | config) as client,
                provision(client, plan, **own) as run,
            ):
                async for outcome in run:
                    assert all(serie.uid for serie in outcome.series), outcome
                    times.append(clock())
                    before = Counter(seen.endpoint for seen in stage.calls)
            assert run.report.is_complete, run.report
        calls = Counter(seen.endpoint for seen in stage.calls)
        return Pace(times[0], times[-1], clock(), most, before, calls - before)

    return virtually(main())
