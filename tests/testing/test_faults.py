"""Each fault has its own effect, the log says whether the work was done, and limits hold."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import aiohttp
import pytest

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing import Emulator, Fault

from .caller import Caller

pytestmark = pytest.mark.virtual_clock

#: Every fault that answers: HTTP status, whether the work is done, whether the answer is the API's own.
ANSWERING = [
    (Fault.delay(0.01), (200, True, True)),
    (Fault.delay_answer(0.01), (200, True, True)),
    (Fault.commit_twice(60), (200, True, True)),
    (Fault.stale(60), (200, True, True)),
    (Fault.status(500), (500, False, False)),
    (Fault.status(502, commit=True), (502, True, False)),
    (Fault.status(204), (204, False, False)),
    (Fault.status(520, body="<p>x</p>"), (520, False, False)),
    (Fault.throttle(), (429, False, False)),
    (Fault.garbage(), (200, True, False)),
    (Fault.garbage(commit=False), (200, False, False)),
    (Fault.html_page(), (200, True, False)),
    (Fault.html_page(commit=False, status=503), (503, False, False)),
]
#: Every fault that drops: how many series there are afterwards.
DROPPING = [(Fault.drop_before_commit(), 0), (Fault.drop_after_commit(), 1), (Fault.commit_late(60), 0)]


async def create(caller: Caller) -> tuple[aiohttp.ClientResponse, bytes]:
    return await caller.raw("POST", "/v4/series/create", json={"letra": "F", "tipoDocumento": "factura"})


@pytest.mark.parametrize(("fault", "seen"), ANSWERING, ids=str)
async def test_a_fault_with_an_answer_commits_as_documented(
    emulator: Emulator, caller: Caller, fault: Fault, seen: tuple[int, bool, bool]
) -> None:
    status, committed, own = seen
    emulator.inject(fault)
    response, body = await create(caller)

    assert status == response.status
    assert own == (body == b'{"response":"success","message":"Serie creada correctamente"}')
    assert int(committed) == len(emulator.state["series"])
    assert [(status, committed, fault)] == [(row.status, row.committed, row.fault) for row in emulator.requests]


@pytest.mark.parametrize(("fault", "committed"), DROPPING, ids=str)
async def test_a_fault_that_drops_gives_no_answer(
    emulator: Emulator, caller: Caller, fault: Fault, committed: int
) -> None:
    emulator.inject(fault)

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await create(caller)
    assert committed == len(emulator.state["series"])
    assert [(None, bool(committed), fault)] == [(row.status, row.committed, row.fault) for row in emulator.requests]


async def test_refused_work_is_not_committed_with_any_fault(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.garbage(commit=True))
    await caller.raw("POST", "/v4/series/create", json={})

    assert [False] == [row.committed for row in emulator.requests]


async def test_a_delay_waits_before_the_work(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.delay(0.2))
    call = asyncio.create_task(create(caller))
    await asyncio.sleep(0.1)

    assert [(None, False)] == [(row.status, row.committed) for row in emulator.requests]
    await call
    assert [(200, True)] == [(row.status, row.committed) for row in emulator.requests]


async def test_a_delayed_answer_waits_after_the_work(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.delay_answer(0.2))
    call = asyncio.create_task(create(caller))
    await asyncio.sleep(0.1)

    assert [(None, True)] == [(row.status, row.committed) for row in emulator.requests]
    await call
    assert [(200, True)] == [(row.status, row.committed) for row in emulator.requests]


@pytest.mark.parametrize("fault", [Fault.delay(0.2), Fault.delay_answer(0.2)])
async def test_a_request_is_committed_although_its_client_disconnected(
    emulator: Emulator, caller: Caller, fault: Fault
) -> None:
    emulator.inject(fault)

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(create(caller), 0.05)
    await asyncio.sleep(0.3)
    assert 1 == len(emulator.state["series"])
    assert [(None, True)] == [(row.status, row.committed) for row in emulator.requests]


async def test_commit_late_commits_after_its_delay(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.commit_late(0.2))

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await create(caller)
    assert (0, False) == (len(emulator.state["series"]), emulator.requests[0].committed)
    await asyncio.sleep(0.3)
    assert (1, True, None) == (
        len(emulator.state["series"]),
        emulator.requests[0].committed,
        emulator.requests[0].status,
    )


async def test_commit_late_commits_nothing_after_the_emulator_stops() -> None:
    async with Emulator() as emulator, Caller(emulator) as caller:
        emulator.inject(Fault.commit_late(0.05))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await create(caller)
    await asyncio.sleep(0.1)

    assert {} == emulator.state["series"]


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (None, None),
        (3, "3"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("-1", "-1"),
        ("٣", "٣"),
    ],
)
async def test_a_throttle_sends_its_header_unchanged(
    emulator: Emulator, caller: Caller, retry_after: str | int | None, header: str | None
) -> None:
    emulator.inject(Fault.throttle(retry_after))
    response, _ = await create(caller)

    assert (429, header) == (response.status, response.headers.get("Retry-After"))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({"status": "error", "message": "x/y"}, "application/json"),
        ([{"status": "error"}], "application/json"),
        ("<p>hola</p>", "text/html"),
        (b"\xff\x00", "application/json"),
    ],
)
async def test_a_status_carries_any_body(emulator: Emulator, caller: Caller, body: Any, content_type: str) -> None:
    emulator.inject(Fault.status(400, body=body))
    response, received = await create(caller)

    assert content_type == response.content_type
    expected = body if isinstance(body, bytes) else None
    assert body == (expected or (received.decode() if isinstance(body, str) else json.loads(received)))
    assert expected is None or expected == received


async def test_a_status_carries_headers(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.status(302, headers={"Location": "http://127.0.0.1:1/x", "Content-Type": "text/x"}))
    response, _ = await create(caller)

    assert (302, "http://127.0.0.1:1/x", "text/x") == (
        response.status,
        response.headers["Location"],
        response.content_type,
    )


async def test_the_fault_garbage_answers_with_invalid_json(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.garbage())
    _, body = await create(caller)

    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_a_fault_affects_only_its_endpoint_and_the_given_number_of_times(
    emulator: Emulator, caller: Caller
) -> None:
    emulator.inject(Fault.status(500), endpoint="series.list", times=2)
    statuses = [
        await caller.status("GET", "/v1/current/account"),
        await caller.status("GET", "/v4/series"),
        await caller.status("GET", "/v1/current/account"),
        await caller.status("GET", "/v4/series"),
        await caller.status("GET", "/v4/series"),
    ]

    assert [200, 500, 200, 500, 200] == statuses


async def test_a_fault_with_skip_spares_the_first_requests(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.status(500), skip=2)

    assert [200, 200, 500, 200] == [await caller.status("GET", "/v4/series") for _ in range(4)]


async def test_a_fault_without_end_ends_when_faults_are_cleared(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.status(500), times=None)

    assert [500, 500, 500] == [await caller.status("GET", "/v4/series") for _ in range(3)]
    emulator.clear_faults()
    assert 200 == await caller.status("GET", "/v4/series")


async def test_of_several_faults_the_one_injected_first_is_used_first(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.status(500), skip=1)
    emulator.inject(Fault.status(501))
    emulator.inject(Fault.status(501))

    assert [501, 500, 501, 200] == [await caller.status("GET", "/v4/series") for _ in range(4)]


async def test_a_fault_for_any_request_affects_unknown_paths_too(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.status(500))

    assert 500 == await caller.status("GET", "/nowhere")


async def statuses_at_random(seed: int) -> list[int]:
    async with Emulator(seed=seed) as emulator, Caller(emulator) as caller:
        emulator.inject(Fault.status(500), probability=0.3, times=None)
        return [await caller.status("GET", "/v4/series") for _ in range(100)]


async def test_random_faults_are_determined_by_the_seed() -> None:
    first = await statuses_at_random(1)

    assert first == await statuses_at_random(1)
    assert first != await statuses_at_random(2)
    assert 15 <= first.count(500) <= 45


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"endpoint": "series.creat"}, "endpoint"),
        ({"times": 0}, "times"),
        ({"probability": 1.1}, "probability"),
        ({"skip": -1}, "skip"),
    ],
)
def test_inject_refuses_invalid_arguments(order: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Emulator().inject(Fault.garbage(), **order)

    assert field == caught.value.field


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault.delay(-1),
        lambda: Fault.delay_answer(float("nan")),
        lambda: Fault.commit_late(float("inf")),
        lambda: Fault.commit_twice(-1),
        lambda: Fault.stale(-1),
        lambda: Fault.status(99),
        lambda: Fault.status(600),
    ],
)
def test_a_fault_with_invalid_values_is_refused(make: Any) -> None:
    with pytest.raises(InvalidInputError):
        make()


def test_a_fault_has_a_repr_equality_a_hash_and_a_pickle() -> None:
    assert "Fault.throttle('3')" == repr(Fault.throttle("3"))
    assert Fault.status(500, body={"a": 1}) == Fault.status(500, body={"a": 1}) != Fault.status(501)
    assert 1 == len({Fault.status(500, headers={"a": "b"}), Fault.status(500, headers={"a": "b"})})
    assert Fault.delay(1) == pickle.loads(pickle.dumps(Fault.delay(1)))  # our own bytes


async def test_each_call_takes_the_latency() -> None:
    async with Emulator(latency=0.1) as emulator, Caller(emulator) as caller:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(create(caller), create(caller), create(caller))

        assert pytest.approx(0.1) == asyncio.get_running_loop().time() - began
        assert 3 == emulator.in_flight_max


@pytest.mark.parametrize("seconds", [0, 5])
async def test_commit_twice_answers_once(emulator: Emulator, caller: Caller, seconds: float) -> None:
    emulator.inject(Fault.commit_twice(seconds))
    await create(caller)
    assert (1 if seconds else 2) == len(emulator.state["series"])
    await asyncio.sleep(seconds + 0.1)
    assert (2, 1) == (len(emulator.state["series"]), emulator.count("series.create"))


async def test_a_stale_read_lacks_recent_rows(emulator: Emulator, caller: Caller) -> None:
    uid = emulator.add_serie("607a062eae2bb", letra="A", tipo_documento="factura")
    await create(caller)
    empresa = emulator.add_empresa(rfc="EKU9003173C9", created_at=asyncio.get_running_loop().time())

    async def read(path: str) -> Any:
        _, body = await caller.raw("GET", path)
        return json.loads(body)

    for seconds, fresh in ((60, False), (60, False), (1, True)):
        await asyncio.sleep(2)
        emulator.inject(Fault.stale(seconds), times=4)
        series = {row["SerieID"] for row in (await read("/v4/series"))["data"]}
        empresas = {row["uid"] for row in (await read("/v1/accounts"))["data"]}
        newest = next(reversed(emulator.state["series"]))
        detail = await read(f"/v4/series/{newest}")
        assert (fresh, fresh, fresh) == (newest in series, empresa in empresas, detail["status"] == "success")
        assert uid in series
        assert fresh == ((await read(f"/v1/account/{empresa}"))["status"] == "success")
    assert 2 == len((await read("/v4/series"))["data"])
