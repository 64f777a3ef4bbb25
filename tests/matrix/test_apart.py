"""The rows of the matrix that need more than one exchange, or none: held, cancelled, out of time, out of budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from attrs import evolve

from facturaonline_async import (
    CambiosEmpresa,
    FacturaOnline,
    FacturaOnlineError,
    LimiterWaitError,
    NotFoundError,
    OutcomeUnknownError,
    Rate,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    SessionManager,
    UnreadableAnswerError,
    connect,
)
from facturaonline_async.testing import Emulator, Fault
from facturaonline_async.testing._emulator.empresa_fields import format_created, format_detail
from tests.forks import Child
from tests.matrix.stage import (
    CREATE,
    DELETE,
    KEYS,
    OPERATIONS,
    QUICK,
    UPDATE,
    UPDOWN,
    Operation,
    Stage,
    answers,
    raw,
    says,
)
from tests.matrix.table import no
from tests.plans import nueva
from tests.raw import Exchange, http
from tests.virtual import stall

pytestmark = pytest.mark.virtual_clock

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
MAIN = "607a062eae2bb"


async def called(stage: Stage, operation: Operation, **more: object) -> FacturaOnlineError | None:
    config = evolve(stage.config, base_url=stage.base_url, **more)  # type: ignore[arg-type]
    async with SessionManager(config) as session:
        try:
            await operation.call(FacturaOnline(session, KEYS))
        except FacturaOnlineError as error:
            return error
        finally:
            assert "0 waiting, 0 in flight" in repr(session)
    return None


# ── 28: "no existe" after an attempt that nobody knows of ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("operation", "kind"),
    [(DELETE, None), (UPDOWN, NotFoundError), (UPDATE, NotFoundError)],
    ids=["delete", "up", "update"],
)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_28_not_found_after_an_unknown_delete_means_deleted(
    operation: Operation, kind: type[FacturaOnlineError] | None, status: str
) -> None:
    met = 0

    async def fault(exchange: Exchange, _: Operation) -> None:
        nonlocal met
        met += 1
        if met == 1:
            exchange.writer.close()
        else:
            await exchange.write(http(b'{"status":"error","message":"La serie no existe"}', status=status))

    async with raw(fault)(operation) as stage:
        error = await called(stage, operation)
        assert (type(error) if error else None, stage.requests()) == (kind, 2)


async def test_38_an_html_404_after_an_unknown_delete_is_no_proof_of_a_delete() -> None:
    met = 0

    async def fault(exchange: Exchange, _: Operation) -> None:
        nonlocal met
        met += 1
        await exchange.write(b"" if met == 1 else http(b"<html>", status="404 Not Found"))
        if met == 1:
            exchange.writer.close()

    async with raw(fault)(DELETE) as stage:
        error = await called(stage, DELETE)
    assert error is not None
    assert type(error).__name__ == "ApiError"


# ── 44, 48: a hold is for everybody with these keys, and for nobody else ──────────────────────────────────────────────


@pytest.mark.parametrize(("status", "requests"), [("429 x", 2), ("503 x", 1)])
async def test_44_a_429_or_503_with_retry_after_holds_all_calls_with_the_same_keys(status: str, requests: int) -> None:
    """After a 429 it surely was not done, and is sent again; after a 503 nobody knows, and a create is not."""
    config = evolve(QUICK, deadline=9)
    staging = says(no("x"), status=status, headers=b"Retry-After: 1\r\n", times=1, config=config)
    async with staging(CREATE) as stage, SessionManager(evolve(config, base_url=stage.base_url)) as session:
        client = FacturaOnline(session, KEYS)
        stranger = FacturaOnline(session, evolve(KEYS, api_key="another"))
        began = asyncio.get_running_loop().time()
        first = asyncio.ensure_future(CREATE.call(client))
        while not stage.requests():  # noqa: ASYNC110  # the server rings no bell
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        await stranger.series.get(7)
        assert asyncio.get_running_loop().time() - began < 0.9
        await client.series.get(7)
        assert asyncio.get_running_loop().time() - began >= 0.99
        (error,) = await asyncio.gather(first, return_exceptions=True)
        assert (type(error), stage.requests()) == (type(None) if requests == 2 else ServerError, requests)


async def test_44_twenty_throttled_calls_wait_for_one_hold() -> None:
    async with Emulator() as emulator:
        emulator.inject(Fault.throttle(1), times=20)
        config = evolve(QUICK, rates=(), deadline=10)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(client.series.list() for _ in range(20)))
            assert 0.99 <= asyncio.get_running_loop().time() - began < 2.5


async def test_44_calls_after_a_hold_keep_the_rate() -> None:
    async with Emulator() as emulator:
        emulator.inject(Fault.throttle(1), endpoint="series.list", times=1)
        config = evolve(QUICK, rates=Rate(4, 0.5), deadline=20)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            await asyncio.gather(*(client.series.list() for _ in range(16)))
        times = [request.at for request in emulator.requests]
        # The log tells arrivals, the limit binds departures: one call of jitter.
        assert max(sum(start <= at < start + 0.45 for at in times) for start in times) <= 5


# ── 51: done, and never told ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["activate", "deactivate", "delete", "update", "delete empresa", "create", "ensure"])
async def test_51_a_call_that_took_effect_before_its_answer_was_lost_takes_effect_once(what: str) -> None:
    async with Emulator() as emulator:
        uid = emulator.add_serie(
            MAIN, letra="F", tipo_documento="factura", estatus="Pausada" if what == "activate" else "Activa"
        )
        empresa = emulator.add_empresa(rfc="EKU9003173C9")
        endpoints = {"update": "empresas.update", "delete empresa": "empresas.delete", "ensure": "series.create"}
        endpoint = endpoints.get(what, f"series.{what}")
        emulator.inject(Fault.drop_after_commit(), endpoint=endpoint, times=1)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "activate": lambda: client.series.activate(uid),
                "deactivate": lambda: client.series.deactivate(uid),
                "delete": lambda: client.series.delete(uid),
                "update": lambda: client.empresas.update(empresa, CambiosEmpresa(ciudad="Arandas")),
                "delete empresa": lambda: client.empresas.delete(empresa),
                "create": lambda: client.series.create(letra="Z", tipo_documento="pago"),
                "ensure": lambda: client.series.ensure(letra="Z", tipo_documento="pago"),
            }
            if what == "create":
                with pytest.raises(OutcomeUnknownError):
                    await calls[what]()
            else:
                await calls[what]()
        state = emulator.state
        assert emulator.count(endpoint) == (2 if what == "update" else 1)
        reached = {
            "activate": uid in state["series"] and state["series"][uid]["estatus"] == "Activa",
            "deactivate": uid in state["series"] and state["series"][uid]["estatus"] == "Pausada",
            "delete": uid not in state["series"],
            "update": empresa in state["empresas"] and state["empresas"][empresa].get("ciudad") == "Arandas",
            "delete empresa": empresa not in state["empresas"],
            "create": len(state["series"]) == 2,
            "ensure": len(state["series"]) == 2,
        }
        assert reached[what]


async def test_a_failed_verification_is_noted_in_the_error_and_nothing_is_sent_again() -> None:
    async with Emulator() as emulator:
        uid = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
        emulator.inject(Fault.drop_before_commit(), endpoint="series.deactivate", times=None)
        emulator.inject(Fault.status(403), endpoint="series.get", times=None)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            with pytest.raises(OutcomeUnknownError) as caught:
                await client.series.deactivate(uid)
        assert "could not verify" in caught.value.__notes__[0]
        assert emulator.count("series.deactivate") == 1


async def test_operations_on_one_uid_run_one_at_a_time() -> None:
    async with Emulator(latency=0.05) as emulator:
        uids = [emulator.add_serie(MAIN, letra=letra, tipo_documento="factura") for letra in "FG"]
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            await asyncio.gather(
                *(call(uid) for uid in uids for call in (client.series.deactivate, client.series.activate))
            )
        assert emulator.in_flight_max == 2
        assert {row["estatus"] for row in emulator.state["series"].values()} == {"Activa"}


# ── 54, 55: cancelled ─────────────────────────────────────────────────────────────────────────────────────────────────


@each_operation
async def test_54_a_call_cancelled_in_the_limiter_sends_nothing_and_frees_the_next(operation: Operation) -> None:
    async with says(operation.yes)(operation) as stage:
        config = evolve(stage.config, base_url=stage.base_url, rates=Rate(1, 0.3))
        async with SessionManager(config) as session:
            client = FacturaOnline(session, KEYS)
            await operation.call(client)
            waiting = asyncio.ensure_future(operation.call(client))
            after = asyncio.ensure_future(operation.call(client))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await after
            assert (waiting.cancelled(), stage.requests()) == (True, 2)
            assert "0 waiting, 0 in flight" in repr(session)


@each_operation
async def test_55_a_call_cancelled_in_flight_closes_its_connection(operation: Operation) -> None:
    async with answers(b"", then="hang")(operation) as stage:
        config = evolve(stage.config, base_url=stage.base_url, read_timeout=9, total_timeout=9, upload_timeout=9)
        async with SessionManager(config) as session:
            call = asyncio.ensure_future(operation.call(FacturaOnline(session, KEYS)))
            while not stage.requests():  # noqa: ASYNC110  # the server rings no bell
                await asyncio.sleep(0.005)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert "0 waiting, 0 in flight" in repr(session)
            http_session = session._engine.transport.http
            assert http_session is not None
            assert http_session.connector is not None
            assert len(http_session.connector._acquired) == 0
        assert stage.requests() == 1


# ── 56: out of time ───────────────────────────────────────────────────────────────────────────────────────────────────


@each_operation
async def test_56_a_call_that_exceeds_max_wait_sends_nothing(operation: Operation) -> None:
    async with says(operation.yes)(operation) as stage:
        config = evolve(stage.config, base_url=stage.base_url, rates=Rate(1, 60), max_wait=0.05)
        async with SessionManager(config) as session:
            client = FacturaOnline(session, KEYS)
            await operation.call(client)
            with pytest.raises(LimiterWaitError):
                await operation.call(client)
            assert stage.requests() == 1


@each_operation
async def test_56_the_deadline_interrupts_an_attempt_that_hangs(operation: Operation) -> None:
    async with answers(b"", then="hang")(operation) as stage:
        began = asyncio.get_running_loop().time()
        error = await called(stage, operation, read_timeout=9.0, total_timeout=9.0, upload_timeout=9.0, deadline=0.2)
        assert (type(error), stage.requests()) == (RequestTimeoutError, 1)
        assert asyncio.get_running_loop().time() - began < 2


# ── 57, 58: out of budget, and out of breath ──────────────────────────────────────────────────────────────────────────


@each_operation
async def test_57_without_a_retry_budget_the_first_error_is_raised(operation: Operation) -> None:
    async with says(no("x"), status="500 x")(operation) as stage:
        error = await called(stage, operation, retry=RetryPolicy(transient=0.001, budget=13))
        assert (type(error), stage.requests(), stage.looks()) == (ServerError, 1, 0)


async def test_57_an_outage_empties_the_retry_budget_and_successes_fill_it() -> None:
    async with Emulator() as emulator:
        config = evolve(QUICK, retry=RetryPolicy(transient=0.001, budget=28))
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            emulator.inject(Fault.status(500), times=None)
            for expected in (3, 1, 1):
                before = emulator.count("series.list")
                with pytest.raises(ServerError):
                    await client.series.list()
                assert emulator.count("series.list") - before == expected
            emulator.clear_faults()
            for _ in range(14):
                await client.series.list()
            emulator.inject(Fault.status(500), times=1)
            assert await client.series.list() == []
            emulator.inject(Fault.status(500), times=1)
            assert await client.series.list() == []  # the repeat that succeeded got its tokens back


async def test_58_no_burst_follows_a_stall_of_the_event_loop() -> None:
    async with Emulator() as emulator:
        config = evolve(QUICK, rates=Rate(4, 0.25))
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            calls = asyncio.gather(*(client.series.list() for _ in range(16)))
            await asyncio.sleep(0.1)
            stall(0.8)
            await calls
        times = [request.at for request in emulator.requests]
        assert max(sum(start <= at < start + 0.2 for at in times) for start in times) <= 5


@pytest.mark.parametrize("last", ["401 Unauthorized", "403 Forbidden", "429 Too Many Requests", "held by the limiter"])
async def test_a_refused_last_attempt_leaves_the_outcome_of_earlier_attempts_unknown(last: str) -> None:
    """An update was done, its answer was lost, and the repeat is turned away at the door: nobody knows."""
    met = 0

    async def fault(exchange: Exchange, _: Operation) -> None:
        nonlocal met
        met += 1
        if met > 1 and last != "held by the limiter":
            await exchange.write(http(b'{"message":"no"}', status=last))
        else:
            exchange.writer.close()

    async with raw(fault)(UPDATE) as stage:
        config = evolve(QUICK, base_url=stage.base_url)
        if last == "held by the limiter":
            config = evolve(config, rates=Rate(1, 60), max_wait=0.01)
        async with SessionManager(config) as session:
            with pytest.raises(OutcomeUnknownError) as caught:
                await UPDATE.call(FacturaOnline(session, KEYS))
        assert "it was sent again" in caught.value.__notes__[-1]


# ── 64: the answer is about another company ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("swapped", ["uid", "rfc", "keys"])
@pytest.mark.parametrize("what", ["get", "ensure", "create", "update", "deactivate", "delete"])
async def test_64_an_answer_about_another_company_is_refused(what: str, swapped: str) -> None:
    async with Emulator() as emulator:
        mine, other = emulator.add_empresa(rfc="EKU9003173C9"), emulator.add_empresa(rfc="AAA010101AA1")
        series = [emulator.add_serie(MAIN, letra=letra, tipo_documento="factura") for letra in "FG"]
        rows = emulator.state["empresas"]
        changes = {"uid": {"uid": other}, "rfc": {"rfc": rows[other]["rfc"]}, "keys": {}}[swapped]
        keys = {name: rows[other][name] for name in ("api_key", "secret_key")} if swapped == "keys" else {}
        body = {"status": "success", "data": format_detail(rows[mine] | changes | keys)}
        emulator.inject(Fault.status(200, body=body), endpoint="empresas.get", times=None)
        answer = {"status": "create", "0": format_created(rows[other])}
        emulator.inject(Fault.status(200, body=answer, commit=True), endpoint="empresas.create", times=None)
        emulator.inject(Fault.status(200, body=answer, commit=True), endpoint="empresas.update", times=None)
        serie = {"status": "success", "data": {"SerieID": series[1], "SerieName": "G", "SerieType": "factura"}}
        emulator.inject(Fault.status(200, body=serie), endpoint="series.get", times=None)
        for endpoint in ("series.deactivate", "series.delete"):
            emulator.inject(Fault.drop_before_commit(), endpoint=endpoint, times=None)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            await client.empresas.list()
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "get": lambda: client.empresas.get(mine),
                "ensure": lambda: client.empresas.ensure(nueva("EKU9003173C9")),
                "create": lambda: client.empresas.create(nueva("BBB010101AA1")),
                "update": lambda: client.empresas.update(mine, CambiosEmpresa(ciudad="Arandas")),
                "deactivate": lambda: client.series.deactivate(series[0]),
                "delete": lambda: client.series.delete(series[0]),
            }
            ends = {"deactivate": OutcomeUnknownError, "delete": OutcomeUnknownError}
            if what == "get":
                empresa = await client.empresas.get(mine)
                with pytest.raises(UnreadableAnswerError):
                    _ = empresa.credentials
            else:
                with pytest.raises(ends.get(what, UnreadableAnswerError)) as caught:
                    await calls[what]()
                assert type(caught.value) is ends.get(what, UnreadableAnswerError)
        assert set(series) <= set(emulator.state["series"])


# ── 65: forked ────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_operation
def test_65_a_session_that_was_used_before_a_fork_sends_nothing_in_the_child(operation: Operation) -> None:
    async def fork_after_a_call() -> tuple[str, int]:
        async with says(operation.yes)(operation) as stage:
            config = evolve(stage.config, base_url=stage.base_url)
            async with SessionManager(config) as session:
                client = FacturaOnline(session, KEYS)
                await operation.call(client)

                async def call() -> str:
                    with pytest.raises(FacturaOnlineError) as refused:
                        await operation.call(client)
                    return type(refused.value).__name__

                child = Child(lambda: asyncio.new_event_loop().run_until_complete(call()))
                return child.result(), stage.requests()

    assert asyncio.run(fork_after_a_call()) == ("NotSentError", 1)


# ── 66: a list lacks what an earlier one showed ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["series", "empresas"])
async def test_66_ensure_creates_nothing_again_if_a_stale_list_lacks_it(what: str) -> None:
    async with Emulator() as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:

            async def ensure() -> object:
                if what == "series":
                    return await client.series.ensure(letra="F", tipo_documento="factura")
                return await client.empresas.ensure(nueva("EKU9003173C9"))

            first = await ensure()
            emulator.inject(Fault.stale(3600), endpoint=f"{what}.list", times=None)
            assert [await ensure() for _ in range(5)] == [first] * 5
        assert emulator.count(f"{what}.create") == 1
