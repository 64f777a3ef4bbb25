"""Errors: whether the call happened, pickling, and no secrets or foreign exceptions inside."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from facturaonline_async import errors
from facturaonline_async._messages import Message, message
from facturaonline_async.errors import (
    ApiError,
    FacturaOnlineError,
    InvalidInputError,
    LimiterWaitError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    RequestTimeoutError,
    UnreadableAnswerError,
    ValidationError,
    text_of,
)
from facturaonline_async.provision import JournalError, PlanError

CONTEXT = {"endpoint": "series.get", "status": 404, "uid": 19843, "snippet": "…"}

SAMPLES: list[FacturaOnlineError] = [
    *(
        getattr(errors, name)("text", **CONTEXT)
        for name in errors.__all__
        if name not in {"InvalidInputError", "ValidationError", "RateLimitError"}
    ),
    InvalidInputError("text", field="uid", endpoint="series.get", uid=1),
    ValidationError("text", fields={"razons": ("El campo razons es requerido",)}, endpoint="empresas.create"),
    RateLimitError("text", retry_after=2.5, endpoint="series.list"),
    LimiterWaitError("text", retry_after=0.25, endpoint="series.list"),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_survives_pickling_and_copying_unchanged(error: FacturaOnlineError, duplicate: object) -> None:
    again = duplicate(error)  # type: ignore[operator]
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("kind", [*(getattr(errors, name) for name in errors.__all__), JournalError, PlanError])
@pytest.mark.parametrize("duplicate", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_keeps_its_code_and_parameters_in_copies(kind: type[FacturaOnlineError], duplicate: object) -> None:
    error = kind(message("calls.earlier_create", seconds=5.0).then(message("calls.not_searched", error="no")))
    error.add_note(message("calls.sent_again", error="no"))
    again = duplicate(error)  # type: ignore[operator]
    text, note = again.args[0], again.__notes__[0]
    assert (again.code, text, note) == ("calls.earlier_create", error.args[0], error.__notes__[0])
    assert (text.parameters, text.following[0].code, note.code) == (
        {"seconds": 5.0},
        "calls.not_searched",
        "calls.sent_again",
    )


def test_the_tree_in_the_docstring_matches_the_classes() -> None:
    drawn: list[tuple[str, str]] = []
    ancestors: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([ │├└─]*)(\w+Error)\b", line):
            depth = len(match[1]) // 4 if match[1].strip() else 0
            ancestors[len(match[1])] = match[2]
            above = [name for indent, name in sorted(ancestors.items()) if indent < len(match[1])]
            drawn.append((match[2], above[-1] if above else "Exception"))
            ancestors = {indent: name for indent, name in ancestors.items() if indent <= len(match[1])}
            assert depth <= 3
    real = [(name, getattr(errors, name).__mro__[1].__name__) for name in errors.__all__]
    assert sorted(drawn) == sorted(real)


@pytest.mark.parametrize(("error", "builtin"), [(InvalidInputError, ValueError), (RequestTimeoutError, TimeoutError)])
def test_builtin_exceptions_catch_the_matching_errors(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


def test_each_error_belongs_to_exactly_one_of_the_four_groups() -> None:
    answers = (NotSentError, ApiError, OutcomeUnknownError, UnreadableAnswerError)
    kinds = [getattr(errors, name) for name in errors.__all__ if name != "FacturaOnlineError"]
    assert {sum(issubclass(kind, answer) for answer in answers) for kind in kinds} == {1}
    assert issubclass(LimiterWaitError, NotSentError)


ANSWERS = {NotSentError: "no", ApiError: "no", OutcomeUnknownError: "perhaps", UnreadableAnswerError: "yes"}


@pytest.mark.parametrize("error", [*SAMPLES, JournalError("x"), PlanError("x")], ids=lambda error: type(error).__name__)
def test_happened_of_an_error_is_that_of_its_group(error: FacturaOnlineError) -> None:
    expected = next((word for kind, word in ANSWERS.items() if isinstance(error, kind)), "perhaps")
    assert (expected, expected) == (error.happened, pickle.loads(pickle.dumps(error)).happened)


def test_an_error_names_its_endpoint_and_status() -> None:
    assert str(ApiError("no", endpoint="series.get", status=404)) == "series.get: no (HTTP 404)"
    assert str(NotSentError("no connection")) == "no connection"


def test_the_text_of_an_error_in_another_text_keeps_the_codes_inside() -> None:
    reason = message("calls.session_closed")
    text = text_of(NotSentError(reason, endpoint="series.get", status=404))
    assert isinstance(text, Message)
    assert (text, text.code) == (f"series.get: {reason} (HTTP 404)", "calls.with_endpoint")
    assert text.parameters["text"].parameters == {"text": reason, "status": 404}  # type: ignore[union-attr]
    assert (text_of(NotSentError(reason)), text_of(NotSentError("own text"))) == (reason, "own text")


@pytest.mark.parametrize("kind", [FacturaOnlineError, ApiError])
def test_an_error_without_arguments_has_an_empty_text_and_no_code(kind: type[FacturaOnlineError]) -> None:
    error = kind("x", endpoint="series.list")
    error.args = ()

    assert (str(error), error.code) == ("series.list: ", "")
