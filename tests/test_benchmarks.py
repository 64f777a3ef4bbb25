"""Benchmarks are code, too: each runs, with numbers so small that its figures mean nothing."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from benchmarks import check_instructions
from benchmarks.__main__ import BENCHES, write
from benchmarks.answers import UIDS
from benchmarks.check_instructions import compare, counted, reason_to_skip
from benchmarks.command import FULL, QUICK, TINY
from benchmarks.contenders import CONTENDERS, repeat
from benchmarks.figures import Figure, read, table, write as write_numbers
from benchmarks.machine import describe, versions
from benchmarks.rounds import interleave, ratios
from benchmarks.server import serve
from benchmarks.targets import TARGETS, Target, judged
from facturaonline_async import Empresa, Serie

pytestmark = pytest.mark.slow

COUNTED = {*check_instructions.BENCHES, "peers"}


@pytest.mark.parametrize("name", [name for name in BENCHES if name not in COUNTED])
async def test_each_benchmark_runs(name: str) -> None:
    figures = await importlib.import_module(f"benchmarks.bench_{name}").measure(TINY)
    if name in {"journal", "shared"} and not figures:
        pytest.skip("PostgreSQL is not installed")
    assert all(math.isfinite(figure.value) for figure in figures)
    assert len({(each.case, each.contender, each.measure) for each in figures}) == len(figures) > 0


async def test_the_server_sends_the_library_and_raw_aiohttp_the_same_answers() -> None:
    with serve(companies=30) as url:
        async with AsyncExitStack() as stack:
            raw, library = [await open_client(url, stack) for open_client in CONTENDERS.values()]
            read, serie = await raw["get"](UIDS[7]), await library["get"](UIDS[7])
            assert isinstance(read, dict)
            assert isinstance(serie, Serie)
            assert serie.uid == read["data"]["SerieID"] == UIDS[7]
            listed, empresas = await raw["list"](0), await library["list"](0)
            assert isinstance(listed, dict)
            assert isinstance(empresas, list)
            assert len(empresas) == len(listed["data"]) == 30
            created, empresa = await raw["create"](1), await library["create"](1)
            assert isinstance(created, dict)
            assert isinstance(empresa, Empresa)
            assert empresa.uid == created["0"]["acco_uid"]
            for calls in (raw, library):
                assert await repeat(calls, "get", 5, at_once=2) == 5


async def test_the_peers_read_the_same_serie() -> None:
    pytest.importorskip("stripe", reason="the peers are not installed: pip install --group bench")
    peers = importlib.import_module("benchmarks.bench_peers").PEERS
    with serve(companies=1) as url:
        async with AsyncExitStack() as stack:
            for open_client in peers.values():
                assert str(UIDS[7]) in repr(await (await open_client(url, stack))["get"](UIDS[7]))


async def test_contenders_run_in_rounds_and_every_other_round_is_in_reverse_order() -> None:
    turns: list[str] = []

    def batch(name: str) -> Callable[[], object]:
        async def run() -> int:
            turns.append(name)
            return 2

        return run

    costs = await interleave({name: batch(name) for name in "abc"}, 2)  # type: ignore[misc]
    assert "".join(turns) == "abccbaabc"
    assert {name: len(spent) for name, spent in costs.items()} == {"a": 2, "b": 2, "c": 2}
    assert ratios([2, 9], [1, 3]) == [2, 3]


def test_a_figure_is_the_median_between_its_quartiles() -> None:
    figure = Figure.median([3, 1, 2, 5, 4], "a case", "CPU")
    assert (figure.value, figure.quartiles) == (3, (2, 4))
    assert figure.text == "3× (2–4)"
    assert "| this library |" in table([figure])


@pytest.mark.parametrize(
    ("value", "is_lower", "verdict"),
    [
        (1.0, False, "met"),
        (1.01, False, "MISSED"),
        (0.5, False, "reached"),
        (0.49, True, "MISSED"),
        (0.95, True, "met"),
        (1.0, True, "reached"),
    ],
)
def test_a_target_is_shown_as_met_or_missed(value: float, is_lower: bool, verdict: str) -> None:  # noqa: FBT001
    must, reach = (0.9, 1.0) if is_lower else (1.0, 0.5)
    target = Target("x", "a *", "CPU*", must, reach, is_lower=is_lower)
    figure = Figure("a case", "CPU, raw aiohttp = 1", value, bench="x")
    assert target.matches(figure)
    assert not target.matches(Figure("another case", "CPU", value, bench="x"))
    assert not target.matches(Figure("a case", "CPU", value, contender="another", bench="x"))
    assert target.verdict(figure) == verdict


def test_a_target_without_a_measurement_is_shown_as_not_measured() -> None:
    assert judged([]).count("not measured") == len(TARGETS)


def test_each_target_bounds_a_benchmark_that_exists() -> None:
    assert {target.bench for target in TARGETS} <= {*BENCHES}


def test_numbers_tables_and_pictures_are_written(tmp_path: Path) -> None:
    figures = [
        Figure("read one serie", "instructions, raw aiohttp = 1", 2, quartiles=(1, 3), bench="peers"),
        Figure("read one serie", "instructions, raw aiohttp = 1", 4, contender="another", bench="peers"),
    ]
    write_numbers(tmp_path / "one.json", figures)
    assert read(tmp_path / "one.json") == figures
    write(tmp_path, figures, describe())
    numbers = json.loads((tmp_path / "figures.json").read_text())
    assert len(numbers["figures"]) == 2
    assert str(Path.home()) not in json.dumps(numbers)
    assert "| read one serie |" in (tmp_path / "README.md").read_text()
    if importlib.util.find_spec("matplotlib") is not None:
        assert [path.name for path in tmp_path.glob("*.svg")] == ["peers.svg"]


def test_a_full_run_has_enough_rounds_for_a_median() -> None:
    assert FULL.rounds >= 11
    assert 3 <= QUICK.rounds < FULL.rounds


# ── Instruction counts beside the recorded ones ───────────────────────────────────────────────────────────────────────


def _count(value: float, case: str = "a case") -> Figure:
    return Figure(case, "instructions, raw aiohttp = 1", value, bench="instructions")


NAME = "a case: instructions, raw aiohttp = 1"


@pytest.mark.parametrize(("value", "failed"), [(0.5, []), (1.049, []), (1.051, [NAME])])
def test_a_count_fails_five_percent_above_the_recorded_one(value: float, failed: list[str]) -> None:
    assert compare([_count(value)], {NAME: 1.0})[1] == failed


def test_the_target_of_a_count_is_shown_beside_its_bound() -> None:
    (target,) = (each for each in TARGETS if (each.bench, each.case) == ("instructions", "read one serie"))
    figure = _count(target.must + 0.01, "read one serie")
    (row,), failed = compare([figure], {f"read one serie: {figure.measure}": figure.value})
    assert (row[-2], failed) == (f"{target.must:.3f}", [])


def test_a_recorded_count_that_is_missing_fails() -> None:
    assert compare([], {NAME: 1.0})[1] == [f"{NAME} was not counted"]


def test_only_ratios_and_whole_processes_of_this_library_are_compared() -> None:
    others = [
        Figure("a case", "instructions, raw aiohttp = 1", 1, contender="another"),
        Figure("a case", "CPU, raw aiohttp = 1", 1),
        Figure("a case", "thousand instructions", 1, ""),
    ]
    assert counted([*others, _count(1)]) == [_count(1)]


def test_counts_of_another_interpreter_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_instructions, "VALGRIND", "valgrind")
    now = versions()["Python"]
    minor, _, build = now.partition(" ")
    assert reason_to_skip({"Python": now}, is_new=False) is None
    assert reason_to_skip({"Python": f"{minor.rpartition('.')[0]}.99 {build}"}, is_new=False) is None
    for other in (f"3.10.1 {build}", f"{minor} (CPython, faster)"):
        assert reason_to_skip({"Python": other}, is_new=False) is not None
        assert reason_to_skip({"Python": other}, is_new=True) is None
    monkeypatch.setattr(check_instructions, "VALGRIND", None)
    assert reason_to_skip({"Python": now}, is_new=True) == "valgrind is not installed"
