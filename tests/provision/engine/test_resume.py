"""A journal and a plan that has changed since: what may change is taken over, and what may not is named."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from facturaonline_async import FacturaOnline, InvalidInputError, NuevaEmpresa, Sello, connect
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async._core.once.states import StepState
from facturaonline_async.empresas import _validation
from facturaonline_async.provision import (
    Existing,
    Plan,
    PlanError,
    PlanRow,
    PlanSerie,
    RunReport,
    State,
    StepEvent,
    provision,
)
from facturaonline_async.provision._engine import resume
from facturaonline_async.provision._engine.resume import Resumed, restore
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.sello import CheckReport, check
from facturaonline_async.testing import Emulator, Fault, make_sello
from tests.conftest import QUICK
from tests.journals import recorded
from tests.plans import ROW, certify, nueva, private_key, written

F, P, N = (PlanSerie(letra=letra, tipo_documento="factura", folio=1) for letra in "FPN")
RFCS = [f"AAA010101{number:03}" for number in range(9)]
REFUSED = Fault.status(200, body={"status": "error", "message": {"password": ["La contraseña no es correcta"]}})


@define
class Row:
    """A row that counts how often its certificates are read."""

    rfc: str
    series: tuple[PlanSerie, ...] = (F,)
    number: int = 1
    password: str = "12345678a"
    existing: Existing | None = None
    more: dict[str, Any] = field(factory=dict)
    is_gone: bool = False
    loads: int = 0

    async def load(self) -> NuevaEmpresa:
        self.loads += 1
        if self.is_gone:
            raise InvalidInputError("the file is gone", field="cer")
        return nueva(self.rfc, **{"csd": Sello(b"cer", b"key", self.password)} | self.more)


def plan(*rows: Row) -> Plan:
    """Return the rows as a plan, numbered as they stand."""
    for number, row in enumerate(rows, 2):
        row.number, row.loads = number, 0
    numbered: Sequence[PlanRow] = rows
    return Plan(numbered)


async def run(client: FacturaOnline, the_plan: Plan, path: Path, *, settle: float = 0.2) -> RunReport:
    async with provision(client, the_plan, journal=path, settle=settle) as under_way:
        async for _ in under_way:
            pass
    return under_way.report


def journal(path: Path) -> dict[str, StepState]:
    """Return the states by what stands in the plan."""
    return {":".join((step.rfc, *step.natural_key)): step.state for step in recorded(path)}


def series(emulator: Emulator) -> list[str]:
    owners = {uid: row["rfc"] for uid, row in emulator.state["empresas"].items()}
    return sorted(f"{owners[row['empresa']]} {row['letra']}" for row in emulator.state["series"].values())


# ── What may change ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_after_three_corrected_passwords_only_these_rows_are_sent(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    rows = [Row(rfc) for rfc in RFCS]
    emulator.inject(REFUSED, endpoint="empresas.create", times=3)
    first = await run(client, plan(*rows), tmp_path / "j")
    wrong = [row for row in rows if row.rfc in {each.rfc for each in first.failed}]
    assert (len(wrong), first.empresas[State.CREATED], first.is_complete) == (3, 6, False)
    for row in wrong:
        row.password = "corregida"
    second = await run(client, plan(*rows), tmp_path / "j")
    assert (second.is_complete, second.empresas[State.CREATED], second.series[State.CREATED]) == (True, 9, 9)
    assert emulator.count("empresas.create") == 9 + 3
    # What is done is read once, to see that it has not changed.
    assert {row.loads for row in rows if row not in wrong} == {1}
    assert series(emulator) == [f"{rfc} F" for rfc in RFCS]


async def test_finished_rows_are_neither_sent_nor_read_one_by_one(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    rows = [Row(rfc, (F, P)) for rfc in RFCS]
    await run(client, plan(*rows), tmp_path / "j")
    before = Counter(request.endpoint for request in emulator.requests)
    report = await run(client, plan(*rows), tmp_path / "j")
    after = Counter(request.endpoint for request in emulator.requests) - before
    assert (report.is_complete, report.empresas[State.CREATED], report.series[State.CREATED]) == (True, 9, 18)
    assert set(after) == {"empresas.list", "empresas.current"}


async def test_only_unfinished_rows_have_their_certificates_checked_again(emulator: Emulator, tmp_path: Path) -> None:
    checked: list[str] = []
    rfcs = [rfc for _, rfc in zip(range(4), example_rfcs(), strict=False)]
    rows = [Row(rfc, more={"csd": make_sello(rfc, private_key=private_key())}) for rfc in rfcs]

    def record(sello: Sello, *, rfc: str, **more: Any) -> CheckReport:
        checked.append(rfc)
        return check(sello, rfc=rfc, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_validation, "check", record)
        config = evolve(QUICK, check_sello=True)
        emulator.inject(REFUSED, endpoint="empresas.create", times=2)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            first = await run(client, plan(*rows), tmp_path / "j")
            assert sorted(checked) == sorted(rfcs)
            checked.clear()
            second = await run(client, plan(*rows), tmp_path / "j")
    assert (first.empresas[State.FAILED], second.is_complete) == (2, True)
    assert sorted(checked) == sorted(row.rfc for row in first.failed)


async def test_a_journal_accepts_every_spelling_of_its_host(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    await run(client, plan(Row(RFCS[0])), tmp_path / "j")
    spelling = emulator.base_url.replace("http", "HTTP") + "/"
    async with connect(emulator.credentials, base_url=spelling, config=QUICK) as another:
        report = await run(another, plan(Row(RFCS[0])), tmp_path / "j")
    assert (True, 1) == (report.is_complete, emulator.count("empresas.create"))


async def test_a_row_is_restored_with_the_series_that_existed_before_its_creates(tmp_path: Path) -> None:
    row = Row(RFCS[0], series=(F, P))
    sent = RowProgress.of(row, row.rfc)
    async with await SqliteJournal.open(tmp_path / "j", account="keys", host="https://example.com/api") as opened:
        await opened.adjust(add=sent.steps, baseline=[(*sent.empresa.primary_key, "abc")])
        await opened.replace_baseline([], [(*sent.series[0].primary_key, uid) for uid in ("7", "8")])
        await opened.save(evolve(sent.series[0], state=StepState.UNKNOWN))
        again = RowProgress.of(row, row.rfc)
        await restore(opened, again, Resumed())
        assert again.baseline == {F.key: ["7", "8"]}
        await opened.replace_baseline([sent.series[0].primary_key], [(*sent.series[0].primary_key, "9")])
        await restore(opened, again, Resumed())
        assert (again.baseline, await opened.baseline()) == ({F.key: ["9"]}, [(row.rfc, "empresas", "", "abc")])


async def test_rows_may_be_added_and_reordered(client: FacturaOnline, emulator: Emulator, tmp_path: Path) -> None:
    rows = [Row(rfc) for rfc in RFCS]
    await run(client, plan(*rows[:4]), tmp_path / "j")
    chance = random.Random(1)
    chance.shuffle(rows)
    report = await run(client, plan(*rows), tmp_path / "j")
    assert (report.is_complete, emulator.count("empresas.create")) == (True, 9)
    numbers = {step.rfc: step.number for step in recorded(tmp_path / "j")}
    assert numbers == {row.rfc: row.number for row in rows}


async def test_a_row_that_was_refused_may_be_removed_from_the_plan(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.inject(REFUSED, endpoint="empresas.create")
    rows = [Row(RFCS[0], (F, P)), Row(RFCS[1])]
    first = await run(client, plan(*rows), tmp_path / "j")
    (failed,) = first.failed
    kept = [row for row in rows if row.rfc != failed.rfc]
    report = await run(client, plan(*kept), tmp_path / "j")
    assert (report.is_complete, report.planned_empresas) == (True, 1)
    assert {name.partition(":")[0] for name in journal(tmp_path / "j")} == {kept[0].rfc}


async def test_series_may_be_added_to_finished_rows(client: FacturaOnline, emulator: Emulator, tmp_path: Path) -> None:
    row = Row(RFCS[0], (F,))
    await run(client, plan(row), tmp_path / "j")
    row.series = (P, F, N)
    report = await run(client, plan(row), tmp_path / "j")
    assert (report.is_complete, series(emulator)) == (True, [f"{row.rfc} {letra}" for letra in "FNP"])
    assert emulator.count("series.create") == 3


async def test_a_failed_serie_may_be_changed_or_removed(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="series.create", times=2)
    row = Row(RFCS[0], (F, P))
    first = await run(client, plan(row), tmp_path / "j")
    assert first.series[State.FAILED] == 2
    row.series = (evolve(F, folio=77),)
    report = await run(client, plan(row), tmp_path / "j")
    assert (report.is_complete, series(emulator)) == (True, [f"{row.rfc} F"])
    assert [each["folio"] for each in emulator.state["series"].values()] == [77]


async def test_a_done_row_needs_its_certificate_files_no_longer(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    row = Row(RFCS[0])
    await run(client, plan(row), tmp_path / "j")
    row.is_gone = True
    report = await run(client, plan(row), tmp_path / "j")
    assert (report.is_complete, row.loads) == (True, 1)


async def test_a_conflict_that_a_person_resolved_is_tried_again(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    """Of two companies and of two series one is deleted in the panel; the next run adopts those that are left."""
    twice = [emulator.add_empresa(rfc=RFCS[0]) for _ in range(2)]
    other = emulator.add_empresa(rfc=RFCS[1])
    letters = [emulator.add_serie(other, letra="F", tipo_documento="factura") for _ in range(2)]
    rows = [Row(rfc) for rfc in RFCS[:2]]
    first = await run(client, plan(*rows), tmp_path / "j")
    assert (first.empresas[State.CONFLICT], first.series[State.CONFLICT]) == (1, 1)
    del emulator.state["empresas"][twice[0]], emulator.state["series"][letters[1]]
    report = await run(client, plan(*rows), tmp_path / "j")
    assert (report.is_complete, report.empresas[State.ADOPTED], report.series[State.ADOPTED]) == (True, 2, 1)
    assert emulator.count("empresas.create") == 0
    assert series(emulator) == [f"{rfc} F" for rfc in RFCS[:2]]


# ── What may not ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def refused(client: FacturaOnline, emulator: Emulator, the_plan: Plan, path: Path) -> list[str]:
    """See that the plan is refused, and that nothing was sent or written; return the reasons."""
    writes, before = len([each for each in emulator.requests if each.method == "POST"]), journal(path)
    with pytest.raises(PlanError) as caught:
        await run(client, the_plan, path)
    assert len([each for each in emulator.requests if each.method == "POST"]) == writes
    assert journal(path) == before
    return [str(problem) for problem in caught.value.problems]


async def test_rows_that_were_sent_must_not_change(client: FacturaOnline, emulator: Emulator, tmp_path: Path) -> None:
    rows = [Row(rfc, (F, P)) for rfc in RFCS[:4]]
    await run(client, plan(*rows), tmp_path / "j")
    rows[0].password = "otra-clave-secreta"
    rows[1].more = {"codpos": "01000", "calle": "Centro"}
    rows[2].series = (F, evolve(P, folio=5))
    reasons = await refused(client, emulator, plan(*rows), tmp_path / "j")
    changed = "changed since it was sent: restore the old value, or use a new journal"
    assert reasons == [
        f"row 2: {RFCS[0]}: its password has {changed}",
        f"row 3: {RFCS[1]}: its codpos, calle have {changed}",
        f"row 4, series: {RFCS[2]}: serie P:factura: its folio has {changed}",
    ]


async def test_rows_that_may_exist_must_stay_in_the_plan(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    rows = [Row(rfc, (F, P)) for rfc in RFCS[:3]]
    await run(client, plan(*rows), tmp_path / "j")
    rows[0].series = (F,)
    reasons = await refused(client, emulator, plan(*rows[:2]), tmp_path / "j")
    vanished = "was removed from the plan, but may exist: put it back"
    assert sorted(reasons) == sorted(
        [
            f"row 2, series: {RFCS[0]}: its serie P:factura {vanished}",
            f"rfc: {RFCS[2]}: the company and its 2 series were removed from the plan, but may exist: put the row back",
        ]
    )


async def test_rows_of_a_file_are_compared_in_batches(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_ROWS", 2)
    rows = [ROW | {"rfc": rfc, "cer": f"c/{rfc}.cer", "key": f"c/{rfc}.key"} for rfc in RFCS[:7]]
    certify(tmp_path, RFCS)
    await run(client, Plan.from_csv(written(tmp_path, rows)), tmp_path / "j")
    report = await run(client, Plan.from_csv(written(tmp_path, rows)), tmp_path / "j")
    assert (report.is_complete, report.earlier_empresas[State.CREATED]) == (True, 7)
    rows[1] |= {"password": "another"}
    rows[3] |= {"codpos": "01000"}
    the_plan = Plan.from_csv(written(tmp_path, rows[:6]))
    (tmp_path / "c" / f"{RFCS[4]}.cer").write_bytes(b"another")
    (tmp_path / "c" / f"{RFCS[5]}.cer").unlink()  # what cannot be read any more counts as unchanged
    reasons = await refused(client, emulator, the_plan, tmp_path / "j")
    changed = "changed since it was sent: restore the old value, or use a new journal"
    assert reasons == [
        f"rfc: {RFCS[6]}: the company and its 2 series were removed from the plan, but may exist: put the row back",
        f"row 3: {RFCS[1]}: its password has {changed}",
        f"row 5: {RFCS[3]}: its codpos has {changed}",
        f"row 6: {RFCS[4]}: its cer/key has {changed}",
    ]


async def test_unknown_rows_must_not_change_and_all_changes_are_named(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    """A run that is asked to stop leaves steps without an answer unknown."""
    emulator.inject(Fault.drop_before_commit(), endpoint="empresas.create", times=2)
    rows = [Row(rfc) for rfc in RFCS[:2]]
    seen = Counter[str]()

    def on_event(event: StepEvent) -> None:
        seen[event.state] += 1
        if seen["unknown"] == 2:
            under_way.stop()

    async with provision(client, plan(*rows), journal=tmp_path / "j", settle=30, on_event=on_event) as under_way:
        async for _ in under_way:
            pass
    assert {name: state for name, state in journal(tmp_path / "j").items() if ":" not in name} == dict.fromkeys(
        RFCS[:2], StepState.UNKNOWN
    )
    rows[1].password = "otra"
    (reason,) = await refused(client, emulator, plan(*rows), tmp_path / "j")
    assert reason.startswith(f"row 3: {RFCS[1]}: its password has changed since it was sent")
    rows[1].password = "12345678a"
    # A session of its own: the first one remembers for the thirty seconds what it has sent.
    async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as another:
        report = await run(another, plan(*rows), tmp_path / "j")
    assert (report.is_complete, emulator.count("empresas.create")) == (True, 4)
