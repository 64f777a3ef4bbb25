"""``plan export``: an account becomes a plan that a run accepts, without a secret."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import stat
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from facturaonline_async.provision import Plan, PlanSerie
from facturaonline_async.provision._plan.models import required_uid
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import run

ONE, TWO, MAIN = "AAA010101001", "AAA010101002", "EMU200101PP5"


def account(emulator: Emulator) -> list[str]:
    """Add two companies with series, and return their uids."""
    two = emulator.add_empresa(rfc=TWO, codpos="06500")
    one = emulator.add_empresa(rfc=ONE, codpos="01000")
    emulator.add_serie(two, letra="P", tipo_documento="pago")
    emulator.add_serie(two, letra="F", tipo_documento="factura")
    return [one, two]


def cells(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [*csv.DictReader(file)]
    header, *rows = openpyxl.load_workbook(path)["Empresas"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), (cell or "" for cell in row), strict=True)) for row in rows]


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_an_export_is_a_plan_ordered_by_rfc(tmp_path: Path, emulator: Emulator, name: str) -> None:
    one, two = account(emulator)
    path = tmp_path / name
    ran = await run("plan", "export", path, emulator=emulator)
    plan = Plan.from_file(path)

    assert (ran.code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    assert [(row.rfc, [serie.key for serie in row.series]) for row in plan] == [
        (ONE, []),
        (TWO, [("F", "factura"), ("P", "pago")]),
        (MAIN, []),
    ]
    assert [required_uid(row) for row in plan][:2] == [one, two]
    assert "3 empresas with 2 series" in ran.out


@pytest.mark.parametrize("name", ["plan.xlsx", "plan.csv"])
async def test_an_export_keeps_zeros_and_holds_no_secret(tmp_path: Path, emulator: Emulator, name: str) -> None:
    uids = account(emulator)
    await run("plan", "export", tmp_path / name, emulator=emulator)
    rows = cells(tmp_path / name)
    shown = json.dumps(rows)

    assert [row["Código Postal"] for row in rows][:2] == ["01000", "06500"]
    assert {row[title] for row in rows for title in ("Certificado", "Llave", "Contraseña")} == {""}
    assert not any(emulator.credentials_of(uid).api_key.reveal() in shown for uid in uids)


@pytest.mark.parametrize("existing", ["adopt", "update"])
async def test_an_untouched_export_has_nothing_to_do(tmp_path: Path, emulator: Emulator, existing: str) -> None:
    account(emulator)
    path = tmp_path / "plan.xlsx"
    await run("plan", "export", path, emulator=emulator)

    found = await run("plan", "preview", path, "--existing", existing, "--exit-code", emulator=emulator)

    assert (found.code, "Nothing to do" in found.out) == (0, True)


async def test_two_exports_of_one_account_are_equal(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        await run("plan", "export", path, emulator=emulator)

    assert paths[0].read_bytes() == paths[1].read_bytes()


async def test_an_export_without_series_asks_for_none(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    await run("plan", "export", tmp_path / "plan.csv", "--no-series", emulator=emulator)

    assert [row.series for row in Plan.from_file(tmp_path / "plan.csv")] == [()] * 3
    assert "series.list" not in [request.endpoint for request in emulator.requests]


async def test_an_export_names_a_company_whose_series_cannot_be_read(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    emulator.inject(Fault.status(400), endpoint="series.list")
    path = tmp_path / "plan.csv"
    ran = await run("plan", "export", path, "--json", emulator=emulator)
    [missing] = ran.json["without_series"]

    assert (ran.code, {row["RFC"]: row["# Notas"] for row in cells(path)}[missing["rfc"]]) == (
        1,
        "its series could not be read",
    )
    assert len(Plan.from_file(path)) == 3


async def test_an_export_notes_what_a_plan_cannot_hold(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE, codpos="x")
    emulator.add_serie(uid, letra="F", tipo_documento="facturas")
    emulator.add_serie(uid, letra="P", tipo_documento="pago", estatus="Pausada")
    path = tmp_path / "plan.csv"
    await run("plan", "export", path, emulator=emulator)

    assert next(row.series for row in Plan.from_file(path)) == (PlanSerie(letra="P", tipo_documento="pago"),)
    assert cells(path)[0]["# Notas"] == (
        "not in the plan, which cannot write it: F:facturas; paused: P:pago; codpos: x"
    )


async def test_an_export_holds_one_company_of_an_rfc(tmp_path: Path, emulator: Emulator) -> None:
    uids = sorted(emulator.add_empresa(rfc=ONE) for _ in range(2))
    path = tmp_path / "plan.csv"
    ran = await run("plan", "export", path, "--json", emulator=emulator)

    assert ([each["uid"] for each in ran.json["left_out"]], ran.code) == (uids[1:], 1)
    assert required_uid(next(iter(Plan.from_file(path)))) == uids[0]


async def test_an_export_replaces_a_file_only_if_it_is_told_to(tmp_path: Path, emulator: Emulator) -> None:
    path = tmp_path / "plan.csv"
    path.write_text("mine")
    path.chmod(0o644)
    refused = await run("plan", "export", path, emulator=emulator)
    before = path.read_text()
    forced = await run("plan", "export", path, "--force", emulator=emulator)

    assert (refused.code, "--force" in refused.err, before, forced.code) == (2, True, "mine", 0)
    assert (len(Plan.from_file(path)), stat.S_IMODE(path.stat().st_mode)) == (1, 0o600)
    assert os.listdir(tmp_path) == ["plan.csv"]  # noqa: PTH208  # `iterdir` is for threads


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("none/plan.csv", (), "does not exist. Create it"),
        ("file/plan.csv", (), "Not a directory"),
        ("plan.csv", (), "--force to replace it"),
        ("link.csv", (), "--force to replace it"),
        ("folder.csv", ("--force",), "Is a directory"),
        ("plan.txt", (), "must end in .csv or .xlsx"),
        pytest.param(
            "/proc/self/plan.csv",
            (),
            "Permission denied",
            marks=pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder is read-only for every user"),
        ),
    ],
)
async def test_a_file_that_cannot_be_written_is_refused_before_the_account_is_read(
    tmp_path: Path, emulator: Emulator, name: str, options: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "plan.csv").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link.csv").symlink_to("nowhere")
    (tmp_path / "folder.csv").mkdir()
    ran = await run("plan", "export", tmp_path / name, *options, emulator=emulator)

    assert (ran.code, reason in ran.err, emulator.requests) == (2, True, ())


async def test_a_file_that_appears_while_the_account_is_read_stays(tmp_path: Path, emulator: Emulator) -> None:
    path = tmp_path / "plan.csv"
    emulator.inject(Fault.throttle(), endpoint="series.list")
    exporting = asyncio.create_task(run("plan", "export", path, emulator=emulator))
    while not emulator.count("series.list"):  # noqa: ASYNC110  # the emulator has no event
        await asyncio.sleep(0.01)
    path.write_text("mine")
    emulator.clear_faults()
    ran = await exporting

    assert (ran.code, "--force to replace it" in ran.err) == (2, True)
    assert (os.listdir(tmp_path), path.read_text()) == (["plan.csv"], "mine")  # noqa: PTH208  # as above
