"""Report of a probe, as JSON without a value that identifies anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict, field, frozen

from facturaonline_async._cli.probe_shape import Shape, compare
from facturaonline_async._messages import message
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError

__all__ = ["Observations", "ObservedAnswer", "differences", "read_report", "report_of"]

_FORMAT: Final = "facturaonline-probe-1"
_TOLERANCE: Final = 0.5
"""Seconds by which durations may differ: a list is read four times a second."""


@frozen(kw_only=True)
class ObservedAnswer:
    """Answer to one call.

    Attributes:
        status: HTTP status.
        content_type: media type, without parameters.
        read_as: ``"success"``, or the class of the error that the client raises.
        shape: its fields and their types; None if it is not JSON.
        milliseconds: duration of the call. It is not compared.

    """

    status: int
    content_type: str
    read_as: str
    shape: Shape | None
    milliseconds: int


@frozen(kw_only=True)
class Observations:
    """What a probe has observed.

    Attributes:
        answers: answers by call and case, such as ``"series.list:wrong_keys"``.
        active: word for the state of an active serie; None: not observed.
        paused: word for that of a paused one; None: not observed.
        list_lag: seconds from the answer to a create until the list has the serie; None: it did not appear in time.
        list_watched: seconds for which the list was read at most; 0: not at all.
        is_reused: whether the server keeps a connection for the next request; None: not observed.
        idle: seconds after which it closes an idle connection; None: it did not within `idle_watched`.
        idle_watched: seconds for which an idle connection was watched; 0: not at all.

    """

    answers: Mapping[str, ObservedAnswer] = field(factory=dict)
    active: str | None = None
    paused: str | None = None
    list_lag: float | None = None
    list_watched: float = 0.0
    is_reused: bool | None = None
    idle: float | None = None
    idle_watched: float = 0.0


def differences(expected: Observations, found: Observations) -> Iterator[dict[str, str]]:
    """Yield each difference: the call, what of it, and what was expected and found.

    Durations of calls are not compared, and other durations with a tolerance of half a second.

    Args:
        expected: observations of an emulator, or of another report.
        found: observations of the server.

    """
    for name in {**expected.answers, **found.answers}:
        one, other = expected.answers.get(name), found.answers.get(name)
        if one is None or other is None:
            yield _difference(name, "answer", *("missing" if each is None else "there" for each in (one, other)))
            continue
        for what in ("status", "content_type", "read_as"):
            if getattr(one, what) != getattr(other, what):
                yield _difference(name, what, getattr(one, what), getattr(other, what))
        for path, *both in compare(one.shape, other.shape):
            yield _difference(name, path or "shape", *both)
    for what in ("active", "paused", "is_reused"):
        if getattr(expected, what) != getattr(found, what):
            yield _difference("behaviour", what, getattr(expected, what), getattr(found, what))
    for what in ("list_lag", "idle"):
        if _is_other_duration(getattr(expected, what), getattr(found, what)):
            yield _difference("behaviour", what, getattr(expected, what), getattr(found, what))


def _difference(of: str, what: str, expected: object, found: object) -> dict[str, str]:
    return {"of": of, "what": what, "expected": _value(expected), "found": _value(found)}


def _value(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _is_other_duration(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > _TOLERANCE


def report_of(observed: Observations, **more: object) -> dict[str, Any]:
    """Return the JSON values of a report.

    Args:
        observed: what was observed.
        more: further facts, which identify nobody either.

    """
    return {"format": _FORMAT, **more, "observed": asdict(observed)}


def read_report(path: Path) -> Observations:
    """Return the observations of a report.

    Args:
        path: the file.

    Raises:
        InvalidInputError: it is not a report.
        OSError: it cannot be read.

    """
    content = path.read_bytes()
    try:
        report: dict[str, Any] = json.loads(content)
        if report["format"] == _FORMAT:
            observed = report["observed"]
            answers = {str(name): ObservedAnswer(**each) for name, each in observed.pop("answers").items()}
            return Observations(answers=answers, **observed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise InvalidInputError(message("probe.not_a_report", path=printable_path(path)), field="against")
