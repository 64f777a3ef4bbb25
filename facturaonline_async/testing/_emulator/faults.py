"""Injected faults, and the requests that they apply to."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing._emulator.responses import Answer, html_page

__all__ = ["Fault", "FaultPlan", "check_seconds"]


def check_seconds(name: str, value: float) -> float:
    """Return a duration, or refuse it if it is not a number of seconds from 0 up."""
    if not 0 <= value < float("inf"):
        raise InvalidInputError(message("testing.not_seconds", name=name, value=f"{value!r}"), field=name)
    return float(value)


@frozen(kw_only=True, repr=False)
class Fault:
    """Fault of one request, made with a constructor such as ``Fault.delay(2.5)``.

    `Request.committed` in the log says whether the work was done all the same.

    Attributes:
        label: constructor call of the fault, such as ``"delay(2.5)"``.
        before: delay before the work, in seconds.
        commit: whether the work is done at the usual time.
        after: delay between the work and the response, in seconds.
        late: delay of the work after the connection was dropped, in seconds; None: no late work.
        again: delay until the work is done a second time, in seconds; None: no second time.
        behind: age of the data that is read, in seconds; rows created later are missing.
        drop: whether the connection is aborted instead of a response.
        answer: response to send instead of the API's own; None: the API's own.

    """

    label: str
    before: float = 0.0
    commit: bool = True
    after: float = 0.0
    late: float | None = None
    again: float | None = None
    behind: float = 0.0
    drop: bool = False
    answer: Answer | None = field(default=None, hash=False)

    def __repr__(self) -> str:
        return f"Fault.{self.label}"

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """Wait, then do the work and respond.

        The work is done even if the client disconnects.

        Args:
            seconds: delay before the work.

        Raises:
            InvalidInputError: `seconds` is not a number from 0 up.

        """
        return cls(label=f"delay({seconds})", before=check_seconds("seconds", seconds))

    @classmethod
    def delay_answer(cls, seconds: float) -> Fault:
        """Do the work, wait, then respond.

        Args:
            seconds: delay between the work and the response.

        Raises:
            InvalidInputError: `seconds` is not a number from 0 up.

        """
        return cls(label=f"delay_answer({seconds})", after=check_seconds("seconds", seconds))

    @classmethod
    def status(
        cls,
        code: int,
        *,
        body: Mapping[str, Any] | list[Any] | str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        commit: bool = False,
    ) -> Fault:
        """Respond with an HTTP status.

        Args:
            code: HTTP status, 200 to 599.
            body: a mapping or a list is sent as JSON, a text as HTML, bytes unchanged; None: a short HTML page.
            headers: further headers, such as ``{"Location": "https://…"}``.
            commit: whether the work is done all the same.

        Raises:
            InvalidInputError: `code` is not a status from 200 to 599.

        """
        if not 200 <= code <= 599:
            raise InvalidInputError(message("testing.not_a_status", name="code", value=f"{code!r}"), field="code")
        content = html_page(code) if body is None else body
        return cls(label=f"status({code})", commit=commit, answer=Answer(content, code, dict(headers or {})))

    @classmethod
    def throttle(cls, retry_after: str | float | None = None) -> Fault:
        """Respond with HTTP 429, without doing the work.

        Args:
            retry_after: value of the header ``Retry-After``, sent unchanged: a number of seconds, an HTTP date, or
                invalid text. None: no such header.

        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        answer = Answer({"message": "Too Many Attempts."}, 429, headers)
        return cls(label=f"throttle({retry_after!r})", commit=False, answer=answer)

    @classmethod
    def drop_before_commit(cls) -> Fault:
        """Read the request, then abort the connection without work or response."""
        return cls(label="drop_before_commit()", commit=False, drop=True)

    @classmethod
    def drop_after_commit(cls) -> Fault:
        """Do the work, then abort the connection without a response."""
        return cls(label="drop_after_commit()", drop=True)

    @classmethod
    def garbage(cls, *, commit: bool = True) -> Fault:
        """Respond with HTTP 200 and truncated JSON.

        Args:
            commit: whether the work is done.

        """
        return cls(label=f"garbage(commit={commit})", commit=commit, answer=Answer(b'{"status":"succ'))

    @classmethod
    def html_page(cls, *, commit: bool = True, status: int = 200) -> Fault:
        """Respond with an HTML page, such as a maintenance notice, instead of JSON.

        Args:
            commit: whether the work is done.
            status: HTTP status.

        """
        answer = Answer(html_page(status), status)
        return cls(label=f"html_page(commit={commit}, status={status})", commit=commit, answer=answer)

    @classmethod
    def commit_late(cls, seconds: float) -> Fault:
        """Abort the connection, and do the work later.

        Stopping the emulator cancels the work.

        Args:
            seconds: delay of the work after the abort.

        Raises:
            InvalidInputError: `seconds` is not a number from 0 up.

        """
        late = check_seconds("seconds", seconds)
        return cls(label=f"commit_late({seconds})", commit=False, drop=True, late=late)

    @classmethod
    def commit_twice(cls, seconds: float = 0.0) -> Fault:
        """Do the work twice and respond once, like a load balancer that repeats a POST.

        Stopping the emulator cancels the second time.

        Args:
            seconds: delay of the second time after the first.

        Raises:
            InvalidInputError: `seconds` is not a number from 0 up.

        """
        return cls(label=f"commit_twice({seconds})", again=check_seconds("seconds", seconds))

    @classmethod
    def stale(cls, seconds: float) -> Fault:
        """Read old data, like a lagging replica or cache.

        Lists and details lack all rows created since, even if earlier responses had them. Updates and deletions are not
        hidden. A row without ``created_at`` is never hidden.

        Args:
            seconds: age of the data.

        Raises:
            InvalidInputError: `seconds` is not a number from 0 up.

        """
        return cls(label=f"stale({seconds})", behind=check_seconds("seconds", seconds))


@define(eq=False)
class _Injection:
    """A fault and the requests that it applies to; see `Emulator.inject`.

    Attributes:
        fault: the fault.
        endpoint: name of the endpoint; None: all requests.
        times: number of requests that it still applies to; None: unlimited.
        probability: probability for each request, from 0 to 1.
        skip: number of matching requests that still pass first.

    """

    fault: Fault
    endpoint: str | None
    times: int | None
    probability: float
    skip: int


class FaultPlan:
    """Injected faults that still apply to later requests, in order of injection."""

    def __init__(self, seed: float | str) -> None:
        self._injections: list[_Injection] = []
        self._random = random.Random(seed)

    def add(self, fault: Fault, *, endpoint: str | None, times: int | None, probability: float, skip: int) -> None:
        """Add a fault; see `Emulator.inject`."""
        if times is not None and times < 1:
            raise InvalidInputError(
                message("testing.too_small_or_none", name="times", minimum=1, value=f"{times!r}"), field="times"
            )
        if not 0 <= probability <= 1:
            raise InvalidInputError(
                message("testing.not_a_probability", name="probability", value=f"{probability!r}"), field="probability"
            )
        if skip < 0:
            raise InvalidInputError(
                message("testing.too_small", name="skip", minimum=0, value=f"{skip!r}"), field="skip"
            )
        self._injections.append(_Injection(fault, endpoint, times, probability, skip))

    def clear(self) -> None:
        """Remove all faults."""
        self._injections.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the first fault that applies to a request, or None, and count it."""
        for injection in self._injections:
            if injection.endpoint in {None, endpoint} and self._applies(injection):
                return injection.fault
        return None

    def _applies(self, injection: _Injection) -> bool:
        """Return whether the fault applies to this request, and count it if so."""
        if injection.skip:
            injection.skip -= 1
            return False
        if self._random.random() >= injection.probability:
            return False
        if injection.times is not None:
            injection.times -= 1
            if not injection.times:
                self._injections.remove(injection)
        return True
