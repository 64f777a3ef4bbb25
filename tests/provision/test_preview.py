"""A preview says what a run would do, by the run's own decisions, and sends nothing but reads."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from facturaonline_async import FacturaOnline, InvalidInputError, NuevaEmpresa
from facturaonline_async._core.once.states import StepState
from facturaonline_async.client import engine_of
from facturaonline_async.provision import (
    Action,
    AttributeChange,
    JournalError,
    Plan,
    PlanError,
    PlanSerie,
    Preview,
    PreviewRow,
    State,
    Step,
    ValueRow,
    preview,
    provision,
)
from facturaonline_async.provision._journal import view
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._preview import changed_since
from facturaonline_async.testing import Emulator, Fault
from tests.plans import nueva

pytestmark = pytest.mark.virtual_clock

F = PlanSerie(letra="F", tipo_documento="factura", folio=1)
P = PlanSerie(letra="P", tipo_documento="pago")
ONE, TWO, THREE = "AAA010101001", "AAA010101002", "AAA010101003"

AS_A_RUN = {
    Action.CREATE: State.CREATED,
    Action.UPDATE: State.UPDATED,
    Action.COMPLETE: State.ADOPTED,
    Action.ADOPT: State.ADOPTED,
    Action.CONFLICT: State.CONFLICT,
    Action.REFUSE: State.FAILED,
}


def plan(*rows: tuple[str, Sequence[PlanSerie]], **more: Any) -> Plan:
    return Plan.from_values((evolve(nueva(rfc), **more), series) for rfc, series in rows)


async def run(client: FacturaOnline, plan: Plan, **how: Any) -> list[State]:
    async with provision(client, plan, settle=0.2, **how) as under_way:
        return [outcome.state for outcome in sorted([each async for each in under_way], key=lambda each: each.number)]


def changed_data(emulator: Emulator) -> list[str]:
    return [request.endpoint for request in emulator.requests if request.method != "GET"]


async def write(
    client: FacturaOnline, path: Path, state: StepState, *, sends: int = 1, series: Sequence[PlanSerie] = ()
) -> None:
    """Write a journal whose one company was sent."""
    step = Step(number=1, owner=ONE)
    account, host = client.credentials.fingerprint, engine_of(client).config.base_url or ""
    async with await SqliteJournal.open(path, account=account, host=host) as journal:
        await journal.adjust(add=[step, *(Step.of_serie(1, ONE, *serie.key) for serie in series)])
        await journal.save(evolve(step, state=state, sends=sends, due=time.time()))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def only(found: Preview) -> PreviewRow:
    [row] = found.rows
    return row


async def test_a_preview_counts_what_a_run_would_create_and_sends_only_reads(
    client: FacturaOnline, emulator: Emulator
) -> None:
    emulator.add_empresa(rfc=TWO)

    found = await preview(client, plan((ONE, [F, P]), (TWO, [])))

    assert (found.empresas[Action.CREATE], found.empresas[Action.ADOPT], found.series[Action.CREATE]) == (1, 1, 2)
    assert [(row.number, row.rfc, row.action) for row in found.rows] == [
        (1, ONE, Action.CREATE),
        (2, TWO, Action.ADOPT),
    ]
    assert (found.is_settled, changed_data(emulator)) == (False, [])


async def test_a_preview_names_the_host_and_the_account(client: FacturaOnline, emulator: Emulator) -> None:
    found = await preview(client, plan((ONE, [])))

    assert (found.base_url, found.environment) == (emulator.base_url, "local")
    assert (found.account_rfc, found.account_name) == ("EMU200101PP5", "EMPRESA PRINCIPAL DEL EMULADOR")


@pytest.mark.parametrize("existing", ["adopt", "update", "fail"])
async def test_a_run_does_what_its_preview_said(client: FacturaOnline, emulator: Emulator, existing: Any) -> None:
    emulator.add_serie(emulator.add_empresa(rfc=ONE), letra="F", tipo_documento="factura")
    emulator.add_empresa(rfc=TWO)
    emulator.add_empresa(rfc=TWO)
    some = plan((ONE, [F, P]), (TWO, [F]), (THREE, [F]))

    found = await preview(client, some, existing=existing)

    assert [AS_A_RUN[row.action] for row in found.rows] == await run(client, some, existing=existing)


async def test_a_settled_plan_has_nothing_to_do(client: FacturaOnline) -> None:
    some = plan((ONE, [F, P]), (TWO, []))
    await run(client, some)

    found = await preview(client, some)

    assert (found.is_settled, found.empresas[Action.ADOPT], found.series[Action.ADOPT]) == (True, 2, 2)


async def test_series_of_a_company_that_exists_are_told_apart(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    first = emulator.add_serie(uid, letra="F", tipo_documento="factura")
    twice = [emulator.add_serie(uid, letra="N", tipo_documento="nomina") for _ in range(2)]
    n = PlanSerie(letra="N", tipo_documento="nomina")

    row = only(await preview(client, plan((ONE, [F, P, n]))))

    assert (row.action, row.uid) == (Action.COMPLETE, uid)
    assert [(serie.letra, serie.action, serie.uid) for serie in row.series] == [
        ("F", Action.ADOPT, first),
        ("P", Action.CREATE, None),
        ("N", Action.CONFLICT, None),
    ]
    assert all(str(each) in row.series[2].reason for each in twice)


# ── Updates ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_update_shows_each_attribute_that_differs_and_what_cannot_be_compared(
    client: FacturaOnline, emulator: Emulator
) -> None:
    some = plan((ONE, []), delegacion="Centro", telefono="5555555555")
    await run(client, some)
    other = plan((ONE, []), email="new@example.com", calle="Reforma", delegacion="Sur", telefono="1")

    row = only(await preview(client, other, existing="update"))

    assert row.changes == (
        AttributeChange("email", nueva(ONE).email, "new@example.com"),
        AttributeChange("calle", "", "Reforma"),
    )
    assert {"csd", "delegacion", "telefono", "regimen_nomina"} <= set(row.not_comparable)
    assert (row.action, changed_data(emulator)) == (Action.UPDATE, ["empresas.create"])


async def test_an_update_without_a_visible_difference_has_no_changes(client: FacturaOnline) -> None:
    some = plan((ONE, []))
    await run(client, some)

    row = only(await preview(client, some, existing="update"))

    assert (row.changes, "csd" in row.not_comparable, "password" in str(row)) == ((), True, False)


async def test_blanks_and_decomposed_accents_are_no_difference(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_empresa(rfc=ONE, razon_social=" CAFE\u0301 ", calle="Reforma")

    row = only(await preview(client, plan((ONE, []), razon_social="CAFÉ", calle="Reforma"), existing="update"))

    assert not {"razon_social", "calle"} & {change.name for change in row.changes}


async def test_what_existing_says_in_a_row_counts(client: FacturaOnline, emulator: Emulator) -> None:
    uids = [emulator.add_empresa(rfc=rfc) for rfc in (ONE, TWO)]
    rows = [ValueRow(nueva=nueva(ONE), existing="fail", number=7), ValueRow(nueva=nueva(TWO), number=8)]

    found = await preview(client, Plan(rows), existing="update")

    assert [(row.number, row.action, row.uid) for row in found.rows] == [
        (7, Action.REFUSE, uids[0]),
        (8, Action.UPDATE, uids[1]),
    ]


# ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_company_that_cannot_be_read_is_unreadable_and_stops_nothing(
    client: FacturaOnline, emulator: Emulator
) -> None:
    emulator.add_empresa(rfc=ONE)
    emulator.add_empresa(rfc=TWO)
    emulator.inject(Fault.status(404), endpoint="empresas.get", times=1)

    found = await preview(client, plan((ONE, [F]), (TWO, [F])), concurrency=1)

    assert [row.action for row in found.rows] == [Action.UNREADABLE, Action.COMPLETE]
    assert (found.rows[0].series[0].action, bool(found.rows[0].reason)) == (Action.NOT_TRIED, True)


@frozen(kw_only=True)
class FaultyRow:
    """Row whose data cannot be loaded."""

    number: int
    rfc: str
    series: tuple[PlanSerie, ...] = ()
    existing: None = None

    async def load(self) -> NuevaEmpresa:
        """Fail like a faulty program."""
        raise KeyError("a-secret")


async def test_a_row_whose_data_cannot_be_loaded_stops_no_other_as_in_a_run(
    client: FacturaOnline, emulator: Emulator
) -> None:
    for rfc in (ONE, TWO):
        emulator.add_empresa(rfc=rfc)
    some = Plan([FaultyRow(number=1, rfc=ONE), ValueRow(nueva=nueva(TWO), number=2)])

    found = await preview(client, some, existing="update")

    assert [row.action for row in found.rows] == [Action.UNREADABLE, Action.UPDATE]
    assert ("KeyError" in found.rows[0].reason, "a-secret" in found.rows[0].reason) == (True, False)
    assert await run(client, some, existing="update") == [State.FAILED, State.UPDATED]


@pytest.mark.parametrize(("argument", "value"), [("existing", "replace"), ("limit", -1), ("concurrency", 0)])
async def test_an_invalid_argument_is_refused(client: FacturaOnline, argument: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await preview(client, plan((ONE, [])), **{argument: value})

    assert caught.value.field == argument


async def test_a_cancelled_preview_leaves_no_task(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_empresa(rfc=ONE)
    emulator.inject(Fault.delay(30), endpoint="empresas.get")
    before = asyncio.all_tasks()
    task = asyncio.create_task(preview(client, plan((ONE, [F]))))
    while not emulator.count("empresas.get"):  # noqa: ASYNC110  # the emulator rings no bell
        await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    left = {each.get_name() for each in asyncio.all_tasks() - before if "_preview" in repr(each)}
    assert left == set()


# ── A journal ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_rows_that_the_journal_has_finished_are_done_and_not_read(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    journal = tmp_path / "run.sqlite"
    await run(client, plan((ONE, [F])), journal=journal)
    before = emulator.count("series.list")

    found = await preview(client, plan((ONE, [F]), (TWO, [F])), journal=journal)

    assert [row.action for row in found.rows] == [Action.DONE, Action.CREATE]
    assert (found.series[Action.DONE], emulator.count("series.list")) == (1, before)


async def test_a_preview_neither_creates_nor_changes_a_journal(client: FacturaOnline, tmp_path: Path) -> None:
    missing, journal = tmp_path / "none.sqlite", tmp_path / "run.sqlite"
    await run(client, plan((ONE, [F])), journal=journal)
    before = contents(tmp_path)

    for each in (missing, journal):
        await preview(client, plan((ONE, [F]), (TWO, [])), journal=each)

    assert contents(tmp_path) == before


async def test_a_create_without_an_answer_is_unknown(client: FacturaOnline, emulator: Emulator, tmp_path: Path) -> None:
    emulator.inject(Fault.drop_before_commit(), endpoint="empresas.create")
    some, journal = plan((ONE, [F])), tmp_path / "run.sqlite"
    async with provision(client, some, journal=journal, settle=1000) as under_way:
        while not emulator.count("empresas.create"):  # noqa: ASYNC110  # the emulator rings no bell
            await asyncio.sleep(0.01)
        await under_way.stop()

    row = only(await preview(client, some, journal=journal))

    assert (row.action, row.series[0].action) == (Action.UNKNOWN, Action.UNKNOWN)


@pytest.mark.parametrize("state", [StepState.UNKNOWN, StepState.UNRESOLVED])
async def test_a_company_that_the_list_shows_by_now_is_adopted_as_by_a_run(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, state: StepState
) -> None:
    some, journal = plan((ONE, [F, P])), tmp_path / "run.sqlite"
    await write(client, journal, state, series=[F, P])
    uid = emulator.add_empresa(rfc=ONE)

    found = await preview(client, some, journal=journal)

    assert (only(found).action, only(found).uid, found.series[Action.CREATE]) == (Action.COMPLETE, uid, 2)
    assert await run(client, some, journal=journal) == [State.ADOPTED]
    assert changed_data(emulator) == ["series.create"] * 2


async def test_a_company_that_appeared_several_times_is_a_conflict_as_for_a_run(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    some, journal = plan((ONE, [])), tmp_path / "run.sqlite"
    await write(client, journal, StepState.UNKNOWN)
    uids = [emulator.add_empresa(rfc=ONE) for _ in range(2)]

    row = only(await preview(client, some, journal=journal))

    assert (row.action, all(uid in row.reason for uid in uids)) == (Action.CONFLICT, True)
    assert await run(client, some, journal=journal) == [State.CONFLICT]


async def test_a_conflict_that_a_person_removed_is_created_with_its_series(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    some, journal = plan((ONE, [F])), tmp_path / "run.sqlite"
    await write(client, journal, StepState.CONFLICT, sends=3, series=[F])

    found = await preview(client, some, journal=journal)

    assert (only(found).action, found.series[Action.CREATE]) == (Action.CREATE, 1)
    assert await run(client, some, journal=journal) == [State.CREATED]


async def test_a_row_that_was_sent_and_has_changed_is_refused_as_by_a_run(
    client: FacturaOnline, tmp_path: Path
) -> None:
    journal = tmp_path / "run.sqlite"
    await run(client, plan((ONE, [F])), journal=journal)
    other = plan((ONE, [F]), email="other@example.com")
    texts = []

    for work in (preview(client, other, journal=journal), run(client, other, journal=journal)):
        with pytest.raises(PlanError) as caught:
            await work
        texts.append(str(caught.value))

    assert texts[0] == texts[1]


async def test_a_journal_is_read_in_a_thread_beside_the_event_loop(
    client: FacturaOnline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, journal = plan((ONE, [F]), (TWO, [])), tmp_path / "run.sqlite"
    await run(client, some, journal=journal)
    threads: list[threading.Thread] = []

    class Noting(sqlite3.Connection):
        """Connection that notes its thread. SQLite lets no other thread use it."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            threads.append(threading.current_thread())
            assert "check_same_thread" not in more
            super().__init__(*arguments, **more)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Noting))

    found = await preview(client, some, journal=journal)

    assert found.empresas[Action.DONE] == 2
    assert (len(threads), threading.main_thread() in threads) == (1, False)
    threads[0].join(60)
    assert not threads[0].is_alive()


async def test_a_journal_that_is_damaged_where_it_is_read_later_is_no_error_of_sqlite(
    client: FacturaOnline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, journal = plan((ONE, [F])), tmp_path / "run.sqlite"
    await run(client, some, journal=journal)

    def fail(*_: object) -> None:
        raise sqlite3.DatabaseError("disk I/O error")

    monkeypatch.setattr(view, "select_owners", fail)

    with pytest.raises(JournalError, match="disk I/O error"):
        await preview(client, some, journal=journal)


# ── Many rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_preview_keeps_no_more_rows_of_each_action_than_its_limit(
    client: FacturaOnline, emulator: Emulator
) -> None:
    rfcs = [f"AAA010101{number:03}" for number in range(12)]
    for rfc in rfcs[6:]:
        emulator.add_empresa(rfc=rfc)
    some = plan(*((rfc, []) for rfc in rfcs))

    few, every = await preview(client, some, limit=2), await preview(client, some, limit=None)

    assert [row.number for row in few.rows] == [1, 2, 7, 8]
    assert few.left_out == {Action.CREATE: 4, Action.ADOPT: 4}
    assert ([row.number for row in every.rows], few.empresas) == ([*range(1, 13)], every.empresas)


async def test_only_companies_that_exist_are_read_one_call_each(client: FacturaOnline, emulator: Emulator) -> None:
    rfcs = [f"AAA010101{number:03}" for number in range(40)]
    for rfc in rfcs[:3]:
        emulator.add_empresa(rfc=rfc)
    seen: list[tuple[int, int]] = []

    await preview(client, plan(*((rfc, [F]) for rfc in rfcs)), on_progress=lambda done, all_: seen.append((done, all_)))

    assert (emulator.count("empresas.get"), emulator.count("series.list")) == (3, 3)
    assert seen == [(1, 3), (2, 3), (3, 3)]


async def test_the_values_of_a_preview_are_json(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_empresa(rfc=ONE)

    values = (await preview(client, plan((ONE, [F]), (TWO, [])), existing="update")).to_dict()

    assert json.loads(json.dumps(values)) == values
    assert (values["empresas"]["planned"], values["empresas"]["update"], values["settled"]) == (2, 1, False)
    assert values["rows"][0]["series"] == [
        {"letra": "F", "tipo_documento": "factura", "action": "create", "uid": None, "reason": ""}
    ]


async def test_what_appears_and_goes_after_a_preview_is_named(client: FacturaOnline, emulator: Emulator) -> None:
    gone = emulator.add_empresa(rfc=ONE)
    some = plan((ONE, []), (TWO, []), (THREE, []))
    before = await preview(client, some)
    emulator.add_empresa(rfc=TWO)
    await client.empresas.delete(gone)

    now = {row.rfc: (str(row.uid),) for row in (await preview(client, some)).rows if row.uid}

    assert changed_since(before, now) == ([TWO], [ONE])
