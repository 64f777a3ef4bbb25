"""A job takes what its limits and the latency need, and keeps no more rows in progress than that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from facturaonline_async import Config, FacturaOnline, Rate
from facturaonline_async.errors import AuthenticationError, OutcomeUnknownError
from facturaonline_async.provision import Existing, JournalError, _run, provision
from tests.provision.pace import CHAIN, ideal, play
from tests.provision.stage import EMPRESAS, Stage, answered, delayed, lost, slow, staged, until
from tests.provision.test_model import plan_of
from tests.provision.world import VirtualJournal

COMPANIES = 200
RATE = 10
"""Creates in a second, by default."""
LOOKAHEAD = 4
"""Rows that wait for a start."""
START = 2
"""Calls before the first create that wait for each other: two pages of companies."""


@pytest.mark.parametrize(("latency", "bound"), [(0.0, 1.02), (0.3, 1.05), (1.0, 1.08)])
def test_a_job_takes_what_its_limits_and_the_latency_need(latency: float, bound: float) -> None:
    """No more rows are in progress than that takes: those in their chain, the first burst, and a few that wait.

    The audit ends three calls after the settle time: the list of the last company's series, and two pages of companies.
    """
    pace = play(COMPANIES, latency)
    assert pace.seconds == pytest.approx(ideal(COMPANIES, latency) + START * latency)
    assert pace.seconds <= bound * ideal(COMPANIES, latency)
    in_chain = RATE * len(CHAIN) * latency
    assert in_chain <= pace.most <= in_chain + RATE + LOOKAHEAD
    assert pace.end <= pace.seconds + Config().settle + 3 * latency + 0.01


@pytest.mark.parametrize(("existing", "chain"), [("adopt", CHAIN[2:]), ("update", CHAIN[1:])])
def test_companies_that_exist_take_what_their_limits_need(existing: Existing, chain: tuple[str, ...]) -> None:
    """Their chain has a read in the place of the create, an update or none, and no proof of the keys."""
    pace = play(60, 1.0, existing=existing)
    assert pace.seconds == pytest.approx(ideal(60, 1.0) + (START + len(chain) - len(CHAIN)) * 1.0)
    assert pace.most <= RATE * len(chain) + RATE + LOOKAHEAD


def test_concurrency_bounds_the_rows_in_progress() -> None:
    assert play(50, 1.0, concurrency=7).most == 7


@pytest.mark.parametrize(("existing", "calls"), [(None, 8), ("adopt", 6), ("update", 7)])
def test_a_rate_of_the_host_does_not_delay_the_first_rows_by_further_ones(
    existing: Existing | None, calls: int
) -> None:
    """A row in progress is finished instead of many that begin."""
    pace = play(60, 0.3, existing=existing, rates=(), host_rates=Rate(10, 1))
    assert pace.most <= 35
    assert pace.first <= 15
    assert pace.seconds == pytest.approx(60 * calls / 10, rel=0.05)


@staged()
async def test_rows_that_wait_for_another_task_of_the_session_do_not_delay_others(
    stage: Stage, client: FacturaOnline
) -> None:
    """Direct ensures of the first companies take long; their rows wait for them."""
    plan = plan_of([0] * 20)
    first, others = plan.rows[: 2 * LOOKAHEAD], plan.rows[2 * LOOKAHEAD :]
    async with asyncio.TaskGroup() as group:
        for row in first:
            stage.on(EMPRESAS, delayed(slow(0), before=50), about=row.rfc)
            group.create_task(client.empresas.ensure(await row.load()))
        await until(lambda: stage.count(EMPRESAS) == len(first))
        began = asyncio.get_running_loop().time()
        async with provision(client, plan, audit=False) as run:
            outcomes = aiter(run)
            assert {(await anext(outcomes)).rfc for _ in others} == {row.rfc for row in others}
            assert asyncio.get_running_loop().time() - began < 10
            assert {(await anext(outcomes)).state for _ in first} == {"adopted"}


@staged()
async def test_rows_that_have_to_list_first_do_not_delay_others(stage: Stage, client: FacturaOnline) -> None:
    """Direct ensures of the first companies got no answer, so that their rows list before they create."""
    plan = plan_of([0] * 20)
    first, others = plan.rows[: 2 * LOOKAHEAD], plan.rows[2 * LOOKAHEAD :]
    for row in first:
        stage.on(EMPRESAS, lost(), about=row.rfc, times=1)
    ensures = [client.empresas.ensure(await row.load()) for row in first]
    assert {type(error) for error in await asyncio.gather(*ensures, return_exceptions=True)} == {OutcomeUnknownError}
    stage.on("empresas.list", slow(50), skip=START)
    began = asyncio.get_running_loop().time()
    async with provision(client, plan, audit=False) as run:
        outcomes = aiter(run)
        assert {(await anext(outcomes)).rfc for _ in others} == {row.rfc for row in others}
        assert asyncio.get_running_loop().time() - began < 10


def test_a_new_company_with_three_series_takes_eight_calls_and_one_of_the_audit() -> None:
    pace = play(20, 0.1)
    assert pace.calls == {
        "empresas.list": 2,
        "empresas.current": 1 + 20,
        "empresas.create": 20,
        "empresas.get": 20,
        "series.list": 2 * 20,
        "series.create": 3 * 20,
    }
    assert pace.audit == {"series.list": 20, "empresas.list": 2}


# ── The beginning ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def delayed_journal(seconds: float, problem: Exception | None = None) -> Iterator[list[VirtualJournal]]:
    """Let journals open so many seconds later, or not at all; give those that were closed."""
    opening, closed = vars(_run)["SqliteJournalStore"]("virtual").open, list[VirtualJournal]()

    async def opened(*, account: str, host: str) -> VirtualJournal:
        await asyncio.sleep(seconds)
        if problem is not None:
            raise problem
        journal: VirtualJournal = await opening(account=account, host=host)
        return journal

    async def aclose(journal: VirtualJournal) -> None:
        closed.append(journal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run, "SqliteJournalStore", lambda _: SimpleNamespace(open=opened))
        patch.setattr(VirtualJournal, "aclose", aclose)
        yield closed


@staged()
async def test_the_list_the_main_company_and_the_journal_are_read_side_by_side(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on("empresas.list", slow(2))
    stage.on("empresas.current", slow(3), times=1)
    with delayed_journal(3.5):
        async with provision(client, plan_of([0]), journal="virtual", audit=False) as run:
            assert 4 <= asyncio.get_running_loop().time() < 4.5  # two pages, and answers of the journal
            [outcome] = [each async for each in run]
    assert (outcome.state, stage.count(EMPRESAS)) == ("created", 1)


@staged()
async def test_a_journal_that_cannot_be_opened_ends_the_list(stage: Stage, client: FacturaOnline) -> None:
    stage.on("empresas.list", slow(100))
    with delayed_journal(1, JournalError("no")), pytest.raises(JournalError, match="no"):
        async with provision(client, plan_of([0]), journal="virtual"):
            raise AssertionError
    assert asyncio.get_running_loop().time() == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@staged()
async def test_a_list_that_fails_while_the_journal_opens_is_reported_and_the_journal_closed(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on("empresas.list", answered(401))
    with delayed_journal(5) as closed, pytest.raises(AuthenticationError):
        async with provision(client, plan_of([0]), journal="virtual"):
            raise AssertionError
    assert len(closed) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
