"""Request engine: when a call is sent, how often, and what its outcome is."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from os import getpid
from typing import TYPE_CHECKING, Final, Self

from facturaonline_async._core import retry
from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.http.transport import Transport
from facturaonline_async._core.known_companies import KnownCompanies
from facturaonline_async._core.limits.scheduler import Scheduler
from facturaonline_async._core.limits.window import CATCH_UP
from facturaonline_async._core.logging import LOGGER, log
from facturaonline_async._core.once.keyed_lock import KeyedLock
from facturaonline_async._core.once.singleflight import SingleFlight
from facturaonline_async._core.outage import Outage
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.request import PreparedRequest, RequestFactory, uid_text
from facturaonline_async._core.running_loop import running_loop
from facturaonline_async._local_loops import find_problem
from facturaonline_async._messages import message
from facturaonline_async.config import Config, Credentials
from facturaonline_async.errors import (
    ApiError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    text_of,
)
from facturaonline_async.events import AttemptEvent, Event, HoldEvent, SessionStats

if TYPE_CHECKING:
    from facturaonline_async._core.once.pending import PendingCreates
    from facturaonline_async._core.once.store import Store
    from facturaonline_async._core.protocol.bodies import Body
    from facturaonline_async._core.shared import Shared

__all__ = ["Attempts", "Engine", "Verify"]

#: Reads whether a call was done. Its argument is the time of the loop's clock at which the reads must end.
Verify = Callable[[float], Awaitable[bool]]

_MAX_HOLD: Final = 3600.0
"""Upper bound for a server-requested pause, in seconds."""


class Engine:
    """Sender of calls: applies the limits, retries safe calls, gives one outcome.

    An engine belongs to the event loop and the process that use it first. `SessionManager` is its public facade.

    Args:
        config: Configuration with a ``base_url``.
        shared: Service through which processes share quota and creates, or None.

    Attributes:
        config: The configuration.
        transport: Sends one request per attempt.
        creates: Pending creates as a store; a create checks the process before its first byte.
        shared_creates: Store of the creates of all processes, which `creates` includes; None without one.
        companies: RFCs and API keys of the companies, as far as answers have shown them.

    Raises:
        InvalidInputError: `config` has no ``base_url``, or a setting that is unsafe with `shared`.

    """

    def __init__(self, config: Config, shared: Shared | None = None) -> None:
        if config.base_url is None:
            raise InvalidInputError(message("values.config_without_base_url"), field="base_url")
        self.config = config
        self._single_flight = SingleFlight()
        self._locks = KeyedLock()
        self._on_event = config.on_event
        self._outage = Outage()
        pending, creates, shared_creates = self._make_stores(shared)
        self._pending = pending
        self.creates: Store = creates
        self.shared_creates: Store | None = shared_creates
        self._scheduler = self._make_scheduler(shared)
        self.companies: KnownCompanies = KnownCompanies()
        self.transport: Transport = Transport(config)
        self._budget = retry.Budget(config.retry.budget)
        self._requests = RequestFactory(config.base_url, config.plugin)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Future[None] | None = None  # ends the pauses before retries
        self._process = 0  # 0 before the first use
        self._is_closed = False

    def _make_stores(self, shared: Shared | None) -> tuple[PendingCreates, Store, Store | None]:
        """Return the session's creates, all that it knows, and those of all processes.

        What a session needs is imported when it is made: with the package it would be a tenth of its import, and at the
        first error it could fail, when no file can be opened.
        """
        from facturaonline_async._core.once.memory_store import MemoryStore  # noqa: PLC0415
        from facturaonline_async._core.once.pending import PendingCreates  # noqa: PLC0415

        import_module("html")  # for texts of errors
        pending = PendingCreates()
        own = MemoryStore(pending, self.config.settle)
        if shared is None or (creates := shared.creates(self.config)) is None:
            return pending, own, None
        from facturaonline_async._core.once.layered import LayeredStore  # noqa: PLC0415
        from facturaonline_async._core.once.shared_store import SharedStore  # noqa: PLC0415
        from facturaonline_async._core.shared import check_settle  # noqa: PLC0415

        check_settle(self.config, self.config.settle)
        store = SharedStore(creates, self._outage)
        return pending, LayeredStore(own, store), store

    def _make_scheduler(self, shared: Shared | None) -> Scheduler:
        """Return the limits of this process, or those that all processes share."""
        if shared is None or (quota := shared.quota) is None:
            return Scheduler(self.config)
        from facturaonline_async._core.limits.shared_scheduler import SharedScheduler  # noqa: PLC0415

        return SharedScheduler(self.config, quota, self._outage.record)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._loop else "not started"
        return f"{self.config.base_url}: {state}, {self._scheduler!r}"

    def start(self) -> None:
        """Bind the engine to the running loop and this process, as the first call does.

        Raises:
            NotSentError: The engine is closed, or belongs to another loop or process.

        """
        self._check_process()
        self._check_usable(running_loop())

    @property
    def stats(self) -> SessionStats:
        """Current numbers of waiting calls and calls in flight, and the held keys."""
        now = self._loop.time() if self._loop is not None else 0.0
        return self._scheduler.stats(now, is_closed=self._is_closed, outage=self._outage.reason)

    async def aclose(self) -> None:
        """End all calls, and close all connections.

        Calls in flight end before this returns: with `OutcomeUnknownError`, or with `NotSentError` while connecting.
        Waiting calls end with `NotSentError`. No call is retried, and no task is cancelled.

        A forked child closes nothing, because it shares the connections and the loop's selector with its parent.
        """
        self._is_closed = True
        if self._is_in_forked_child():
            self.transport.abandon()
            return
        self._scheduler.close()
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        try:
            await self._single_flight.aclose()
        finally:
            try:
                await self.transport.aclose()
            finally:
                await self._scheduler.aclose()

    @property
    def pending(self) -> PendingCreates:
        """Creates that lists may not show yet; their keys must not be created again."""
        self._check_process()
        return self._pending

    @property
    def single_flight(self) -> SingleFlight:
        """Reads that concurrent callers share."""
        self._check_process()
        return self._single_flight

    @property
    def locks(self) -> KeyedLock:
        """Locks that serialize creates and changes of one object."""
        self._check_process()
        return self._locks

    async def send(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        uid: int | str | None = None,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        verify: Verify | None = None,
        until: float | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> envelope.Reply:
        """Send one call, retry it where that is safe, and return the API's reply.

        Args:
            endpoint: Endpoint to call.
            credentials: Key pair.
            uid: The uid in the path, if the path has one.
            query: Query parameters.
            body: Body of the request.
            verify: Reads whether the call was done if its outcome is unknown. If so, the reply is empty.
            until: Time of the loop's clock that replaces ``Config.deadline``.
            on_start: Called when the limiter has started an attempt. It must not raise.

        Raises:
            FacturaOnlineError: The kind of the error says whether the call was done.

        """
        if self._process != getpid():  # first, because asyncio refuses the parent's loop with an error of its own
            self._check_process()
            running_loop()
        if (loop := asyncio.get_running_loop()) is not self._loop or self._is_closed:
            self._check_usable(loop)
        call = self._requests.prepare(endpoint, credentials, uid, query, body)
        while True:
            if not self.try_start(call, loop, until):
                await self.acquire_slot(call, until)
            if on_start is not None:
                on_start()
            try:
                outcome = await self.transport.attempt(call, loop)
            finally:
                self._scheduler.release(call.key)
            if isinstance(outcome, envelope.Reply):
                if self._budget.is_touched or self._on_event is not None or LOGGER.isEnabledFor(logging.INFO):
                    self.after_success(call, outcome)
                return outcome
            action = await self.after_failure(call, outcome, verify)
            if action is retry.Action.DONE:
                return call.done()
            if action is retry.Action.RAISE:
                break
            self.check_not_forked(call)
        problem = call.merge_outcomes(outcome)
        try:
            raise problem
        finally:
            del problem, outcome  # breaks the cycle between the errors and this frame

    def attempts(self, endpoint: Endpoint, credentials: Credentials, *, body: Body | None = None) -> Attempts:
        """Return the attempts of a call that is recorded before its first byte.

        Args:
            endpoint: Endpoint to call; its path has no uid.
            credentials: Key pair.
            body: Body of the request.

        Raises:
            NotSentError: The engine is closed, or belongs to another loop or process.

        """
        if self._process != getpid():
            self._check_process()
            running_loop()
        if (loop := asyncio.get_running_loop()) is not self._loop or self._is_closed:
            self._check_usable(loop)
        return Attempts(self, self._requests.prepare(endpoint, credentials, None, None, body), loop)

    async def send_exclusive(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        uid: int | str,
        body: Body | None = None,
        verify: Verify | None = None,
    ) -> envelope.Reply:
        """Send a call that changes an object, one call at a time per object.

        So the retries of two changes cannot overlap.

        Args:
            endpoint: Endpoint to call.
            credentials: Key pair.
            uid: The object's uid.
            body: Body of the request.
            verify: As for `send`.

        """
        async with self.locks.hold((endpoint.resource, uid_text(uid))):
            return await self.send(endpoint, credentials, uid=uid, body=body, verify=verify)

    # ── Between attempts ──────────────────────────────────────────────────────────────────────────────────────────────

    def after_success(self, call: PreparedRequest, reply: envelope.Reply) -> None:
        """Refund the retry budget, and emit the attempt's event."""
        if self._budget.is_touched:
            self._budget.refund(call.retry_cost or 1)
        if self._on_event is not None or LOGGER.isEnabledFor(logging.INFO):
            self._emit_attempt(call, reply.answer.status)

    async def after_failure(
        self, call: PreparedRequest, error: FacturaOnlineError, verify: Verify | None
    ) -> retry.Action:
        """Handle a failed attempt, pause if due, and return RAISE, REPEAT or DONE."""
        if call.unknown_outcome is not None and call.endpoint.is_delete and isinstance(error, NotFoundError):
            if self.pending.is_pending(call.endpoint.resource, call.key, uid_text(call.uid or "")):
                return retry.Action.RAISE  # the answer may be older than the object
            return retry.Action.DONE  # an earlier attempt deleted it
        decision = retry.decide(
            error,
            call.endpoint,
            self.config.retry,
            self._budget,
            attempt=call.attempt,
            left=-math.inf if self._is_closed else call.deadline - asyncio.get_running_loop().time(),
            uniform=random.uniform,
        )
        self._emit_attempt(call, error.status, type(error).__name__, decision)
        if retry.is_throttled(error):
            self._hold(call, error, decision.pause)
        if decision.action is retry.Action.RAISE:
            return decision.action
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=decision.pause)
        if self._is_closed:
            return retry.Action.RAISE
        if decision.action is not retry.Action.REPEAT:
            was_done = await self._verify(call, error, verify)
            if was_done:
                self._budget.refund(decision.cost)
                return retry.Action.DONE
            if was_done is None or decision.action is retry.Action.VERIFY_LAST:
                return retry.Action.RAISE
        if isinstance(error, OutcomeUnknownError):
            call.unknown_outcome = error
        call.attempt += 1
        call.retry_cost = decision.cost
        return retry.Action.REPEAT

    async def _verify(self, call: PreparedRequest, problem: FacturaOnlineError, verify: Verify | None) -> bool | None:
        """Return whether the call was done, or None if that could not be read."""
        if verify is None:
            return None
        try:
            return await verify(call.deadline)
        except FacturaOnlineError as error:
            problem.add_note(message("calls.not_verified", error=text_of(error)))
            return None

    def _hold(self, call: PreparedRequest, error: FacturaOnlineError, seconds: float) -> None:
        """Hold all calls with these keys.

        Without ``Retry-After``, an existing hold is not extended.
        """
        if getattr(error, "retry_after", None) is None and self._scheduler.is_held(call.key):
            return
        seconds = min(seconds, _MAX_HOLD)
        self._scheduler.hold(call.key, seconds)
        self._emit(HoldEvent(endpoint=call.endpoint.name, key=call.key, seconds=seconds))

    def _emit_attempt(
        self, call: PreparedRequest, status: int | None, outcome: str = "ok", decision: retry.Decision | None = None
    ) -> None:
        """Emit the event of an attempt's end."""
        is_repeated = decision is not None and decision.action in {retry.Action.REPEAT, retry.Action.VERIFY}
        self._emit(
            AttemptEvent(
                endpoint=call.endpoint.name,
                uid=call.uid,
                key=call.key,
                attempt=call.attempt + 1,
                waited=call.started_at - call.queued_at,
                took=asyncio.get_running_loop().time() - call.started_at,
                status=status,
                outcome=outcome,
                pause=decision.pause if decision is not None and is_repeated else None,
            )
        )

    def _emit(self, event: Event) -> None:
        log(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001  # an observer must not change a call's outcome
                LOGGER.error("on_event raised %s", type(error).__name__)

    # ── Before ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_usable(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raise `NotSentError` if the engine is closed, forked, or used from another loop."""
        if self._is_closed:
            raise NotSentError(message("calls.session_closed"))
        if self._loop is None:
            if problem := find_problem(self.config.base_url or "", loop):
                raise NotSentError(problem)
            self._loop, self._process, self._closing = loop, getpid(), loop.create_future()
        elif loop is not self._loop:
            raise NotSentError(message("calls.other_event_loop"))

    def _check_process(self) -> None:
        """Raise `NotSentError` in a child forked after the first use.

        The child shares the parent's connections.
        """
        if self._is_in_forked_child():
            raise NotSentError(message("calls.session_forked"))

    def check_not_forked(self, call: PreparedRequest) -> None:
        """Raise the call's error in a child that was forked during the call.

        The parent continues the call.
        """
        if self._is_in_forked_child():
            raise call.merge_outcomes(call.annotate(NotSentError(message("calls.forked_before_sent"))))

    def _is_in_forked_child(self) -> bool:
        # os.register_at_fork misses forks by C code (uWSGI's workers); getpid costs 0.2 % of a call.
        return self._process not in (0, getpid())

    def release(self, call: PreparedRequest) -> None:
        """Give back the slot of an attempt."""
        self._scheduler.release(call.key)

    def try_start(self, call: PreparedRequest, loop: asyncio.AbstractEventLoop, until: float | None) -> bool:
        """Start the next attempt if a start and a slot are free at once."""
        call.queued_at = call.started_at = loop.time()
        if not self._scheduler.try_acquire(call.endpoint.name, call.key, loop):
            return False
        call.deadline = call.deadline or until or call.started_at + self.config.deadline
        return True

    async def acquire_slot(self, call: PreparedRequest, until: float | None) -> None:
        """Wait for a start and a slot; the wait does not count against the deadline."""
        try:
            call.started_at = await self._scheduler.acquire(call.endpoint.name, call.key, max_wait=self.config.max_wait)
        except NotSentError as error:
            raise call.merge_outcomes(call.annotate(error)) from None
        if self._is_closed or self._is_in_forked_child():
            self._scheduler.release(call.key)
            reason = message("calls.closed_while_waiting" if self._is_closed else "calls.forked_while_waiting")
            raise call.merge_outcomes(call.annotate(NotSentError(reason)))
        deadline = call.deadline or until or call.queued_at + self.config.deadline
        call.deadline = deadline + call.started_at - call.queued_at

    async def renew_start(self, call: PreparedRequest, loop: asyncio.AbstractEventLoop) -> None:
        """Renew the start of a call whose caller took long before its first byte.

        Otherwise delayed calls could arrive in a burst.
        """
        now, max_wait = loop.time(), self.config.max_wait
        if max_wait is not None:
            max_wait = max(0.0, max_wait - (call.started_at - call.queued_at))
        try:
            call.started_at = await self._scheduler.reacquire(
                call.endpoint.name, call.key, call.started_at, max_wait=max_wait
            )
        except NotSentError as error:
            raise call.merge_outcomes(call.annotate(error)) from None
        self.check_not_forked(call)
        call.deadline += call.started_at - now


class Attempts:
    """Attempts of one call, one at a time.

    ::

        async for attempt in engine.attempts(CREATE, credentials, body=body):
            async with attempt:
                await record()                  # durable before the first byte
                reply = await attempt.send()

    Inside ``async with`` the attempt holds its start and its slot. A failed attempt that may be repeated ends its block
    without an error, after the pause, and the loop gives the next one. Otherwise the block raises the outcome of all
    attempts together. After ``break`` nothing more is sent.

    Attributes:
        may_be_done: Whether an attempt may have been done, as far as known; also after a cancellation.

    """

    __slots__ = ("_call", "_engine", "_failure", "_holds_slot", "_is_over", "_loop", "may_be_done")

    def __init__(self, engine: Engine, call: PreparedRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.may_be_done: bool = False
        self._engine = engine
        self._call = call
        self._loop = loop
        self._failure: FacturaOnlineError | None = None
        self._is_over = self._holds_slot = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Self:
        if self._is_over:
            raise StopAsyncIteration
        return self

    async def __aenter__(self) -> Self:
        if not self._engine.try_start(self._call, self._loop, None):
            await self._engine.acquire_slot(self._call, None)
        self._is_over = self._holds_slot = True
        return self

    async def send(self, asked_at: float | None = None) -> envelope.Reply:
        """Send the request once.

        Args:
            asked_at: `Grant.asked_at` of the create.

        Raises:
            FacturaOnlineError: Outcome of this attempt, for the ``async with`` block, which decides.

        """
        engine, call = self._engine, self._call
        engine.check_not_forked(call)
        if self._loop.time() - call.started_at > CATCH_UP:
            await engine.renew_start(call, self._loop)
        self.may_be_done = True
        try:
            outcome = await engine.transport.attempt(call, self._loop, asked_at)
        finally:
            self._holds_slot = False
            engine.release(call)
        if isinstance(outcome, envelope.Reply):
            engine.after_success(call, outcome)
            return outcome
        if isinstance(outcome, (NotSentError, ApiError)):
            self.may_be_done = call.unknown_outcome is not None
        self._failure = outcome
        try:
            raise outcome
        finally:
            del outcome  # breaks the cycle between the error and this frame

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> bool:
        engine, call = self._engine, self._call
        if self._holds_slot:
            self._holds_slot = False
            engine.release(call)
        failure, self._failure = self._failure, None
        if failure is None or error is not failure:
            return False
        try:
            if await engine.after_failure(call, failure, None) is retry.Action.REPEAT:
                engine.check_not_forked(call)
                self._is_over = False
                return True
            if (problem := call.merge_outcomes(failure)) is not failure:
                raise problem from None
        finally:
            del failure, error
        return False
