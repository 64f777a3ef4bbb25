"""Spans and metrics of a session, with OpenTelemetry.

It needs the extra ``opentelemetry``. ::

    async with SessionManager(instrument(Config(base_url=SANDBOX))) as session:
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from attrs import define, evolve
from opentelemetry import context, metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from facturaonline_async._endpoints import ENDPOINTS
from facturaonline_async._messages import message
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.events import AttemptEvent, Event, HoldEvent

__all__ = ["instrument"]

_SCOPE: Final = "facturaonline_async"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.36.0"
_NANOSECONDS: Final = 1_000_000_000

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Boundaries that the semantic conventions ask for, in seconds."""

_LONG_BUCKETS: Final = (0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)

_MAX_OPEN: Final = 8
"""Maximum number of unfinished calls per task; more were left while they waited for a retry."""

_Attributes = dict[str, AttributeValue]


def instrument(
    config: Config,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Config:
    """Return settings whose sessions report spans and metrics.

    **Spans.** Each call has a span of the kind INTERNAL with the name of its endpoint (``series.create``), a child of
    the span that is current where the call is made. In it, each attempt has a span of the kind CLIENT, with the stable
    semantic conventions of HTTP: ``http.request.method``, ``server.address``, ``server.port``, ``url.full``,
    ``url.template``, ``http.response.status_code``, ``http.request.resend_count`` and ``error.type``, the class of the
    error. An attempt that failed has the status ERROR, and so has its call if no later attempt succeeded; refusals that
    the API sends with HTTP 200 count as failed. Spans hold no key, header or body; ``facturaonline.key`` is
    `Credentials.fingerprint`.

    **Metrics.** ``http.client.request.duration`` (attempts, in seconds), ``facturaonline.client.wait.duration`` (waits
    for the rate limiter and for a free slot), ``facturaonline.client.retries``, and
    ``facturaonline.client.hold.duration`` (pauses that the server asked for).

    A call reports at the end of each attempt. A call that is cancelled, or refused before its first attempt, reports
    nothing; a call that is cancelled while it waits for a retry ends with its last attempt.

    Args:
        config: settings; ``on_event`` still gets every event, and ``base_url`` must be set.
        tracer_provider: None: the global one.
        meter_provider: None: the global one.

    Raises:
        InvalidInputError: ``config`` has no ``base_url``.

    """
    if config.base_url is None:
        raise InvalidInputError(message("values.config_without_base_url"), field="config")
    tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider, schema_url=_SCHEMA)
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider, schema_url=_SCHEMA)
    return evolve(config, on_event=_Observer(config.base_url, config.on_event, tracer, meter))


@define
class _Call:
    """A call that has had an attempt.

    Attributes:
        event: its last attempt.
        span: its span.
        ended_at: when that attempt ended, in nanoseconds since 1970.

    """

    event: AttemptEvent
    span: Span
    ended_at: int

    def end(self) -> None:
        """End the span with the last attempt."""
        self.span.end(self.ended_at)


class _Observer:
    """What a session calls with each event."""

    def __init__(
        self,
        base_url: str,
        on_event: Callable[[Event], None] | None,
        tracer: trace.Tracer,
        meter: metrics.Meter,
    ) -> None:
        self._next = on_event
        self._tracer = tracer
        self._base_url = base_url
        parts = urlsplit(self._base_url)
        self._server: _Attributes = {
            "server.address": parts.hostname or "",
            "server.port": parts.port or (80 if parts.scheme == "http" else 443),
        }
        self._calls: WeakKeyDictionary[asyncio.Task[object], list[_Call]] = WeakKeyDictionary()
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._wait = meter.create_histogram(
            "facturaonline.client.wait.duration",
            unit="s",
            description="Time that attempts waited for the rate limiter and for a free slot.",
            explicit_bucket_boundaries_advisory=_LONG_BUCKETS,
        )
        self._retries = meter.create_counter(
            "facturaonline.client.retries", unit="{retry}", description="Attempts after the first one of a call."
        )
        self._holds = meter.create_histogram(
            "facturaonline.client.hold.duration",
            unit="s",
            description="Pauses of all calls of a key pair that the server asked for.",
            explicit_bucket_boundaries_advisory=_LONG_BUCKETS,
        )

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptEvent):
            self._record_attempt(event)
        elif isinstance(event, HoldEvent):
            self._holds.record(event.seconds, self._server | {"facturaonline.endpoint": event.endpoint})
        if self._next is not None:
            self._next(event)

    def _record_attempt(self, event: AttemptEvent) -> None:
        endpoint, now = ENDPOINTS[event.endpoint], time.time_ns()
        request: _Attributes = {
            "http.request.method": endpoint.method,
            "url.template": endpoint.path,
            **self._server,
        }
        if event.status is not None:
            request["http.response.status_code"] = event.status
        if event.outcome != "ok":
            request["error.type"] = event.outcome
        self._duration.record(event.took, request)
        named: _Attributes = self._server | {"facturaonline.endpoint": event.endpoint}
        self._wait.record(event.waited, named)
        if event.attempt > 1:
            self._retries.add(1, named)
        began = now - int(event.took * _NANOSECONDS)
        call = self._call_of(event, began)
        call.event, call.ended_at = event, now
        attempt = self._tracer.start_span(
            f"{endpoint.method} {endpoint.path}",
            trace.set_span_in_context(call.span),
            SpanKind.CLIENT,
            request | self._details(event, endpoint.path),
            start_time=began,
        )
        _end(attempt, event, now)
        if event.pause is None:
            _end(call.span, event, now)

    def _details(self, event: AttemptEvent, path: str) -> _Attributes:
        """Return attributes of too many values for a metric."""
        uid = "" if event.uid is None else str(event.uid)
        details: _Attributes = {"url.full": self._base_url + path.replace("{uid}", uid)}
        if event.attempt > 1:
            details["http.request.resend_count"] = event.attempt - 1
        return details

    # ── Calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _call_of(self, event: AttemptEvent, began: int) -> _Call:
        """Return the call of an attempt.

        The attempts of a call end in one task, in their order. Between two of them, the same task may make other calls,
        which read whether the first one was done.
        """
        task = asyncio.current_task()
        calls = self._calls.get(task, []) if task is not None else []
        call = next((each for each in reversed(calls) if _is_next(each.event, event)), None)
        if call is not None:
            if event.pause is None:
                calls.remove(call)
            return call
        attributes: _Attributes = {
            "facturaonline.endpoint": event.endpoint,
            "facturaonline.key": event.key,
            **({} if event.uid is None else {"facturaonline.uid": str(event.uid)}),
        }
        span = self._tracer.start_span(
            event.endpoint,
            context.get_current(),
            attributes=attributes,
            start_time=began - int(event.waited * _NANOSECONDS),
        )
        call = _Call(event, span, began)
        if event.pause is not None:
            if task is not None and task not in self._calls:
                self._calls[task] = calls
                task.add_done_callback(self._end_calls)
            calls.append(call)
            if len(calls) > _MAX_OPEN:
                calls.pop(0).end()
        return call

    def _end_calls(self, task: asyncio.Task[object]) -> None:
        """End the calls that a task left while they waited for a retry."""
        for call in self._calls.pop(task, []):
            call.end()


def _is_next(before: AttemptEvent, event: AttemptEvent) -> bool:
    """Return whether an attempt follows another one of the same call."""
    return (before.endpoint, before.uid, before.key, before.attempt + 1) == (
        event.endpoint,
        event.uid,
        event.key,
        event.attempt,
    )


def _end(span: Span, event: AttemptEvent, now: int) -> None:
    if event.outcome != "ok":
        span.set_attribute("error.type", event.outcome)
        span.set_status(Status(StatusCode.ERROR, event.outcome))
    span.end(now)
