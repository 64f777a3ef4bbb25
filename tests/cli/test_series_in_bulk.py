"""Series in bulk: a file names them, the account is read first, and a second run does only the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import run

ONE, TWO = "AAA010101001", "AAA010101002"


def account(emulator: Emulator) -> None:
    """Add two companies: F is active, P is paused, N is active."""
    for rfc in (ONE, TWO):
        uid = emulator.add_empresa(rfc=rfc)
        emulator.add_serie(uid, letra="F", tipo_documento="factura")
        emulator.add_serie(uid, letra="P", tipo_documento="pago", estatus="Pausada")
        emulator.add_serie(uid, letra="N", tipo_documento="nomina")


def states(emulator: Emulator) -> list[str]:
    return [f"{row['letra']} {row['estatus']}" for row in emulator.state["series"].values()]


def written(emulator: Emulator) -> list[str]:
    return sorted(request.endpoint for request in emulator.requests if request.method != "GET")


def file(folder: Path, *rows: str) -> Path:
    path = folder / "series.csv"
    path.write_text("\n".join(["rfc,series", *rows]), encoding="utf-8")
    return path


# ── deactivate, activate, delete ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_series_of_a_file_are_paused(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;P:pago", f"{TWO},F:factura")
    ran = await run("series", "deactivate", "--from", path, emulator=emulator)

    assert (ran.code, "Paused: 2 series" in ran.out, written(emulator)) == (0, True, ["series.deactivate"] * 2)
    assert states(emulator) == ["F Pausada", "P Pausada", "N Activa"] * 2
    assert "To pause: 2 series of 2 empresas" in ran.err
    assert "Paused already: 1 serie" in ran.err


@pytest.mark.parametrize("verb", ["deactivate", "activate", "delete"])
async def test_a_second_run_sends_nothing(tmp_path: Path, emulator: Emulator, verb: str) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;P:pago")
    first = await run("series", verb, "--from", path, "--yes", emulator=emulator)
    before = written(emulator)
    second = await run("series", verb, "--from", path, "--yes", "--json", emulator=emulator)

    assert (first.code, second.code, written(emulator)) == (0, 0, before)
    assert (second.json["done"], second.json["already"]) == (0, 2)


async def test_series_are_deleted_only_after_a_yes(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura")
    unasked = await run("series", "delete", "--from", path, emulator=emulator)
    before = written(emulator)
    agreed = await run("series", "delete", "--from", path, "--yes", emulator=emulator)

    assert (unasked.code, before, agreed.code, written(emulator)) == (2, [], 0, ["series.delete"])
    assert len(states(emulator)) == 5


async def test_what_cannot_be_changed_is_named_and_the_rest_is_done(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, "EKU9003173C9,F:factura", f"{ONE},X:factura;F:factura")
    ran = await run("series", "deactivate", "--from", path, "--json", emulator=emulator)

    assert (ran.code, ran.json["done"]) == (1, 1)
    assert [(each["row"], each["rfc"]) for each in ran.json["problems"]] == [(2, "EKU9003173C9"), (3, ONE)]


async def test_series_with_one_name_are_not_guessed(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    twice = [emulator.add_serie(uid, letra="F", tipo_documento="factura") for _ in range(2)]
    ran = await run("series", "delete", "--from", file(tmp_path, f"{ONE},F:factura"), "--yes", emulator=emulator)

    assert (ran.code, written(emulator)) == (1, [])
    assert ", ".join(map(str, twice)) in ran.err


async def test_a_delete_without_an_answer_is_told(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    emulator.inject(Fault.drop_before_commit(), endpoint="series.delete", times=None)
    emulator.inject(Fault.status(500), endpoint="series.get", times=None)
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await run("series", "delete", "--from", path, "--yes", emulator=emulator)
    emulator.clear_faults()
    again = await run("series", "delete", "--from", path, "--yes", emulator=emulator)

    assert (ran.code, f"{ONE} F:factura" in ran.err) == (3, True)
    assert (again.code, len(states(emulator))) == (0, 5)


@pytest.mark.parametrize("arguments", [[], ["1", "--from", "x.csv"], ["--from", "x.csv", "--empresa", ONE]])
async def test_one_serie_or_a_file_is_named(arguments: list[str], emulator: Emulator) -> None:
    ran = await run("series", "deactivate", *arguments, emulator=emulator)

    assert (ran.code, written(emulator)) == (2, [])


# ── apply ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_missing_series_are_created_and_no_company(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento", "EKU9003173C9,F:factura")
    ran = await run("series", "apply", path, "--settle", "0.3", emulator=emulator)

    assert (ran.code, written(emulator)) == (1, ["series.create"])
    assert "no company with this RFC" in ran.out


async def test_applying_a_plan_twice_creates_nothing_twice(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento")
    arguments = ["series", "apply", path, "--settle", "0.3", "--journal", tmp_path / "run.sqlite"]
    codes = [(await run(*arguments, emulator=emulator)).code for _ in range(2)]

    assert (codes, written(emulator)) == ([0, 0], ["series.create"])


async def test_other_series_are_paused_only_on_demand(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento")
    arguments = ["series", "apply", path, "--settle", "0.3"]
    await run(*arguments, emulator=emulator)
    before = states(emulator)
    ran = await run(*arguments, "--deactivate-others", emulator=emulator)

    assert (ran.code, before[:3]) == (0, ["F Activa", "P Pausada", "N Activa"])
    assert states(emulator) == ["F Activa", "P Pausada", "N Pausada", "F Activa", "P Pausada", "N Activa", "A Activa"]


async def test_other_series_stay_active_if_the_plan_is_not_complete(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura", "EKU9003173C9,F:factura")
    ran = await run("series", "apply", path, "--deactivate-others", "--settle", "0.3", emulator=emulator)

    assert (ran.code, written(emulator), "no other series were paused" in ran.err) == (1, [], True)
