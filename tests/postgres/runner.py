"""A process that provisions a plan with a journal in PostgreSQL, and stops itself: ``runner.py JSON``.

It stops by SIGSTOP, as a suspended machine or a frozen container does.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from attrs import evolve

from facturaonline_async import Credentials, connect
from facturaonline_async._core.http.deadlines import Deadline
from facturaonline_async._core.http.transport import Transport
from facturaonline_async.postgres import Postgres
from facturaonline_async.provision import FencedError, provision
from facturaonline_async.provision._engine.step_store import StepStore
from tests.conftest import QUICK
from tests.provision.victim import make_plan

__all__ = ["POINTS"]

CREATES = ("empresas.create", "series.create")


def stop() -> None:
    """Stop this process until it gets SIGCONT."""
    sys.stdout.write("stopped\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSTOP)


def at(owner: type, name: str, *, is_before: bool, when: Callable[..., bool], skip: int) -> None:
    """Stop once at a call of this method, before it or when it is done, after so many that also fit.

    It looks at the arguments of a coroutine method, or at the object of another one.
    """
    original, left = getattr(owner, name), skip

    def is_reached(*given: Any) -> bool:
        nonlocal left
        left -= when(*given)
        return left == -1 and when(*given)

    if not asyncio.iscoroutinefunction(original):

        @functools.wraps(original)
        def stopping_before(self: Any, *given: Any, **more: Any) -> Any:
            if is_reached(self):
                stop()
            return original(self, *given, **more)

        setattr(owner, name, stopping_before)
        return

    @functools.wraps(original)
    async def stopping(self: Any, *given: Any, **more: Any) -> Any:
        reached = is_reached(*given)
        if reached and is_before:
            stop()
        result = await original(self, *given, **more)
        if reached and not is_before:
            stop()
        return result

    setattr(owner, name, stopping)


def is_create(call: Any, *_: Any) -> bool:
    return call.endpoint.name in CREATES


def is_of_create(deadline: Any) -> bool:
    return bool(deadline.send_by < math.inf)


def always(*_: Any) -> bool:
    return True


#: Where to stop, by name: the class, its method, whether before it, and which calls of it.
POINTS: dict[str, tuple[type, str, bool, Callable[..., bool]]] = {
    "before the intent is written": (StepStore, "begin", True, always),
    "after the intent is written": (StepStore, "begin", False, always),
    "when the connection is there": (Deadline, "check_grant", True, is_of_create),
    "after the answer": (Transport, "attempt", False, is_create),
}


async def main(given: dict[str, Any]) -> dict[str, Any]:
    keys = Credentials(api_key=given["api_key"], secret_key=given["secret_key"])
    config = evolve(QUICK, **given["config"])
    async with (
        Postgres(given["database"]) as pg,
        connect(keys, base_url=given["base_url"], config=config, shared=pg if given["is_shared"] else None) as client,
        provision(
            client,
            make_plan(given["empresas"]),
            journal=pg.journal(given["run"], lease=given["lease"]),
            settle=given["settle"],
            concurrency=8,
        ) as run,
    ):
        async for _ in run:
            pass
    return {"complete": run.report.is_complete}


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    if orders["has_control"]:
        Deadline.check_grant = lambda *_, **__: None  # type: ignore[method-assign]
    if orders["point"]:
        owner, name, is_before, when = POINTS[orders["point"]]
        at(owner, name, is_before=is_before, when=when, skip=orders["skip"])
    try:
        told = asyncio.run(main(orders))
    except FencedError as error:
        told = {"fenced": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
