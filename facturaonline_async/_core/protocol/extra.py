"""Facts of an answer that have no attribute, in a read-only mapping.

Fields whose names suggest a key, a password or a token are left out. Masked are, in names and texts:

- keys of this API, PEM private keys, and the secrets of the request;
- values under such names in JSON, in JSON text, and in queries such as ``?password=…``;
- pairs such as ``["password", "…"]`` and ``{"name": "password", "value": "…"}``;
- the password in ``https://user:password@host``.

A secret in any other notation, such as serialized PHP, under a name that suggests none, is not recognized.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from facturaonline_async._core.redaction import looks_secret, redact

__all__ = ["NO_EXTRA", "Extra", "extra_text", "is_secret_name", "make_extra", "mask_extra"]

_to_json: Final = msgspec.json.Encoder(decimal_format="number").encode
_MASK: Final = "***"
_MAX_DEPTH: Final = 16

_MAX_TEXT: Final = 2000
"""Upper bound for the text of a fact, in characters; a longer one ends in "…"."""
_MAX_ROW: Final = 20_000
"""Upper bound for the names and texts of all facts of a row, in characters."""
_MAX_WORD: Final = 256
"""A word of at most so many characters is left out whole where a text is cut: it may be the start of a secret."""
_MAX_CACHED: Final = 64
"""Upper bound for the names that are cached, in characters."""
_MORE: Final = "…"

_MAX_PAIR: Final = 8
"""Upper bound for the members of an object that has a name and a value as members."""
_NAMES_OF_NAMES: Final = frozenset({"name", "nombre", "field", "campo", "key", "clave"})
_USER_INFO: Final = re.compile(r"(://[^\s/@:?#]*+:)[^\s/@]++(?=@)")
_QUERY: Final = re.compile(r"(?<![^?&;\s])([^?&;=\s]++)=([^&;\s#]++)")

_is_secret_name: Final = lru_cache(maxsize=1024)(looks_secret)


def is_secret_name(name: str) -> bool:
    """Return `looks_secret`, cached for the short names that many rows repeat.

    Args:
        name: Name of a field.

    """
    return _is_secret_name(name) if len(name) <= _MAX_CACHED else looks_secret(name)


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

    def are_numbers(self, names: frozenset[str]) -> bool:
        """Return whether all texts are digits, under some of these names.

        Args:
            names: names that the texts may have.

        """
        return names.issuperset(self._texts) and "".join(self._texts.values()).isdigit()

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


def make_extra(row: Mapping[str, object], names: Iterable[str]) -> Extra:
    """Return the facts of a row that are not empty and whose names look harmless.

    Of a row with more than 20,000 characters of facts, the last ones are left out, and ``"…"`` stands for them.

    Args:
        row: decoded JSON.
        names: names of the fields that are facts.

    """
    texts: dict[str, str] = {}
    room = _MAX_ROW
    for name in names:
        if is_secret_name(name) or not (text := extra_text(row[name])):
            continue
        shown = name if len(name) <= _MAX_CACHED and name.isidentifier() and "JDJ" not in name else _masked_text(name)
        room -= len(shown) + len(text)
        if room < 0:
            texts[_MORE] = _MORE
            break
        texts[shown] = text
    return Extra(texts) if texts else NO_EXTRA


def extra_text(value: object) -> str:
    """Return a field's value as text, in which texts that look secret are masked.

    Null, empty lists and empty objects are "", and booleans are "1" and "0". Other lists and objects become JSON text.
    A text of more than 2,000 characters is cut, and ends in "…".

    Args:
        value: decoded JSON.

    """
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, int):
        return str(int(value)) if abs(value) < 10**18 else _cut(str(int(value)))
    if value is None or value in ([], {}):
        return ""
    return _cut(msgspec.json.format(_to_json(_Masker().masked(value)), indent=0).decode())


class _Masker:
    """Copies decoded JSON without its secrets, up to the size of a fact's text."""

    def __init__(self) -> None:
        self._room = _MAX_TEXT

    def masked(self, value: Any, depth: int = 0) -> Any:
        """Return decoded JSON with masks for secrets and for values nested too deeply."""
        self._room -= 1
        if isinstance(value, str):
            text = _masked_text(value)
            self._room -= len(text)
            return text
        if not isinstance(value, (list, dict)):
            return value
        if depth == _MAX_DEPTH:
            return _MASK
        return self._list(value, depth + 1) if isinstance(value, list) else self._object(value, depth + 1)

    def _list(self, values: list[Any], depth: int) -> list[Any]:
        if len(values) == 2 and _names_a_secret(values[0]):
            return [self.masked(values[0], depth), _MASK]
        made: list[Any] = []
        for each in values:
            if self._room < 0:
                return [*made, _MORE]
            made.append(self.masked(each, depth))
        return made

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        is_pair = len(value) <= _MAX_PAIR and any(
            name.casefold() in _NAMES_OF_NAMES and _names_a_secret(each) for name, each in value.items()
        )
        made: dict[str, Any] = {}
        for name, each in value.items():
            if self._room < 0:
                made[_MORE] = _MORE
                return made
            is_secret = is_secret_name(name) or (is_pair and name.casefold() not in _NAMES_OF_NAMES)
            made[self.masked(name)] = _MASK if is_secret else self.masked(each, depth)
        return made


def _names_a_secret(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_CACHED and is_secret_name(value)


def _masked_text(text: str) -> str:
    if len(text) <= _MAX_TEXT and text.isdigit():
        return text
    if "PRIVATE KEY-----" in text:
        return _MASK
    if len(text) > _MAX_TEXT:
        text = _cut(text)
    # Rows of thousands repeat such fields; `redact` takes 5 µs, and looks for nothing else.
    if '"' in text or "$2" in text or "JDJ" in text:
        text = redact(text)
    if "=" in text:
        text = _QUERY.sub(_masked_query, text)
    return _USER_INFO.sub(rf"\1{_MASK}", text) if "://" in text else text


def _masked_query(found: re.Match[str]) -> str:
    return f"{found[1]}={_MASK}" if is_secret_name(found[1]) else found[0]


def _cut(text: str) -> str:
    """Return the text, cut before a word if it is too long."""
    if len(text) <= _MAX_TEXT:
        return text
    kept, last = text[: _MAX_TEXT - _MAX_WORD], text[_MAX_TEXT - _MAX_WORD : _MAX_TEXT]
    return kept + last[: max(map(last.rfind, ' ",')) + 1] + _MORE


def mask_extra(extra: Mapping[str, str], mask: Callable[[str], str]) -> Mapping[str, str]:
    """Return the facts with the request's secrets masked, in names and texts.

    Args:
        extra: facts of an answer.
        mask: masks the keys and passwords of the request; see `make_masker`.

    """
    return Extra({mask(name): mask(text) for name, text in extra.items()})
