"""The example programs for OpenTelemetry, Prometheus and Sentry, each with the real exporter."""

from __future__ import annotations

import asyncio
import base64
import csv
import gzip
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from facturaonline_async.testing import Emulator, Fault, emulator_in_thread
from tests.integrations.programs import EXAMPLES, environment, make_plan, started

pytestmark = pytest.mark.integrations

FOLDER = EXAMPLES / "observability"


# ── OpenTelemetry ─────────────────────────────────────────────────────────────────────────────────────────────────────


def exported(printed: str) -> list[dict[str, Any]]:
    """Return the JSON documents that the exporters for the console have printed."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while (place := printed.find("{", place)) >= 0:
        document, place = decoder.raw_decode(printed, place)
        found.append(document)
    return found


async def test_opentelemetry_exports_a_failed_call_with_its_status_and_http_attributes() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is not installed")
    with emulator_in_thread() as emulator:
        emulator.inject(Fault.status(500), endpoint="series.list")
        async with started(str(FOLDER / "with_opentelemetry.py"), "4711", env=environment(emulator)) as program:
            assert await program.ended() == 0, program.lines
        port = int(emulator.base_url.split(":")[2].split("/")[0])
    *spans, metrics = exported("".join(program.lines))
    by_id = {span["context"]["span_id"]: span for span in spans}
    told = [(span["name"], span["kind"], span["status"]["status_code"]) for span in spans]
    assert told == [
        ("GET /v4/series", "SpanKind.CLIENT", "ERROR"),
        ("GET /v4/series", "SpanKind.CLIENT", "UNSET"),
        ("series.list", "SpanKind.INTERNAL", "UNSET"),
        ("GET /v4/series/{uid}", "SpanKind.CLIENT", "ERROR"),
        ("series.get", "SpanKind.INTERNAL", "ERROR"),
        ("report", "SpanKind.INTERNAL", "UNSET"),
    ]
    names = [by_id[span["parent_id"]]["name"] for span in spans[:-1]]
    assert names == ["series.list", "series.list", "report", "series.get", "report"]
    first, second, failed = spans[0]["attributes"], spans[1]["attributes"], spans[3]["attributes"]
    assert (first["http.response.status_code"], first["error.type"]) == (500, "ServerError")
    assert (second["http.response.status_code"], second["http.request.resend_count"]) == (200, 1)
    assert failed == {
        "http.request.method": "GET",
        "url.template": "/v4/series/{uid}",
        "url.full": f"{emulator.base_url}/v4/series/4711",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": failed["http.response.status_code"],
        "error.type": "NotFoundError",
    }
    (scope,) = metrics["resource_metrics"][0]["scope_metrics"]
    counted = {
        each["name"]: sum(point.get("count", point.get("value")) for point in each["data"]["data_points"])
        for each in scope["metrics"]
    }
    assert counted == {
        "http.client.request.duration": 3,
        "facturaonline.client.wait.duration": 3,
        "facturaonline.client.retries": 1,
    }
    assert emulator.credentials.api_key.reveal() not in "".join(program.lines)


# ── Prometheus ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_prometheus_reads_attempts_retries_and_pauses() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    with emulator_in_thread() as emulator:
        emulator.inject(Fault.status(500), endpoint="series.list")
        emulator.inject(Fault.throttle(1), endpoint="series.list")
        async with (
            started(str(FOLDER / "with_prometheus.py"), "--port", "0", env=environment(emulator)) as program,
            aiohttp.ClientSession() as http,
        ):
            url = await program.said(r"metrics: (http://\S+)")
            done = 'facturaonline_attempt_seconds_count{endpoint="series.list",outcome="ok"} 1.0'
            while done not in (text := await (await http.get(url)).text()):
                await asyncio.sleep(0.05)
            program.process.send_signal(signal.SIGTERM)
            assert (await program.ended(), program.lines[1:]) == (0, [])
    figures = dict(re.findall(r"^(facturaonline_\S+) (\S+)$", text, re.MULTILINE))
    assert figures['facturaonline_attempt_seconds_count{endpoint="series.list",outcome="ServerError"}'] == "1.0"
    assert figures['facturaonline_attempt_seconds_count{endpoint="series.list",outcome="RateLimitError"}'] == "1.0"
    assert figures['facturaonline_retries_total{endpoint="series.list"}'] == "2.0"
    assert figures["facturaonline_hold_seconds_total"] == "1.0"
    assert {"facturaonline_waiting", "facturaonline_in_flight"} <= figures.keys()


# ── Sentry ────────────────────────────────────────────────────────────────────────────────────────────────────────────

REFUSAL = Fault.status(200, body={"status": "error", "message": {"cer": ["No es válido."]}})

#: Sentry's own scrubber would hide what the library does not.
WITHOUT_SCRUBBER = """
import functools, runpy, sys, sentry_sdk
from sentry_sdk.scrubber import EventScrubber
sentry_sdk.init = functools.partial(sentry_sdk.init, event_scrubber=EventScrubber(denylist=[]))
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@asynccontextmanager
async def sentry() -> AsyncIterator[tuple[str, list[str]]]:
    """Serve what Sentry's clients send their events to; give its DSN, and what has come."""
    came: list[str] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has decompressed it
        came.append((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode())
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/api/1/envelope/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://public@127.0.0.1:{runner.addresses[0][1]}/1", came
    finally:
        await runner.cleanup()


def secrets(emulator: Emulator, plan: Path) -> list[str]:
    """Return what no event may hold: keys, the password of the sello, and its files in every spelling."""
    keys = emulator.credentials
    with plan.open(encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    files = [(plan.parent / row[name]).read_bytes() for name in ("cer", "key")]
    spellings = [text for data in files for text in (repr(data[40:60])[2:-1], base64.b64encode(data[:60]).decode())]
    return [keys.api_key.reveal(), keys.secret_key.reveal(), row["password"], *spellings]


@pytest.mark.parametrize(
    ("fault", "endpoint", "happened"),
    [
        pytest.param(REFUSAL, "empresas.create", "no", id="a refused field"),
        pytest.param(Fault.drop_before_commit(), "empresas.list", "perhaps", id="a lost connection"),
    ],
)
async def test_sentry_gets_an_error_with_its_frames_and_without_any_secret(
    tmp_path: Path, fault: Fault, endpoint: str, happened: str
) -> None:
    pytest.importorskip("sentry_sdk", reason="sentry-sdk is not installed")
    make_plan(tmp_path / "plan", 1)
    plan = tmp_path / "plan" / "plan.csv"
    with emulator_in_thread() as emulator:
        emulator.inject(fault, endpoint=endpoint, times=None)
        async with sentry() as (dsn, came):
            env = environment(emulator, SENTRY_DSN=dsn, SETTLE="0")
            program = str(FOLDER / "with_sentry.py")
            async with started("-c", WITHOUT_SCRUBBER, program, str(plan), env=env) as running:
                assert await running.ended() == 1, running.lines
        (event,) = [json.loads(line) for envelope in came for line in envelope.splitlines() if '"exception"' in line]
        assert [secret for secret in secrets(emulator, plan) if secret in str(came)] == []
    assert (event["tags"]["endpoint"], event["tags"]["happened"]) == (endpoint, happened)
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[0]["function"] == "main"
    assert "NuevaEmpresa(" in frames[0]["vars"]["nueva"]  # locals are sent, and show no secret
