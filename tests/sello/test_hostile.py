"""The work for a hostile file of 1 MiB, or for a text as long, is linear in its length.

The tests count executed lines of Python instead of measuring time. C code is linear, with two exceptions: regular
expressions, whose steps `tests.test_regexes` counts, and the composition of accents, whose input is verified here.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from facturaonline_async import InvalidInputError
from facturaonline_async._text import printable, repair_mojibake
from facturaonline_async.sello import Sello, check
from tests.sello.certificates import NOW
from tests.sello.hostile import FILES, TEXTS, good

SMALL, LARGE, WHOLE = 1 << 15, 1 << 17, (1 << 20) - 4096


def lines(work: Callable[[], object]) -> int:
    """Return the number of Python lines that a function executes."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def as_certificate(content: bytes) -> None:
    check(Sello(content, b"", ""), now=NOW)


def as_key(content: bytes) -> None:
    check(Sello(b"", content, "12345678a"), now=NOW)


def as_both(content: bytes) -> None:
    Sello(content, content, "12345678a").to_der()


def as_base64(content: bytes) -> None:
    with suppress(InvalidInputError):
        Sello.from_base64(content, content, password="x")


def as_password(text: str) -> None:
    check(Sello(b"", good().key, text), now=NOW)


def as_rfc(text: str) -> None:
    check(Sello(good().cer, b"", ""), rfc=text, now=NOW)


OF_FILES = (as_certificate, as_key, as_both, as_base64)
OF_TEXTS: tuple[Callable[[str], object], ...] = (as_password, as_rfc, printable, repair_mojibake)


def name_of(work: object) -> str:
    return getattr(work, "__name__", str(work))


def assert_linear(small: Callable[[], object], large: Callable[[], object]) -> None:
    small()  # what is done once in a process
    few, many = lines(small), lines(large)
    assert many <= (LARGE // SMALL) * 1.1 * few + 100, (few, many)


@pytest.mark.parametrize("work", OF_FILES, ids=name_of)
@pytest.mark.parametrize("file", FILES)
def test_the_work_for_a_file_is_linear(file: str, work: Callable[[bytes], object]) -> None:
    small, large = FILES[file](SMALL), FILES[file](LARGE)
    assert_linear(lambda: work(small), lambda: work(large))


@pytest.mark.parametrize("work", OF_TEXTS, ids=name_of)
@pytest.mark.parametrize("text", TEXTS)
def test_the_work_for_a_text_is_linear(text: str, work: Callable[[str], object]) -> None:
    small, large = ((TEXTS[text] * size)[:size] for size in (SMALL, LARGE))
    assert_linear(lambda: work(small), lambda: work(large))


@pytest.mark.parametrize("text", TEXTS)
def test_the_accents_of_a_long_text_are_not_composed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def measured(form: Any, given: str) -> str:
        lengths.append(len(given))
        return normalize(form, given)

    monkeypatch.setattr(unicodedata, "normalize", measured)
    for size in (900, LARGE):
        long = (TEXTS[text] * size)[:size]
        for work in OF_TEXTS:
            work(long)
    for file in FILES:
        as_certificate(FILES[file](SMALL))
    assert 0 < max(lengths) <= 4000  # of 1000 characters, four times as many where they are decomposed


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_a_hostile_file_of_a_mebibyte_has_a_finding(file: str) -> None:
    content = FILES[file](WHOLE)
    assert check(Sello(content, content, "12345678a"), now=NOW).errors
    for work in OF_FILES:
        work(content)


def test_this_test_detects_quadratic_work() -> None:
    def square(size: int) -> None:
        for _ in range(size):
            for _ in range(size):
                pass

    with pytest.raises(AssertionError):
        assert_linear(lambda: square(50), lambda: square(200))
