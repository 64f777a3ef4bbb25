"""No secret shows: not in an error, its traceback, its frames and pickles, not in a log, not in a value."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import cattrs
import pytest
from attrs import evolve, frozen
from hypothesis import given, strategies as st

from facturaonline_async import (
    CambiosEmpresa,
    Config,
    CorreoSmtp,
    Credentials,
    Empresa,
    FacturaOnline,
    FacturaOnlineError,
    NuevaEmpresa,
    Secret,
    Sello,
    SessionManager,
)
from facturaonline_async._core.http.transport import Transport
from facturaonline_async._core.protocol.envelope import RawResponse, parse_envelope
from facturaonline_async.empresas import _wire as empresas
from facturaonline_async.provision import Plan, PlanSerie
from facturaonline_async.series import _wire as series
from tests.leaks import chain, is_callers, leaks
from tests.matrix.stage import QUICK
from tests.raw import Exchange, http, raw_server

pytestmark = pytest.mark.virtual_clock

API_KEY = "JDJ5JDEwJDhhOVM4bzhXZWlSaFBoMVlUNmJuWHVuNnVQczFaZGlaQlVI"
SECRET_KEY = "JDJ5JDEwJGM1S05VVzA2dzhyOU9oSDRNVlBOei5CZ3BRZmpIVlpqUFBZ"
LISTED = "JDJ5JDEwJHNIQ01mNTFtRHFkTk9oTkZmT2oyVmVFLlB4WWxTSzFzM2pjR"
CSD, FIEL, SMTP = "clave-del-csd", "clave-del-fiel", "clave-del-correo"
KEY = b"the private key, sixteen and more bytes"
FORMS = (KEY.decode(), KEY.hex(), base64.b64encode(KEY).decode())
SECRETS = (API_KEY, SECRET_KEY, LISTED, CSD, FIEL, SMTP, *FORMS)

KEYS = Credentials(api_key=API_KEY, secret_key=SECRET_KEY)
CORREO = CorreoSmtp(email="a@b.mx", password=SMTP, host="smtp.example.mx", port=587)
NUEVA = NuevaEmpresa(
    razon_social="a",
    rfc="EKU9003173C9",
    codpos="06500",
    email="a@b.mx",
    regimen_nomina="601",
    csd=Sello(b"certificate", KEY, CSD),
    fiel=Sello(b"certificate", KEY, FIEL),
    smtp=CORREO,
)
CAMBIOS = CambiosEmpresa(csd=NUEVA.csd, fiel=NUEVA.fiel, smtp=CORREO)

CALLS: dict[str, Callable[[FacturaOnline], Awaitable[object]]] = {
    "series.list": lambda client: client.series.list(),
    "series.get": lambda client: client.series.get(7),
    "series.find": lambda client: client.series.find(letra="F", tipo_documento="factura"),
    "series.create": lambda client: client.series.create(letra="F", tipo_documento="factura"),
    "series.ensure": lambda client: client.series.ensure(letra="F", tipo_documento="factura"),
    "series.activate": lambda client: client.series.activate(7),
    "series.deactivate": lambda client: client.series.deactivate(7),
    "series.delete": lambda client: client.series.delete(7),
    "empresas.list": lambda client: client.empresas.list(),
    "empresas.current": lambda client: client.empresas.current(),
    "empresas.get": lambda client: client.empresas.get("607a062eae2bb"),
    "empresas.find": lambda client: client.empresas.find("EKU9003173C9"),
    "empresas.create": lambda client: client.empresas.create(NUEVA),
    "empresas.ensure": lambda client: client.empresas.ensure(NUEVA),
    "empresas.update": lambda client: client.empresas.update("607a062eae2bb", CAMBIOS),
    "empresas.delete": lambda client: client.empresas.delete("607a062eae2bb"),
}

TEXT = " ".join(SECRETS[:2] + SECRETS[3:])  # what was sent, given back in prose
EMPRESA = {"uid": "607a062eae2bb", "rfc": "AAA010101AA1", "api_key": LISTED, "secret_key": LISTED}
ECHO = {"Data": API_KEY, "Secret": SECRET_KEY, "acco_psswrd_cer": CSD, "acco_fiel_pwd": FIEL, "smtp_password": SMTP}


def body(value: object) -> bytes:
    return json.dumps(value).encode()


ANSWERS: dict[str, bytes] = {
    "wrong keys": http(body({"status": "error", "message": "La cuenta que intenta autenticarse no existe"} | ECHO)),
    "no, in prose": http(body({"status": "error", "message": f"no: {API_KEY} {SECRET_KEY}"} | ECHO)),
    "no, by field": http(body({"status": "error", "message": {"password": [f"x {API_KEY}"], API_KEY: ["y"]}} | ECHO)),
    "401": http(body({"message": API_KEY} | ECHO), status="401 x"),
    "404": http(body({"message": "no existe"} | ECHO), status="404 x"),
    "422": http(body({"message": "m", "errors": {"fielpassword": [SECRET_KEY]}} | ECHO), status="422 x"),
    "429": http(body(ECHO), status="429 x"),
    "500": http(body(ECHO), status="500 x"),
    "page": http(f"<html>{API_KEY} {SECRET_KEY}</html>".encode()),
    "garbage": http(f"\x00{API_KEY}\xff{LISTED}".encode("latin-1")),
    "yes, and a bad row": http(body({"status": "success", "data": [EMPRESA, EMPRESA | {"uid": None, "x": ECHO}]})),
    "yes, and a bad value": http(body({"status": "success", "data": {"acco_uid": None, "uid": {}} | EMPRESA | ECHO})),
    "yes, and nothing": http(body({"status": "success"} | ECHO)),
    "UTF-16": http(json.dumps(ECHO | {"message": API_KEY}).encode("utf-16")),
    "500 in UTF-32": http(json.dumps(ECHO | {"message": API_KEY}).encode("utf-32"), status="500 x"),
    "close": b"",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + body([EMPRESA] * 9),
    "not HTTP": f"HTTP/9 {API_KEY}\r\n\r\n".encode(),
    "bad header": f"HTTP/1.1 200 OK\r\nX\x00: {API_KEY}\r\n\r\n".encode(),
}


def shown(error: BaseException) -> list[str]:
    """Name every place that shows a secret; whoever prints locals prints them of every frame, too."""
    text = ""
    for each in chain(error):
        printed = traceback.TracebackException.from_exception(each, capture_locals=True)
        kept = [frame for frame in printed.stack if not is_callers(frame.filename)]
        text += "".join(traceback.StackSummary.from_list(kept).format())
    return leaks(error, SECRETS) + [f"captured locals: {each}" for each in SECRETS if each in text]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_errors_and_logs_show_no_secret_after_any_answer(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("aiohttp", "asyncio", "facturaonline_async"):
        caplog.set_level(logging.DEBUG, name)

    async def handle(exchange: Exchange) -> None:
        await exchange.write(ANSWERS[answer])
        exchange.writer.close()

    failed = 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with raw_server(handle) as server:
            config = evolve(QUICK, base_url=server.base_url, deadline=0.1)
            async with SessionManager(config) as session:
                client = FacturaOnline(session, KEYS)
                for name, call in CALLS.items():
                    try:
                        await call(client)
                    except FacturaOnlineError as error:
                        failed += 1
                        assert (name, shown(error)) == (name, [])
                assert not any(secret in repr(session) + repr(client) for secret in SECRETS)
    assert failed >= 4
    text = "\n".join(f"{record.getMessage()} {record.exc_text} {record.args!r}" for record in caplog.records)
    text += "\n".join(str(each.message) for each in warned)
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("half", [True, False], ids=["in the body", "before an answer"])
async def test_a_call_that_is_cancelled_in_flight_shows_no_secret(name: str, half: bool) -> None:  # noqa: FBT001
    arrived = asyncio.Event()

    async def handle(exchange: Exchange) -> None:
        if half:
            await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + body([EMPRESA] * 99))
        arrived.set()
        await asyncio.sleep(60)

    async with raw_server(handle) as server:
        config = evolve(QUICK, base_url=server.base_url, read_timeout=9, total_timeout=9, upload_timeout=9)
        async with SessionManager(config) as session:
            task = asyncio.ensure_future(CALLS[name](FacturaOnline(session, KEYS)))
            await arrived.wait()
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert shown(caught.value) == []


async def test_a_refused_connection_shows_no_secret() -> None:
    async with SessionManager(evolve(QUICK, base_url="http://127.0.0.1:9")) as session:
        for call in CALLS.values():
            with pytest.raises(FacturaOnlineError) as caught:
                await call(FacturaOnline(session, KEYS))
            assert shown(caught.value) == []


@pytest.mark.parametrize("name", CALLS)
async def test_an_unexpected_exception_in_a_request_shows_no_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt(*_: object) -> None:
        raise RuntimeError("a fault of the library")

    monkeypatch.setattr(Transport, "attempt", attempt)
    async with SessionManager(evolve(QUICK, base_url="http://127.0.0.1:9")) as session:
        with pytest.raises(RuntimeError) as caught:
            await CALLS[name](FacturaOnline(session, KEYS))
        assert shown(caught.value) == []


# ── Values ────────────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES = [
    Secret(API_KEY),
    KEYS,
    NUEVA,
    CAMBIOS,
    CORREO,
    NUEVA.csd,
    NUEVA.csd.key,
    Empresa(uid="1", api_key=Secret(API_KEY), secret_key=Secret(SECRET_KEY)),
    empresas.read_empresa(
        dict.fromkeys(empresas._READ_RESPONSE_NAMES, "1") | {"api_key": API_KEY, "secret_key": SECRET_KEY}
    ),
    Config(base_url="http://127.0.0.1:9", proxy=f"http://user:{CSD}@127.0.0.1:3128"),
    Plan.from_values([(NUEVA, [PlanSerie(letra="F", tipo_documento="factura")])]),
    Plan.from_values([(NUEVA, [PlanSerie(letra="F", tipo_documento="factura")])]).rows[0],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_value_shows_a_secret(value: Any) -> None:
    texts = [repr(value), str(value), f"{value}", f"{value!r:>9}", f"{[value]} { ({'x': value}) }"]
    texts += [repr(getattr(value, "__dict__", None)), repr(value.__getstate__()) if attrs.has(type(value)) else ""]
    if attrs.has(type(value)):
        texts += [repr(attrs.asdict(value)), repr(attrs.astuple(value))]
        texts.append(repr(cattrs.Converter().unstructure(value)))
    try:
        pickled = pickle.dumps(value).decode("latin-1")
    except Exception as problem:  # noqa: BLE001  # refused is safe, too
        pickled = str(problem)
    assert [secret for secret in SECRETS for text in (*texts, pickled) if secret in text] == []


# ── Whatever the API says ─────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Reading:
    endpoint: Any
    read: Callable[[object], object]


READINGS = [
    Reading(series.GET, series.read_serie),
    Reading(empresas.GET, empresas.read_empresa),
    Reading(empresas.UPDATE, empresas.read_written_empresa),
]
NAMES = st.sampled_from(
    ["status", "response", "message", "messsage", "0", "data", "Data", "Secret", "SerieID", "uid", "acco_uid", "rfc"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["error", "success", API_KEY])
)
JSON = st.recursive(
    LEAVES | st.just(f"no {SECRET_KEY}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=15,
)


@given(JSON, st.sampled_from([200, 201, 400, 401, 404, 422, 429, 500, 302]), st.sampled_from(READINGS))
def test_any_json_raises_only_package_errors_and_none_shows_a_secret(
    said: object, status: int, reading: Reading
) -> None:
    answer = RawResponse(reading.endpoint, status, body(said), "7", None, (KEYS.api_key, KEYS.secret_key))
    try:
        reply = parse_envelope(answer)
        try:
            reading.read(reply.payload)
        except Exception as problem:  # noqa: BLE001  # a reader's own error, which names a field and no value
            assert type(problem).__name__ == "StructureError"
            assert not any(secret in str(problem) for secret in SECRETS)
    except FacturaOnlineError as error:
        error.with_traceback(None)
        assert leaks(error, SECRETS) == []
