"""``Emulator(behaviour=FILE)``: which files it takes. tests/cli/test_probe.py plays reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import InvalidInputError
from facturaonline_async.testing import Emulator

OBSERVED: dict[str, Any] = {
    "answers": {}, "active": None, "paused": "Inactiva", "list_lag": 2.0, "is_reused": None, "idle": None
}  # fmt: skip


def written(folder: Path, content: object) -> Path:
    path = folder / "probe.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        {"format": "facturaonline-probe-2", "observed": OBSERVED},
        {"format": "facturaonline-probe-1"},
        {"format": "facturaonline-probe-1", "observed": OBSERVED | {"answers": {"series.get": {"status": 200}}}},
        {
            "format": "facturaonline-probe-1",
            "observed": OBSERVED
            | {"answers": {"series.get": {"status": 99, "content_type": "", "read_as": "success", "shape": {}}}},
        },
    ],
    ids=lambda content: str(content)[:60],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: object) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InvalidInputError, match="is not a report of facturaonline probe") as refused:
        Emulator(behaviour=path)
    assert (refused.value.field, str(path) in str(refused.value)) == ("behaviour", True)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Emulator(behaviour=tmp_path / "none.json")


@pytest.mark.parametrize(("own", "expected"), [(0.0, 2.0), (5.0, 5.0)])
def test_a_lag_of_its_own_counts_more_than_that_of_the_report(tmp_path: Path, own: float, expected: float) -> None:
    path = written(tmp_path, {"format": "facturaonline-probe-1", "observed": OBSERVED})
    emulator = Emulator(behaviour=path, list_lag=own)
    assert emulator._state.behaviour.list_lag == expected
    assert (emulator._state.behaviour.active, emulator._state.behaviour.paused) == ("Activa", "Inactiva")
    assert emulator._state.behaviour.accepted == {"duplicate"}
