"""The rows of a file are plain values of about a kilobyte, and stay what they were when they were checked."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import cattrs
import pytest

from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan, PlanError, PlanSerie
from facturaonline_async.provision._plan import toml_reader
from facturaonline_async.provision._plan.file_rows import FileRow
from tests.plans import ROW, folder, table, toml, written

PASSWORD = "clave secreta"
SERIES = "F:factura:1;NC:nota_credito:1;P:pago:1"


def many(count: int, **cells: Callable[[int], object]) -> list[dict[str, Any]]:
    """Return rows like those of the example: names, RFCs and addresses of their own, and three series."""
    return [
        ROW
        | {"razon_social": f"Empresa {number}", "rfc": rfc, "email": f"facturas{number}@example.com", "series": SERIES}
        | {name: cell(number) for name, cell in cells.items()}
        for number, rfc in enumerate(islice(example_rfcs(), count))
    ]


#: Nothing in common with the neighbours, as far as a real plan goes.
OWN: dict[str, Callable[[int], object]] = {
    "razon_social": lambda number: f"{number * 7919 % 100_003} y Compañía de {number * 104_729 % 1_000_003}, S.A.",
    "codpos": lambda number: 10_000 + number % 9000,
    "calle": lambda number: f"Avenida {number * 15_485_863 % 1_000_003} de {number * 32_452_843 % 1_000_033}",
    "telefono": lambda number: 5_500_000_000 + number * 49_979_687 % 99_999_989,
    "password": lambda number: f"{number * 67_867_967 % 1_000_000_007:x}",
    "series": lambda number: f"F:factura:{number + 1};NC:nota_credito:{2 * number + 1};P:pago:{3 * number + 1}",
}


def traced(path: Path) -> tuple[int, int]:
    """Return the bytes that a plan keeps, and the most that were taken while it was read."""
    gc.collect()
    tracemalloc.start()
    try:
        plan = Plan.from_file(path)
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
        assert len(plan) > 0
    finally:
        tracemalloc.stop()
    return kept, most


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    return written(path, rows)


def as_cp1252(path: Path, rows: list[dict[str, Any]]) -> Path:
    plan = folder(path) / "plan.csv"
    plan.write_bytes(table(rows).encode("cp1252"))
    return plan


def as_toml(path: Path, rows: list[dict[str, Any]]) -> Path:
    plan = folder(path) / "plan.toml"
    plan.write_text(toml(rows), encoding="utf-8-sig")
    return plan


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_reader, "_PIECE", 100)


@pytest.mark.slow
@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize(
    ("write", "cells", "per_row", "most_per_row"),
    [
        (as_csv, {}, 900, 1100),
        (as_csv, OWN, 1800, 2000),
        (as_csv, OWN | {"codpos": lambda number: 1000 + number % 9000}, 2200, 2400),
        (as_cp1252, {}, 900, 1100),
        (as_toml, {}, 900, 1400),
    ],
    ids=["csv", "csv with nothing in common", "csv with a notice for each", "cp1252", "toml"],
)
def test_a_row_takes_one_or_two_kilobytes(
    tmp_path: Path,
    write: Callable[[Path, list[dict[str, Any]]], Path],
    cells: dict[str, Callable[[int], object]],
    per_row: int,
    most_per_row: int,
) -> None:
    """`most_per_row`: while the plan is read. A TOML file is held as text, and parsed in pieces."""
    few = 400
    traced(write(tmp_path, many(few, **cells)))  # the part that does not depend on the rows
    kept, most = zip(*(traced(write(tmp_path, many(count, **cells))) for count in (few, 5 * few)), strict=True)
    assert (kept[1] - kept[0]) / (4 * few) <= per_row
    assert (most[1] - most[0]) / (4 * few) <= most_per_row


def test_rows_are_a_sequence_in_their_order(tmp_path: Path) -> None:
    rows = many(70, **OWN)
    plan = Plan.from_csv(written(tmp_path, rows))
    rfcs = [row["rfc"] for row in rows]
    assert [row.rfc for row in plan] == [row.rfc for row in plan.rows] == rfcs
    assert [plan.rows[index].rfc for index in (0, 31, 32, 63, 64, 69, -1, -70)] == [
        rfcs[index] for index in (0, 31, 32, 63, 64, 69, -1, -70)
    ]
    assert [row.rfc for row in plan.rows[30:66:5]] == rfcs[30:66:5]
    assert [row.series[2].folio for row in plan] == [3 * number + 1 for number in range(70)]
    assert (len(plan), len(plan.rows), plan.series_count) == (70, 70, 210)
    with pytest.raises(IndexError):
        plan.rows[70]


def test_every_row_loads_its_own_company(tmp_path: Path) -> None:
    rows = many(40, **OWN)
    plan = Plan.from_csv(written(tmp_path, rows))

    async def loaded() -> list[tuple[str, str, str]]:
        empresas = await asyncio.gather(*(row.load() for row in plan))
        return [(each.rfc, each.razon_social, each.csd.password.reveal()) for each in empresas]

    assert asyncio.run(loaded()) == [(row["rfc"], row["razon_social"], row["password"]) for row in rows]


def test_a_plan_does_not_change_with_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, many(40))
    plan = Plan.from_csv(path)
    path.write_text("nothing of a plan", encoding="utf-8")
    assert [row.rfc for row in plan] == [row["rfc"] for row in many(40)]
    path.unlink()
    assert asyncio.run(plan.rows[39].load()).razon_social == "Empresa 39"


def test_no_row_shows_or_pickles_its_password(tmp_path: Path) -> None:
    path = written(tmp_path, [ROW | {"password": PASSWORD}, ROW | {"password": PASSWORD, "codpos": "x"}])
    parsed = Plan.parse(path)
    plan = Plan.of(attrs.evolve(parsed, problems=()))
    (row,), (faulty,) = plan, parsed.faulty
    plain = cattrs.Converter().unstructure(faulty)
    assert isinstance(row, FileRow)
    for value in (parsed, plan, plan.rows, row, faulty, attrs.asdict(faulty), plain, deepcopy(row)):
        assert PASSWORD not in repr(value) + str(value)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(value)


def test_equal_series_are_one_value(tmp_path: Path) -> None:
    plan = Plan.from_csv(written(tmp_path, many(40)))
    assert len({id(row.series) for row in list(plan)}) == 1
    assert plan.rows[7].series[0] == PlanSerie(letra="F", tipo_documento="factura", folio=1)


def test_certificates_that_many_rows_name_are_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    path = written(tmp_path, many(300))
    really = os.open

    def counted(name: str, flags: int, mode: int = 0o777, **more: Any) -> int:
        opened.append(name)
        return really(name, flags, mode, **more)

    monkeypatch.setattr("os.open", counted)
    Plan.from_csv(path)
    assert sorted(opened) == [str(tmp_path / "c" / name) for name in ("a.cer", "a.key")]


def test_a_plan_read_again_checks_its_files_again(tmp_path: Path) -> None:
    path = written(tmp_path, many(2))
    Plan.from_csv(path)
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(PlanError, match="No such file"):
        Plan.from_csv(path)
