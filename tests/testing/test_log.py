"""The log holds every request in order, and no secret."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import attrs
import pytest

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing import Emulator, Fault, Request
from facturaonline_async.testing._emulator.request_bodies import UploadedFile

from . import samples
from .caller import CSD, FIEL, Caller, headers, upload

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"


async def test_a_row_has_the_request_and_its_outcome(emulator: Emulator, caller: Caller) -> None:
    before = asyncio.get_running_loop().time()
    await caller.post("/v4/series/create?a=1&a=2", json={"letra": "F", "tipoDocumento": "factura", "folio": 7})
    (row,) = emulator.requests

    assert before <= row.at <= asyncio.get_running_loop().time()
    assert (
        Request(
            number=1,
            at=row.at,
            endpoint="series.create",
            method="POST",
            path="/api/v4/series/create",
            query={"a": "2"},
            empresa=MAIN,
            content_type="application/json",
            fields={"letra": "F", "tipoDocumento": "factura", "folio": 7},
            files={},
            status=200,
            committed=True,
            fault=None,
        )
        == row
    )
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        row.status = 500  # type: ignore[misc]


async def test_refused_calls_are_not_committed(emulator: Emulator, caller: Caller) -> None:
    await caller.raw("GET", "/v4/series", headers={})
    await caller.raw("GET", "/v4/series/1")
    await caller.raw("POST", f"/v4/account/{MAIN}/delete")
    await caller.raw("GET", "/nowhere")

    assert [
        ("series.list", None, 200, False),
        ("series.get", MAIN, 200, False),
        ("empresas.delete", MAIN, 405, False),
        ("", MAIN, 404, False),
    ] == [(row.endpoint, row.empresa, row.status, row.committed) for row in emulator.requests]


async def test_files_are_logged_by_their_fingerprints(emulator: Emulator, caller: Caller) -> None:
    await caller.post("/v4/account/create", data=upload())
    (row,) = emulator.requests

    assert {
        name: UploadedFile(f"my.{name[-3:]}", len(content), hashlib.sha256(content).hexdigest())
        for name, content in {**CSD, **FIEL}.items()
    } == row.files


async def test_base64_files_are_logged_by_the_fingerprints_of_their_bytes(emulator: Emulator, caller: Caller) -> None:
    texts = {"csd_cer_b64": base64.b64encode(CSD["cer"]).decode(), "csd_key_b64": base64.b64encode(CSD["key"]).decode()}
    await caller.post("/v4/account/create", data={"razons": "x", **texts})
    (row,) = emulator.requests

    assert {"razons": "x", "csd_cer_b64": "<file>", "csd_key_b64": "<file>"} == row.fields
    assert {
        "csd_cer_b64": UploadedFile("", len(CSD["cer"]), hashlib.sha256(CSD["cer"]).hexdigest()),
        "csd_key_b64": UploadedFile("", len(CSD["key"]), hashlib.sha256(CSD["key"]).hexdigest()),
    } == row.files


async def test_the_log_holds_no_key_and_no_password(emulator: Emulator, caller: Caller) -> None:
    secrets = {
        "password": "secret-1",
        "fielpassword": "secret-2",
        "fielpasswordd": "secret-3",
        "smtp_password": "secret-4",
        "key": base64.b64encode(b"secret-5").decode(),
        "csd_key_b64": base64.b64encode(b"secret-6").decode(),
        "F-Secret-Key": "secret-7",
    }
    norte = headers(emulator.credentials_of(emulator.add_empresa(rfc="XIQB891116QE4")))
    emulator.inject(Fault.status(500), endpoint="empresas.current")
    await caller.post("/v4/account/create", data={**samples.FORM, **secrets})
    await caller.post("/v4/account/create", data=upload({**samples.FORM, **secrets}))
    await caller.post("/v4/series/create?secret_key=secret-8", json={**secrets, "nested": {"a": ["secret-9"]}})
    await caller.raw("GET", "/v1/current/account", headers=norte)
    text = repr(emulator.requests)

    hidden = ["secret-", *secrets.values(), *caller.headers.values(), *norte.values()]
    assert [] == [secret for secret in hidden if secret in text]
    assert "***" == emulator.requests[0].fields["smtp_password"]
    assert "<dict>" == emulator.requests[2].fields["nested"]
    assert "a@example.com" == emulator.requests[0].fields["smtp_email"]


async def test_fields_of_an_unread_body_are_not_logged(emulator: Emulator, caller: Caller) -> None:
    await caller.raw(
        "POST", "/v4/account/create", data="razons=x", headers={**caller.headers, "Content-Type": "text/x"}
    )

    assert ("text/x", {}) == (emulator.requests[0].content_type, emulator.requests[0].fields)


async def test_a_limited_log_keeps_the_last_rows_and_counts_all() -> None:
    async with Emulator(log_limit=2) as emulator, Caller(emulator) as caller:
        for letra in "ABCD":
            await caller.create_serie(letra)

        assert [(3, "C"), (4, "D")] == [(row.number, row.fields["letra"]) for row in emulator.requests]
        assert (4, 0) == (emulator.count("series.create"), emulator.count("series.list"))


async def test_a_request_beyond_the_log_limit_is_answered_and_not_logged() -> None:
    async with Emulator(log_limit=1) as emulator, Caller(emulator) as caller:
        emulator.inject(Fault.delay_answer(0.05))
        await asyncio.gather(caller.create_serie("A"), caller.create_serie("B"))

        assert 1 == len(emulator.requests)
        assert 2 == len(emulator.state["series"])


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        Emulator(log_limit=-1)


async def test_the_highest_number_of_concurrent_requests_is_kept(emulator: Emulator, caller: Caller) -> None:
    emulator.inject(Fault.delay(0.05), times=3)
    await asyncio.gather(*(caller.create_serie(letra) for letra in "ABC"))
    await caller.create_serie("D")

    assert 3 == emulator.in_flight_max


async def test_requests_are_a_snapshot(emulator: Emulator, caller: Caller) -> None:
    await caller.create_serie("A")
    earlier: Any = emulator.requests
    await caller.create_serie("B")

    assert (1, 2) == (len(earlier), len(emulator.requests))
