"""Rows of a file cost the garbage collector nothing."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from facturaonline_async.provision import Plan
from tests.provision.plan.test_file_rows import as_csv, many

pytestmark = pytest.mark.one_python


def test_the_garbage_collector_tracks_no_object_for_a_row(tmp_path: Path) -> None:
    paths = []
    for count in (20, 320):
        (tmp_path / f"{count}").mkdir()
        paths.append(as_csv(tmp_path / f"{count}", many(count)))
    Plan.from_file(paths[0])  # fills caches
    tracked = []
    for path in paths:
        gc.collect()
        before = len(gc.get_objects())
        plan = Plan.from_file(path)
        for _ in range(3):
            gc.collect()  # it stops tracking tuples of texts
        tracked.append(len(gc.get_objects()) - before)
        del plan
    assert tracked[1] - tracked[0] < 30  # one object for each row would be 300


def test_a_shard_of_a_file_is_packed_like_the_file(tmp_path: Path) -> None:
    plan = Plan.from_file(as_csv(tmp_path, many(20)))
    shards = [plan.shard(index, 3) for index in range(3)]
    assert {type(shard.rows) for shard in shards} == {type(plan.rows)}
    assert sorted(row.number for shard in shards for row in shard) == [row.number for row in plan]
