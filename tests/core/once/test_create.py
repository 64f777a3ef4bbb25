"""`ensure` never creates twice within a session, and never denies a create."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve, frozen

from facturaonline_async import (
    ApiError,
    AuthenticationError,
    Config,
    Empresa,
    FacturaOnline,
    FacturaOnlineError,
    LimiterWaitError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    Rate,
    Serie,
    UnreadableAnswerError,
    ValidationError,
    connect,
)
from facturaonline_async._core.once.create import pending_error, poll_until
from facturaonline_async._core.once.pending import PendingCreate, PendingCreates
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._core.once.store import Pending
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async._messages import message
from facturaonline_async.provision import Plan, PlanSerie, provision
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import BRIEF
from tests.plans import nueva
from tests.provision.stage import REFUSED, YES_IN_OTHER_WORDS as YES, Stage, answered, delayed, lost, run, staged
from tests.provision.test_model import plan_of
from tests.virtual import virtually

pytestmark = pytest.mark.virtual_clock


@frozen
class Kind:
    """Kind of object, and the endpoints that take part."""

    ensure: Callable[[FacturaOnline], Awaitable[Empresa | Serie]]
    create: str
    look: str
    table: str
    before: int

    def service(self, client: FacturaOnline) -> Any:
        return client.series if self.table == "series" else client.empresas


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
async def test_a_search_with_a_transient_fault_is_repeated(kind: Kind, fault: Fault) -> None:
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
async def test_a_failed_search_does_not_make_ensure_report_that_nothing_was_done(
    kind: Kind, answer: str, look: Fault
) -> None:
    """Regression: a refused search made `ensure` say that nothing had happened."""
    async with ready() as (client, emulator):
        if answer == "lost":
            emulator.inject(Fault.drop_after_commit(), endpoint=kind.create)
        for endpoint in ("series.list", "empresas.list", "empresas.get"):
            emulator.inject(look, endpoint=endpoint, times=None, skip=int(endpoint.endswith("list")))
        expected = UnreadableAnswerError if answer == "yes" else OutcomeUnknownError
        with pytest.raises(expected) as caught:
            await kind.ensure(client)
        assert (type(caught.value), created(emulator, kind)) == (expected, 1)


@each_kind
async def test_a_limiter_error_during_the_search_does_not_make_ensure_report_that_nothing_was_done(kind: Kind) -> None:
    config = evolve(BRIEF, endpoint_rates={kind.look: Rate(1, 1000)}, max_wait=0.01)
    async with ready(config) as (client, emulator):
        if kind.look == "empresas.get":
            await client.empresas.get("607a062eae2bb")
        with pytest.raises(UnreadableAnswerError):
            await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_a_session_closed_during_the_search_does_not_make_ensure_report_that_nothing_was_done(kind: Kind) -> None:
    async with ready(latency=0.1) as (client, emulator):
        task = asyncio.ensure_future(kind.ensure(client))
        while not emulator.count(kind.create):  # noqa: ASYNC110  # the emulator rings no bell
            await asyncio.sleep(0.01)
        await client.session.aclose()
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await task


@each_kind
async def test_a_refusal_stays_a_refusal_if_the_search_fails(kind: Kind) -> None:
    async with ready() as (client, emulator):
        emulator.inject(Fault.status(422, body={"message": "no"}), endpoint=kind.create)
        for endpoint in ("series.list", "empresas.list"):
            emulator.inject(Fault.status(500), endpoint=endpoint, times=None, skip=1)
        with pytest.raises(ValidationError) as refused:
            await kind.ensure(client)
        [note] = refused.value.__notes__
        assert ("could not be seen" in note, "the server failed" in note) == (True, True)
        assert created(emulator, kind) == 0


@each_kind
async def test_a_failed_find_creates_nothing(kind: Kind) -> None:
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
async def test_a_cancelled_caller_that_asks_again_gets_the_created_object(kind: Kind) -> None:
    async with ready(PATIENT) as (client, emulator):
        emulator.inject(Fault.delay(0.3), endpoint=kind.create)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await kind.ensure(client)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_the_next_ensure_creates_nothing_while_the_outcome_of_the_first_is_unknown(kind: Kind) -> None:
    """The first create commits after the deadline of both."""
    async with ready() as (client, emulator):
        emulator.inject(Fault.commit_late(1.3), endpoint=kind.create)
        outcomes = await asyncio.gather(kind.ensure(client), kind.ensure(client), return_exceptions=True)
        assert [type(error) for error in outcomes] == [OutcomeUnknownError, OutcomeUnknownError]
        await asyncio.sleep(0.5)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_a_list_that_lags_beyond_the_deadline_causes_no_second_create(kind: Kind) -> None:
    async with ready(list_lag=1.2, read_lag=1.2) as (client, emulator):
        outcomes = await asyncio.gather(kind.ensure(client), kind.ensure(client), return_exceptions=True)
        assert all(isinstance(error, UnreadableAnswerError) for error in outcomes)
        await asyncio.sleep(0.4)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_the_next_ensure_creates_nothing_after_the_first_was_cancelled_in_its_create(kind: Kind) -> None:
    async with ready(PATIENT) as (client, emulator):
        emulator.inject(Fault.delay(0.3), endpoint=kind.create)
        first = asyncio.ensure_future(kind.ensure(client))
        second = asyncio.ensure_future(kind.ensure(client))
        await asyncio.sleep(0.15)
        first.cancel()
        await second
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_a_pending_create_expires_after_settle(kind: Kind) -> None:
    """A lost create can be repeated when its object can no longer show."""
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
async def test_a_create_that_was_certainly_not_done_leaves_no_pending_create(kind: Kind, ended: str) -> None:
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
        assert len(client.session._engine.pending) == 0
        await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_callers_that_are_cancelled_and_ask_again_create_one(kind: Kind) -> None:
    """Callers are cancelled and answers lost at random; then one caller waits."""
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
    """Slow lists exceed the deadline by one search at most."""
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
async def test_a_create_refused_by_the_limiter_is_not_pending(kind: Kind) -> None:
    config = evolve(BRIEF, endpoint_rates={kind.create: Rate(1, 0.5)}, max_wait=0.01)
    async with ready(config) as (client, emulator):
        emulator.inject(Fault.status(422, body={"message": "no"}), endpoint=kind.create)
        with pytest.raises(ValidationError):
            await kind.ensure(client)
        with pytest.raises(LimiterWaitError):
            await kind.ensure(client)
        assert len(client.session._engine.pending) == 0
        await asyncio.sleep(0.5)
        await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_an_unreadable_success_is_searched_for(kind: Kind) -> None:
    async with ready() as (client, emulator):
        emulator.inject(Fault.status(200, body={"status": "success", "data": 1}), endpoint=kind.create, skip=0)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await kind.ensure(client)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await kind.ensure(client)
        assert emulator.count(kind.create) == 1


async def test_a_deleted_object_can_be_created_again_at_once(client: FacturaOnline, emulator: Emulator) -> None:
    first = await client.empresas.ensure(nueva("EKU9003173C9"))
    await client.empresas.delete(first.uid)
    second = await client.empresas.ensure(nueva("EKU9003173C9"))
    assert (first.uid != second.uid, emulator.count("empresas.create")) == (True, 2)


# ── Lists that lag ────────────────────────────────────────────────────────────────────────────────────────────────────

GONE = {"status": "error", "message": "no existe"}
LISTS = ("series.list", "empresas.list")
#: Reads of both kinds, on a replica that lies behind.
READS = (*LISTS, "series.get", "empresas.get")


def go_back(emulator: Emulator, endpoints: tuple[str, ...] = LISTS, *, times: int | None = None) -> None:
    """Let these reads lack the objects of the last ten minutes."""
    for endpoint in endpoints:
        emulator.inject(Fault.stale(600), endpoint=endpoint, times=times)


async def exists(client: FacturaOnline, kind: Kind, how: str) -> None:
    """Make an object known to the session: by an ensure, by a plain create, or by a find."""
    if how == "ensured":
        await kind.ensure(client)
        return
    other = client
    if how in {"found", "ensured by another"}:
        config = evolve(BRIEF, base_url=client.session.config.base_url)
        async with connect(client.credentials, config=config) as other:
            await kind.ensure(other)
    if how == "created" and kind.table == "series":
        await client.series.create(letra="F", tipo_documento="factura")
    elif how == "created":
        await client.empresas.create(nueva("EKU9003173C9"))
    elif how == "found" and kind.table == "series":
        await client.series.find(letra="F", tipo_documento="factura")
    elif how == "found":
        await client.empresas.find("EKU9003173C9")
    else:
        await kind.ensure(client)


@each_kind
@pytest.mark.parametrize("how", ["ensured", "ensured by another", "found"])
async def test_an_object_missing_from_a_later_list_is_read_by_its_uid(kind: Kind, how: str) -> None:
    async with ready() as (client, emulator):
        await exists(client, kind, how)
        go_back(emulator)
        shown = await kind.ensure(client)
        assert str(shown.uid) in {str(uid) for uid in emulator.state[kind.table]}
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
async def test_a_created_object_that_is_missing_from_lists_is_not_created_again(kind: Kind) -> None:
    async with ready(PATIENT) as (client, emulator):
        await exists(client, kind, "created")
        go_back(emulator, times=2)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, 1)


@each_kind
@pytest.mark.parametrize("how", ["ensured", "found"])
async def test_an_object_that_no_read_shows_is_created_again_only_after_settle(kind: Kind, how: str) -> None:
    """A replica lags longer than `settle`: until then nothing is created, and the error says so."""
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        await exists(client, kind, how)
        go_back(emulator, READS)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)) as refused:
            await kind.ensure(client)
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        assert refused.value.uid == str(uid)
        if how == "found":
            assert f"was there a moment ago (uid {uid})" in str(refused.value)
        await asyncio.sleep(95)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await kind.ensure(client)
        assert emulator.count(kind.create) == 1
        await asyncio.sleep(6)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):  # what it creates does not show either
            await kind.ensure(client)
        assert emulator.count(kind.create) == 2


@each_kind
@pytest.mark.parametrize("how", ["at once", "at the second attempt", "after settle, without an answer"])
async def test_a_successful_delete_drops_the_pending_create(kind: Kind, how: str) -> None:
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        await kind.ensure(client)
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        if how == "at the second attempt":
            emulator.inject(Fault.drop_before_commit(), endpoint=f"{kind.table}.delete")
        elif how == "after settle, without an answer":
            await asyncio.sleep(101)
            emulator.inject(Fault.drop_after_commit(), endpoint=f"{kind.table}.delete")
        await kind.service(client).delete(uid)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (2, 1)


@each_kind
@pytest.mark.parametrize("how", ["not done", "done", "gone already"])
async def test_not_found_is_no_proof_of_a_delete_within_settle(kind: Kind, how: str) -> None:
    """A delete got no answer; reads and retries meet a lagging replica, or the object is gone."""
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        await kind.ensure(client)
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        if how == "gone already":
            del emulator.state[kind.table][uid]
        else:
            fault = Fault.drop_after_commit() if how == "done" else Fault.drop_before_commit()
            emulator.inject(fault, endpoint=f"{kind.table}.delete")
            emulator.inject(Fault.status(404, body=GONE), endpoint=f"{kind.table}.delete", times=None)
            go_back(emulator, READS)
        with pytest.raises(NotFoundError if how == "gone already" else OutcomeUnknownError):
            await kind.service(client).delete(uid)
        with pytest.raises((OutcomeUnknownError, UnreadableAnswerError)):
            await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (1, int(how == "not done"))
        emulator.clear_faults()
        await asyncio.sleep(101)
        await kind.ensure(client)
        assert created(emulator, kind) == 1


@each_kind
async def test_a_delete_that_a_stale_read_calls_done_is_sent_again(kind: Kind) -> None:
    async with ready() as (client, emulator):
        await kind.ensure(client)
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        emulator.inject(Fault.drop_before_commit(), endpoint=f"{kind.table}.delete")
        go_back(emulator, READS)
        await kind.service(client).delete(uid)
        assert (emulator.count(f"{kind.table}.delete"), created(emulator, kind)) == (2, 0)


@each_kind
@pytest.mark.parametrize("read", ["list", "get"])
async def test_a_read_supplies_the_uid_of_a_pending_create(kind: Kind, read: str) -> None:
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        if kind.table == "empresas":  # the create of a company returns its uid
            body = {"status": "create", "0": {"acco_uid": None}}
            emulator.inject(Fault.status(200, body=body, commit=True), endpoint=kind.create)
        with contextlib.suppress(UnreadableAnswerError):
            await exists(client, kind, "created")
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        service = kind.service(client)
        await (service.list() if read == "list" else service.get(uid))
        await service.delete(uid)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (2, 1)


async def test_a_create_is_not_confused_with_an_earlier_serie(client: FacturaOnline, emulator: Emulator) -> None:
    old = await client.series.ensure(letra="F", tipo_documento="factura")
    emulator.inject(Fault.drop_after_commit(), endpoint="series.create")
    with pytest.raises(OutcomeUnknownError):
        await client.series.create(letra="F", tipo_documento="factura")
    hidden = emulator.state["series"].pop(old.uid + 1)
    await client.series.list()
    await client.series.delete(old.uid)
    with pytest.raises(OutcomeUnknownError):
        await client.series.ensure(letra="F", tipo_documento="factura")
    emulator.state["series"][old.uid + 1] = hidden
    assert (await client.series.ensure(letra="F", tipo_documento="factura")).uid == old.uid + 1
    assert emulator.count("series.create") == 2


async def test_a_confirmed_create_without_a_uid_is_kept_for_a_day() -> None:
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        for number in range(100):
            await client.series.create(letra=f"F{number}", tipo_documento="factura")
        emulator.state["series"].clear()
        await asyncio.sleep(86_000)
        with pytest.raises(UnreadableAnswerError):
            await client.series.ensure(letra="F0", tipo_documento="factura")
        await asyncio.sleep(600)
        await client.series.ensure(letra="F0", tipo_documento="factura")
        for number in range(100):
            await client.series.ensure(letra=f"G{number}", tipo_documento="factura")
        assert (created(emulator, KINDS["serie"]), len(client.session._engine.pending) <= 128) == (101, True)


@each_kind
async def test_a_failed_delete_drops_nothing(kind: Kind) -> None:
    async with ready() as (client, emulator):
        await kind.ensure(client)
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        emulator.inject(Fault.status(403), endpoint=f"{kind.table}.delete", times=None)
        with pytest.raises(ApiError):
            await kind.service(client).delete(uid)
        go_back(emulator)
        await kind.ensure(client)
        assert emulator.count(kind.create) == 1


async def test_equal_uids_of_a_serie_and_a_company_are_distinct(client: FacturaOnline, emulator: Emulator) -> None:
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    empresa = emulator.add_empresa(rfc="EKU9003173C9", uid=str(serie.uid))
    await client.empresas.delete(empresa)
    go_back(emulator)
    assert await client.series.ensure(letra="F", tipo_documento="factura") == serie
    assert emulator.count("series.create") == 1


async def test_another_companys_delete_drops_nothing(client: FacturaOnline, emulator: Emulator) -> None:
    """The other company's keys cannot see the serie, so that a "not found" with them proves nothing."""
    emulator.add_empresa(rfc="EKU9003173C9", uid="other")
    other = FacturaOnline(client.session, emulator.credentials_of("other"))
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    with pytest.raises(NotFoundError):
        await other.series.delete(serie.uid)
    go_back(emulator)
    assert await client.series.ensure(letra="F", tipo_documento="factura") == serie
    assert emulator.count("series.create") == 1


@each_kind
async def test_a_delete_does_not_drop_a_concurrent_create(kind: Kind) -> None:
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        await kind.ensure(client)
        (uid,) = list(emulator.state[kind.table])[kind.before :]
        service = kind.service(client)
        emulator.inject(Fault.delay_answer(0.3), endpoint=f"{kind.table}.delete")
        emulator.inject(Fault.delay(1), endpoint=kind.create)
        deleting = asyncio.ensure_future(service.delete(uid))
        await asyncio.sleep(0.1)
        creating = asyncio.ensure_future(exists(client, kind, "created"))
        await deleting
        creating.cancel()
        await asyncio.wait([creating])
        with pytest.raises(OutcomeUnknownError, match="may still show up"):
            await kind.ensure(client)
        assert emulator.count(kind.create) <= 2


async def test_a_serie_that_is_read_by_its_uid_must_be_the_one_that_was_remembered(
    client: FacturaOnline, emulator: Emulator
) -> None:
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    emulator.state["series"][serie.uid]["letra"] = "G"
    with pytest.raises(UnreadableAnswerError, match="F:factura"):
        await client.series.ensure(letra="F", tipo_documento="factura")
    assert emulator.count("series.create") == 1


async def test_an_answer_about_another_serie_is_not_taken_for_the_one_that_was_asked_for(
    client: FacturaOnline, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    go_back(emulator)
    data = {"SerieID": 999, "SerieName": "F", "SerieType": "factura", "SerieStatus": "Activa"}
    other = Fault.status(200, body={"status": "success", "data": data})
    emulator.inject(other, endpoint="series.get", times=None)
    with pytest.raises(UnreadableAnswerError, match="999"):
        await client.series.ensure(letra="F", tipo_documento="factura")
    main = await client.empresas.current()
    plan = Plan.from_values([(nueva(main.rfc), [PlanSerie(letra="F", tipo_documento="factura")])])
    async with provision(client, plan, settle=0.5) as run:
        (outcome,) = [outcome async for outcome in run]
    assert (outcome.series[0].state.is_there, "999" in outcome.series[0].reason) == (False, True)
    caplog.clear()
    assert (await client.series.get(serie.uid)).uid == 999
    assert [str(serie.uid) in record.getMessage() for record in caplog.records] == [True]
    assert emulator.count("series.create") == 1


async def test_an_object_that_was_deleted_and_made_again_elsewhere_is_found_by_its_key(
    client: FacturaOnline, emulator: Emulator
) -> None:
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    emulator.state["series"][999] = emulator.state["series"].pop(serie.uid)
    go_back(emulator, times=1)
    assert (await client.series.ensure(letra="F", tipo_documento="factura")).uid == 999
    assert (emulator.count("series.create"), emulator.count("series.get")) == (1, 1)


async def test_a_listed_object_is_not_returned_while_its_uid_reads_as_another(
    client: FacturaOnline, emulator: Emulator
) -> None:
    await client.series.ensure(letra="F", tipo_documento="factura")
    go_back(emulator, times=1)
    data = {"SerieID": 999, "SerieName": "F", "SerieType": "factura", "SerieStatus": "Activa"}
    other = Fault.status(200, body={"status": "success", "data": data})
    emulator.inject(other, endpoint="series.get", times=None)
    with pytest.raises(UnreadableAnswerError, match="999"):
        await client.series.ensure(letra="F", tipo_documento="factura")
    assert emulator.count("series.create") == 1


async def test_a_listed_company_that_is_not_readable_in_time_is_named() -> None:
    async with ready(PATIENT, read_lag=60) as (client, emulator):
        with pytest.raises(UnreadableAnswerError):
            await client.empresas.ensure(nueva("EKU9003173C9"))
        with pytest.raises(UnreadableAnswerError, match="it exists, but was not readable") as unread:
            await client.empresas.ensure(nueva("EKU9003173C9"))
        assert (unread.value.endpoint, unread.value.uid in emulator.state["empresas"]) == ("empresas.get", True)
        assert emulator.count("empresas.create") == 1


# ── The search ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_object_is_searched_for_with_pauses_that_double(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return most

    async def look() -> None:
        """See nothing."""

    async with ready(evolve(BRIEF, deadline=30.0)) as (client, _):
        monkeypatch.setattr(random, "uniform", uniform)
        with pytest.raises(OutcomeUnknownError) as unseen:
            await poll_until(client.session._engine, look, problem=OutcomeUnknownError("no answer"))
    longest = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert drawn[:7] == [(pause / 2, pause) for pause in longest]
    assert unseen.value.is_transient is True


UNREADABLE = UnreadableAnswerError("an odd answer")


@pytest.mark.parametrize(
    ("pending", "error"),
    [
        (
            Pending(StepState.DONE, 9.6, "7", Origin.ADOPTED),
            OutcomeUnknownError(
                message("calls.not_shown_any_more", uid="7", seconds=9.6), endpoint="series.create", uid="7"
            ),
        ),
        (
            Pending(StepState.UNKNOWN, 9.6, None, Origin.ADOPTED),
            OutcomeUnknownError(message("calls.not_shown_any_more", uid="", seconds=9.6), endpoint="series.create"),
        ),
        (
            Pending(StepState.DONE, 9.6, "7", Origin.CREATED),
            UnreadableAnswerError(message("calls.created_and_not_shown"), endpoint="series.create", uid="7"),
        ),
        (
            Pending(StepState.UNRESOLVED, 9.6),
            UnreadableAnswerError(message("calls.created_and_not_shown"), endpoint="series.create"),
        ),
        (
            Pending(StepState.INTENT, -0.1),
            OutcomeUnknownError(message("calls.earlier_create", seconds=0.0), endpoint="series.create"),
        ),
        (
            Pending(StepState.UNKNOWN, 9.6),
            OutcomeUnknownError(message("calls.earlier_create", seconds=9.6), endpoint="series.create"),
        ),
    ],
)
def test_what_is_pending_is_named(pending: Pending, error: OutcomeUnknownError | UnreadableAnswerError) -> None:
    found = pending_error(pending, "series.create")
    assert (type(found), str(found), found.endpoint, found.uid) == (
        type(error),
        str(error),
        "series.create",
        pending.uid,
    )


async def test_different_objects_are_ensured_at_the_same_time(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.delay(2), endpoint="series.create", times=5)
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(client.series.ensure(letra=letra, tipo_documento="factura") for letra in "FGHIJ"))

    assert asyncio.get_running_loop().time() - began < 4


@pytest.mark.parametrize(
    ("problem", "look", "text", "note"),
    [
        (UnreadableAnswerError, UNREADABLE, "it is there, but not readable: an odd answer", None),
        (UnreadableAnswerError, AuthenticationError("wrong keys"), "created", "wrong keys"),
        (OutcomeUnknownError, UNREADABLE, "created", "an odd answer"),
    ],
)
async def test_a_search_that_fails_for_good_says_why_and_only_what_is_known_of_the_create(
    problem: type[OutcomeUnknownError | UnreadableAnswerError], look: FacturaOnlineError, text: str, note: str | None
) -> None:
    async def fail() -> None:
        raise look

    async with ready() as (client, _):
        with pytest.raises(problem) as failed:
            await poll_until(
                client.session._engine, fail, problem=problem("created", endpoint="series.create", uid="7")
            )
    error = failed.value
    notes = getattr(error, "__notes__", [])
    assert (type(error), error.endpoint, error.uid, error.args[0]) == (problem, "series.create", "7", text)
    assert ([note in each for each in notes] if note else notes) == ([True] if note else [])


# ── Pending creates ───────────────────────────────────────────────────────────────────────────────────────────────────


@each_kind
@pytest.mark.parametrize("ended", ["lost", "cancelled"])
async def test_a_plain_create_without_an_answer_prevents_a_create_by_ensure(kind: Kind, ended: str) -> None:
    async with ready(evolve(BRIEF, settle=100)) as (client, emulator):
        fault = Fault.drop_before_commit() if ended == "lost" else Fault.delay(50)
        emulator.inject(fault, endpoint=kind.create)
        with pytest.raises((OutcomeUnknownError, TimeoutError)):
            async with asyncio.timeout(None if ended == "lost" else 1):
                await exists(client, kind, "created")
        with pytest.raises(OutcomeUnknownError, match="may still show up"):
            await kind.ensure(client)
        assert emulator.count(kind.create) == 1


@each_kind
async def test_a_refused_create_does_not_drop_an_earlier_one(kind: Kind) -> None:
    async with ready() as (client, emulator):
        await kind.ensure(client)
        emulator.inject(Fault.status(422, body={"message": "ya existe"}), endpoint=kind.create)
        with pytest.raises(ValidationError):
            await exists(client, kind, "created")
        go_back(emulator)
        await kind.ensure(client)
        assert emulator.count(kind.create) == 2


@each_kind
async def test_a_refused_create_does_not_drop_a_concurrent_one(kind: Kind) -> None:
    async with ready() as (client, emulator):
        emulator.inject(Fault.delay(1), endpoint=kind.create)
        emulator.inject(Fault.status(422, body={"message": "ya existe"}), endpoint=kind.create)
        slow = asyncio.ensure_future(kind.ensure(client))
        await asyncio.sleep(0.5)
        with pytest.raises(ValidationError):
            await exists(client, kind, "created")
        await slow
        go_back(emulator)
        await kind.ensure(client)
        assert (emulator.count(kind.create), created(emulator, kind)) == (2, 1)


def test_a_create_without_an_answer_hides_no_other_one_that_was_confirmed() -> None:
    async def main() -> None:
        pending, key = PendingCreates(), ("series", "owner", "F")
        lost, confirmed = pending.begin(key, 100), pending.begin(key, 100)
        pending.end(key, confirmed, 100, StepState.DONE, "7")
        pending.end(key, lost, 100, StepState.UNKNOWN)
        entry = pending.get(key)
        assert entry is not None
        assert (entry.state, entry.uid) == (StepState.DONE, "7")

    virtually(main())


def test_a_refused_create_drops_only_its_own_entry() -> None:
    async def main() -> None:
        pending, key = PendingCreates(), ("series", "owner", "F")
        begun = pending.begin(key, 100)
        other = PendingCreate(100, StepState.DONE, uid="7")
        pending.update(key, other)
        pending.end(key, begun, 100, StepState.FAILED)
        assert pending.get(key) is other

    virtually(main())


@each_kind
@pytest.mark.parametrize(("status", "looks"), [(409, True), (422, True), (401, False), (429, False)])
async def test_a_refused_create_is_searched_for_if_the_object_may_exist(
    kind: Kind,
    status: int,
    looks: bool,  # noqa: FBT001
) -> None:
    async with ready() as (client, emulator):
        emulator.inject(
            Fault.status(status, body={"message": "ya existe"}, commit=True), endpoint=kind.create, times=None
        )
        if looks:
            await kind.ensure(client)
        else:
            with pytest.raises(ApiError):
                await kind.ensure(client)
        assert emulator.count(f"{kind.table}.list") == 1 + looks


def test_expired_entries_are_dropped_and_others_kept() -> None:
    async def main() -> None:
        pending = PendingCreates()
        for number in range(1000):
            pending.see(("series", "owner", number), str(number), 1.0)
            await asyncio.sleep(0.1)
        pending.update(("series", "owner", "sure"), PendingCreate(0.0, StepState.DONE))
        await asyncio.sleep(1000)
        assert len(pending) < 200
        assert pending.get(("series", "owner", "sure")) is not None
        await asyncio.sleep(86_400)
        assert pending.get(("series", "owner", "sure")) is None

    virtually(main())


async def test_a_create_cancelled_before_its_retry_after_a_429_is_not_pending() -> None:
    async with ready(evolve(BRIEF, settle=600, deadline=30)) as (client, emulator):
        emulator.inject(Fault.throttle(1), endpoint="series.create", times=1)
        creating = asyncio.ensure_future(client.series.create(letra="F", tipo_documento="factura"))
        await asyncio.sleep(0.5)
        assert (emulator.count("series.create"), len(client.session._engine.pending)) == (1, 1)
        creating.cancel()
        await asyncio.wait([creating])
        assert len(client.session._engine.pending) == 0
        await client.series.ensure(letra="F", tipo_documento="factura")
        assert emulator.count("series.create") == 2


async def test_a_create_cancelled_in_its_retry_after_a_429_is_pending() -> None:
    async with ready(evolve(BRIEF, settle=600, deadline=30)) as (client, emulator):
        emulator.inject(Fault.throttle(1), endpoint="series.create", times=1)
        emulator.inject(Fault.delay(5), endpoint="series.create")
        creating = asyncio.ensure_future(client.series.create(letra="F", tipo_documento="factura"))
        await asyncio.sleep(1.5)
        assert emulator.count("series.create") == 2
        creating.cancel()
        await asyncio.wait([creating])
        assert len(client.session._engine.pending) == 1


@staged()
async def test_two_direct_creates_at_once_that_are_both_refused_leave_nothing_pending(
    stage: Stage, client: FacturaOnline
) -> None:
    stage.on("series.create", delayed(REFUSED, before=2), times=1)
    stage.on("series.create", delayed(REFUSED, before=3), times=1)
    creates = [client.series.create(letra="F", tipo_documento="factura") for _ in range(2)]
    ended = await asyncio.gather(*creates, return_exceptions=True)
    assert [type(each) for each in ended] == [ValidationError, ValidationError]
    await client.series.ensure(letra="F", tipo_documento="factura")
    assert stage.count("series.create") == 3


# ── Starts of the limiter ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settle", [0.5, 5.0])
@pytest.mark.parametrize("what", ["ensures", "creates of one serie", "creates of many companies"])
def test_no_start_of_a_create_is_wasted(what: str, settle: float) -> None:
    """The backlog is longer than the settle time, so that entries expire while calls wait."""
    number = 200

    async def main() -> list[float]:
        stage = Stage()
        with stage.rules():
            async with stage.session(rates=Rate(10, 1), settle=settle, deadline=1000) as client:
                await asyncio.gather(*(call(client, each) for each in range(number)))
        return stage.moments("empresas.create" if "companies" in what else "series.create")

    async def call(client: FacturaOnline, each: int) -> None:
        if what == "ensures":
            await client.series.ensure(letra=f"F{each}", tipo_documento="factura")
        elif what == "creates of one serie":
            await client.series.create(letra="F", tipo_documento="factura")
        else:
            await client.empresas.create(nueva(f"AAA010101{each:03}"), validate=False)

    moments = virtually(main())
    assert len(moments) == number
    assert moments[-1] - moments[0] == pytest.approx(number / 10, abs=0.5)  # ten starts a second


# ── Memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ENDS = {"refused": REFUSED, "lost": lost(), "keys refused": answered(401), "confirmed and unreadable": YES}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("user", ["ensure", "create", "run"])
@staged()
async def test_a_failed_create_keeps_no_request_alive(stage: Stage, client: FacturaOnline, user: str, end: str) -> None:
    """Frames and errors that refer to each other keep the body, with certificates, until the next collection."""
    stage.on("empresas.create", ENDS[end])
    users: dict[str, Callable[[], Awaitable[object]]] = {
        "ensure": lambda: client.empresas.ensure(nueva("EKU9003173C9"), validate=False),
        "create": lambda: client.empresas.create(nueva("EKU9003173C9"), validate=False),
        "run": lambda: run(client, plan_of([0]), audit=False),
    }
    gc.collect()
    gc.disable()
    try:
        before = requests_alive()
        with contextlib.suppress(FacturaOnlineError):
            await users[user]()
        await asyncio.sleep(0)
        assert requests_alive() - before == 0
    finally:
        gc.enable()


def requests_alive() -> int:
    """Return the number of requests and errors that nothing has freed."""
    return sum(isinstance(each, (PreparedRequest, FacturaOnlineError)) for each in gc.get_objects())
