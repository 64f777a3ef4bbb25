"""Four worker processes of a web service keep one quota, and create each serie once."""

from __future__ import annotations

import pytest

from tests.postgres.grants import exceeding, most_in
from tests.postgres.servers import Server
from tests.postgres.web import LETRAS, play

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


async def test_four_workers_keep_one_quota_and_create_each_serie_once(shared_server: Server, url: str) -> None:
    outcome = await play(shared_server, url, seconds=5)

    assert len(outcome.pids) > 1
    assert exceeding(outcome.grants) == {}
    assert outcome.reads.count("series.get") <= len(outcome.grants)
    assert sorted(outcome.creates.series) == sorted(LETRAS)
    assert outcome.creates.count("series.create") == len(LETRAS)


async def test_without_the_database_they_exceed_the_quota_and_create_many_twice(shared_server: Server) -> None:
    """Control."""
    outcome = await play(shared_server, None, seconds=5)

    assert most_in(outcome.reads.moments("series.get"), 1) > 10
    assert outcome.creates.duplicates
