"""A place for a journal: a file, or a database with the schema."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.provision.journal.places import Place

with suppress(ImportError):  # the extra postgres is not installed
    from tests.postgres.conftest import shared_server, template, url  # noqa: F401


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give an unused place for a journal."""
    if request.param == "sqlite":
        return Place(path=str(tmp_path / "j"))
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    return Place(url=request.getfixturevalue("url"))
