"""Benchmarks are code, too: each runs, with numbers so small that its figures mean nothing."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHES, write
from benchmarks.answers import UIDS
from benchmarks.command import FULL, QUICK, TINY
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.base import installed
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, read, summary, table, write as write_numbers
from benchmarks.machine import describe
from benchmarks.pictures import draw
from benchmarks.rounds import Cost, interleave, ratios
from benchmarks.server import serve
from benchmarks.targets import TARGETS, Target, judged
from benchmarks.trace_row import trace
from facturaonline_async import Serie

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [name for name in BENCHES if name not in {"instructions", "parts"}])
async def test_each_benchmark_runs(name: str) -> None:
    figures = await importlib.import_module(f"benchmarks.bench_{name}").measure(TINY)
    assert {figure.bench for figure in figures} == {f"bench_{name}"}
    assert all(math.isfinite(figure.median) and figure.low <= figure.high for figure in figures)
    assert len({(each.case, each.contender, each.measure, each.against) for each in figures}) == len(figures)


@pytest.mark.parametrize("kind", ["asyncio", "nginx"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_server_sends_every_contender_the_same_answers(kind: str, scheme: str) -> None:
    with serve(companies=30, nginx=kind == "nginx") as site:
        if site.kind != kind:
            pytest.skip(f"{kind} is not installed")
        for contender in CONTENDERS:
            if installed(contender.needs) is None:
                continue
            async with contender(site, scheme, 1) as client:
                for work in ("get_serie", "create_serie", "create_empresa", "list_empresas"):
                    assert await client.run(work, 2) == 2
                    if contender.__name__ == "Requests":
                        answer = getattr(client, f"_{work}")(UIDS[7])
                    else:
                        answer = await getattr(client, work)(UIDS[7])
                    check = _typed if contender is Library else _as_json
                    check(work, answer)


def _as_json(work: str, answer: dict[str, object]) -> None:
    assert answer.get("status", answer.get("response")) in {"success", "create"}
    if work == "list_empresas":
        assert isinstance(answer["data"], list)
        assert len(answer["data"]) == 30
    if work == "get_serie":
        assert isinstance(answer["data"], dict)
        assert answer["data"]["SerieID"] == UIDS[7]


def _typed(work: str, answer: object) -> None:
    if work == "list_empresas":
        assert isinstance(answer, list)
        assert len(answer) == 30
    else:
        assert (answer is None) == (work == "create_serie")
    if work == "get_serie":
        assert isinstance(answer, Serie)
        assert answer.uid == UIDS[7]


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
    assert ratios([Cost(2, 1), Cost(9, 1)], [Cost(1, 1), Cost(3, 1)], lambda cost: cost.cpu) == [2, 3]


def _figure(*values: float, **more: str) -> Figure:
    about = {"bench": "bench_x", "case": "a case", "contender": Library.name, "measure": "CPU", "unit": "×"}
    return summary(values, **(about | more))


def test_a_figure_is_the_median_between_its_quartiles() -> None:
    figure = _figure(3, 1, 2, 5, 4)
    assert (figure.low, figure.median, figure.high, figure.rounds) == (2, 3, 4, 5)
    assert figure.text == "3× (2–4)"
    assert "**this library**" in table([figure])


@pytest.mark.parametrize(
    ("value", "least", "verdict"),
    [
        (1.0, False, "met"),
        (1.01, False, "MISSED"),
        (0.5, False, "reached"),
        (0.49, True, "MISSED"),
        (0.7, True, "MISSED"),
        (1.0, True, "reached"),
    ],
)
def test_a_target_is_shown_as_met_or_missed(value: float, least: bool, verdict: str) -> None:  # noqa: FBT001
    must, reach = (0.9, 1.0) if least else (1.0, 0.5)
    target = Target("a", "bench_x", "a *", "CPU", must, reach, least=least)
    found = target.find([_figure(9, case="another"), _figure(value)])
    assert found is not None
    assert target.verdict(found) == verdict


def test_a_target_without_a_measurement_is_shown_as_not_measured() -> None:
    assert judged([]).count("not measured") == len(TARGETS)


def test_numbers_tables_and_pictures_are_written(tmp_path: Path) -> None:
    figures = [_figure(1, 2, 3), _figure(4, contender="another")]
    write_numbers(tmp_path / "one.json", figures)
    assert read(tmp_path / "one.json") == figures
    write(tmp_path, figures, describe())
    numbers = json.loads((tmp_path / "figures.json").read_text())
    assert [Figure(**each) for each in numbers["figures"]] == figures
    assert str(Path.home()) not in json.dumps(numbers)
    assert "| a case |" in (tmp_path / "README.md").read_text()


def test_a_full_run_has_enough_rounds_for_a_median() -> None:
    assert FULL.rounds >= 11
    assert 3 <= QUICK.rounds < FULL.rounds


async def test_every_benchmark_has_a_picture(tmp_path: Path) -> None:
    if installed("matplotlib") is None:
        pytest.skip("matplotlib is not installed: pip install --group bench")
    bench = importlib.import_module("benchmarks.bench_structure")
    drawn = draw(await bench.measure(TINY), tmp_path, {"CPU": "one", "Python": "3", "aiohttp": "3"})
    assert drawn["bench_structure"].read_text().startswith("<?xml")


@pytest.mark.skipif("TESTS_TASK_FACTORY" in os.environ, reason="an eager task begins on the stack of another one")
async def test_a_plan_row_passes_at_most_eleven_coroutines_deep(tmp_path: Path) -> None:
    assert len((await trace(tmp_path))["run_row"].path) <= 11
