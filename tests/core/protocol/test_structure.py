"""JSON rows become values, or an error that names the field but not its value."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import pytest
from attrs import evolve, field, frozen
from attrs.exceptions import FrozenInstanceError
from hypothesis import given, strategies as st

from facturaonline_async import Secret
from facturaonline_async._core.protocol.bodies import json_body
from facturaonline_async._core.protocol.json import LongList, Rows, decode
from facturaonline_async._core.protocol.lazy_secrets import KeepsSecrets
from facturaonline_async._core.protocol.structure import (
    StructureError,
    make_form_writer,
    make_json_writer,
    make_reader,
)


@frozen(kw_only=True, slots=False)
class Thing(KeepsSecrets):
    uid: str
    name: str = ""
    note: str = ""
    other: str = ""
    number: int = 7
    _key: Secret | None = field(alias="key", default=None, repr=False)


NAMES = {"uid": "ThingID", "name": "ThingName", "note": "ThingNote", "number": "ThingNumber", "key": "ThingKey"}
ROW = {"ThingID": "a1", "ThingName": "Uno", "ThingNote": "{}", "ThingNumber": 3, "ThingKey": "k"}

read = make_reader(Thing, NAMES)


def thing(**changes: Any) -> Thing:
    return Thing(**{"uid": "a1", "name": "Uno", "note": "{}", "number": 3, "key": Secret("k"), **changes})


def test_a_row_of_the_expected_shape_is_read() -> None:
    assert read(ROW) == thing()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ThingName": None}, {"name": ""}),
        ({"ThingName": ""}, {"name": ""}),
        ({"ThingName": 32}, {"name": "32"}),
        ({"ThingName": True}, {"name": "1"}),
        ({"ThingID": 19}, {"uid": "19"}),
        ({"ThingNumber": "12"}, {"number": 12}),
        ({"ThingKey": None}, {"key": None}),
        ({"ThingNumber": -(10**18) + 1}, {"number": -(10**18) + 1}),
        ({"Unknown": {"a": [1]}, "SerieID": 1}, {}),
    ],
)
def test_convertible_fields_are_converted(change: dict[str, object], expected: dict[str, object]) -> None:
    assert read(ROW | change) == thing(**expected)


@pytest.mark.parametrize("missing", ["ThingName", "ThingNote", "ThingKey", "ThingNumber"])
def test_a_missing_field_means_the_default(missing: str) -> None:
    defaults: dict[str, dict[str, Any]] = {
        "ThingName": {"name": ""},
        "ThingNote": {"note": ""},
        "ThingKey": {"key": None},
        "ThingNumber": {"number": 7},
    }
    assert read({name: value for name, value in ROW.items() if name != missing}) == thing(**defaults[missing])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW | {"ThingID": ""}, "ThingID: is required, but empty"),
        (ROW | {"ThingID": None}, "ThingID: is required, but empty"),
        ({name: value for name, value in ROW.items() if name != "ThingID"}, "ThingID is missing"),
        (ROW | {"ThingName": ["private"]}, "ThingName: expected a text, not a list"),
        (ROW | {"ThingName": {"private": 1}}, "ThingName: expected a text, not an object"),
        (ROW | {"ThingName": Decimal("1.5")}, "ThingName: expected a text, not a fraction"),
        (ROW | {"ThingNumber": "private"}, "ThingNumber: expected a whole number, not this text"),
        (ROW | {"ThingNumber": True}, "ThingNumber: expected a whole number, not a bool"),
        (ROW | {"ThingNumber": None}, "ThingNumber: expected a whole number, not null"),
        (ROW | {"ThingNumber": "9" * 19}, "ThingNumber: expected a whole number, not this text"),
        (ROW | {"ThingNumber": "٣"}, "ThingNumber: expected a whole number, not this text"),
        (ROW | {"ThingNumber": 10**18}, "ThingNumber: expected a whole number of at most 18 digits"),
        (ROW | {"ThingKey": ["private"]}, "ThingKey: expected a text, not a list"),
        (ROW | {"ThingKey": True}, "ThingKey: expected a text, not a bool"),
        (ROW | {"ThingKey": 5}, "ThingKey: expected a text, not a whole number"),
        (LongList(b"[1]"), "expected an object, not a list"),
        (Rows(b"[{}]", 1), "expected an object, not a list"),
        (["private"], "expected an object, not a list"),
        ("private", "expected an object, not this text"),
        (None, "expected an object, not null"),
        (7, "expected an object, not a whole number"),
    ],
)
def test_a_row_that_cannot_be_read_names_its_field_and_not_its_value(row: object, reason: str) -> None:
    with pytest.raises(StructureError) as refused:
        read(row)
    chain = [refused.value, refused.value.__cause__, refused.value.__context__]
    assert str(refused.value) == reason
    assert "private" not in "".join(map(repr, chain))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*NAMES.values(), "other"]), json_values))
def test_any_row_is_read_or_refused_by_name(row: dict[str, object]) -> None:
    try:
        value = read(row)
    except StructureError as error:
        assert str(error).split(":")[0].split(" ")[0] in NAMES.values()
    else:
        assert all(isinstance(text, str) for text in (value.uid, value.name, value.note))
        assert value.uid
        assert isinstance(value.number, int)


@given(
    st.fixed_dictionaries(
        {"ThingID": st.text(min_size=1), "ThingName": st.text(), "ThingNote": st.text(),
         "ThingNumber": st.integers(-(10**18) + 1, 10**18 - 1),
         "ThingKey": st.text()}
    )
)  # fmt: skip
def test_the_fast_path_and_cattrs_agree(row: dict[str, Any]) -> None:
    """A null makes the reader leave the fast path."""
    value = thing(
        uid=row["ThingID"], name=row["ThingName"], note=row["ThingNote"], number=row["ThingNumber"],
        key=Secret(row["ThingKey"]),
    )  # fmt: skip
    assert read(row) == value
    assert read(row | {"ThingNote": None}) == evolve(value, note="")


def test_values_read_on_the_fast_path_are_complete() -> None:
    value = read(ROW)
    assert (value.other, hash(value) == hash(thing()), repr(value)) == ("", True, repr(thing()))


def test_secrets_and_unknown_fields_are_no_attributes() -> None:
    read_plain = make_reader(Plain, {"uid": "uid", "key": "key"})
    value = read_plain({"uid": "1", "key": "private"})
    assert (value, vars(value)) == (Plain(uid="1", key=Secret("private")), {"uid": "1"})
    with_more = read_plain({"uid": "1", "key": "private", "more": "x"})
    assert (with_more, vars(with_more)) == (value, {"uid": "1"})
    assert read_plain({"key": "private", "uid": 1}) == value
    assert read_plain({"uid": "1"}) == Plain(uid="1")
    with pytest.raises(StructureError, match="uid: is required, but empty"):
        read_plain({"uid": "", "key": "private"})


def test_a_row_is_not_changed() -> None:
    row = dict(ROW)
    read(row)
    assert row == ROW


def test_a_value_that_was_read_is_frozen() -> None:
    value: Any = read(ROW)
    with pytest.raises(FrozenInstanceError):
        value.name = "Dos"


def test_secrets_missing_from_an_answer_are_none() -> None:
    read_plain = make_reader(Plain, {"uid": "uid"})
    assert read_plain({"uid": "12", "more": "x"}) == Plain(uid="12", key=None)
    assert read_plain({"uid": "1"}) == Plain(uid="1", key=None)
    assert read_plain({"uid": "1"}).key is None


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, evolve])
def test_a_copy_of_a_value_keeps_its_secrets(made: Any) -> None:
    assert made(read(ROW)) == read(ROW)
    assert made(read(ROW)).__getstate__()["_key"] == Secret("k")


def test_a_value_with_secrets_refuses_pickling() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(read(ROW))
    other = Plain(uid="1")
    assert pickle.loads(pickle.dumps(other)) == other


def test_classes_without_slots_for_their_secrets_are_refused() -> None:
    @frozen(slots=False)
    class Open:
        key: Secret | None = None

    @frozen(slots=False)
    class Two(KeepsSecrets):
        one: Secret | None = None
        two: Secret | None = None

    with pytest.raises(TypeError, match="derive it from KeepsSecrets"):
        make_reader(Open, {"key": "key"})
    with pytest.raises(TypeError, match="only some of them"):
        make_reader(Two, {"one": "one"})


@frozen(kw_only=True, slots=False)
class Plain(KeepsSecrets):
    uid: str
    name: str = "none"
    key: Secret | None = None


@frozen(kw_only=True, slots=False)
class Line:
    text: str
    amount: Decimal
    note: str = ""
    tags: tuple[str, ...] = ()


@frozen(kw_only=True, slots=False)
class Invoice:
    uid: int
    total: Decimal
    first: Line | None = None
    lines: tuple[Line, ...] = ()


INVOICE_NAMES = {"uid": "UID", "total": "Total", "lines": "Lines"}
LINE_NAMES = {"text": "Text", "amount": "Amount", "tags": "Tags"}
LINE = {"Text": "Uno", "Amount": Decimal("0.10"), "Tags": ["a", "b"]}
INVOICE = {"UID": 7, "Total": "1234567890123456.70", "Lines": [LINE, LINE | {"Amount": 3, "Tags": None}]}
read_invoice = make_reader(Invoice, INVOICE_NAMES, nested={Line: LINE_NAMES})


def test_nested_lists_are_read_with_all_digits_of_their_amounts() -> None:
    found = read_invoice(INVOICE)
    lines = (
        Line(text="Uno", amount=Decimal("0.10"), tags=("a", "b")),
        Line(text="Uno", amount=Decimal(3)),
    )
    assert found == Invoice(uid=7, total=Decimal("1234567890123456.70"), lines=lines)
    assert [str(line.amount) for line in found.lines] == ["0.10", "3"]
    assert hash(found) == hash(read_invoice(INVOICE))


@pytest.mark.parametrize("lines", [None, []])
def test_an_empty_list_and_null_are_no_rows(lines: object) -> None:
    assert read_invoice(INVOICE | {"Lines": lines}).lines == ()
    assert read_invoice({"UID": "7", "Total": 0}) == Invoice(uid=7, total=Decimal(0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Lines": [LINE, LINE | {"Amount": "private"}]}, "Lines: row 1: Amount: expected an amount, not this text"),
        ({"Lines": [LINE | {"Amount": None}]}, "Lines: row 0: Amount: expected an amount, not null"),
        ({"Lines": [LINE | {"Amount": True}]}, "Lines: row 0: Amount: expected an amount, not a bool"),
        ({"Lines": [LINE | {"Text": ""}]}, "Lines: row 0: Text: is required, but empty"),
        ({"Lines": [LINE | {"Tags": ["a", ["private"]]}]}, "Lines: row 0: Tags: row 1: expected a text, not a list"),
        ({"Lines": [{"Text": "private"}]}, "Lines: row 0: Amount is missing"),
        ({"Lines": [LINE, ["private"]]}, "Lines: row 1: expected an object, not a list"),
        ({"Lines": {"private": 1}}, "Lines: expected a list, not an object"),
        ({"Lines": "private"}, "Lines: expected a list, not this text"),
        ({"Total": Decimal("1E999999999")}, "Total: expected an amount, not a fraction"),
        ({"Total": Decimal("1E-19")}, "Total: expected an amount, not a fraction"),
        ({"Total": 10**18}, "Total: expected an amount, not a whole number"),
        ({"Total": "1e5"}, "Total: expected an amount, not this text"),
        ({"Total": "٣"}, "Total: expected an amount, not this text"),
    ],
)
def test_a_fault_in_a_nested_list_is_named_by_its_place(change: dict[str, object], reason: str) -> None:
    with pytest.raises(StructureError) as refused:
        read_invoice(INVOICE | change)
    assert str(refused.value) == reason
    assert "private" not in f"{refused.value.__cause__!r}"


def test_the_json_writer_returns_nested_lists_and_amounts_as_texts() -> None:
    write = make_json_writer(Invoice, INVOICE_NAMES | {"first": "First"}, nested={Line: LINE_NAMES})
    line = Line(text="Uno", amount=Decimal("0.10"), note="not sent", tags=("a",))
    written = {"Text": "Uno", "Amount": "0.10", "Tags": ["a"]}
    assert write(Invoice(uid=7, total=Decimal("1E+2"), lines=(line,))) == {"UID": 7, "Total": "100", "Lines": [written]}
    assert write(Invoice(uid=7, total=Decimal(0), first=line)) == {"UID": 7, "Total": "0", "First": written}
    json_body(write(Invoice(uid=7, total=Decimal(0), first=line, lines=(line,))))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_an_amount_is_read_as_it_was_written(amount: Decimal) -> None:
    write = make_json_writer(Invoice, INVOICE_NAMES, nested={Line: LINE_NAMES})
    made = Invoice(uid=1, total=amount, lines=(Line(text="x", amount=amount),))
    assert repr(read_invoice(decode(json_body(write(made)).content))) == repr(made)
    number = f'{{"UID": 1, "Total": {amount:f}}}'.encode()
    assert str(read_invoice(decode(number)).total) == f"{amount:f}"


@frozen(kw_only=True)
class Change:
    name: str | None = None
    flag: bool | None = None
    number: int | None = None
    nested: object = None


def test_the_form_writer_returns_changed_attributes_as_texts_by_wire_name() -> None:
    write = make_form_writer(Change, {"name": "WireName", "flag": "WireFlag", "number": "WireNumber"})
    assert write(Change(name="", flag=False, nested=object())) == {"WireName": "", "WireFlag": "0"}
    assert write(Change()) == {}
    assert write(Change(flag=True, number=HTTPStatus.OK)) == {"WireFlag": "1", "WireNumber": "200"}
