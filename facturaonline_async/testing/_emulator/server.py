"""HTTP server of the emulator: sockets, delays, faults and the request log.

`Api` decides the responses.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from facturaonline_async._local_loops import forget_loop, note_loop
from facturaonline_async._messages import message
from facturaonline_async.testing._emulator.faults import Fault, FaultPlan
from facturaonline_async.testing._emulator.request_log import Request, RequestLog, without_secrets
from facturaonline_async.testing._emulator.responses import Answer, Refusal

if TYPE_CHECKING:
    import ssl

    from facturaonline_async.testing._emulator.dispatch import Api, ReceivedRequest

__all__ = ["Server"]

_NO_FAULT: Final = Fault(label="none")
_GRACE: Final = 0.1
"""Seconds to wait for a connection when the server stops. Waiting calls are cancelled before."""


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


class Server:
    """Restartable server of an `Api`, which keeps its port."""

    def __init__(
        self,
        api: Api,
        faults: FaultPlan,
        log: RequestLog,
        *,
        host: str,
        port: int,
        latency: float,
        refusal_statuses: Mapping[Refusal, int],
        ssl_context: ssl.SSLContext | None,
        keep_alive: float | None,
    ) -> None:
        self._api = api
        self._faults = faults
        self._log = log
        self._host = host
        self._port = port
        self._latency = latency
        self._refusal_statuses = refusal_statuses
        self._ssl_context = ssl_context
        self._keep_alive = keep_alive
        self._runner: web.ServerRunner | None = None
        self._process = 0  # id of the listening process; 0: not listening
        self._tasks: set[asyncio.Task[object]] = set()
        self._random = random.Random()
        self._in_flight = 0
        self.in_flight_max: int = 0

    @property
    def port(self) -> int:
        """Port of the server; 0 if it is not known yet."""
        return self._port

    @property
    def origin(self) -> str:
        """Scheme, host and port.

        Raises:
            RuntimeError: the port is not known yet.

        """
        if not self._port:
            raise RuntimeError(message("testing.not_started"))
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._ssl_context else 'http'}://{host}:{self._port}"

    @property
    def is_forked_child(self) -> bool:
        """Whether this process is a forked child of the listening process."""
        return self._process not in (0, os.getpid())

    async def start(self) -> None:
        """Start to listen.

        Raises:
            RuntimeError: the server is running.
            OSError: the port is in use.

        """
        if self._runner is not None:
            raise RuntimeError(message("testing.started_already"))
        more: dict[str, Any] = {} if self._keep_alive is None else {"keepalive_timeout": self._keep_alive}
        runner = web.ServerRunner(web.Server(self._handle, access_log=None, **more), shutdown_timeout=_GRACE)
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port, ssl_context=self._ssl_context).start()
        self._port = runner.addresses[0][1]
        self._runner, self._process = runner, os.getpid()
        note_loop(self._port)

    async def aclose(self) -> None:
        """Stop listening, cancel every call and all late work, and close every connection.

        A forked child closes nothing, because its parent shares its sockets and its event loop's selector.
        """
        if self.is_forked_child:
            return
        runner, self._runner, self._process = self._runner, None, 0
        if runner is None:
            return
        forget_loop(self._port)
        for site in runner.sites:
            await site.stop()  # first, so that no further call arrives
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Serve a request and track its task, which goes on if the client disconnects."""
        if self.is_forked_child:
            if http.transport is not None:
                http.transport.abort()
            return web.Response()  # never sent
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        self._in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self._in_flight)
        try:
            return await self._serve(http)
        finally:
            self._in_flight -= 1
            if task is not None:
                self._tasks.discard(task)

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        at = time.monotonic()
        try:
            raw = await http.content.read()
        except (ConnectionError, web.RequestPayloadError):
            return web.Response()  # never sent: the client disconnected during its request
        query = dict(http.query.items()) if http.query_string else {}
        arrival = self._api.read(http.method, http.path, query, http.headers, raw)
        fault = self._faults.take(arrival.endpoint)
        number = self._log_request(arrival, at, fault)
        plan = fault or _NO_FAULT
        await _pause(self._latency + plan.before)
        answer = self._perform(number, arrival, plan.behind) if plan.commit else Answer(b"")
        if plan.again:
            self._spawn(self._perform_late(number, arrival, plan.again))
        elif plan.again is not None:
            self._perform(number, arrival)
        if plan.late is not None:
            self._spawn(self._perform_late(number, arrival, plan.late))
        await _pause(plan.after)
        transport = http.transport
        if plan.drop or transport is None:
            if transport is not None:
                transport.abort()
            return web.Response()  # never sent
        return self._response(number, plan.answer or answer)

    def _log_request(self, arrival: ReceivedRequest, at: float, fault: Fault | None) -> int:
        number = self._log.next_number
        row = Request(
            number=number,
            at=at,
            endpoint=arrival.endpoint,
            method=arrival.method,
            path=arrival.path,
            query=without_secrets(arrival.query),
            empresa=arrival.empresa,
            content_type=arrival.content_type,
            fields=without_secrets(arrival.body.fields),
            files=arrival.body.files,
            fault=fault,
        )
        self._log.add(row)
        return number

    def _perform(self, number: int, arrival: ReceivedRequest, behind: float = 0.0) -> Answer:
        answer = self._api.perform(arrival, behind=behind)
        if answer.is_success:
            self._log.change(number, committed=True)
        return answer

    async def _perform_late(self, number: int, arrival: ReceivedRequest, seconds: float) -> None:
        await _pause(seconds)
        self._perform(number, arrival)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[object] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _response(self, number: int, answer: Answer) -> web.Response:
        """Return the HTTP response, with a new session cookie every time, as the API does."""
        status = answer.status
        if answer.refusal is not None and not answer.is_recorded:
            status = self._refusal_statuses.get(answer.refusal, 200)
        self._log.change(number, status=status)
        body, content_type = answer.encode()
        cookie = f"laravel_session={self._random.getrandbits(160):040x}; path=/; httponly"
        headers = {"Content-Type": content_type, "Set-Cookie": cookie, **answer.headers}
        response = web.Response(body=body, status=status, headers=headers)
        if self._keep_alive == 0:
            response.force_close()
        return response
