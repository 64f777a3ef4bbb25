"""An emulator whose state is in a file: what it has answered is there again after its process was killed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import FacturaOnline, InvalidInputError, connect
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.plans import nueva


def content(emulator: Emulator) -> dict[str, dict[Any, dict[str, Any]]]:
    """Return all rows, without the moments of their creation."""
    return {
        table: {key: {name: value for name, value in row.items() if name != "created_at"} for key, row in rows.items()}
        for table, rows in emulator.state.items()
    }


def client_of(emulator: Emulator) -> Any:
    return connect(emulator.credentials, base_url=emulator.base_url, config=QUICK)


async def change_everything(client: FacturaOnline) -> None:
    """Make calls of every kind that changes something."""
    first, second = [await client.empresas.create(nueva(f"AAA01010100{number}")) for number in range(2)]
    for letra in "FPN":
        await client.series.create(letra=letra, tipo_documento="factura")
    own = client.for_empresa(await client.empresas.get(second.uid))
    await own.series.create(letra="X", tipo_documento="pago")
    one, two, _ = await client.series.list()
    await client.series.deactivate(one.uid)
    await client.series.delete(two.uid)
    await client.empresas.delete(second.uid)
    await client.empresas.get(first.uid)


async def test_another_process_continues_with_the_confirmed_changes(tmp_path: Path) -> None:
    """The file alone is what the other one has: nothing is written when the first one ends."""
    async with Emulator(state_file=tmp_path / "state") as emulator:
        emulator.add_empresa(rfc="BBB010101AAA")
        async with client_of(emulator) as client:
            await change_everything(client)
        emulator.add_serie(emulator.add_empresa(rfc="CCC010101AAA"), letra="Z", tipo_documento="factura")
        written = (tmp_path / "state").read_bytes()
        expected, url, keys = content(emulator), emulator.base_url, emulator.credentials
    (tmp_path / "state").write_bytes(written)
    async with Emulator(state_file=tmp_path / "state") as again:
        assert (content(again), again.base_url, again.credentials) == (expected, url, keys)
        async with client_of(again) as client:
            assert len(await client.empresas.list()) == len(expected["empresas"])


async def test_a_later_process_generates_other_keys_and_uids(tmp_path: Path) -> None:
    for number in range(3):
        async with Emulator(state_file=tmp_path / "state") as emulator, client_of(emulator) as client:
            await client.empresas.create(nueva(f"AAA01010100{number}"))
            await client.series.create(letra=f"F{number}", tipo_documento="factura")
    last = Emulator(state_file=tmp_path / "state")
    rows = last.state["empresas"]
    assert (len(rows), len({row["api_key"] for row in rows.values()}), len(last.state["series"])) == (4, 4, 3)


async def test_a_last_line_cut_off_by_a_kill_is_ignored(tmp_path: Path) -> None:
    async with Emulator(state_file=tmp_path / "state") as emulator:
        emulator.add_empresa(rfc="AAA010101000")
        expected = content(emulator)
        emulator.add_empresa(rfc="AAA010101001")
    os.truncate(tmp_path / "state", (tmp_path / "state").stat().st_size - 5)
    async with Emulator(state_file=tmp_path / "state") as again:
        assert content(again) == expected
        again.add_empresa(rfc="AAA010101002")
        expected = content(again)
    async with Emulator(state_file=tmp_path / "state") as third:
        assert content(third) == expected


async def test_a_state_file_is_private(tmp_path: Path) -> None:
    async with Emulator(state_file=tmp_path / "state"):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "line", [b"rfc;razon_social\n", b"x", b"[]\n", b'{"format": 7}\n', b'{"table": "empresas"}\n', b"\xff\xfe\n"]
)
def test_another_file_is_refused_and_stays_unchanged(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "state").write_bytes(line)
    with pytest.raises(InvalidInputError, match="is not the state file of an emulator"):
        Emulator(state_file=tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == line


async def test_each_change_writes_one_line(tmp_path: Path) -> None:
    async with Emulator(state_file=tmp_path / "state") as emulator, client_of(emulator) as client:
        before = len((tmp_path / "state").read_text().splitlines())
        await client.series.create(letra="F", tipo_documento="factura")
        await client.series.list()
        lines = (tmp_path / "state").read_text().splitlines()
    assert len(lines) == before + 1
    assert json.loads(lines[-1])["row"]["letra"] == "F"
