"""A plan is divided into shards by RFC."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import InvalidInputError, NuevaEmpresa
from facturaonline_async.provision import Plan, PlanSerie, ValueRow
from tests import plans
from tests.plans import nueva


def rfc(number: int) -> str:
    return f"AAA010101{number:03}"


@functools.cache
def row(number: int) -> NuevaEmpresa:
    return nueva(rfc(number))


def make(numbers: list[int]) -> Plan:
    return Plan.from_values(
        (nueva(rfc(number)), [PlanSerie(letra="F", tipo_documento="factura")]) for number in numbers
    )


NUMBERS = st.lists(st.integers(0, 999), unique=True, max_size=60)
SERIES = (PlanSerie(letra="F", tipo_documento="factura"),)
COUNTS = st.integers(1, 20)


def rfcs(plan: Plan) -> list[str]:
    return [row.rfc for row in plan]


@given(NUMBERS, COUNTS)
def test_each_row_is_in_exactly_one_shard(numbers: list[int], count: int) -> None:
    plan = make(numbers)
    shards = [plan.shard(index, count) for index in range(count)]
    assert sorted(each for shard in shards for each in rfcs(shard)) == sorted(rfcs(plan))
    assert sum(shard.series_count for shard in shards) == plan.series_count


@given(NUMBERS, COUNTS, st.randoms(use_true_random=False))
def test_neither_the_order_nor_other_rows_move_a_row(numbers: list[int], count: int, dice: random.Random) -> None:
    shuffled = list(numbers)
    dice.shuffle(shuffled)
    some = set(numbers[::2])
    for index in range(count):
        shard = set(rfcs(make(numbers).shard(index, count)))
        assert set(rfcs(make(shuffled).shard(index, count))) == shard
        assert set(rfcs(make(sorted(some)).shard(index, count))) == shard & {rfc(number) for number in some}


@given(NUMBERS, COUNTS)
def test_a_shard_keeps_the_order_and_the_numbers_of_the_plan(numbers: list[int], count: int) -> None:
    plan = make(numbers)
    for index in range(count):
        shard = plan.shard(index, count)
        found = set(rfcs(shard))
        assert [(row.number, row.rfc) for row in shard] == [(row.number, row.rfc) for row in plan if row.rfc in found]


def test_an_rfc_is_in_the_same_shard_for_ever() -> None:
    """Processes of several versions of the library may work on one run."""
    plan = make(list(range(6)))
    assert [rfcs(plan.shard(index, 3)) for index in range(3)] == [
        ["AAA010101000", "AAA010101004"],
        ["AAA010101001", "AAA010101003"],
        ["AAA010101002", "AAA010101005"],
    ]


def test_another_spelling_of_an_rfc_is_in_the_same_shard() -> None:
    row = ValueRow(nueva=nueva("aaa010101000"), series=())
    assert [len(Plan.from_values([row]).shard(index, 3)) for index in range(3)] == [1, 0, 0]


def test_the_rows_spread_evenly() -> None:
    plan = make(list(range(1000)))
    sizes = [len(plan.shard(index, 8)) for index in range(8)]
    assert min(sizes) > 90
    assert max(sizes) < 160


def test_a_shard_of_a_file_has_the_files_and_notices_of_its_rows(tmp_path: Path) -> None:
    plans.folder(tmp_path)
    rows = [plans.ROW | {"rfc": rfc(number), "codpos": "6500"} for number in range(9)]
    (tmp_path / "plan.csv").write_text(plans.table(rows), encoding="utf-8")
    plan = Plan.from_file(tmp_path / "plan.csv")
    shards = [plan.shard(index, 4) for index in range(4)]
    assert sum(len(list(shard.files())) for shard in shards) == len(list(plan.files()))
    assert len(plan.notices) == len(rows)
    for shard in shards:
        assert {notice.row for notice in shard.notices} == {row.number for row in shard}


@pytest.mark.parametrize(
    ("index", "count", "reason"),
    [
        (3, 3, "from 0 to 2, and was 3"),
        (-1, 3, "from 0 to 2, and was -1"),
        (0.0, 3, "from 0 to 2, and was 0.0"),
        (True, 3, "from 0 to 2, and was True"),
        (0, 0, "positive integer, and was 0"),
        (0, "3", "positive integer, and was '3'"),
        (0, True, "positive integer, and was True"),
    ],
)
def test_other_numbers_are_refused(index: int, count: int, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        make([1]).shard(index, count)
