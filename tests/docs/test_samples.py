"""The provider's sample in migrating.md runs, takes a refusal for success, and stops at no time-out."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from facturaonline_async.testing import emulator_in_thread
from tests.docs.pages import blocks

PAGES = ["docs/guides/migrating.md", "docs/guides/migrating.es.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_sample_prints_a_refusal_like_any_answer(page: str) -> None:
    pytest.importorskip("requests", reason="the sample needs requests")
    (sample,) = (block for block in blocks(page) if block.mark("by"))
    printed = io.StringIO()
    with emulator_in_thread() as emulator, redirect_stdout(printed):
        source = sample.source.replace("{ HOST }", emulator.base_url)
        exec(compile(source, page, "exec"), {})  # noqa: S102  # the page is ours

    assert "La cuenta que intenta autenticarse no existe" in printed.getvalue()
