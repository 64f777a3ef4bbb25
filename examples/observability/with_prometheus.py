"""Metrics for Prometheus, from the events and figures of a session.

    python with_prometheus.py --port 9100

Keys and base URL come from the environment: FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY, FACTURAONLINE_BASE_URL.
The program reads the series of the account once a minute, until SIGTERM or Ctrl-C; copy `Metrics` and `observe` into
your service.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from facturaonline_async import Config, FacturaOnline, FacturaOnlineError, SessionManager, connect
from facturaonline_async.events import AttemptEvent, Event, HoldEvent

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counts the events of a session; it is called in the event loop, and takes microseconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        endpoint = ["endpoint"]
        self._took = Histogram(
            "facturaonline_attempt_seconds",
            "Time of attempts.",
            [*endpoint, "outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._waited = Histogram(
            "facturaonline_wait_seconds", "Time that attempts waited for the limiter.", endpoint, buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._retries = Counter("facturaonline_retries", "Attempts after the first one.", endpoint, registry=registry)
        self._held = Counter("facturaonline_hold_seconds", "Pauses that the server asked for.", registry=registry)
        self._waiting = Gauge("facturaonline_waiting", "Calls that wait for their turn.", registry=registry)
        self._in_flight = Gauge("facturaonline_in_flight", "Calls in flight.", registry=registry)

    def __call__(self, event: Event) -> None:
        """Count an event; the fingerprint of the keys is no label, because each company has keys of its own."""
        if isinstance(event, AttemptEvent):
            self._took.labels(event.endpoint, event.outcome).observe(event.took)
            self._waited.labels(event.endpoint).observe(event.waited)
            if event.attempt > 1:
                self._retries.labels(event.endpoint).inc()
        elif isinstance(event, HoldEvent):
            self._held.inc(event.seconds)

    async def observe(self, session: SessionManager) -> None:
        """Show how many calls wait and are in flight, every second: Prometheus asks in a thread of its own."""
        while True:
            self._waiting.set(session.stats.waiting)
            self._in_flight.set(session.stats.in_flight)
            await asyncio.sleep(1)


async def work(client: FacturaOnline) -> None:
    """Read the series once a minute."""
    while True:
        with suppress(FacturaOnlineError):  # it is counted
            await client.series.list()
        await asyncio.sleep(60)


async def main(port: int) -> None:
    """Serve metrics until SIGTERM or Ctrl-C."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    server, thread = start_http_server(port, "127.0.0.1", registry)
    print(f"metrics: http://127.0.0.1:{server.server_port}/metrics", flush=True)
    try:
        async with connect(config=Config(on_event=metrics)) as client, asyncio.TaskGroup() as tasks:
            observing = tasks.create_task(metrics.observe(client.session))
            working = tasks.create_task(work(client))
            working.add_done_callback(lambda _: observing.cancel())
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    finally:
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve metrics for Prometheus.")
    parser.add_argument("--port", type=int, default=9100)
    asyncio.run(main(parser.parse_args().port))
