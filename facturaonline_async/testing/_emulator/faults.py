"""Faults on demand: what goes wrong, and for which requests."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing._emulator.responses import Answer, html_page

__all__ = ["Fault", "FaultPlan"]


def _seconds(name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise InvalidInputError(f"{name} must be a number of seconds from 0 up, and was {value!r}.", field=name)
    return float(value)


@frozen(kw_only=True, repr=False)
class Fault:
    """One thing that goes wrong with one request. Make it with a named constructor, such as ``Fault.delay(2.5)``.

    Whether the work was done in spite of it stands in the log: `Request.committed`.

    Attributes:
        label: how the fault was made, such as ``"delay(2.5)"``.
        before: seconds of waiting before the work.
        commit: whether the work is done at its ordinary time.
        after: seconds of waiting between the work and the answer.
        late: seconds after which the work is done although the connection was dropped; None: it is not.
        again: seconds after the work until it is done once more; None: once is all.
        behind: seconds by which what is read lies behind: what was created since is not there.
        drop: whether the connection is aborted instead of an answer.
        answer: sent instead of the API's own answer; None: the API's own.

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
        """Wait `seconds`, then do the work and answer. The work is done even if the client has gone by then."""
        return cls(label=f"delay({seconds})", before=_seconds("seconds", seconds))

    @classmethod
    def delay_answer(cls, seconds: float) -> Fault:
        """Do the work at once, wait `seconds`, then answer."""
        return cls(label=f"delay_answer({seconds})", after=_seconds("seconds", seconds))

    @classmethod
    def status(
        cls,
        code: int,
        *,
        body: Mapping[str, Any] | list[Any] | str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        commit: bool = False,
    ) -> Fault:
        """Answer this HTTP status.

        Args:
            code: HTTP status, 200 to 599.
            body: a mapping or a list is sent as JSON, a text as HTML, bytes as they are; None: a short HTML page.
            headers: further headers, such as ``{"Location": "https://…"}``.
            commit: whether the work is done all the same.

        Raises:
            InvalidInputError: `code` is no such status.

        """
        if not 200 <= code <= 599:
            raise InvalidInputError(f"code must be an HTTP status from 200 to 599, and was {code!r}.", field="code")
        content = html_page(code) if body is None else body
        return cls(label=f"status({code})", commit=commit, answer=Answer(content, code, dict(headers or {})))

    @classmethod
    def throttle(cls, retry_after: str | float | None = None) -> Fault:
        """Answer HTTP 429; the work is not done.

        Args:
            retry_after: sent as the header ``Retry-After``, as it is: a number of seconds, an HTTP date, or nonsense.
                None: no such header.

        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        answer = Answer({"message": "Too Many Attempts."}, 429, headers)
        return cls(label=f"throttle({retry_after!r})", commit=False, answer=answer)

    @classmethod
    def drop_before_commit(cls) -> Fault:
        """Read the request, then abort the connection: the work is not done and there is no answer."""
        return cls(label="drop_before_commit()", commit=False, drop=True)

    @classmethod
    def drop_after_commit(cls) -> Fault:
        """Do the work, then abort the connection: there is no answer."""
        return cls(label="drop_after_commit()", drop=True)

    @classmethod
    def garbage(cls, *, commit: bool = True) -> Fault:
        """Answer HTTP 200 with a body that breaks off in the middle of its JSON."""
        return cls(label=f"garbage(commit={commit})", commit=commit, answer=Answer(b'{"status":"succ'))

    @classmethod
    def html_page(cls, *, commit: bool = True, status: int = 200) -> Fault:
        """Answer an HTML page, such as a maintenance notice, instead of JSON."""
        answer = Answer(html_page(status), status)
        return cls(label=f"html_page(commit={commit}, status={status})", commit=commit, answer=answer)

    @classmethod
    def commit_late(cls, seconds: float) -> Fault:
        """Abort the connection now, and do the work `seconds` later.

        Work that is still to be done when the emulator stops is not done.
        """
        late = _seconds("seconds", seconds)
        return cls(label=f"commit_late({seconds})", commit=False, drop=True, late=late)

    @classmethod
    def work_twice(cls, seconds: float = 0.0) -> Fault:
        """Do the work and answer, and do it once more `seconds` later, as a balancer does that repeats a POST.

        Work that is still to be done when the emulator stops is not done.
        """
        return cls(label=f"work_twice({seconds})", again=_seconds("seconds", seconds))

    @classmethod
    def stale(cls, seconds: float) -> Fault:
        """Read what was there `seconds` ago, as a replica or a cache does that lies behind.

        Lists and details lack what was created since, though earlier ones had it. What was changed or deleted meanwhile
        is as it is, and what has no ``created_at`` has been there long ago.
        """
        return cls(label=f"stale({seconds})", behind=_seconds("seconds", seconds))


@define(eq=False)
class _Order:
    """Which requests a fault is to meet."""

    fault: Fault
    endpoint: str | None
    times: int | None
    probability: float
    skip: int


class FaultPlan:
    """The faults that were ordered and have not happened yet. The first order that fits a request meets it."""

    def __init__(self, seed: float | str) -> None:
        self._orders: list[_Order] = []
        self._random = random.Random(seed)

    def add(self, fault: Fault, *, endpoint: str | None, times: int | None, probability: float, skip: int) -> None:
        """Order a fault; see `Emulator.inject`."""
        if times is not None and times < 1:
            raise InvalidInputError(f"times must be None or a number from 1 up, and was {times!r}.", field="times")
        if not 0 <= probability <= 1:
            raise InvalidInputError(
                f"probability must be a number from 0 to 1, and was {probability!r}.", field="probability"
            )
        if skip < 0:
            raise InvalidInputError(f"skip must be a number from 0 up, and was {skip!r}.", field="skip")
        self._orders.append(_Order(fault, endpoint, times, probability, skip))

    def clear(self) -> None:
        """Forget every order."""
        self._orders.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault that meets this request, or None."""
        for order in self._orders:
            if order.endpoint in {None, endpoint} and self._fits(order):
                return order.fault
        return None

    def _fits(self, order: _Order) -> bool:
        """Tell whether the order meets this request, and count it if so."""
        if order.skip:
            order.skip -= 1
            return False
        if self._random.random() >= order.probability:
            return False
        if order.times is not None:
            order.times -= 1
            if not order.times:
                self._orders.remove(order)
        return True
