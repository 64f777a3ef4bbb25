"""Negative controls: with a safeguard taken away, the tests that watch it fail."""

from __future__ import annotations

import aiohttp
import pytest

from facturaonline_async import connect
from facturaonline_async._core import retry
from facturaonline_async._core.protocol import envelope
from facturaonline_async.testing import Emulator, Fault
from tests.matrix.play import play
from tests.matrix.stage import CREATE, OPERATIONS, QUICK, READ
from tests.matrix.table import ROWS

pytestmark = pytest.mark.virtual_clock


async def test_a_policy_that_retries_creates_makes_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_safe_action", lambda error, endpoint: retry.Action.REPEAT)
    async with Emulator() as emulator:
        emulator.inject(Fault.drop_after_commit(), endpoint="series.create", times=1)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            await client.series.create(letra="F", tipo_documento="factura")
        assert len(emulator.state["series"]) == 2


async def test_the_search_finds_secrets_if_redaction_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "redact", lambda text, secrets=(): text)
    row = next(row for row in ROWS if row.name == "the API says no")
    for operation in OPERATIONS:
        assert (await play(row, operation)).leaked != ()


async def test_the_search_finds_the_keys_if_headers_are_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope.Headers, "__repr__", lambda headers: str(dict(headers)))
    row = next(row for row in ROWS if row.number == 8)
    assert (await play(row, READ)).leaked != ()


async def test_another_host_gets_a_request_if_redirects_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    request = aiohttp.ClientSession.request

    def followed(self: aiohttp.ClientSession, *args: object, **how: object) -> object:
        return request(self, *args, **{**how, "allow_redirects": True})  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.ClientSession, "request", followed)
    row = next(row for row in ROWS if row.name == "307")
    assert (await play(row, CREATE)).strangers == 1
