"""A row becomes a value's dict as it is, and its names are no attributes of the value."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from attrs import asdict, evolve, frozen

from facturaonline_async._core.protocol.structure import make_reader
from facturaonline_async._core.protocol.unread_secrets import KeepsSecrets


@frozen(kw_only=True, slots=False)
class File(KeepsSecrets):
    uid: str
    cer_name: str = ""


read = make_reader(File, {"uid": "uid", "cer_name": "cer"}, required=("uid",))


def test_a_renamed_attribute_is_read_from_the_row_itself() -> None:
    row = {"uid": "1", "cer": "a.cer"}
    file = read(row)
    assert (file.cer_name, vars(file) is row) == ("a.cer", True)
    assert (file, hash(file)) == (File(uid="1", cer_name="a.cer"), hash(File(uid="1", cer_name="a.cer")))
    assert (repr(file), asdict(file)) == ("File(uid='1', cer_name='a.cer')", {"uid": "1", "cer_name": "a.cer"})


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"uid": "1"}, ""),
        ({"uid": "1", "cer": None}, ""),
        ({"uid": 1, "cer": "a.cer"}, "a.cer"),
        ({"uid": "1", "cer": "a.cer", "more": []}, "a.cer"),
        ({"uid": "1", "cer": 7}, "7"),
    ],
)
def test_every_way_to_read_a_row_gives_the_same_value(row: dict[str, object], name: str) -> None:
    assert read(row) == File(uid="1", cer_name=name)


def test_a_wire_name_is_no_attribute() -> None:
    file: Any = read({"uid": "1", "cer": "a.cer"})
    with pytest.raises(AttributeError, match="File has no attribute 'cer'"):
        _ = file.cer
    with pytest.raises(AttributeError, match="File has no attribute 'cer'"):
        object.__setattr__(file, "cer", "b.cer")
    assert not hasattr(File(uid="1"), "cer")


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, evolve, lambda file: pickle.loads(pickle.dumps(file))])
def test_a_copy_has_the_attributes_under_their_own_names(made: Any) -> None:
    file = made(read({"uid": "1", "cer": "a.cer"}))
    assert (file, vars(file)) == (File(uid="1", cer_name="a.cer"), {"uid": "1", "cer_name": "a.cer"})


def test_a_second_wire_name_and_the_name_of_another_attribute_are_refused() -> None:
    make_reader(File, {"uid": "uid", "cer_name": "cer"})
    with pytest.raises(TypeError, match=r"File\.cer_name cannot be stored as certificate"):
        make_reader(File, {"uid": "uid", "cer_name": "certificate"})

    @frozen(kw_only=True, slots=False)
    class Other:
        uid: str
        cer: str = ""
        cer_name: str = ""

    with pytest.raises(TypeError, match="cannot be stored as cer"):
        make_reader(Other, {"uid": "uid", "cer_name": "cer"})
