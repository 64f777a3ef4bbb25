"""Strict JSON: the same result at once and row by row."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, strategies as st

from facturaonline_async._core.protocol import json as strict_json
from facturaonline_async._core.protocol.json import JsonError, LongList, Rows, decode, find_rows, looks_truncated

ROWS = [{"uid": str(number), "rfc": "Ñandú, S.A. de C.V. },{", "n": [{}, {"a": None}]} for number in range(200)]
FLAT = [{"uid": str(number), "rfc": "Ñandú, S.A. de C.V."} for number in range(200)]


def at_once(body: bytes) -> Any:
    return strict_json._strict(strict_json._read, bytes(body).removeprefix(b"\xef\xbb\xbf"))


def row_by_row(body: bytes) -> Any:
    return complete(decode(body))


def in_steps(body: bytes) -> Any:
    return complete(decode(body, [None, *find_rows(body)][-1]))


def complete(value: Any) -> Any:
    """Return the value with all its rows decoded."""
    if isinstance(value, LongList):
        return at_once(value._text)
    if isinstance(value, Rows):
        return list(chain.from_iterable(value))
    if isinstance(value, list):
        return [complete(each) for each in value]
    return {name: complete(each) for name, each in value.items()} if isinstance(value, dict) else value


def batches(value: Any) -> list[int]:
    """Return the size of each batch of all `Rows`."""
    if isinstance(value, Rows):
        return [len(list(rows)) for rows in value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [size for each in inner for size in batches(each)]


def outcome(read: Any, body: bytes) -> str:
    """Return the value with its types, or the class of the error."""
    try:
        return repr(read(body))
    except JsonError as refused:
        return type(refused).__name__


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "_STEP", 100)
    monkeypatch.setattr(strict_json, "LONG", 200)


@pytest.mark.parametrize("padding", [b"", b" " * 101], ids=["short", "long"])
@pytest.mark.parametrize(
    ("body", "is_worth_a_retry"),
    [
        (b"[NaN]", False),
        (b'{"a": -Infinity}', False),
        (b'{"a": Infinity}', False),
        (b'["\xff"]', False),
        ("[1]".encode("utf-16"), False),
        (b"", False),
        (b"[1] x", True),
        (b"[01]", True),
        (b"[1,]", True),
        (b"[1", True),
        (b'["\x01"]', True),
        (b"<html>NaN</html>", True),
        (b"[" * 100_000, True),
        (b"[" + b"9" * 5000 + b"]", True),
        (b"[1.2.3]", True),
        (b'{"a": -' + b"9" * 5000 + b"}", True),
        (b'["\\ud800", "\\u00"]', True),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_json_is_refused(body: bytes, padding: bytes, is_worth_a_retry: bool) -> None:  # noqa: FBT001
    with pytest.raises(JsonError) as refused:
        row_by_row(body + padding)
    assert (str(refused.value), refused.value.__cause__, refused.value.__context__) == ("", None, None)
    assert looks_truncated(body + padding) == is_worth_a_retry


@pytest.mark.parametrize("padding", [b"", b" " * 101], ids=["short", "long"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[18446744073709551616]", [2**64]),
        (b"[-9223372036854775809]", [-(2**63) - 1]),
        (b"[0.10, 12345678901234567890.12]", [Decimal("0.10"), Decimal("12345678901234567890.12")]),
        (b"[1e999, 5e-324]", [Decimal("1e999"), Decimal("5e-324")]),
        (b" \t\r\n[1]\n", [1]),
        (b'"x"', "x"),
        (b"[]", []),
        (b" {}", {}),
        (b"[1E99999999999999999999, 2]", [None, 2]),
        (b'["' + b"9" * 5000 + b'", 1.' + b"5" * 700 + b"]", ["9" * 5000, Decimal("1." + "5" * 700)]),
        (b'{"a\\ud83d": "\\uDE00x\\\\ud800\\ud83d\\ude00"}', {"a\ufffd": "\ufffdx\\ud800\U0001f600"}),
    ],
)
def test_valid_json_gives_the_same_value(body: bytes, padding: bytes, expected: object) -> None:
    assert repr(row_by_row(body + padding)) == repr(expected)


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        FLAT,
        {"status": "success", "data": ROWS},
        {"status": "success", "data": FLAT},
        {"data": FLAT, "links": [{"url": None}, {"url": "x"}] * 9, "status": "success"},
        {"links": [{"url": None}, {"url": "x"}], "data": ROWS},
        {"message": "[{}, {", "data": ROWS},
        {"data": [*FLAT, 7, "x"]},
        {"data": [*FLAT, *ROWS]},
        [{"status": "success", "data": ROWS}],
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_long_list_is_decoded_in_batches(value: object, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    found = decode(body)
    assert complete(found) == value
    assert len(batches(found)) > 50
    assert max(batches(found)) <= 9


@pytest.mark.parametrize("value", [{"m": "x" * 200}, [{"m": "x" * 200}], "x" * 200])
def test_other_long_values_are_decoded_at_once(value: object) -> None:
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize("value", [["x" * 200], [[{}] * 99], [7, *FLAT], [[]] * 99])
def test_a_long_list_that_does_not_begin_with_an_object_is_not_decoded(value: object) -> None:
    assert type(decode(json.dumps(value).encode())) is LongList
    assert type(decode(json.dumps({"data": value}).encode())["data"]) is LongList


@pytest.mark.parametrize(
    "body",
    [
        b'{"m": "x' + json.dumps(FLAT).encode() + b'"}',
        b'{"data": ' + json.dumps(FLAT).encode(),
        b'{"data": [' + b"{}," * 99 + b"]}",
        b'{"data": [' + b"{}," * 99 + b'{"a": NaN}]}',
        b"-[" + b"{}," * 99 + b"{}]",
        b"[" + b"{}," * 99 + b"{}]x",
    ],
)
def test_the_syntax_of_a_long_list_is_checked_before_its_rows_are_decoded(body: bytes) -> None:
    with pytest.raises(JsonError):
        decode(body)


@pytest.mark.parametrize("row", [b'{"a": "\xff"}', b'{"a": [{},{"b": "\xff"}]}'])
@pytest.mark.parametrize("place", [20, 150])
def test_a_row_that_is_no_strict_json_is_refused_after_the_rows_before_it(row: bytes, place: int) -> None:
    before = b"".join(b'{"n": %d},' % number for number in range(place))
    rows = decode(b'{"data": [' + before + row + b',{"last": 1}]}')["data"]
    found: list[Any] = []
    with pytest.raises(JsonError) as refused:
        found.extend(chain.from_iterable(rows))
    assert len(found) == place
    assert (str(refused.value), refused.value.__cause__) == ("", None)


@pytest.mark.parametrize("place", [20, 150])
def test_odd_values_are_read_in_a_long_list(place: int) -> None:
    before = b"".join(b'{"n": %d},' % number for number in range(place))
    rows = decode(b'{"data": [' + before + b'{"a": 1E99999999999999999999},{"last": "\\ud800"}]}')["data"]
    assert list(chain.from_iterable(rows))[place:] == [{"a": None}, {"last": "\ufffd"}]


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\ud8", b"9" * 639 + b",", b'\\u"'])
def test_a_body_with_odd_values_is_refused_in_linear_time(unit: bytes) -> None:
    body = b'{"a": "' + unit * (2_000_000 // len(unit)) + b"\\ud800" + b"9" * 5000
    started = time.process_time()
    with pytest.raises(JsonError):
        decode(body)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "value",
    [
        {"data": FLAT},
        {"data": ROWS},
        {"status": "success", "total": -1.5e3, "is_last": True, "next": None, "data": ROWS},
        {"data": ROWS, "pagination": {"lastPage": 1, "links": [{"url": None}]}, "status": "success"},
        {"message": '[{}, {\\"', "data": ROWS},
        {"data": [*FLAT, 7, "x", {"n": [{}]}]},
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_the_syntax_of_a_long_list_can_be_checked_in_steps(value: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    *steps, place = find_rows(body)
    assert place is not None
    assert json.loads(body[place]) == value["data"]
    assert len(steps) > 20
    assert complete(decode(body, place)) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        json.dumps(FLAT).encode(),
        json.dumps([{"data": FLAT}]).encode(),
        json.dumps({"data": ["x" * 200]}).encode(),
        json.dumps({"data": [{}]}).encode(),
        json.dumps({"links": [1], "data": FLAT}).encode(),
        json.dumps({"data": FLAT, "more": FLAT}).encode(),
        json.dumps({"data": FLAT, "": "x"}).encode(),
        json.dumps({"data": FLAT}).encode()[:-1],
        json.dumps({"data": FLAT}).encode()[:-2],
        json.dumps({"data": FLAT}).encode() + b"]",
        b'{"data": [' + b"{}," * 99 + b'{"a": NaN}]}',
        b'{"data": [{},' + b"{]," * 99 + b"{}]}",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_other_texts_are_left_to_the_decoder(body: bytes) -> None:
    assert [*find_rows(body)][-1:] in ([], [None])


def test_a_member_of_the_same_name_behind_the_list_replaces_it() -> None:
    body = b'{"data": ' + json.dumps(FLAT).encode() + b', "data": 1}'
    assert in_steps(body) == {"data": 1}


def test_the_repr_of_rows_shows_nothing_of_them() -> None:
    rows = decode(json.dumps([{"api_key": "private"}] * 99).encode())
    assert isinstance(rows, Rows)
    assert "private" not in repr(rows) + repr(iter(rows))


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=6)
anything = st.recursive(
    leaves | st.sampled_from(["[{", "},{", "NaN", "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
longer = st.lists(st.dictionaries(st.text(max_size=3), anything, max_size=3), max_size=9)


@given(anything | longer | st.fixed_dictionaries({"a": anything, "data": longer, "z": anything}), st.randoms())
def test_any_bytes_mean_the_same_at_once_and_row_by_row(value: object, chance: Any) -> None:
    body = bytearray(json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice([0, 0, 1, 3])):  # torn, or with a wrong byte
        at = chance.randrange(len(body) + 1)
        body[at : at + chance.randrange(3)] = bytes(chance.choices(b'[]{},:"\\-019eN \xff', k=chance.randrange(3)))
    assert outcome(row_by_row, bytes(body)) == outcome(at_once, bytes(body))
    assert outcome(in_steps, bytes(body)) == outcome(at_once, bytes(body))
