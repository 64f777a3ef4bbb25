"""Requests one after the other, with the whole of their answers."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from facturaonline_async import Credentials, NotSentError, OutcomeUnknownError, RequestTimeoutError
from facturaonline_async._core.http.exchange import ExchangeSession
from facturaonline_async._core.request import PreparedRequest, RequestFactory
from facturaonline_async.series import _wire as wire
from tests.raw import Exchange, http, raw_server

KEY, SECRET = "the-api-key-of-a-test", "the-secret-key-of-a-test"


def prepared(base_url: str) -> PreparedRequest:
    return RequestFactory(base_url, "plugin").prepare(
        wire.LIST, Credentials(api_key=KEY, secret_key=SECRET), None, None, None
    )


async def test_a_second_request_says_that_it_reused_the_connection() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.write(
            http(b"{}", headers=b"X-Y: z\r\n" + (b"Connection: close\r\n" if exchange.number == 2 else b""))
        )

    async with raw_server(answer) as server, ExchangeSession(30, 100) as session:
        got = [await session.send(prepared(server.base_url)) for _ in range(3)]
    assert [each.is_reused for each in got] == [False, True, False]
    assert (got[0].status, got[0].headers["x-y"], got[0].body) == (200, "z", b"{}")
    assert f"F-Api-Key: {KEY}".encode() in server.requests[0]


async def test_no_redirect_is_followed_and_no_cookie_is_kept() -> None:
    async def answer(exchange: Exchange) -> None:
        headers = b"Location: http://127.0.0.1:9/other\r\nSet-Cookie: session=1; path=/\r\n"
        await exchange.write(http(b"", status="302 Found", headers=headers))

    async with raw_server(answer) as server, ExchangeSession(30, 100) as session:
        got = [await session.send(prepared(server.base_url)) for _ in range(2)]
    assert [each.status for each in got] == [302, 302]
    assert b"ookie" not in server.requests[1]


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.write(http(b"x" * 101))

    async with raw_server(answer) as server, ExchangeSession(30, 100) as session:
        with pytest.raises(OutcomeUnknownError, match="too large"):
            await session.send(prepared(server.base_url))


async def test_a_lost_answer_is_not_asked_for_again() -> None:
    async def answer(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.write(http(b"{}"))
        else:
            exchange.reset()

    async with raw_server(answer) as server, ExchangeSession(30, 100) as session:
        await session.send(prepared(server.base_url))
        with pytest.raises(OutcomeUnknownError):
            await session.send(prepared(server.base_url))
    assert len(server.requests) == 2


@pytest.mark.virtual_clock
async def test_a_silent_server_ends_a_request_after_its_time() -> None:
    async def answer(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with raw_server(answer) as server, ExchangeSession(7, 100) as session:
        begun = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeoutError):
            await session.send(prepared(server.base_url))
        assert 7 <= asyncio.get_running_loop().time() - begun < 8


async def test_an_error_and_its_frames_show_no_key() -> None:
    async with ExchangeSession(30, 100) as session:
        with pytest.raises(NotSentError) as refused:
            await session.send(prepared("http://127.0.0.1:9/api"))
    shown = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
    assert "headers = " in shown
    assert [key for key in (KEY, SECRET) if key in shown] == []
