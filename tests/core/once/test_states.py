"""What an error says about a create."""

from __future__ import annotations

import pytest

from facturaonline_async import (
    ApiError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnreadableAnswerError,
    ValidationError,
)
from facturaonline_async._core.once.states import StepState, state_after


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotSentError("refused"), StepState.PLANNED),
        (RateLimitError("busy"), StepState.PLANNED),
        (ApiError("no"), StepState.FAILED),
        (ValidationError("no"), StepState.FAILED),
        (UnreadableAnswerError("yes, in other words"), StepState.UNRESOLVED),
        (OutcomeUnknownError("broke"), StepState.UNKNOWN),
        (RequestTimeoutError("slow"), StepState.UNKNOWN),
        (ServerError("500"), StepState.UNKNOWN),
        (RuntimeError("of another library"), StepState.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.value,
)
def test_only_an_error_that_says_so_means_that_nothing_was_created(error: Exception, state: StepState) -> None:
    assert state_after(error) is state
