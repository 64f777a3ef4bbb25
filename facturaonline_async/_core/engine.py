"""SessionManager: when a call is sent, how often, and what is known of it in the end."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from os import getpid
from typing import Final

from yarl import URL

from facturaonline_async._core import retry
from facturaonline_async._core.company_registry import CompanyRegistry
from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.http.transport import Transport
from facturaonline_async._core.limits.scheduler import Scheduler
from facturaonline_async._core.limits.window import CATCH_UP
from facturaonline_async._core.logging import LOGGER, log
from facturaonline_async._core.once.keyed_lock import KeyedLock
from facturaonline_async._core.once.pending import PendingCreates
from facturaonline_async._core.once.singleflight import SingleFlight
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._core.request import PreparedRequest
from facturaonline_async._validators import type_name
from facturaonline_async.config import Config, Credentials, Secret
from facturaonline_async.errors import (
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
)
from facturaonline_async.events import AttemptEvent, Event, HoldEvent, SessionStats

__all__ = ["BeforeSend", "Engine", "Verify"]

#: Awaited in the last moment before the first byte is sent. A function that it returns takes back what it noted.
BeforeSend = Callable[[], Awaitable[Callable[[], None] | None]]

#: Says whether a state is reached, by reads that end before a moment of the loop's clock.
Verify = Callable[[float], Awaitable[bool]]

_HEADERS_KEPT: Final = 1024
_LONGEST_HOLD: Final = 3600.0
"""Seconds. Nobody means the years that a faulty header may ask for."""
_MOST_UID: Final = 10**18
_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Engine:
    """Sends calls: each in its turn, as often as its retry safety allows, with one outcome in the end.

    It belongs to the event loop and to the process that use it first; `SessionManager` is its public face.

    Args:
        config: must have a ``base_url``.

    Raises:
        InvalidInputError: `config` has no ``base_url``.

    """

    def __init__(self, config: Config) -> None:
        if config.base_url is None:
            raise InvalidInputError("Config.base_url is missing. Give SANDBOX or PRODUCTION.", field="base_url")
        self.config = config
        self._shared = SingleFlight()
        self._turns = KeyedLock()
        #: Creates that lists may not show yet: nothing may be created in their place.
        self.pending: PendingCreates = PendingCreates()
        #: Whose keys are whose, as far as lists and answers have said it.
        self.companies: CompanyRegistry = CompanyRegistry()
        self._scheduler = Scheduler(config)
        self._transport = Transport(config)
        self._on_event = config.on_event
        self._budget = retry.Budget(config.retry.budget)
        self._headers: dict[str, envelope.Headers] = {}
        self._root = URL(config.base_url, encoded=True)
        self._prefix = self._root.raw_path.rstrip("/")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Future[None] | None = None  # ends the pauses before repeats
        self._process = 0  # until the first use
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open" if self._loop else "not started"
        return f"{self._root}: {state}, {self._scheduler!r}"

    def start(self) -> None:
        """Bind the engine to the running loop and to this process, at the latest with the first call.

        Raises:
            NotSentError: it is closed, or belongs to another loop or process.

        """
        self._check(asyncio.get_running_loop())

    @property
    def stats(self) -> SessionStats:
        """The engine's state at this moment."""
        return self._scheduler.stats(is_closed=self._is_closed)

    async def aclose(self) -> None:
        """Close all connections. Calls in flight end before this returns; calls that wait are never sent.

        A call in flight raises `OutcomeUnknownError`, or `NotSentError` while its connection is being made. None of
        them is repeated, and none is cancelled.

        In a forked child this closes nothing, for the connections and the loop's selector are shared with the parent.
        """
        self._is_closed = True
        if self._is_foreign():
            self._transport.abandon()
            return
        self._scheduler.close()
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        try:
            await self._shared.aclose()
        finally:
            await self._transport.aclose()

    @property
    def single_flight(self) -> SingleFlight:
        """Reads that several callers wait for at the same time."""
        self._check_process()
        return self._shared

    @property
    def locks(self) -> KeyedLock:
        """Turns of those who create, or change, the same thing."""
        self._check_process()
        return self._turns

    async def send(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        uid: int | str | None = None,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        before_send: BeforeSend | None = None,
        reached: Verify | None = None,
        until: float | None = None,
    ) -> envelope.Reply:
        """Send one call, again where that is harmless, and return the API's yes.

        Args:
            endpoint, credentials, uid, query, body: what is sent.
            before_send: awaited before each attempt, when it has its turn and its place, and before its first byte.
                A function that it returns is called when that attempt surely was not done, before any pause.
            reached: looks whether the call was done, where its outcome is unknown. If it was, the reply is empty.
            until: moment of the loop's clock that takes the place of ``Config.deadline``.

        Raises:
            FacturaOnlineError: of the kind that tells whether the call happened.

        """
        loop = asyncio.get_running_loop()
        self._check(loop)
        call = self._prepare(endpoint, credentials, uid, query, body)
        while True:
            call.queued_at = call.started_at = loop.time()
            if not self._scheduler.try_acquire(endpoint.name, call.key, loop):
                await self._acquire_slot(call)
            # Waiting for a turn does not count against the deadline.
            call.deadline = (
                (call.deadline or until or call.queued_at + self.config.deadline) + call.started_at - call.queued_at
            )
            undo = None
            try:
                if before_send is not None:
                    undo = await before_send()
                    self._check_still_ours(call)
                    if loop.time() - call.started_at > CATCH_UP:
                        await self._reacquire_slot(call, loop)
                outcome = await self._transport.attempt(call, loop)
            finally:
                self._scheduler.release(call.key)
            if isinstance(outcome, envelope.Reply):
                if self._budget.is_touched:
                    self._budget.refund(call.retry_cost or 1)
                if self._on_event is not None or LOGGER.isEnabledFor(logging.INFO):
                    self._emit_attempt(call, outcome.answer.status)
                return outcome
            if callable(undo) and isinstance(outcome, (NotSentError, RateLimitError)):
                undo()
            following = await self._after_failure(call, outcome, reached)
            if following is retry.Action.DONE:
                return call.done()
            if following is retry.Action.RAISE:
                break
            self._check_still_ours(call)
        problem = call.merge_outcomes(outcome)
        try:
            raise problem
        finally:
            del problem, outcome  # else they would hold this frame, which holds them

    async def send_exclusive(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        uid: int | str,
        body: Body | None = None,
        reached: Verify | None = None,
    ) -> envelope.Reply:
        """Send a call that changes what has a uid, one at a time for each: repeats must not cross each other."""
        async with self.locks.hold((endpoint.name.partition(".")[0], _uid_text(uid))):
            return await self.send(endpoint, credentials, uid=uid, body=body, reached=reached)

    # ── Between attempts ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _after_failure(
        self, call: PreparedRequest, error: FacturaOnlineError, reached: Verify | None
    ) -> retry.Action:
        """Do what comes after an attempt that failed, and return whether to raise, to repeat or to be content."""
        if call.unknown_outcome is not None and call.endpoint.is_delete and isinstance(error, NotFoundError):
            if self.pending.is_pending(call.endpoint.name.partition(".")[0], call.key, _uid_text(call.uid or "")):
                return retry.Action.RAISE  # the answer may be older than what was to be deleted
            return retry.Action.DONE  # by the attempt before
        step = retry.decide(
            error,
            call.endpoint,
            self.config.retry,
            self._budget,
            attempt=call.attempt,
            left=-math.inf if self._is_closed else call.deadline - asyncio.get_running_loop().time(),
            uniform=random.uniform,
        )
        self._emit_attempt(call, error.status, type(error).__name__, step)
        if retry.is_throttled(error):
            self._hold(call, error, step.pause)
        if step.action is retry.Action.RAISE:
            return step.action
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=step.pause)
        if self._is_closed:
            return retry.Action.RAISE
        if step.action is not retry.Action.REPEAT:
            was_done = await self._verify(call, error, reached)
            if was_done:
                self._budget.refund(step.cost)
                return retry.Action.DONE
            if was_done is None or step.action is retry.Action.VERIFY_LAST:
                return retry.Action.RAISE
        if isinstance(error, OutcomeUnknownError):
            call.unknown_outcome = error
        call.attempt += 1
        call.retry_cost = step.cost
        return retry.Action.REPEAT

    async def _verify(self, call: PreparedRequest, problem: FacturaOnlineError, reached: Verify | None) -> bool | None:
        """Return whether the call was done, or None if that cannot be seen."""
        if reached is None:
            return None
        try:
            return await reached(call.deadline)
        except FacturaOnlineError as error:
            problem.add_note(f"(whether it was done could not be seen: {error})")
            return None

    def _hold(self, call: PreparedRequest, error: FacturaOnlineError, seconds: float) -> None:
        """Let everybody with these keys wait, once: a guess does not make a hold longer that is there already."""
        if getattr(error, "retry_after", None) is None and self._scheduler.is_held(call.key):
            return
        seconds = min(seconds, _LONGEST_HOLD)
        self._scheduler.hold(call.key, seconds)
        self._emit(HoldEvent(endpoint=call.endpoint.name, key=call.key, seconds=seconds))

    def _emit_attempt(
        self, call: PreparedRequest, status: int | None, outcome: str = "ok", step: retry.Decision | None = None
    ) -> None:
        """Tell how an attempt ended."""
        is_repeated = step is not None and step.action in {retry.Action.REPEAT, retry.Action.VERIFY}
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
                pause=step.pause if step is not None and is_repeated else None,
            )
        )

    def _emit(self, event: Event) -> None:
        log(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001  # what watches the work must not change how it ends
                LOGGER.error("on_event raised %s", type(error).__name__)

    # ── Before ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        """Refuse to work after the end, in a forked child, or in another loop than the first."""
        if self._is_closed:
            raise NotSentError("this session is closed: make a new SessionManager, and keep it open while you call")
        if self._loop is None:
            self._loop, self._process, self._closing = loop, getpid(), loop.create_future()
        elif getpid() != self._process:
            self._check_process()
        elif loop is not self._loop:
            raise NotSentError(
                "this session belongs to another event loop: make one SessionManager inside each loop that calls"
            )

    def _check_process(self) -> None:
        """Refuse to work in a child that was forked after the first use: both would read the same connections."""
        if self._is_foreign():
            raise NotSentError(
                "this session was used before the process was forked, and its connections belong to the parent: "
                "make a new SessionManager in each child, after the fork"
            )

    def _check_still_ours(self, call: PreparedRequest) -> None:
        """Refuse to go on with a call in a child that was forked while the call paused: the parent goes on with it."""
        if self._is_foreign():
            raise call.merge_outcomes(
                call.annotate(
                    NotSentError("the process was forked before the call was sent: the parent process sends it")
                )
            )

    def _is_foreign(self) -> bool:
        # os.register_at_fork would miss the forks of C code (uWSGI's workers); asking the system is 0.2 % of a call.
        return self._process not in (0, getpid())

    def _prepare(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        uid: int | str | None,
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> PreparedRequest:
        path = endpoint.path
        if "{uid}" in path:
            if not (text := _uid_text(uid)):
                seen = f"{uid!r:.80}" if isinstance(uid, str) else type_name(uid)
                raise InvalidInputError(
                    f"uid must be 1 to 64 letters, digits, '-' or '_', and was {seen}.",
                    field="uid",
                    endpoint=endpoint.name,
                )
            path = path.replace("{uid}", text)
        url = self._root.with_path(self._prefix + path, encoded=True)  # half the cost of a new URL
        # Kept: to make them anew costs 2 % of a read and 3 % of a create.
        headers = self._headers.get(credentials.fingerprint) or self._new_headers(credentials)
        secrets: tuple[Secret, ...] = (credentials.api_key, credentials.secret_key)
        if body is not None:
            secrets += body.secrets
        return PreparedRequest(
            endpoint, url.with_query(query) if query else url, headers, body, uid, credentials.fingerprint, secrets
        )

    def _new_headers(self, credentials: Credentials) -> envelope.Headers:
        """Return the secret headers of every call with these keys, and keep them for the next one."""
        if len(self._headers) >= _HEADERS_KEPT:
            self._headers.clear()
        headers = self._headers[credentials.fingerprint] = envelope.headers(credentials, self.config.plugin)
        return headers

    async def _acquire_slot(self, call: PreparedRequest) -> None:
        """Wait for a turn and a place."""
        try:
            call.started_at = await self._scheduler.acquire(call.endpoint.name, call.key, max_wait=self.config.max_wait)
        except NotSentError as error:
            raise call.merge_outcomes(call.annotate(error)) from None
        if self._is_closed or self._is_foreign():
            self._scheduler.release(call.key)
            what = "closed" if self._is_closed else "forked into another process"
            raise call.merge_outcomes(call.annotate(NotSentError(f"the session was {what} while the call was waiting")))

    async def _reacquire_slot(self, call: PreparedRequest, loop: asyncio.AbstractEventLoop) -> None:
        """Start anew, before the first byte, what `before_send` has made late: late calls would arrive together."""
        late, max_wait = loop.time(), self.config.max_wait
        if max_wait is not None:
            max_wait = max(0.0, max_wait - (call.started_at - call.queued_at))
        try:
            call.started_at = await self._scheduler.reacquire(
                call.endpoint.name, call.key, call.started_at, max_wait=max_wait
            )
        except NotSentError as error:
            raise call.merge_outcomes(call.annotate(error)) from None
        self._check_still_ours(call)
        call.deadline += call.started_at - late


def _uid_text(uid: object) -> str:
    """Return the uid as it stands in a path, or "" for what is none."""
    if isinstance(uid, str):
        return uid if _UID.fullmatch(uid) else ""
    if isinstance(uid, int) and not isinstance(uid, bool) and -_MOST_UID < uid < _MOST_UID:
        return str(int(uid))
    return ""
