"""Facts of an answer that have no attribute, in a read-only mapping.

No key, password or token is among them: fields with such names are left out, and texts that look secret are masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from facturaonline_async._core.redaction import looks_secret, redact
from facturaonline_async._secrets import Secret

__all__ = ["NO_EXTRA", "Extra", "extra_text", "is_secret_name", "mask_extra"]

_to_json: Final = msgspec.json.Encoder(decimal_format="number").encode
_MASK: Final = "***"
_MAX_DEPTH: Final = 16

is_secret_name: Final = lru_cache(maxsize=1024)(looks_secret)
"""`looks_secret`, for the few names that thousands of rows repeat."""


class Extra(Mapping[str, str]):
    """Read-only mapping of texts by the API's names; it can be hashed and pickled.

    Args:
        texts: the texts by name.

    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._texts = dict(texts)

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __hash__(self) -> int:
        return hash(frozenset(self._texts.items()))

    def __repr__(self) -> str:
        return repr(self._texts)

    def __copy__(self) -> Extra:
        return self

    def __deepcopy__(self, memo: object) -> Extra:
        return self

    def __reduce__(self) -> tuple[type[Extra], tuple[dict[str, str]]]:
        return Extra, (dict(self._texts),)


NO_EXTRA: Final = Extra()


def extra_text(value: object) -> str:
    """Return a field's value as text, in which texts that look secret are masked.

    Null, empty lists and empty objects are "", and booleans are "1" and "0". Other lists and objects become JSON text.

    Args:
        value: decoded JSON.

    """
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, int):
        return str(int(value))
    if value is None or value in ([], {}):
        return ""
    return msgspec.json.format(_to_json(_masked(value)), indent=0).decode()


def _masked(value: Any, depth: int = 0) -> Any:
    """Return decoded JSON with its secrets masked, and with what is nested too deeply."""
    if isinstance(value, str):
        return _masked_text(value)
    if not isinstance(value, (list, dict)):
        return value
    if depth == _MAX_DEPTH:
        return _MASK
    if isinstance(value, list):
        return [_masked(each, depth + 1) for each in value]
    return {
        _masked_text(name): _MASK if is_secret_name(name) else _masked(each, depth + 1) for name, each in value.items()
    }


def _masked_text(text: str) -> str:
    # Rows of thousands repeat such fields; `redact` takes 5 µs, and looks for nothing else.
    if '"' in text or "$2" in text or "JDJ" in text:
        text = redact(text)
    return _MASK if "PRIVATE KEY-----" in text else text


def mask_extra(extra: Mapping[str, str], secrets: Iterable[Secret]) -> Mapping[str, str]:
    """Return the facts with every occurrence of these secrets masked.

    Args:
        extra: facts of an answer.
        secrets: keys and passwords of the request.

    """
    secrets = tuple(secrets)
    return Extra({name: redact(text, secrets) for name, text in extra.items()})
