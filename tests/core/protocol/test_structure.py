"""JSON rows become values, or an error that names the field but not its value."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from attrs import evolve, field, frozen
from hypothesis import given, strategies as st

from facturaonline_async import Secret
from facturaonline_async._core.protocol.structure import StructureError, _cattrs_reader, make_reader, make_writer
from facturaonline_async._core.protocol.unread_secrets import KeepsSecrets


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

read = make_reader(Thing, NAMES, required=("uid",))


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
        ({"ThingKey": None}, {"key": Secret("")}),
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
        (ROW | {"ThingName": 1.5}, "ThingName: expected a text, not a fraction"),
        (ROW | {"ThingNumber": "private"}, "ThingNumber: expected a whole number, not this text"),
        (ROW | {"ThingNumber": True}, "ThingNumber: expected a whole number, not a bool"),
        (ROW | {"ThingNumber": None}, "ThingNumber: expected a whole number, not null"),
        (ROW | {"ThingNumber": "9" * 19}, "ThingNumber: expected a whole number, not this text"),
        (ROW | {"ThingNumber": "٣"}, "ThingNumber: expected a whole number, not this text"),
        (ROW | {"ThingKey": ["private"]}, "ThingKey: expected a text, not a list"),
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
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
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


ways: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just(1.5)
)


@given(st.dictionaries(st.sampled_from([*NAMES.values(), "other"]), ways))
def test_a_row_is_read_field_by_field_as_cattrs_reads_it(row: dict[str, object]) -> None:
    assert outcome(read, row) == outcome(_cattrs_reader(Thing, NAMES, frozenset({"uid"}), lambda _: {}), row)


def outcome(read: Callable[[object], Thing], row: dict[str, object]) -> Thing | str:
    try:
        return read(row)
    except StructureError as error:
        return str(error)


@given(
    st.fixed_dictionaries(
        {"ThingID": st.text(min_size=1), "ThingName": st.text(), "ThingNote": st.text(), "ThingNumber": st.integers(),
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


def test_a_matching_row_becomes_the_values_dict_without_its_secrets() -> None:
    read_plain = make_reader(Plain, {"uid": "uid", "key": "key"}, required=("uid",))
    row = {"uid": "1", "key": "private"}
    value = read_plain(row)
    assert (value, vars(value)) == (Plain(uid="1", key=Secret("private")), {"uid": "1"})
    assert vars(value) is row
    with_more = read_plain({"uid": "1", "key": "private", "more": "x"})
    assert (with_more, vars(with_more)) == (value, {"uid": "1"})
    assert read_plain({"key": "private", "uid": 1}) == value
    assert read_plain({"uid": "1"}) == Plain(uid="1")
    with pytest.raises(StructureError, match="uid: is required, but empty"):
        read_plain({"uid": "", "key": "private"})


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


@frozen(kw_only=True)
class Change:
    name: str | None = None
    flag: bool | None = None
    number: int | None = None
    nested: object = None


def test_the_writer_returns_changed_attributes_as_texts_by_wire_name() -> None:
    write = make_writer(Change, {"name": "WireName", "flag": "WireFlag", "number": "WireNumber"})
    assert write(Change(name="", flag=False, nested=object())) == {"WireName": "", "WireFlag": "0"}
    assert write(Change()) == {}
    assert write(Change(flag=True, number=HTTPStatus.OK)) == {"WireFlag": "1", "WireNumber": "200"}
