"""The tight gate: how many instructions a call takes, against aiohttp alone. It must not grow.

Instructions are counted, not timed, so that a busy machine changes nothing. The ceilings are a percent or so above what
was counted of a plain install with CPython 3.11; where the library gets better, lower them.
"""

from __future__ import annotations

import platform

import pytest

from benchmarks import PLAIN, bench_parts
from benchmarks.bench_instructions import COMPANIES, count
from benchmarks.command import TINY
from benchmarks.contenders import Contender
from benchmarks.contenders.library import Library
from benchmarks.contenders.raw import Identical, Idiomatic
from benchmarks.counting import VALGRIND
from benchmarks.server import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VALGRIND is None, reason="NO INSTRUCTIONS COUNTED: valgrind is not installed"),
    pytest.mark.skipif(
        platform.python_version_tuple()[:2] != ("3", "11"), reason="the ceilings were counted with CPython 3.11"
    ),
]


#: By work and by whom it is compared with: the ratio that was counted, and some 3 % of room.
CEILINGS: dict[tuple[str, type[Contender]], float] = {
    ("get_serie", Idiomatic): 1.05,
    ("get_serie", Identical): 1.19,
    ("create_empresa", Identical): 1.6,
    ("list_empresas", Idiomatic): 1.58,
}


async def test_calls_take_no_more_instructions_than_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN, "1")
    works: dict[type[Contender], list[str]] = {Library: list(dict.fromkeys(work for work, _ in CEILINGS))}
    for work, base in CEILINGS:
        works.setdefault(base, []).append(work)
    with serve(companies=COMPANIES, nginx=False) as site:
        taken = await count(site, works)
    found = {(work, base): round(taken[Library][work] / taken[base][work], 3) for work, base in CEILINGS}
    assert all(found[each] <= ceiling for each, ceiling in CEILINGS.items()), found


async def test_the_parts_of_a_call_are_parts_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN, "1")
    shares = [figure.median for figure in await bench_parts.measure(TINY)]
    assert (round(sum(shares), 6), min(shares) > 0) == (100, True)
