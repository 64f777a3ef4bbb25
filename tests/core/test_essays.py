"""The essays at the top of the hard modules name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from facturaonline_async._core.http import transport
from facturaonline_async._core.limits import scheduler, shared_scheduler
from facturaonline_async._core.once import create
from facturaonline_async.provision._journal import writer

TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "module",
    [scheduler, shared_scheduler, transport, create, writer],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_every_test_that_an_essay_names_exists(module: ModuleType) -> None:
    named = set(re.findall(r"`(test_\w+)`", module.__doc__ or ""))
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert len(named) > 5
    assert named - set(re.findall(r"def (test_\w+)\(", sources)) == set()
