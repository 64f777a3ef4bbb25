"""Spans and metrics of calls and attempts, read from the SDK's memory exporters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry's SDK is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from facturaonline_async import (
    Config,
    Event,
    FacturaOnline,
    InvalidInputError,
    NotFoundError,
    ServerError,
    SessionManager,
)
from facturaonline_async.opentelemetry import instrument
from facturaonline_async.testing import Emulator, Fault

pytestmark = pytest.mark.virtual_clock


class Memory:
    """Spans and metrics of a test."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.metrics = MeterProvider([self.reader])

    def instrument(self, config: Config) -> Config:
        return instrument(config, tracer_provider=self.traces, meter_provider=self.metrics)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if not name or span.name == name]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [each for group in data.resource_metrics for scope in group.scope_metrics for each in scope.metrics]
        return [point for each in found if each.name == name for point in each.data.data_points]


@pytest.fixture
def memory() -> Iterator[Memory]:
    memory = Memory()
    yield memory
    memory.traces.shutdown()
    memory.metrics.shutdown()


@asynccontextmanager
async def observed(memory: Memory, **config: Any) -> AsyncIterator[tuple[Emulator, FacturaOnline]]:
    async with Emulator() as emulator:
        settings = memory.instrument(Config(base_url=emulator.base_url, **config))
        async with SessionManager(settings) as session:
            yield emulator, FacturaOnline(session, emulator.credentials)


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def number(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


async def test_a_call_has_a_span_with_one_of_its_attempt_below_the_callers(memory: Memory) -> None:
    async with observed(memory) as (emulator, client):
        with memory.traces.get_tracer("tests").start_as_current_span("request"):
            await client.series.list()
    attempt, call, request = memory.spans()
    assert [span.name for span in (attempt, call, request)] == ["GET /v4/series", "series.list", "request"]
    assert (parent(attempt), parent(call)) == (number(call), number(request))
    assert (attempt.kind, call.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    port = int(emulator.base_url.split(":")[-1].removesuffix("/api"))
    assert dict(attempt.attributes or {}) == {
        "http.request.method": "GET",
        "url.template": "/v4/series",
        "url.full": f"{emulator.base_url}/v4/series",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
    }
    assert dict(call.attributes or {}) == {
        "facturaonline.endpoint": "series.list",
        "facturaonline.key": emulator.credentials.fingerprint,
    }
    assert [span.status.status_code for span in (attempt, call)] == [StatusCode.UNSET] * 2


async def test_a_call_that_is_retried_has_a_span_for_each_attempt(memory: Memory) -> None:
    async with observed(memory) as (emulator, client):
        emulator.inject(Fault.status(503), endpoint="series.list", times=2)
        await client.series.list()
    attempts, (call,) = memory.spans("GET /v4/series"), memory.spans("series.list")
    assert [parent(span) for span in attempts] == [number(call)] * 3
    found = [dict(span.attributes or {}) for span in attempts]
    assert [each.get("http.request.resend_count") for each in found] == [None, 1, 2]
    assert [each["http.response.status_code"] for each in found] == [503, 503, 200]
    assert [each.get("error.type") for each in found] == ["ServerError", "ServerError", None]
    assert [span.status.status_code for span in (*attempts, call)] == [
        *[StatusCode.ERROR] * 2,
        *[StatusCode.UNSET] * 2,
    ]


async def test_a_refusal_with_http_200_is_an_error_of_its_attempt_and_its_call(memory: Memory) -> None:
    async with observed(memory) as (_, client):
        with pytest.raises(NotFoundError):
            await client.series.get(7)
    attempt, call = memory.spans()
    assert [span.status.status_code for span in (attempt, call)] == [StatusCode.ERROR] * 2
    assert ((attempt.attributes or {})["error.type"], (call.attributes or {})["error.type"]) == ("NotFoundError",) * 2
    assert str((attempt.attributes or {})["url.full"]).endswith("/v4/series/7")
    assert (call.attributes or {})["facturaonline.uid"] == "7"


async def test_the_spans_of_concurrent_calls_are_not_mixed(memory: Memory) -> None:
    async with observed(memory, rates=()) as (emulator, client):
        emulator.inject(Fault.status(500), endpoint="series.get", times=None, probability=0.5)
        await asyncio.gather(*(client.series.get(uid) for uid in range(1, 40)), return_exceptions=True)
        sent = emulator.count("series.get")
    calls = {number(span): (span.attributes or {})["facturaonline.uid"] for span in memory.spans("series.get")}
    attempts = memory.spans("GET /v4/series/{uid}")
    assert (len(calls), len(attempts)) == (39, sent)
    urls = {(calls[parent(span) or 0], str((span.attributes or {})["url.full"]).split("/")[-1]) for span in attempts}
    assert {(uid, uid) for uid in map(str, range(1, 40))} == urls


async def test_reads_between_two_attempts_of_a_write_are_calls_of_their_own(memory: Memory) -> None:
    async with observed(memory) as (emulator, client):
        (main,) = emulator.state["empresas"]
        uid = emulator.add_serie(main, letra="F", tipo_documento="factura")
        emulator.inject(Fault.drop_before_commit(), endpoint="series.deactivate")
        await client.series.deactivate(uid)
    calls = {number(span): span.name for span in memory.spans() if span.kind is SpanKind.INTERNAL}
    attempts = [span for span in memory.spans() if span.kind is SpanKind.CLIENT]
    names = [calls[parent(span) or 0] for span in attempts]
    assert names.count("series.deactivate") == 2
    assert sorted(calls.values()).count("series.deactivate") == 1
    assert len(names) == sum(emulator.count(name) for name in set(names))


async def test_a_call_that_is_left_between_its_attempts_ends_with_the_last_one(memory: Memory) -> None:
    async with observed(memory) as (emulator, client):
        emulator.inject(Fault.throttle(60), endpoint="series.list")

        async def leave() -> None:
            async with asyncio.timeout(5):
                await client.series.list()

        with pytest.raises(TimeoutError):
            await asyncio.create_task(leave())
        await asyncio.sleep(0)
    attempt, call = memory.spans()
    assert (call.name, parent(attempt), call.end_time) == ("series.list", number(call), attempt.end_time)


async def test_a_task_gets_one_callback_for_all_its_calls_that_are_retried_and_none_without_them(
    memory: Memory,
) -> None:
    async with observed(memory) as (emulator, client):
        task: Any = asyncio.current_task()

        def callbacks() -> int:
            return sum("_end_calls" in repr(each) for each, _ in task._callbacks or ())

        await client.series.list()
        assert callbacks() == 0
        for _ in range(3):
            emulator.inject(Fault.status(503), endpoint="series.list")
            await client.series.list()
        assert callbacks() == 1
    assert len(memory.spans("series.list")) == 4


async def test_metrics_count_attempts_waits_retries_and_holds(memory: Memory) -> None:
    async with observed(memory) as (emulator, client):
        emulator.inject(Fault.throttle(30), endpoint="series.list")
        await client.series.list()
        with pytest.raises(NotFoundError):
            await client.series.get(7)
    statuses = {
        (point.attributes["url.template"], point.attributes["http.response.status_code"]): point.count
        for point in memory.points("http.client.request.duration")
    }
    assert statuses == {("/v4/series", 429): 1, ("/v4/series", 200): 1, ("/v4/series/{uid}", 200): 1}
    assert [point.value for point in memory.points("facturaonline.client.retries")] == [1]
    assert [(point.count, point.sum) for point in memory.points("facturaonline.client.hold.duration")] == [(1, 30.0)]
    waits = {
        point.attributes["facturaonline.endpoint"]: point.count
        for point in memory.points("facturaonline.client.wait.duration")
    }
    assert waits == {"series.list": 2, "series.get": 1}


async def test_the_programs_own_listener_still_gets_every_event(memory: Memory) -> None:
    events: list[Event] = []
    async with observed(memory, on_event=events.append) as (emulator, client):
        emulator.inject(Fault.status(500), endpoint="series.list", times=None)
        with pytest.raises(ServerError):
            await client.series.list()
    assert len(events) == len(memory.spans("GET /v4/series")) == 4


async def test_spans_hold_no_key(memory: Memory) -> None:
    async with observed(memory) as (emulator, client):
        await client.series.create(letra="F", tipo_documento="factura")
        await client.empresas.list()
        keys = [emulator.credentials.api_key.reveal(), emulator.credentials.secret_key.reveal()]
    written = "".join(span.to_json() for span in memory.spans())
    assert [key for key in keys if key in written] == []


def test_settings_without_a_base_url_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="base_url") as refused:
        instrument(Config())
    assert refused.value.field == "config"


def test_settings_that_are_not_instrumented_call_nothing() -> None:
    assert Config(base_url="https://sandbox.facturaonline.com.mx/api").on_event is None
