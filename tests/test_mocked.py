"""What no server can easily make: aiohttp's own exceptions, one by one, and what we say of them."""

from __future__ import annotations

import asyncio
import re
import ssl
import traceback
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from facturaonline_async import (
    FACTURA_COM_PRODUCTION,
    FACTURA_COM_SANDBOX,
    PRODUCTION,
    SANDBOX,
    Credentials,
    FacturaOnlineError,
    NotSentError,
    OutcomeUnknownError,
    RequestTimeoutError,
    connect,
)
from tests.conftest import QUICK

pytestmark = pytest.mark.virtual_clock

BASE = "https://api.example.mx/api"
PAIR = Credentials(api_key="the-api-key", secret_key="the-secret-key")

KEY = ConnectionKey("api.example.mx", 443, True, True, None, None, None)  # noqa: FBT003
REQUEST = aiohttp.RequestInfo(
    URL(BASE), "GET", CIMultiDictProxy(CIMultiDict({"F-Secret-Key": "the-secret-key"})), URL(BASE)
)
CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")

FAULTS: list[tuple[Exception, type[FacturaOnlineError], int, int]] = [
    # what aiohttp raises, what we raise, requests of a read, requests of a create
    (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "Connection refused")), NotSentError, 4, 3),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")), NotSentError, 4, 3),
    (aiohttp.ConnectionTimeoutError("Connection timeout to host"), NotSentError, 4, 3),
    (aiohttp.ClientProxyConnectionError(KEY, ConnectionRefusedError(111, "Connection refused")), NotSentError, 4, 3),
    (aiohttp.ClientHttpProxyError(REQUEST, (), status=407, message="auth"), NotSentError, 1, 1),
    (aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE), NotSentError, 1, 1),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version number")), NotSentError, 1, 1),
    (aiohttp.ServerDisconnectedError(), OutcomeUnknownError, 4, 1),
    (aiohttp.ClientOSError(104, "Connection reset by peer"), OutcomeUnknownError, 4, 1),
    (aiohttp.ClientPayloadError("truncated"), OutcomeUnknownError, 4, 1),
    (aiohttp.ClientResponseError(REQUEST, (), status=400, message="bad"), OutcomeUnknownError, 4, 1),
    (aiohttp.SocketTimeoutError("Timeout on reading data from socket"), RequestTimeoutError, 4, 1),
    (TimeoutError(), RequestTimeoutError, 4, 1),
    (aiohttp.ClientConnectionError("Connector is closed."), OutcomeUnknownError, 4, 1),
]


def url(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(BASE + path))


@pytest.mark.parametrize(("raised", "kind", "reads", "creates"), FAULTS, ids=lambda value: type(value).__name__)
async def test_each_aiohttp_exception_becomes_its_error_and_is_retried_only_where_safe(
    mocked: aioresponses, raised: Exception, kind: type[FacturaOnlineError], reads: int, creates: int
) -> None:
    mocked.get(url("/v4/series"), exception=raised, repeat=True)
    mocked.post(url("/v4/series/create"), exception=raised, repeat=True)
    async with connect(PAIR, base_url=BASE, config=QUICK) as client:
        for call, path, requests in (
            (client.series.list(), "/v4/series", reads),
            (client.series.create(letra="F", tipo_documento="factura"), "/v4/series/create", creates),
        ):
            with pytest.raises(FacturaOnlineError) as failed:
                await call
            asked = [calls for (_, asked_url), calls in mocked.requests.items() if asked_url == URL(BASE + path)]
            assert (type(failed.value), len(asked[0])) == (kind, requests)
            assert (failed.value.__cause__, failed.value.__context__) == (None, None)
            shown = "".join(traceback.format_exception(failed.value)) + repr(vars(failed.value))
            assert "the-secret-key" not in shown


async def test_an_error_about_an_incomplete_certificate_chain_names_ssl_context(mocked: aioresponses) -> None:
    mocked.get(url("/v4/series"), exception=aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE))
    async with connect(PAIR, base_url=BASE) as client:
        with pytest.raises(NotSentError, match="ssl_context"):
            await client.series.list()


async def test_a_read_succeeds_on_its_retry(mocked: aioresponses) -> None:
    mocked.get(url("/v4/series"), exception=aiohttp.ServerDisconnectedError())
    mocked.get(url("/v4/series"), payload={"status": "success", "data": []})
    async with connect(PAIR, base_url=BASE, config=QUICK) as client:
        assert await client.series.list() == []


async def test_the_constants_of_production_and_sandbox_are_the_full_url_prefixes(mocked: aioresponses) -> None:
    prefixes = (PRODUCTION, SANDBOX, FACTURA_COM_PRODUCTION, FACTURA_COM_SANDBOX)
    for prefix in prefixes:
        mocked.get(f"{prefix}/v4/series", payload={"status": "success", "data": []})
        async with connect(PAIR, base_url=prefix) as client:
            assert await client.series.list() == []
    assert [str(asked) for _, asked in mocked.requests] == [
        "https://facturaonline.com.mx/api/v4/series",
        "https://sandbox.facturaonline.com.mx/api/v4/series",
        "https://api.factura.com/v4/series",
        "https://sandbox.factura.com/api/v4/series",
    ]


async def test_the_bridge_to_aioresponses_is_still_needed() -> None:
    """When this fails, aioresponses works with aiohttp again: delete the bridge in conftest.py, and this test."""

    async def ask() -> Any:
        with aioresponses() as mocked:
            mocked.get(BASE, payload={})
            async with aiohttp.ClientSession() as session:
                return await session.get(BASE)

    with pytest.raises(TypeError, match="stream_writer"):
        await ask()
    await asyncio.sleep(0)
