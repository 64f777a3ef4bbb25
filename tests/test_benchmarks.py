"""Benchmarks are code, too: each runs, with numbers so small that its figures mean nothing."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from benchmarks import check_instructions
from benchmarks.__main__ import BENCHES, RESULTS, Results, main
from benchmarks.answers import UIDS
from benchmarks.check_instructions import compare, counted, reason_to_skip
from benchmarks.command import FULL, QUICK, TINY
from benchmarks.contenders import CONTENDERS, repeat
from benchmarks.figures import Figure, table
from benchmarks.machine import versions
from benchmarks.server import serve
from benchmarks.targets import TARGETS, Target, judged
from facturaonline_async import Empresa, Serie

pytestmark = pytest.mark.slow

COUNTED = {*check_instructions.BENCHES, "peers"}


@pytest.mark.parametrize("name", [name for name in BENCHES if name not in COUNTED])
async def test_each_benchmark_runs(name: str) -> None:
    figures = await importlib.import_module(f"benchmarks.bench_{name}").measure(TINY)
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


async def test_a_call_is_repeated_as_often_as_asked() -> None:
    uids: list[int] = []

    async def get(uid: int) -> None:
        uids.append(uid)

    await repeat({"get": get}, "get", 5, at_once=2)
    assert uids == [*UIDS[:5]]


async def test_the_peers_read_the_same_serie() -> None:
    pytest.importorskip("stripe", reason="the peers are not installed: pip install --group bench")
    peers = importlib.import_module("benchmarks.bench_peers").PEERS
    with serve(companies=1) as url:
        async with AsyncExitStack() as stack:
            for open_client in peers.values():
                assert str(UIDS[7]) in repr(await (await open_client(url, stack))["get"](UIDS[7]))


def test_a_figure_is_the_median_between_its_quartiles() -> None:
    figure = Figure.median([3, 1, 2, 5, 4], "a case", "CPU")
    assert (figure.value, figure.quartiles) == (3, (2, 4))
    assert figure.text == "3× (2–4)"
    assert "| this library |" in table([figure])


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "reached"), (1.0, "met"), (1.01, "MISSED")])
def test_a_target_is_shown_as_met_or_missed(value: float, verdict: str) -> None:
    target = Target("x", "a *", "CPU*", must=1.0, reach=0.5)
    figure = Figure("a case", "CPU, raw aiohttp = 1", value, bench="x")
    assert target.matches(figure)
    assert not target.matches(Figure("another case", "CPU", value, bench="x"))
    assert not target.matches(Figure("a case", "CPU", value, contender="another", bench="x"))
    assert target.verdict(figure) == verdict


def test_a_target_without_a_measurement_is_shown_as_not_measured() -> None:
    assert judged([]).count("not measured") == len(TARGETS)


def test_each_target_bounds_a_benchmark_that_exists() -> None:
    assert {target.bench for target in TARGETS} <= {*BENCHES}


def figures_of(bench: str, value: float) -> list[Figure]:
    return [
        Figure("read one serie", "instructions, raw aiohttp = 1", value, quartiles=(1, 3), bench=bench),
        Figure("read one serie", "instructions, raw aiohttp = 1", 4, contender="another", bench=bench),
    ]


def test_numbers_tables_and_pictures_are_written(tmp_path: Path) -> None:
    (tmp_path / "old.svg").touch()
    results = Results()
    results.replace("peers", figures_of("peers", 2), 61.4)
    results.write(tmp_path)
    assert Results.read(tmp_path) == results
    assert str(Path.home()) not in (tmp_path / "figures.json").read_text()
    page = (tmp_path / "README.md").read_text()
    assert "| read one serie |" in page
    assert "`python -m benchmarks.bench_peers`, 61 s" in page
    pictures = ["old.svg"] if importlib.util.find_spec("matplotlib") is None else ["peers.svg"]
    assert [path.name for path in tmp_path.glob("*.svg")] == pictures


def test_a_benchmark_that_is_measured_anew_replaces_its_own_figures_only(tmp_path: Path) -> None:
    results = Results()
    results.replace("row", figures_of("row", 3), 10)
    results.replace("peers", figures_of("peers", 2), 20)
    results.replace("row", figures_of("row", 5), 30)
    assert results.figures == [*figures_of("peers", 2), *figures_of("row", 5)]
    assert results.seconds == {"peers": 20, "row": 30}


def test_figures_of_another_machine_are_not_mixed_with_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Results(machine={"CPU": "another"}).write(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "row", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "was measured with another machine" in capsys.readouterr().err


def test_the_help_names_all_benchmarks_and_the_minutes_that_they_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--help"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert [name for name in BENCHES if f"\n  {name} " not in said] == []
    seconds = json.loads((RESULTS / "figures.json").read_text()).get("seconds", {})
    assert [name for name, took in seconds.items() if f" {took / 60:.1f} " not in said] == []


def test_the_page_of_targets_names_a_command_for_each(tmp_path: Path) -> None:
    page = (RESULTS.parents[1] / "docs" / "performance.md").read_text()
    named = set(re.findall(r"`nox -s bench -- --only (\w+)`", page))
    assert {target.bench for target in TARGETS} <= named <= {*BENCHES}


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
