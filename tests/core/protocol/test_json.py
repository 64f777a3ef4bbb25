"""Strict JSON: the same result at once and in chunks, with the extra ``fast`` and without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, strategies as st

from facturaonline_async._core.protocol import json as strict_json
from facturaonline_async._core.protocol.json import ConstantError, decode, decode_chunked, decode_plainly

ROWS = [{"uid": str(number), "rfc": "Ñandú, S.A. de C.V. },{", "n": [{}, {"a": None}]} for number in range(200)]


def in_steps(body: bytes, decode: Callable[[bytes], Any] = decode) -> tuple[Any, int]:
    """Return the value, and the number of pauses."""
    steps, pauses = decode_chunked(body, decode), 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value, pauses
        pauses += 1


def stepwise(body: bytes, decode: Callable[[bytes], Any]) -> Any:
    return in_steps(body, decode)[0]


def outcome(read: Callable[[bytes], Any], body: bytes) -> str:
    """Return the value with its types, or the class of the error."""
    try:
        return repr(read(body))
    except (ValueError, RecursionError) as refused:
        return type(refused).__name__


@pytest.fixture(params=[decode_plainly, decode], ids=["plain", "as installed"])
def read(request: pytest.FixtureRequest) -> Callable[[bytes], Any]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "_CHUNK", 100)


def test_msgspec_is_installed_in_the_test_environment() -> None:
    """Without the extra, the tests would compare a function with itself."""
    pytest.importorskip("msgspec")
    assert decode is not decode_plainly


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[NaN]", ConstantError),
        (b'{"a": -Infinity}', ConstantError),
        (b'{"a": Infinity}', ConstantError),
        (b'["\xff"]', UnicodeDecodeError),
        ("[1]".encode("utf-16"), UnicodeDecodeError),
        (b"[1] x", json.JSONDecodeError),
        (b"[01]", json.JSONDecodeError),
        (b"[1,]", json.JSONDecodeError),
        (b'["\x01"]', json.JSONDecodeError),
        (b"", json.JSONDecodeError),
        (b"[" * 100_000, RecursionError),
        (b"[" + b"9" * 5000 + b"]", ValueError),
    ],
    ids=repr,
)
def test_invalid_json_is_refused(read: Callable[[bytes], Any], body: bytes, expected: type[Exception]) -> None:
    for each in (read, partial(stepwise, decode=read)):
        with pytest.raises(Exception) as refused:
            each(body)
        assert type(refused.value) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'["\\ud800"]', ["\ud800"]),
        (b"[18446744073709551616]", [2**64]),
        (b"[-9223372036854775809]", [-(2**63) - 1]),
        (b"[1e999]", [float("inf")]),
        (b"[1.7976931348623159e308, 5e-324]", [float("inf"), 5e-324]),
        (b" \t\r\n[1]\n", [1]),
    ],
)
def test_valid_json_gives_the_same_value(read: Callable[[bytes], Any], body: bytes, expected: object) -> None:
    assert repr(read(body)) == repr(in_steps(body, read)[0]) == repr(expected)


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        {"status": "success", "data": ROWS},
        {"data": ROWS, "links": [{"url": None}, {"url": "x"}] * 9, "status": "success"},
        {"links": [{"url": None}, {"url": "x"}], "data": ROWS},
        {"message": "[{}, {", "data": ROWS},
        {"message": "NaN", "data": ROWS},
        {"data": [*ROWS, 7, "x"]},
        [{"status": "success", "data": ROWS}],
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_long_list_is_decoded_in_chunks(read: Callable[[bytes], Any], value: object, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    found, pauses = in_steps(body, read)
    assert found == value
    assert pauses > 50


@pytest.mark.parametrize(
    "body",
    [
        b'{"m": "x' + json.dumps(ROWS).encode() + b'"}',
        b'{"a": NaN, "m": "x[' + b"{}," * 99 + b'{}]"}',
        b'{"m": "x[' + b"{}," * 99 + b'{}]"}',
        b'{"data": ' + json.dumps(ROWS).encode(),
        b'{"data": [' + b"{}," * 99 + b"]}",
        b'{"data": [' + b"{}," * 99 + b'{"a": NaN}]}',
        b'{"data": [' + b"{}," * 99 + b'{"a": "\xff"}]}',
        b"-[" + b"{}," * 99 + b"{}]",
        b"[" + b"{}," * 99 + b"{}]x",
    ],
)
def test_if_chunks_fail_the_whole_text_is_decoded(read: Callable[[bytes], Any], body: bytes) -> None:
    assert outcome(decode_plainly, body) == outcome(partial(stepwise, decode=read), body)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=6)
anything = st.recursive(
    leaves | st.sampled_from(["[{", "},{", "NaN", "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
longer = st.lists(st.dictionaries(st.text(max_size=3), anything, max_size=3), max_size=9)


@given(anything | longer | st.fixed_dictionaries({"a": anything, "data": longer, "z": anything}), st.randoms())
def test_all_decoders_agree_on_any_bytes(value: object, chance: Any) -> None:
    body = bytearray(json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice([0, 0, 1, 3])):  # torn, or with a wrong byte
        at = chance.randrange(len(body) + 1)
        body[at : at + chance.randrange(3)] = bytes(chance.choices(b'[]{},:"\\-019eN \xff', k=chance.randrange(3)))
    expected = outcome(decode_plainly, bytes(body))
    assert outcome(decode, bytes(body)) == expected
    for read in (decode_plainly, decode):
        assert outcome(partial(stepwise, decode=read), bytes(body)) == expected
