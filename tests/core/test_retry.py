"""Retry decisions, pauses and budget."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    UnreadableAnswerError,
    ValidationError,
)
from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.retry import Action, Budget, Decision, decide, read_date, read_retry_after

SATURDAY = 1795219200.0  # Sat, 21 Nov 2026 00:00:00 GMT


def endpoint(retry_safety: RetrySafety) -> Endpoint:
    return Endpoint(name="series.create", method="POST", path="/things", retry_safety=retry_safety)


def transient(error: FacturaOnlineError) -> FacturaOnlineError:
    error.is_transient = True
    return error


def decided(
    error: FacturaOnlineError,
    retry_safety: RetrySafety,
    *,
    attempt: int = 0,
    left: float = 90.0,
    policy: RetryPolicy | None = None,
    budget: Budget | None = None,
    uniform: Callable[[float, float], float] = lambda _, most: most,
) -> Decision:
    return decide(
        error,
        endpoint(retry_safety),
        policy or RetryPolicy(),
        budget or Budget(500),
        attempt=attempt,
        left=left,
        uniform=uniform,
    )


REFUSALS = [ApiError, AuthenticationError, NotFoundError, ValidationError, UnreadableAnswerError]


# ── By operation and outcome ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "read", "idempotent", "state", "never"),
    [
        (transient(NotSentError("refused")), Action.REPEAT, Action.REPEAT, Action.REPEAT, Action.REPEAT),
        (RateLimitError("busy"), Action.REPEAT, Action.REPEAT, Action.REPEAT, Action.REPEAT),
        (NotSentError("TLS"), Action.RAISE, Action.RAISE, Action.RAISE, Action.RAISE),
        (InvalidInputError("uid"), Action.RAISE, Action.RAISE, Action.RAISE, Action.RAISE),
        (transient(OutcomeUnknownError("broke")), Action.REPEAT, Action.REPEAT, Action.VERIFY, Action.RAISE),
        (transient(RequestTimeoutError("slow")), Action.REPEAT, Action.REPEAT, Action.VERIFY, Action.RAISE),
        (transient(ServerError("500")), Action.REPEAT, Action.REPEAT, Action.VERIFY, Action.RAISE),
        (transient(ServerError("503", status=503)), Action.REPEAT, Action.REPEAT, Action.VERIFY, Action.RAISE),
        (OutcomeUnknownError("no verdict", status=200), Action.RAISE, Action.REPEAT, Action.VERIFY, Action.RAISE),
        (OutcomeUnknownError("elsewhere", status=302), Action.RAISE, Action.RAISE, Action.RAISE, Action.RAISE),
        *((kind("no"), Action.RAISE, Action.RAISE, Action.RAISE, Action.RAISE) for kind in REFUSALS),
    ],
    ids=lambda value: f"{type(value).__name__} {value}" if isinstance(value, Exception) else value.value,
)
def test_only_safe_calls_are_retried(
    error: FacturaOnlineError, read: Action, idempotent: Action, state: Action, never: Action
) -> None:
    by_reference = idempotent
    assert [decided(error, retry_safety).action for retry_safety in RetrySafety] == [
        *(read, idempotent, state, by_reference, never),
    ]


@pytest.mark.parametrize(("status", "action"), [(300, Action.RAISE), (399, Action.RAISE), (400, Action.REPEAT)])
def test_a_redirect_is_a_status_from_300_to_399(status: int, action: Action) -> None:
    assert decided(OutcomeUnknownError("no verdict", status=status), RetrySafety.IDEMPOTENT).action is action


def test_reads_have_four_attempts_and_writes_three() -> None:
    error = transient(ServerError("500"))
    assert [decided(error, RetrySafety.READ, attempt=each).action for each in range(4)] == [Action.REPEAT] * 3 + [
        Action.RAISE
    ]
    assert [decided(error, RetrySafety.IDEMPOTENT, attempt=each).action for each in range(3)] == [Action.REPEAT] * 2 + [
        Action.RAISE
    ]
    assert [decided(error, RetrySafety.VERIFY_FIRST, attempt=each).action for each in range(3)] == [
        Action.VERIFY
    ] * 2 + [Action.VERIFY_LAST]


def test_an_unreadable_answer_is_read_again_once() -> None:
    error = transient(OutcomeUnknownError("not JSON", status=200))
    assert [decided(error, RetrySafety.READ, attempt=each).action for each in range(2)] == [Action.REPEAT, Action.RAISE]


# ── Pauses ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_pause_is_drawn_from_zero_to_a_doubling_bound() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return 0.0

    policy = RetryPolicy(read_attempts=20, attempts=20)
    for error in (transient(OutcomeUnknownError("broke")), RateLimitError("busy"), ServerError("503", status=503)):
        drawn.clear()
        for attempt in range(12):
            decided(transient(error), RetrySafety.READ, attempt=attempt, policy=policy, uniform=uniform)
        first = 0.05 if type(error) is OutcomeUnknownError else 1.0
        assert drawn == [(0, min(20.0, first * 2**attempt)) for attempt in range(12)]


@pytest.mark.parametrize("error", [RateLimitError("busy", retry_after=7.0), ServerError("503", retry_after=7.0)])
def test_retry_after_replaces_the_backoff(error: FacturaOnlineError) -> None:
    assert decided(transient(error), RetrySafety.READ).pause == 7.0
    assert decided(transient(error), RetrySafety.READ, left=7.0).action is Action.RAISE
    assert decided(transient(error), RetrySafety.READ, left=7.1).action is Action.REPEAT


@pytest.mark.parametrize(("attempt", "left"), [(0, 7.0), (2, 90.0)], ids=["deadline", "attempts"])
def test_a_throttled_call_that_is_not_retried_says_how_long_its_keys_are_held(attempt: int, left: float) -> None:
    error = RateLimitError("busy", retry_after=7.0)
    assert decided(error, RetrySafety.NEVER, attempt=attempt, left=left) == Decision(Action.RAISE, 7.0)


@given(st.integers(0, 10**6))
def test_the_pause_is_bounded_for_any_number_of_attempts(attempt: int) -> None:
    policy = RetryPolicy(read_attempts=10**7)
    assert decided(transient(ServerError("500")), RetrySafety.READ, attempt=attempt, policy=policy).pause <= 20


# ── Budget ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_budget_ends_retries() -> None:
    budget = Budget(14 + 5 + 13)
    error = transient(ServerError("500"))
    assert decided(error, RetrySafety.READ, budget=budget) == Decision(Action.REPEAT, 0.05, 14)
    assert decided(RateLimitError("busy"), RetrySafety.READ, budget=budget) == Decision(Action.REPEAT, 1.0, 5)
    assert decided(error, RetrySafety.READ, budget=budget) == Decision(Action.RAISE, 0.05)
    budget.refund(1)
    assert decided(error, RetrySafety.READ, budget=budget).action is Action.REPEAT


def test_a_call_that_is_not_retried_costs_nothing() -> None:
    budget = Budget(14)
    error = transient(ServerError("500"))
    decided(error, RetrySafety.NEVER, budget=budget)
    decided(error, RetrySafety.READ, attempt=3, budget=budget)
    decided(error, RetrySafety.READ, left=0.01, budget=budget)
    assert decided(error, RetrySafety.READ, budget=budget).action is Action.REPEAT


def test_a_budget_never_exceeds_its_capacity() -> None:
    budget = Budget(20)
    budget.refund(1000)
    assert (budget.charge(21), budget.charge(20), budget.charge(1)) == (False, True, False)


def test_a_budget_is_touched_while_tokens_are_missing() -> None:
    budget = Budget(20)
    touched = [budget.is_touched]
    for change in (lambda: budget.charge(21), lambda: budget.charge(5), lambda: budget.refund(4)):
        change()
        touched.append(budget.is_touched)
    budget.refund(1)
    assert [*touched, budget.is_touched] == [False, False, True, True, False]


# ── Retry-After ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("\t7\t", 7.0),
        ("999999999999", 999999999999.0),
        ("Sat, 21 Nov 2026 00:00:30 GMT", 30.0),
        ("Saturday, 21-Nov-26 00:00:30 GMT", 30.0),
        ("Sat Nov 21 00:00:30 2026", 30.0),
        ("Sat, 21 Nov 2026 01:00:30 +0100", 30.0),
        ("SAT, 21 NOV 2026 00:00:30 GMT", 30.0),
        ("sat, 21 nov 2026 00:00:30 gmt", 30.0),
        ("Fri, 20 Nov 2026 00:00:00 GMT", 0.0),
        *((junk, None) for junk in ("", "-1", "+1", "soon", "1.5", "1e3", "0x10", "\u0663", "\uff13", "3, 4", "inf")),
        *((junk, None) for junk in ("Sat, 99 Nov 2026 00:00:00 GMT", "Sat, 21 Nov 99999999 00:00:00 GMT", "nan")),
        *((junk, None) for junk in ("X7X", "\u00a07", "Sat, 21 Nov 2026 00:00:\u0663\u0660 GMT")),
    ],
)
def test_retry_after_is_seconds_a_date_or_none(header: str, seconds: float | None) -> None:
    assert read_retry_after(header, SATURDAY) == seconds


@given(st.text())
def test_any_retry_after_header_is_read_without_an_exception(header: str) -> None:
    seconds = read_retry_after(header, SATURDAY)
    assert seconds is None or seconds >= 0


def test_long_retry_after_headers_are_read_quickly() -> None:
    assert read_retry_after("9" * 300, SATURDAY) == float("9" * 300)
    assert read_retry_after("9" * 10**6, SATURDAY) is None
    assert not math.isinf(read_retry_after("9" * 300, SATURDAY) or 0)


def test_dates_have_at_most_40_characters() -> None:
    dates = [f"Sat,{' ' * spaces}21 Nov 2026 00:00:00 GMT" for spaces in (12, 13)]
    assert ([len(date) for date in dates], [read_date(date) for date in dates]) == ([40, 41], [SATURDAY, None])


@pytest.fixture
def mexico_city(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process have the local time of Mexico City."""
    if sys.platform == "win32":
        pytest.skip("the system has no tzset")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/Mexico_City")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("mexico_city")
@pytest.mark.parametrize("zone", ["", " -0000", " GMT"])
def test_a_date_is_in_utc_whatever_the_local_time(zone: str) -> None:
    assert (time.localtime(SATURDAY).tm_hour, read_date(f"Sat, 21 Nov 2026 00:00:30{zone}")) == (18, SATURDAY + 30)
