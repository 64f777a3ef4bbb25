"""Report of a probe, as JSON without a value that identifies anybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict, field, frozen

from facturaonline_async._cli.probe_shape import Shape, compare
from facturaonline_async._messages import Message, message
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError

__all__ = ["Observations", "ObservedAnswer", "differences", "read_report", "report_of"]

_FORMAT: Final = "facturaonline-probe-1"
_TOLERANCE: Final = 0.5
"""Seconds by which durations may differ: a list is read four times a second."""
_LONGEST: Final = 1e9
"""Seconds, more than any duration of a report."""
_SHOWN: Final = 60
"""Characters of a wrong value that an error shows."""


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
        more: further facts, which identify no person either.

    """
    return {"format": _FORMAT, **more, "observed": asdict(observed)}


def read_report(path: Path) -> Observations:
    """Return the observations of a report.

    Args:
        path: the file.

    Raises:
        InvalidInputError: it is not a report, or a field of it is missing or has another type.
        OSError: it cannot be read.

    """
    content = path.read_bytes()
    reason = message("probe.not_a_report", path=printable_path(path))
    try:
        report = json.loads(content)
        if isinstance(report, dict) and report.get("format") == _FORMAT:
            return _read_observations(report.get("observed"))
    except _FieldError as error:
        reason = error.describe(path)
    except (ValueError, RecursionError):
        pass
    raise InvalidInputError(reason, field="against")


class _FieldError(Exception):
    """A field that is missing, or has a value of another kind than a report."""

    def __init__(self, name: str, *value: object) -> None:
        super().__init__(name, *value)

    def describe(self, path: Path) -> Message:
        """Return the error's text.

        Args:
            path: the file.

        """
        name, *values = self.args
        if not values:
            return message("probe.missing_field", path=printable_path(path), field=printable(name))
        shown = json.dumps(values[0], ensure_ascii=False)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} …"
        return message("probe.wrong_field", path=printable_path(path), field=printable(name), value=printable(shown))


def _read_observations(value: object) -> Observations:
    fields = _read_fields("observed", value, _OBSERVED)
    answers = {
        name: ObservedAnswer(**_read_fields(f"observed.answers.{name}", each, _ANSWER))
        for name, each in fields.pop("answers").items()
    }
    return Observations(answers=answers, **fields)


def _read_fields(path: str, value: object, checks: Mapping[str, Callable[[object], bool]]) -> dict[str, Any]:
    """Return the checked fields of an object that has exactly these."""
    if not isinstance(value, dict):
        raise _FieldError(path, value)
    for name in {**checks, **value}:
        place = f"{path}.{name}"
        if name not in value:
            raise _FieldError(place)
        if name not in checks or not checks[name](value[name]):
            raise _FieldError(place, value[name])
    return value


def _is_a(*types: type) -> Callable[[object], bool]:
    return lambda value: type(value) in types  # true is no number


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LONGEST


def _is_seconds_or_none(value: object) -> bool:
    return value is None or _is_seconds(value)


def _is_shape(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_shape, value.values()))
    if isinstance(value, list):
        return len(value) <= 1 and all(map(_is_shape, value))
    return isinstance(value, str)


_OBSERVED: Final[Mapping[str, Callable[[object], bool]]] = {
    "answers": _is_a(dict),
    "active": _is_a(str, type(None)),
    "paused": _is_a(str, type(None)),
    "list_lag": _is_seconds_or_none,
    "list_watched": _is_seconds,
    "is_reused": _is_a(bool, type(None)),
    "idle": _is_seconds_or_none,
    "idle_watched": _is_seconds,
}
_ANSWER: Final[Mapping[str, Callable[[object], bool]]] = {
    "status": _is_a(int),
    "content_type": _is_a(str),
    "read_as": _is_a(str),
    "shape": lambda value: value is None or _is_shape(value),
    "milliseconds": _is_a(int),
}
