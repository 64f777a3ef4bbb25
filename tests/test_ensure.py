"""Ensure never creates twice within a session, and never denies what it created."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from attrs import evolve, frozen

from facturaonline_async import (
    ApiError,
    AuthenticationError,
    Config,
    FacturaOnline,
    FacturaOnlineError,
    LimiterWaitError,
    NotSentError,
    OutcomeUnknownError,
    Rate,
    UnreadableAnswerError,
    ValidationError,
    connect,
)
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import BRIEF
from tests.plans import nueva

pytestmark = pytest.mark.virtual_clock


@frozen
class Kind:
    """What is ensured, and the endpoints that take part."""

    ensure: Callable[[FacturaOnline], Awaitable[object]]
    create: str
    look: str
    table: str
    before: int


KINDS = {
    "serie": Kind(
        lambda client: client.series.ensure(letra="F", tipo_documento="factura"),
        "series.create",
        "series.list",
        "series",
        0,
    ),
    "empresa": Kind(
        lambda client: client.empresas.ensure(nueva("EKU9003173C9")), "empresas.create", "empresas.get", "empresas", 1
    ),
}

each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

PATIENT = evolve(BRIEF, deadline=2.0)
WRONG_KEYS = {"status": "error", "message": "La cuenta que intenta autenticarse no existe"}


@asynccontextmanager
async def ready(config: Config = BRIEF, **how: float) -> AsyncIterator[tuple[FacturaOnline, Emulator]]:
    async with (
        Emulator(**how) as emulator,  # type: ignore[arg-type]
        connect(emulator.credentials, base_url=emulator.base_url, config=config) as client,
    ):
        yield client, emulator


def created(emulator: Emulator, kind: Kind) -> int:
    return len(emulator.state[kind.table]) - kind.before


# ── It never denies what it created ───────────────────────────────────────────────────────────────────────────────────


@each_kind
@pytest.mark.parametrize("fault", [Fault.throttle(), Fault.status(500), Fault.drop_before_commit(), Fault.html_page()])
async def test_a_look_that_fails_in_passing_is_repeated(kind: Kind, fault: Fault) -> None:
    async with ready(PATIENT) as (client, emulator):
        emulator.inject(fault, endpoint=kind.look, times=1, skip=int(kind.look == "series.list"))
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
@pytest.mark.parametrize("answer", ["yes", "lost"])
@pytest.mark.parametrize(
    "look",
    [Fault.status(401, body=WRONG_KEYS), Fault.status(403), Fault.throttle(), Fault.status(500), Fault.garbage()],
)
async def test_whatever_the_look_says_a_create_is_not_denied(kind: Kind, answer: str, look: Fault) -> None:
    """Before the fix, a look that was refused made `ensure` say that nothing had happened."""
    async with ready() as (client, emulator):
        if answer == "lost":
            emulator.inject(Fault.drop_after_commit(), endpoint=kind.create)
        for endpoint in ("series.list", "empresas.list", "empresas.get"):
            emulator.inject(look, endpoint=endpoint, times=None, skip=int(endpoint.endswith("list")))
        expected = UnreadableAnswerError if answer == "yes" else OutcomeUnknownError
        with pytest.raises(expected) as told:
            await kind.ensure(client)
        assert (type(told.value), created(emulator, kind)) == (expected, 1)


@each_kind
async def test_a_limiter_that_refuses_the_look_denies_nothing(kind: Kind) -> None:
    config = evolve(BRIEF, endpoint_rates={kind.look: Rate(1, 1000)}, max_wait=0.01)
    async with ready(config) as (client, emulator):
        if kind.look == "empresas.get":
            await client.empresas.get("607a062eae2bb")
        with pytest.raises(UnreadableAnswerError):
            await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_a_session_closed_under_way_denies_nothing(kind: Kind) -> None:
    async with ready(latency=0.1) as (client, emulator):
        task = asyncio.ensure_future(kind.ensure(client))
        while not emulator.count(kind.create):  # noqa: ASYNC110  # the emulator rings no bell
            await asyncio.sleep(0.01)
        await client.session.aclose()
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await task


@each_kind
async def test_a_refusal_stays_a_refusal_whatever_the_second_look_says(kind: Kind) -> None:
    async with ready() as (client, emulator):
        emulator.inject(Fault.status(422, body={"message": "no"}), endpoint=kind.create)
        for endpoint in ("series.list", "empresas.list"):
            emulator.inject(Fault.status(500), endpoint=endpoint, times=None, skip=1)
        with pytest.raises(ValidationError) as refused:
            await kind.ensure(client)
        assert "could not be seen" in refused.value.__notes__[0]
        assert created(emulator, kind) == 0


@each_kind
async def test_what_could_not_be_found_out_first_creates_nothing_and_says_so(kind: Kind) -> None:
    async with ready() as (client, emulator):
        emulator.inject(Fault.status(200, body=WRONG_KEYS), times=None)
        with pytest.raises(AuthenticationError):
            await kind.ensure(client)
        assert emulator.count(kind.create) == 0


@each_kind
async def test_an_error_after_a_create_names_what_was_created(kind: Kind) -> None:
    async with ready(read_lag=60, list_lag=60) as (client, emulator):
        with pytest.raises(UnreadableAnswerError, match="look for it later") as unseen:
            await kind.ensure(client)
        assert unseen.value.endpoint == kind.create
        assert kind.table == "series" or unseen.value.uid in emulator.state["empresas"]


# ── It never creates twice ────────────────────────────────────────────────────────────────────────────────────────────


@each_kind
async def test_a_caller_who_gave_up_and_asks_again_gets_what_was_created(kind: Kind) -> None:
    async with ready(PATIENT) as (client, emulator):
        emulator.inject(Fault.delay(0.3), endpoint=kind.create)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await kind.ensure(client)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_who_waits_for_a_turn_creates_nothing_while_the_one_before_is_in_doubt(kind: Kind) -> None:
    """The first create commits after the deadline of both."""
    async with ready() as (client, emulator):
        emulator.inject(Fault.commit_late(1.3), endpoint=kind.create)
        told = await asyncio.gather(kind.ensure(client), kind.ensure(client), return_exceptions=True)
        assert [type(error) for error in told] == [OutcomeUnknownError, OutcomeUnknownError]
        await asyncio.sleep(0.5)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_a_list_that_lags_beyond_the_deadline_makes_no_second_one(kind: Kind) -> None:
    async with ready(list_lag=1.2, read_lag=1.2) as (client, emulator):
        told = await asyncio.gather(kind.ensure(client), kind.ensure(client), return_exceptions=True)
        assert all(isinstance(error, UnreadableAnswerError) for error in told)
        await asyncio.sleep(0.4)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_the_next_in_turn_creates_nothing_when_the_first_was_cancelled_in_its_create(kind: Kind) -> None:
    async with ready(PATIENT) as (client, emulator):
        emulator.inject(Fault.delay(0.3), endpoint=kind.create)
        first = asyncio.ensure_future(kind.ensure(client))
        second = asyncio.ensure_future(kind.ensure(client))
        await asyncio.sleep(0.15)
        first.cancel()
        await second
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_a_doubt_ends_after_settle(kind: Kind) -> None:
    """What was lost for good can be created again, when it cannot show up any more."""
    async with ready(evolve(BRIEF, settle=0.8)) as (client, emulator):
        emulator.inject(Fault.drop_before_commit(), endpoint=kind.create)
        with pytest.raises(OutcomeUnknownError):
            await kind.ensure(client)
        with pytest.raises(OutcomeUnknownError, match="may still show up"):
            await kind.ensure(client)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (2, 1)


@each_kind
@pytest.mark.parametrize("ended", ["refused", "not sent", "cancelled before it was sent"])
async def test_what_surely_did_not_happen_leaves_no_doubt(kind: Kind, ended: str) -> None:
    config = evolve(BRIEF, endpoint_rates={kind.create: Rate(1, 0.3)})
    async with ready(config) as (client, emulator):
        if ended == "cancelled before it was sent":
            emulator.inject(Fault.status(422, body={"message": "no"}), endpoint=kind.create)
            with pytest.raises(ApiError):
                await kind.ensure(client)
            with pytest.raises(TimeoutError):  # while it waits in the limiter
                async with asyncio.timeout(0.1):
                    await kind.ensure(client)
        else:
            fault = Fault.status(422, body={"message": "no"})
            emulator.inject(fault, endpoint=kind.create)
            if ended == "not sent":
                emulator.clear_faults()
                await emulator.aclose()
            with pytest.raises((ApiError, NotSentError)):
                await kind.ensure(client)
            await emulator.start() if ended == "not sent" else None
        assert len(client.session.doubts) == 0
        await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_no_storm_of_impatient_callers_makes_two(kind: Kind) -> None:
    """Callers who give up at random moments, answers that are lost at random, and then one who waits."""
    for seed in range(6):
        async with Emulator(seed=seed, latency=0.005, list_lag=0.02, read_lag=0.02) as emulator:
            emulator.inject(Fault.drop_after_commit(), endpoint=kind.create, times=None, probability=0.3)
            emulator.inject(Fault.delay_answer(0.05), endpoint=kind.create, times=None, probability=0.3)
            async with connect(emulator.credentials, base_url=emulator.base_url, config=PATIENT) as client:

                async def impatient(patience: float, client: FacturaOnline = client) -> None:
                    async with asyncio.timeout(patience):
                        await kind.ensure(client)

                storm = [impatient(0.004 * number) for number in range(1, 25)]
                ended = await asyncio.gather(*storm, return_exceptions=True)
                assert all(isinstance(each, (TimeoutError, FacturaOnlineError, type(None))) for each in ended)
                await kind.ensure(client)
            assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


async def test_the_deadline_of_an_ensure_is_kept() -> None:
    """Lists that take a while do not add up beyond the deadline: one look more, at most."""
    async with ready(evolve(BRIEF, deadline=0.6), latency=0.2, list_lag=60) as (client, _):
        began = asyncio.get_running_loop().time()
        with pytest.raises(UnreadableAnswerError):
            await client.series.ensure(letra="F", tipo_documento="factura")
        took = asyncio.get_running_loop().time() - began
    assert took < 0.4 + 0.6 + 2 * 0.2 + 0.5


async def test_an_answer_about_another_company_is_not_taken_for_this_one() -> None:
    """Its keys would create series in the wrong company."""
    async with ready() as (client, emulator):
        other = {"status": "success", "data": {"uid": "607a062eae2bb", "rfc": "x", "api_key": "a", "secret_key": "b"}}
        emulator.inject(Fault.status(200, body=other), endpoint="empresas.get", times=None)
        with pytest.raises(UnreadableAnswerError):
            await client.empresas.ensure(nueva("EKU9003173C9"))
        assert emulator.count("empresas.create") == 1


@each_kind
async def test_a_create_that_the_limiter_refused_is_in_no_doubt(kind: Kind) -> None:
    config = evolve(BRIEF, endpoint_rates={kind.create: Rate(1, 0.5)}, max_wait=0.01)
    async with ready(config) as (client, emulator):
        emulator.inject(Fault.status(422, body={"message": "no"}), endpoint=kind.create)
        with pytest.raises(ValidationError):
            await kind.ensure(client)
        with pytest.raises(LimiterWaitError):
            await kind.ensure(client)
        assert len(client.session.doubts) == 0
        await asyncio.sleep(0.5)
        await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_a_yes_in_words_that_cannot_be_read_is_looked_for(kind: Kind) -> None:
    async with ready() as (client, emulator):
        emulator.inject(Fault.status(200, body={"status": "success", "data": 1}), endpoint=kind.create, skip=0)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await kind.ensure(client)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await kind.ensure(client)
        assert emulator.count(kind.create) == 1


async def test_what_was_deleted_can_be_created_again_at_once(client: FacturaOnline, emulator: Emulator) -> None:
    first = await client.empresas.ensure(nueva("EKU9003173C9"))
    await client.empresas.delete(first.uid)
    second = await client.empresas.ensure(nueva("EKU9003173C9"))
    assert (first.uid != second.uid, emulator.count("empresas.create")) == (True, 2)
