"""Dates, flags and numbers of a row are read, or are None and keep their text; no row is unreadable for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given, strategies as st

from facturaonline_async import Secret
from facturaonline_async._core.protocol.extra import NO_EXTRA, Extra
from facturaonline_async._core.protocol.lazy_secrets import KeepsSecrets
from facturaonline_async._core.protocol.structure import make_reader


@frozen(kw_only=True, slots=False)
class Thing(KeepsSecrets):
    uid: str
    name: str = ""
    made_on: date | None = None
    is_main: bool | None = None
    limit: int | None = None
    key: Secret | None = field(default=None, repr=False)
    extra: Mapping[str, str] = NO_EXTRA


NAMES = {"uid": "t_uid", "name": "t_name", "made_on": "t_made", "is_main": "t_main", "limit": "t_limit"}
ROW: dict[str, Any] = {"t_uid": "1", "t_name": "uno", "t_made": "2023-01-14", "t_main": "1", "t_limit": "66"}

read = make_reader(Thing, NAMES, extra="extra")


def test_a_row_is_read_into_dates_flags_and_numbers() -> None:
    assert read(ROW) == Thing(uid="1", name="uno", made_on=date(2023, 1, 14), is_main=True, limit=66)


@pytest.mark.parametrize(
    ("wire", "value", "attribute", "expected"),
    [
        ("t_main", "0", "is_main", False),
        ("t_main", 1, "is_main", True),
        ("t_main", 0, "is_main", False),
        ("t_main", True, "is_main", True),
        ("t_main", False, "is_main", False),
        ("t_limit", 0, "limit", 0),
        ("t_limit", "0", "limit", 0),
        ("t_limit", 10**20, "limit", 10**20),
    ],
)
def test_other_ways_to_write_a_fact_are_read(wire: str, value: object, attribute: str, expected: object) -> None:
    thing = read(ROW | {wire: value})
    found = getattr(thing, attribute)
    assert (found, type(found), thing.extra) == (expected, type(expected), {})


@pytest.mark.parametrize("wire", ["t_made", "t_main", "t_limit"])
@pytest.mark.parametrize("empty", [None, "", "missing"])
def test_an_empty_or_missing_fact_is_none(wire: str, empty: object) -> None:
    row = {name: value for name, value in ROW.items() if name != wire} | ({} if empty == "missing" else {wire: empty})
    thing = read(row)
    (attribute,) = (name for name, each in NAMES.items() if each == wire)
    assert (getattr(thing, attribute), thing.extra) == (None, {})


@pytest.mark.parametrize(
    ("wire", "value", "text"),
    [
        ("t_made", "14/01/2023", "14/01/2023"),
        ("t_made", "0000-00-00", "0000-00-00"),
        ("t_made", "2023-02-30", "2023-02-30"),
        ("t_made", "2023-02-30 10:22:33", "2023-02-30 10:22:33"),
        ("t_made", "2023-01-14\n", "2023-01-14\n"),
        ("t_made", 1673654400, "1673654400"),
        ("t_made", {"date": "2023-01-14"}, '{"date": "2023-01-14"}'),
        ("t_main", "si", "si"),
        ("t_main", 2, "2"),
        ("t_main", 1.5, "1.5"),
        ("t_main", ["1"], '["1"]'),
        ("t_limit", "-1", "-1"),
        ("t_limit", -1, "-1"),
        ("t_limit", "6.6", "6.6"),
        ("t_limit", "٣", "٣"),
        ("t_limit", True, "1"),
        ("t_limit", "9" * 5000, "9" * 1744 + "…"),
    ],
)
def test_a_fact_that_cannot_be_read_is_none_and_keeps_its_text(wire: str, value: object, text: str) -> None:
    thing = read(ROW | {wire: value})
    (attribute,) = (name for name, each in NAMES.items() if each == wire)
    assert (getattr(thing, attribute), dict(thing.extra)) == (None, {wire: text})


@pytest.mark.parametrize("time", [" 10:22:33", "T10:22:33.000000Z"])
def test_a_date_with_a_time_is_a_date_and_keeps_its_text(time: str) -> None:
    thing = read(ROW | {"t_made": f"2023-01-14{time}"})
    assert (thing.made_on, thing.extra) == (date(2023, 1, 14), {"t_made": f"2023-01-14{time}"})


def test_unknown_fields_are_kept_by_the_apis_names_in_its_order() -> None:
    thing = read(ROW | {"t_new": "x", "t_empty": "", "t_null": None, "t_list": [1, "ñ"], "t_none": [], "t_flag": False})
    assert list(thing.extra.items()) == [("t_new", "x"), ("t_list", '[1, "ñ"]'), ("t_flag", "0")]


def test_a_row_that_only_cattrs_can_read_has_the_same_facts() -> None:
    assert read(ROW | {"t_name": True, "t_new": "x"}) == Thing(
        uid="1", name="1", made_on=date(2023, 1, 14), is_main=True, limit=66, extra=Extra({"t_new": "x"})
    )


def test_a_reader_without_an_attribute_for_them_ignores_unknown_fields() -> None:
    thing = make_reader(Thing, NAMES)(ROW | {"t_new": "x", "t_main": "si"})
    assert (thing.made_on, thing.is_main, thing.extra) == (date(2023, 1, 14), None, {})
    assert vars(thing).keys() == {"uid", "name", "made_on", "is_main", "limit"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["t_made", "t_main", "t_limit", "t_new", "t_other"]), json_values))
def test_no_fact_makes_a_row_unreadable(facts: dict[str, object]) -> None:
    thing = read({"t_uid": "1"} | facts)
    assert isinstance(thing.made_on, date | None)
    assert isinstance(thing.is_main, bool | None)
    assert isinstance(thing.limit, int | None)
    assert all(isinstance(text, str) and text for text in thing.extra.values())
