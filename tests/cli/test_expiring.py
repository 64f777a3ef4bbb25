"""Which CSD expires soon, and how a whole account gets new ones."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facturaonline_async.testing import Emulator, make_sello
from tests.cli.test_app import run
from tests.plans import private_key

ONE, TWO, THREE = "AAA010101001", "AAA010101002", "AAA010101003"


def certificate(folder: Path, rfc: str, name: str, *, days: int) -> None:
    """Put a CSD there that ends in this many days; it was valid for four years."""
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC) + timedelta(days=days + 1) - timedelta(days=4 * 365 + 1)
    sello = make_sello(rfc, now=now, private_key=private_key())
    (folder / f"{name}.cer").write_bytes(sello.cer)
    (folder / f"{name}.key").write_bytes(sello.key)


async def expiring(folder: Path, emulator: Emulator, days: int = 30) -> list[str]:
    """Return the RFCs of the companies whose CSD ends soon."""
    ran = await run("empresas", "list", "--expiring", days, "--certificates", folder, "--json", emulator=emulator)
    return [each["rfc"] for each in ran.json["expiring"]]


async def test_companies_are_listed_by_the_end_of_their_csd(tmp_path: Path, emulator: Emulator) -> None:
    for rfc, days in ((ONE, 20), (TWO, -3), (THREE, 400)):
        emulator.add_empresa(rfc=rfc)
        certificate(tmp_path / "csd", rfc, rfc, days=days)

    assert await expiring(tmp_path / "csd", emulator) == [TWO, ONE]
    assert await expiring(tmp_path / "csd", emulator, days=500) == [TWO, ONE, THREE]
    assert await expiring(tmp_path / "csd", emulator, days=0) == [TWO]


async def test_the_newest_csd_of_a_company_counts(tmp_path: Path, emulator: Emulator) -> None:
    emulator.add_empresa(rfc=ONE)
    certificate(tmp_path / "csd", ONE, "old", days=5)
    certificate(tmp_path / "csd", ONE, "new", days=900)

    assert await expiring(tmp_path / "csd", emulator) == []


async def test_what_is_no_csd_is_named_or_left_out(tmp_path: Path, emulator: Emulator) -> None:
    emulator.add_empresa(rfc=ONE)
    emulator.add_empresa(rfc=TWO)
    certificate(tmp_path / "csd", ONE, "one", days=5)
    fiel = make_sello(TWO, kind="fiel", private_key=private_key())
    (tmp_path / "csd" / "fiel.cer").write_bytes(fiel.cer)
    (tmp_path / "csd" / "broken.cer").write_bytes(b"no certificate")
    ran = await run(
        "empresas", "list", "--expiring", "30", "--certificates", tmp_path / "csd", "--rfc", TWO, emulator=emulator
    )

    assert (ran.code, ran.out) == (0, "No CSD of the folder ends within 30 days.\n")
    assert [words in ran.err for words in ("broken.cer is not a certificate", f"no CSD in the folder: {TWO}")] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--expiring", "30"], "given together"),
        (["--certificates", "."], "given together"),
        (["--expiring", "3000000", "--certificates", "."], "36500"),
        (["--expiring", "30", "--certificates", "nowhere"], "nowhere is no folder"),
        (["--expiring", "30", "--certificates", "."], "has no .cer file"),
    ],
)
async def test_what_the_list_needs_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = await run("empresas", "list", *arguments, emulator=emulator)

    assert (ran.code, words in " ".join(ran.err.split()), len(emulator.requests)) == (2, True, 0)


async def test_an_exported_plan_with_new_csds_renews_an_account(tmp_path: Path, emulator: Emulator) -> None:
    for rfc in (ONE, TWO):
        emulator.add_empresa(rfc=rfc)
        certificate(tmp_path / "csd", rfc, rfc, days=20)
    assert await expiring(tmp_path / "csd", emulator) == [ONE, TWO]
    await run("plan", "export", tmp_path / "plan.csv", emulator=emulator)

    with (tmp_path / "plan.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [*csv.DictReader(file)]
    for row in rows:
        if row["RFC"] in {ONE, TWO}:
            certificate(tmp_path / "new", row["RFC"], row["RFC"], days=1400)
            row |= {"Certificado": f"new/{row['RFC']}.cer", "Llave": f"new/{row['RFC']}.key", "Contraseña": "12345678a"}
    with (tmp_path / "renewal.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    renewal = ["provision", tmp_path / "renewal.csv", "--existing", "update", "--journal", tmp_path / "renewal.sqlite"]
    codes = [(await run(*renewal, "--yes", emulator=emulator)).code for _ in range(2)]

    assert (codes, emulator.count("empresas.update"), emulator.count("empresas.create")) == ([0, 0], 2, 0)
    assert await expiring(tmp_path / "new", emulator) == []
