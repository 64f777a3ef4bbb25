"""Spans and metrics with OpenTelemetry, on the console.

    python with_opentelemetry.py 4711

It reads the series of the account and one by its uid. In a service, put your exporters in place of those for the
console, such as ``OTLPSpanExporter``. Keys and base URL come from the environment: FACTURAONLINE_API_KEY,
FACTURAONLINE_SECRET_KEY, FACTURAONLINE_BASE_URL.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from facturaonline_async import Config, FacturaOnlineError, connect
from facturaonline_async.opentelemetry import instrument


async def main(uid: int) -> None:
    """Make two calls in a span of the application, and export what was reported."""
    resource = Resource.create({"service.name": "altas"})
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    figures = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())], resource=resource)
    config = instrument(
        Config(base_url=os.environ["FACTURAONLINE_BASE_URL"]), tracer_provider=traces, meter_provider=figures
    )
    try:
        async with connect(config=config) as client:
            with traces.get_tracer(__name__).start_as_current_span("report"):
                await client.series.list()
                with suppress(FacturaOnlineError):  # the spans of the call have the status ERROR
                    await client.series.get(uid)
    finally:
        traces.shutdown()
        figures.shutdown()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
