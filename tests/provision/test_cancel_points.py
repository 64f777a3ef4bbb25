"""A user that is cancelled at any moment leaves nothing behind, and the next one creates nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from facturaonline_async import FacturaOnline, FacturaOnlineError, Rate, RetryPolicy
from facturaonline_async.client import engine_of
from tests.plans import nueva
from tests.provision.stage import (
    REFUSED,
    SERIES,
    THROTTLED,
    YES,
    Act,
    Stage,
    delayed,
    lost,
    run,
    slow,
    unconnected,
    until,
)
from tests.provision.test_model import plan_of, there, wanted
from tests.provision.world import SETTLE
from tests.virtual import virtually

RFC = "AAA010101000"

USERS: dict[str, Callable[[FacturaOnline, FacturaOnline], Awaitable[object]]] = {
    "an ensure": lambda _, own: own.series.ensure(letra="F", tipo_documento="factura"),
    "a create": lambda _, own: own.series.create(letra="F", tipo_documento="factura"),
    "a run": lambda client, _: run(client, plan_of([1]), audit=False),
    "a run with a journal": lambda client, _: run(client, plan_of([1]), journal="virtual", audit=False),
}
"""What a client does, and a client with the company's own keys."""

ANSWERS: dict[str, Act] = {
    "yes": slow(0.1),
    "throttled": THROTTLED,
    "unconnected": unconnected,
    "lost": lost(),
    "lost and done late": lost(done_after=3),
    "refused": REFUSED,
    "yes, and not done": YES,
}
"""Answers to the first create of a serie; the next ones are done."""


def check_nothing_is_held(client: FacturaOnline) -> None:
    """Check that no slot and no lock is left."""
    session = client.session
    assert (session.stats.in_flight, session.stats.waiting) == (0, 0)
    assert engine_of(client).locks._locks == {}


def check_what_is_recorded(stage: Stage, own: FacturaOnline) -> None:
    """Check that session and journal know a create if one was sent, and only then."""
    is_sent = stage.count(SERIES) > 0
    if not is_sent:
        assert not is_pending(own)
    for state, sends in steps_of_series(stage):
        assert is_sent or (state, sends) == ("planned", 0)
        assert (state in {"planned", "failed"}) == (sends == 0)
        assert state != "planned" or not stage.sent[RFC, "F", "factura"]


def is_pending(own: FacturaOnline) -> bool:
    """Return whether the session remembers a create of the serie."""
    return engine_of(own).pending.get(("series", own.credentials.fingerprint, "F", "factura")) is not None


def steps_of_series(stage: Stage) -> list[tuple[str, int]]:
    """Return state and number of sends of each step of a serie in the journal, if there is one."""
    if not stage.book.execute("SELECT * FROM sqlite_master WHERE name = 'steps'").fetchall():
        return []
    return stage.book.execute("SELECT state, sends FROM steps WHERE kind = 'series'").fetchall()


async def cancel_after(turns: int, user: str, answer: str, *, since_recorded: bool = False) -> bool:
    """Cancel a user after so many turns of the loop, and see what it leaves.

    Args:
        turns: Number of turns.
        user: Name of the user.
        answer: Name of the answer to its create.
        since_recorded: Whether the turns count from the record of its create, and not from its begin.

    Returns:
        Whether the user had ended before.

    """
    stage = Stage(chance=random.Random(turns))
    retry = RetryPolicy(transient=2.0, throttled=0.5)
    with stage.rules():
        async with stage.session(concurrency=1, rates=Rate(1, 0.7), retry=retry) as client:
            stage.on(SERIES, delayed(ANSWERS[answer], before=2), times=1)
            stage.state.add_empresa({"rfc": RFC})
            own = client.for_empresa(await client.empresas.ensure(nueva(RFC)))
            task = asyncio.ensure_future(USERS[user](client, own))
            if since_recorded:
                await until(lambda: is_pending(own))
            for turn in range(turns):
                if task.done():
                    break
                await asyncio.sleep(0 if turn % 3 else 0.02)
            has_ended = task.done()
            task.cancel()
            with suppress(FacturaOnlineError, asyncio.CancelledError):
                await task
            await asyncio.sleep(0.001)

            check_nothing_is_held(client)
            check_what_is_recorded(stage, own)
            for _ in range(3):  # until the outcome of the first create is known
                with suppress(FacturaOnlineError):
                    await own.series.ensure(letra="F", tipo_documento="factura")
                await asyncio.sleep(SETTLE)
            if "journal" in user:
                await run(client, plan_of([1]), journal="virtual")
            assert max(stage.sent.values(), default=0) <= 1
            assert there(stage) == wanted(plan_of([1])) or (answer == "yes, and not done" and not stage.sent)
    return has_ended


each_case = pytest.mark.parametrize(("user", "answer"), [(user, answer) for user in USERS for answer in ANSWERS])


@each_case
def test_a_user_cancelled_at_a_few_moments_leaves_nothing_behind(user: str, answer: str) -> None:
    dice = random.Random(f"{user}, {answer}")
    for turns in dice.sample(range(90), 2):
        virtually(cancel_after(turns, user, answer))
    for turns in (0, *dice.sample(range(90), 2)):
        virtually(cancel_after(turns, user, answer, since_recorded=True))


@pytest.mark.slow
@pytest.mark.parametrize("since_recorded", [False, True])
@each_case
def test_a_user_cancelled_at_any_moment_leaves_nothing_behind(user: str, answer: str, since_recorded: bool) -> None:  # noqa: FBT001
    for turns in (*range(150), *range(150, 1500, 19)):
        if virtually(cancel_after(turns, user, answer, since_recorded=since_recorded)):
            return
