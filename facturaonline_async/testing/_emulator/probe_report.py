"""Report of ``facturaonline probe``, played by the emulator.

A report has no values, only shapes: names of fields and JSON types. So the emulator answers with its own values in the
shapes of the report. It plays the HTTP status, the media type and the shape of each answer that the probe got, which of
the probe's wrong creates are accepted, the words for the state of a serie, the lag of lists, and when connections are
closed. It does not play durations of calls, further headers, and calls that the probe does not make.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from attrs import evolve, field, frozen

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing._emulator.responses import Answer, html_page
from facturaonline_async.testing._emulator.state import Behaviour

__all__ = ["ProbeReport"]

_FORMAT: Final = "facturaonline-probe-1"
_SUCCESS: Final = "success"
#: The answer of a probe that has the most fields, where there are several.
_FULLEST: Final = {"series.list": "series.list:with_serie"}
_CASES_OF_CREATE: Final = ("duplicate", "missing_field", "wrong_value")
_TEXT_KEYS: Final = ("message", "messsage", "0")

#: Texts of refusals, by the class of the error that a client made of the real one.
_TEXTS: Final = {
    "AuthenticationError": "La cuenta que intenta autenticarse no existe",
    "PermissionDeniedError": "Para utilizar la API necesitas adquirir un plan Empresa",
    "NotFoundError": "La serie no existe",
    "ValidationError": "El campo es requerido",
}
_OTHER_TEXT: Final = "La operación no se pudo realizar"
_ABSENT: Final = "absent"
_OTHER_NAME: Final = "<other>"


@frozen(kw_only=True)
class _Recorded:
    """One answer of the report.

    Attributes:
        status: HTTP status.
        content_type: media type; ``""`` if it had none.
        read_as: ``"success"``, or the class of the error that a client made of it.
        shape: shape of the JSON; None if it was no JSON.

    """

    status: int
    content_type: str
    read_as: str
    shape: Any

    @property
    def is_success(self) -> bool:
        """Whether the API did what the call asked for."""
        return self.read_as == _SUCCESS


@frozen(kw_only=True)
class ProbeReport:
    """What the emulator plays of a report.

    Attributes:
        keep_alive: seconds after which an idle connection is closed; 0: after each answer; None: as the emulator does.

    """

    keep_alive: float | None
    _list_lag: float = field(alias="list_lag")
    _active: str | None = field(alias="active")
    _paused: str | None = field(alias="paused")
    _answers: Mapping[str, _Recorded] = field(alias="answers")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Return the report in a file.

        Args:
            path: the file.

        Raises:
            InvalidInputError: the file is not a report.
            OSError: the file cannot be read.

        """
        content = Path(path).read_bytes()
        try:
            report: dict[str, Any] = json.loads(content)
            if report["format"] == _FORMAT:
                return cls._of(report["observed"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise InvalidInputError(message("testing.not_a_probe_report", path=str(path)), field="behaviour")

    @classmethod
    def _of(cls, observed: dict[str, Any]) -> Self:
        names = ("status", "content_type", "read_as", "shape")
        answers = {
            name: _Recorded(**{key: answer[key] for key in names}) for name, answer in observed["answers"].items()
        }
        if not all(200 <= answer.status <= 599 for answer in answers.values()):
            raise ValueError
        idle = observed["idle"]
        return cls(
            list_lag=float(observed["list_lag"] or 0.0),
            active=observed["active"],
            paused=observed["paused"],
            keep_alive=0.0 if observed["is_reused"] is False else None if idle is None else float(idle),
            answers=answers,
        )

    def change(self, settings: Behaviour) -> Behaviour:
        """Return settings of an emulator that behaves as the report says.

        Args:
            settings: those without the report; a lag of lists in them counts.

        """
        accepted = set(settings.accepted)
        for case in _CASES_OF_CREATE:
            recorded = self._answers.get(f"series.create:{case}")
            if recorded is not None:
                (accepted.add if recorded.is_success else accepted.discard)(case)
        return evolve(
            settings,
            list_lag=settings.list_lag or self._list_lag,
            active=self._active or settings.active,
            paused=self._paused or settings.paused,
            accepted=frozenset(accepted),
        )

    def play(self, endpoint: str, answer: Answer) -> Answer:
        """Return the answer in the shape that the report has for it.

        An answer that the report does not have, or has with the other verdict, is not changed.

        Args:
            endpoint: name of the endpoint.
            answer: the emulator's own answer.

        """
        # Keys are refused before the endpoint is looked at; the probe tries it with one of them.
        of = "series.list" if answer.case == "wrong_keys" else endpoint
        names = [f"{of}:{answer.case}"] if answer.case else [_FULLEST.get(of, of), of]
        recorded = next((self._answers[name] for name in names if name in self._answers), None)
        if recorded is None or recorded.is_success is not answer.is_success:
            return answer
        headers = {"Content-Type": recorded.content_type} if recorded.content_type else {}
        if recorded.shape is None:
            content: Any = html_page(recorded.status)
        elif answer.is_success:
            content = _reshape(answer.content, recorded.shape, "")
        else:
            text = _TEXTS.get(recorded.read_as, _OTHER_TEXT)
            own = answer.content if isinstance(answer.content, Mapping) else {}
            content = _reshape({**own, **dict.fromkeys(_TEXT_KEYS, text)}, recorded.shape, text)
        return evolve(answer, content=content, status=recorded.status, headers=headers, is_recorded=True)


def _reshape(value: Any, shape: Any, text: str) -> Any:
    """Return a value with the fields and types of a shape.

    Where a new text is needed, it is `text`.
    """
    if isinstance(shape, dict):
        fields = value if isinstance(value, Mapping) else {}
        names = [name for name in shape if name in fields or not _may_be_absent(shape[name])]
        return {name: _reshape(fields.get(name), shape[name], text) for name in names if name != _OTHER_NAME}
    if isinstance(shape, list):
        rows = value if isinstance(value, list) else [value]
        return [_reshape(each, shape[0], text) for each in rows] if shape else []
    return shape[1:] if shape.startswith("=") else _convert(value, shape.split("|"), text)


def _may_be_absent(shape: Any) -> bool:
    return isinstance(shape, str) and _ABSENT in shape.split("|")


def _convert(value: Any, types: list[str], text: str) -> Any:
    """Return a value as one of these JSON types."""
    own = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}.get(type(value), "")
    if own in types:
        return value
    match next((each for each in types if each != _ABSENT), ""):
        case "string":
            return text if value is None else str(value)
        case "integer":
            return int(value) if isinstance(value, str) and value.isdecimal() else 0
        case "number":
            return 0.5
        case "boolean":
            return True
        case "object":
            return {}
        case "array":
            return []
        case _:
            return None
