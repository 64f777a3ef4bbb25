"""No text makes a regular expression of ours take more than linear time: texts come from servers and from strangers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given, strategies as st

from tests.effort import examples
from tests.regexes import Counting, Found, TooManyStepsError, found_in, modules, pieces

pytestmark = pytest.mark.one_python

PATTERNS: dict[str, Found] = {}
MADE: list[str] = []
for module in modules():
    found, made = found_in(module)
    name = module.__name__.removeprefix("facturaonline_async").removeprefix(".")
    MADE += [f"{name}: {each}" for each in made]
    PATTERNS |= {f"{name}-{number}{each.name}": each for number, each in enumerate(found, 1)}

#: Patterns made of literal texts as the program runs: alternatives of literals, or a path with one placeholder.
LITERAL = {"_core.redaction: pattern % f'(?:{any_of})'", "testing._emulator.routes: pattern"}

OTHER = "\x01!"
"""What few patterns take."""

FEW = 6
"""Pieces of so simple a pattern that each may also stand before what is repeated."""


@pytest.fixture(autouse=True)
def _deep() -> Iterator[None]:
    """Let the matcher go one frame deeper for each repeated group."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


Kind = tuple[str, str, str]


def kinds(parts: list[str]) -> Iterator[Kind]:
    """Give (prefix, what is repeated, suffix): the ways to make a backtracking matcher work."""
    prefixes = ["", OTHER, *parts] if len(parts) <= FEW else ["", OTHER]
    for prefix, one, other, suffix in product(prefixes, parts, ["", *parts], ("", OTHER)):
        yield prefix, one + other, suffix


def text_of(kind: Kind, length: int) -> str:
    prefix, repeated, suffix = kind
    return prefix + repeated * (length // len(repeated)) + suffix


def steps(pattern: Counting, text: str, *, is_anchored: bool, most: float) -> int:
    """Return the steps, or one more than `most`."""
    pattern.most = most
    with suppress(TooManyStepsError):
        if is_anchored:
            pattern.match(text)
        else:
            pattern.find_all(text)
    return pattern.steps


def worst(pattern: Counting, *, is_anchored: bool) -> list[Kind]:
    """Return the kinds of text that take the most steps."""
    found = {
        kind: steps(pattern, text_of(kind, 24), is_anchored=is_anchored, most=5_000) for kind in kinds(pieces(pattern))
    }
    return sorted(found, key=found.__getitem__, reverse=True)[:4]


def is_linear(pattern: Counting, kind: Kind, *, is_anchored: bool) -> bool:
    """Whether a text four times as long takes about four times the steps; sixteen times would be quadratic."""
    short = steps(pattern, text_of(kind, 100), is_anchored=is_anchored, most=50_000)
    return steps(pattern, text_of(kind, 400), is_anchored=is_anchored, most=6 * short) <= 6 * short


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_linear_time_for_any_text(name: str) -> None:
    """That it reads a megabyte has no time limit: more than linear time would be hours."""
    found = PATTERNS[name]
    pattern = Counting(found.pattern)
    hard = worst(pattern, is_anchored=found.is_anchored)
    assert [kind for kind in hard if not is_linear(pattern, kind, is_anchored=found.is_anchored)] == []
    for kind in hard[:2]:
        text = text_of(kind, 1_000_000)
        given = text if isinstance(found.pattern.pattern, str) else text.encode("latin-1", "replace")
        count = sum(
            1 for _ in ([found.pattern.fullmatch(given)] if found.is_anchored else found.pattern.finditer(given))
        )
        assert count <= len(given) + 1


def test_every_pattern_that_is_built_at_run_time_is_listed_here() -> None:
    assert set(MADE) - LITERAL == set()


def test_the_patterns_of_the_package_are_found() -> None:
    assert len(PATTERNS) > 40
    assert {
        "_text-1_TAG",
        "_core.logging-1_NAMED",
        "_core.protocol.json-2_LIST",
        "_validators-2_UNPRINTABLE",
    } <= set(PATTERNS)
    assert (PATTERNS["_core.request-1_UID"].is_anchored, PATTERNS["_text-1_TAG"].is_anchored) == (True, False)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\A\s+|\s+\Z",
        r"(\b\w*(?:pass|contrase\w+)['\"]?\s*[:=])",
        r'"[^"]*pass[^"]*":',
        r"(?:a|a)*b",
        r"x.*y.*z",
    ],
)
def test_a_pattern_of_more_than_linear_time_is_detected(pattern: str) -> None:
    counting = Counting(re.compile(pattern))
    assert not all(is_linear(counting, kind, is_anchored=False) for kind in worst(counting, is_anchored=False))


@pytest.mark.parametrize("name", PATTERNS)
@examples(20)
@given(data=st.data())
def test_the_counting_matcher_finds_what_re_finds(name: str, data: st.DataObject) -> None:
    pattern = PATTERNS[name].pattern
    counting = Counting(pattern)
    parts = [*pieces(counting), "a", "\n", " ", '"']
    text = "".join(data.draw(st.lists(st.sampled_from(parts) | st.characters(max_codepoint=255), max_size=12)))
    if isinstance(pattern.pattern, bytes):
        text = text.encode("latin-1", "replace").decode("latin-1")
        expected = [each.span() for each in pattern.finditer(text.encode("latin-1"))]
    else:
        expected = [each.span() for each in pattern.finditer(text)]
    assert expected == counting.find_all(text)
