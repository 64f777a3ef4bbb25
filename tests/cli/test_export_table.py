"""Every account becomes a plan that holds the same, or says what it leaves out."""

from __future__ import annotations

import asyncio
import string
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from facturaonline_async import Empresa, FacturaOnline, connect
from facturaonline_async._cli.export_table import ExportTable
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.redaction import redact
from facturaonline_async._text import printable
from facturaonline_async.provision import Plan, preview
from facturaonline_async.provision._account import ListedEmpresa, list_account, list_series
from facturaonline_async.provision._engine.comparison import Action
from facturaonline_async.provision._plan.file_rows import FileRow
from facturaonline_async.provision._plan.models import required_uid
from facturaonline_async.series._models import by_key
from facturaonline_async.testing import Emulator
from tests.conftest import QUICK
from tests.effort import examples

COLUMNS = ("razon_social", "codpos", "email", "calle", "exterior", "interior", "colonia", "ciudad", "estado")

# Characters and words with a meaning for a plan, a spreadsheet or a redaction, beside any others.
marks = st.sampled_from(
    [
        *"'\"=+-@:;,#&%\\\t\r\n\0\x1a\x85 ",
        "  ",
        "\u00a0",
        "\u200b",
        "\u2028",
        "\ufeff",
        "\ufffe",
        "e\u0301",
        "é",
        "Ñ",
        "_x0041_",
    ]
)
words = st.sampled_from(
    [
        "nan",
        "#N/A",
        "####",
        "6500",
        "06500",
        "1.0",
        "Ã³",
        "&amp;",
        "$2y$10$abc",
        '"password": "x"',
        "{long}",
        "factura",
    ]
)
"""``{long}`` stands for a text that is longer than a cell, which Hypothesis would print."""
texts = st.lists(marks | words | st.characters() | st.text(string.ascii_letters, max_size=5), max_size=4).map("".join)
letras = st.sampled_from(["F", "P", "A B", "É"]) | texts
tipos = st.sampled_from(["factura", "pago", "nomina", "facturas", "Factura", "factura:1"]) | texts
rfcs = st.sampled_from(
    ["AAA010101001", "AAA010101002", "ÑAA010101003", "aaa010101001", " AAA010101001", "AAA-010101-001", "", "X"]
)
companies = st.fixed_dictionaries(
    {
        "rfc": rfcs,
        "more": st.dictionaries(st.sampled_from(COLUMNS), texts, max_size=4),
        "series": st.lists(st.tuples(letras, tipos, st.sampled_from(["Activa", "Pausada"])), max_size=4),
    }
)


async def read_account(client: FacturaOnline) -> list[ListedEmpresa]:
    return [await list_series(client, empresa) for empresa in await list_account(client)]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@examples(600)
@given(account=st.lists(companies, max_size=3))
@example(account=[{"rfc": "AAA010101001", "more": {}, "series": [('="F', "pago", "Activa"), ("P", 'pago"', "Activa")]}])
def test_every_account_is_in_its_plan_or_named(suffix: str, account: list[dict[str, Any]]) -> None:
    asyncio.run(_round_trip(suffix, account))


def full(text: str) -> str:
    return text.replace("{long}", "x" * 32_768)


async def _round_trip(suffix: str, account: list[dict[str, Any]]) -> None:
    async with (
        Emulator() as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        for each in account:
            uid = emulator.add_empresa(rfc=each["rfc"], **{name: full(text) for name, text in each["more"].items()})
            for letra, tipo_documento, estatus in each["series"]:
                emulator.add_serie(uid, letra=full(letra), tipo_documento=full(tipo_documento), estatus=estatus)
        found = await read_account(client)
        table = ExportTable()
        for listed in found:
            table.add(listed)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"plan{suffix}"
            path.write_bytes(table.to_bytes(suffix))
            parsed = Plan.parse(path)
        plan = Plan.of(parsed)
        seen = await preview(client, plan, existing="update", limit=None)

    rows = {required_uid(row): row for row in plan}
    notes = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    left_out = {empresa.uid for empresa, _ in table.left_out}
    without_series = {empresa.uid for empresa, _ in table.without_series}
    for listed in found:
        uid = listed.empresa.uid
        assert (uid in rows) != (uid in left_out)
        if (row := rows.get(uid)) is None:
            continue
        assert isinstance(row, FileRow)
        [note] = [cells["# Notas"] for cells in notes if cells["UID"] == uid]
        _check_cells(row, listed.empresa, note)
        wanted = {serie.key for serie in listed.series or ()}
        assert {serie.key for serie in row.series} == (set() if uid in without_series else wanted)
        assert all(serie.folio is None for serie in row.series)
    assert table.series_count == plan.series_count
    unclear = {rfc for rfc, times in Counter(normalize_rfc(each.empresa.rfc) for each in found).items() if times > 1}
    unclear |= {each.empresa.rfc for each in found if len(each.series or ()) > len(by_key(each.series or ()))}
    assert {row.action for row in seen.rows if row.rfc not in unclear} <= {Action.ADOPT}
    actions = {row.action for row in seen.rows} - {Action.COMPLETE}
    actions |= {serie.action for row in seen.rows for serie in row.series}  # a serie in conflict makes its row COMPLETE
    assert actions <= {Action.ADOPT, Action.CONFLICT, Action.NOT_TRIED}
    assert [change for row in seen.rows for change in row.changes] == []


def _check_cells(row: FileRow, empresa: Empresa, note: str) -> None:
    assert row.rfc == empresa.rfc
    for name in COLUMNS:
        text = getattr(empresa, name)
        if name in row.values:
            assert row.values[name] == text
        elif text:
            assert f"{name}: {printable(redact(text))}"[:999] in note


def listed(**attributes: Any) -> ListedEmpresa:
    return ListedEmpresa(Empresa(uid="1", rfc="AAA010101001", **attributes))


def exported(companies: Sequence[ListedEmpresa]) -> dict[str, str]:
    table = ExportTable()
    for each in companies:
        table.add(each)
    return dict(zip(table.header, table.rows[0], strict=True))


def test_a_regimen_without_a_code_is_a_note_on_one_line() -> None:
    row = exported([listed(regimen_fiscal="=1+1\nJDJ5JDEwJGFiY2RlZmdoaWprbG1ub3A")])

    assert (row["# Régimen Fiscal"], row["Régimen Fiscal"]) == ("=1+1 ***", "")


def test_a_long_note_hides_no_other() -> None:
    row = exported([listed(calle="x" * 40_000, colonia="y" * 10, estado="z  z")])

    assert (row["# Notas"], row["Colonia"]) == (f"calle: {'x' * 992}…; estado: z  z", "y" * 10)
