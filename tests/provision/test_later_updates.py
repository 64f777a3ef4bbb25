"""A run with ``existing="update"`` changes what an earlier run of its journal adopted, and no other company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import CambiosEmpresa, FacturaOnline
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.client import engine_of
from facturaonline_async.provision import (
    Action,
    ExistingRow,
    Plan,
    PlanError,
    PlanSerie,
    Preview,
    PreviewRow,
    RowOutcome,
    Run,
    RunReport,
    State,
    Step,
    ValueRow,
    preview,
    provision,
)
from facturaonline_async.provision._journal.writer import SqliteJournal
from facturaonline_async.provision._preview import Previewer
from facturaonline_async.testing import Emulator, Fault
from tests.journals import recorded
from tests.plans import folder, nueva

pytestmark = pytest.mark.virtual_clock

ONE, TWO = "AAA010101001", "AAA010101002"
F = PlanSerie(letra="F", tipo_documento="factura", folio=1)


async def run(client: FacturaOnline, plan: Plan, journal: Path, **how: Any) -> list[RowOutcome]:
    async with provision(client, plan, journal=journal, settle=0.2, **how) as under_way:
        return [each async for each in under_way]


def only(found: Preview) -> PreviewRow:
    [row] = found.rows
    return row


def of_uid(uid: str, **cambios: Any) -> Plan:
    return Plan.from_values([ExistingRow(rfc=ONE, uid=uid, series=(F,), cambios=CambiosEmpresa(**cambios))])


def writes(emulator: Emulator) -> list[str]:
    return [request.endpoint for request in emulator.requests if request.method != "GET"]


def company(path: Path) -> Step:
    return recorded(path)[0]


async def test_companies_that_had_the_data_are_not_read_again(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    plan, journal = of_uid(emulator.add_empresa(rfc=ONE, codpos="06500"), codpos="06500"), tmp_path / "j"
    [first] = await run(client, plan, journal, existing="update")
    reads = emulator.count("empresas.get")

    again = await run(client, plan, journal, existing="update")

    assert (first.state, again, emulator.count("empresas.get")) == (State.ADOPTED, [], reads)


async def test_a_row_that_is_to_be_updated_is_not_tried_until_then(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    """Neither a report nor a confirmation counts it as done."""
    plan, journal = of_uid(emulator.add_empresa(rfc=ONE), codpos="06500"), tmp_path / "j"
    await run(client, plan, journal)

    async def sends_nothing(existing: Any) -> bool:
        account, host = client.credentials.fingerprint, engine_of(client).config.base_url or ""
        async with await SqliteJournal.open(journal, account=account, host=host) as view:
            return await Previewer(client, plan, existing).compare_journal(view)

    assert (await sends_nothing("adopt"), await sends_nothing("update")) == (True, False)
    report = await stopped(client, plan, journal)

    assert (report.empresas[State.NOT_TRIED], report.is_complete) == (1, False)
    assert (report.series[State.CREATED], report.earlier_series[State.CREATED]) == (1, 1)
    assert company(journal).state is StepState.PLANNED
    [row] = await run(client, plan, journal, existing="update")
    assert (row.state, row.series[0].is_earlier) == (State.UPDATED, True)


async def stopped(client: FacturaOnline, plan: Plan, journal: Path) -> RunReport:
    """Return the report of a run that was stopped before its first row."""
    async with provision(client, plan, journal=journal, existing="update") as under_way:
        under_way.stop()
        await exhaust(under_way)
    return under_way.report


async def exhaust(under_way: Run) -> None:
    async for _ in under_way:
        pass


async def test_an_update_that_was_refused_is_tried_by_the_next_run(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    plan, journal = of_uid(emulator.add_empresa(rfc=ONE), codpos="06500"), tmp_path / "j"
    await run(client, plan, journal)
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="empresas.update")

    [refused] = await run(client, plan, journal, existing="update")
    [adopted] = await run(client, plan, journal)
    [updated] = await run(client, plan, journal, existing="update")

    states = [row.state for row in (refused, adopted, updated)]
    assert states == [State.FAILED, State.ADOPTED, State.UPDATED]
    assert [row.series[0].state for row in (refused, adopted, updated)] == [State.CREATED] * 3
    assert emulator.count("series.create") == 1


@pytest.mark.parametrize("has_data", [True, False])
@pytest.mark.parametrize("is_replaced", [True, False])
async def test_an_update_goes_to_the_company_that_was_adopted_or_to_none(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, *, is_replaced: bool, has_data: bool
) -> None:
    """The journal's series are those of the company that is gone."""
    uid, journal = emulator.add_empresa(rfc=ONE), tmp_path / "j"
    new = ValueRow(nueva=nueva(ONE), series=(F,))
    row = new if has_data else ExistingRow(rfc=ONE, series=(F,), cambios=CambiosEmpresa(codpos="06500"))
    plan = Plan.from_values([row])
    await run(client, plan, journal)
    del emulator.state["empresas"][uid]
    if is_replaced:
        emulator.add_empresa(rfc=ONE)
    before = writes(emulator)

    found = only(await preview(client, plan, existing="update", journal=journal))
    [outcome] = await run(client, plan, journal, existing="update")
    again = only(await preview(client, plan, existing="update", journal=journal))

    assert (found.action, outcome.state, again.action) == (Action.REFUSE, State.FAILED, Action.REFUSE)
    assert (outcome.reason, again.reason) == (found.reason, found.reason)
    assert (f"adopted the company {uid}" in outcome.reason, writes(emulator)) == (True, before)
    assert (found.series[0].action, outcome.series[0].state) == (Action.DONE, State.CREATED)


async def test_a_company_that_was_adopted_and_is_gone_is_not_created_by_an_update(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    """No serie of the row shows that an earlier run adopted it."""
    uid, journal = emulator.add_empresa(rfc=ONE), tmp_path / "j"
    plan = Plan.from_values([ValueRow(nueva=nueva(ONE))])
    await run(client, plan, journal)
    await stopped(client, plan, journal)
    del emulator.state["empresas"][uid]

    found = only(await preview(client, plan, existing="update", journal=journal))
    [outcome] = await run(client, plan, journal, existing="update")

    assert (found.action, outcome.state, writes(emulator)) == (Action.REFUSE, State.FAILED, [])
    assert (outcome.reason, f"adopted the company {uid}" in outcome.reason) == (found.reason, True)


async def test_a_file_that_an_update_needs_is_named_if_it_is_gone(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    uid, journal = emulator.add_empresa(rfc=ONE), tmp_path / "j"
    path = folder(tmp_path) / "plan.csv"
    path.write_text(f"rfc,uid,cer,key,password\n{ONE},{uid},c/a.cer,c/a.key,12345678a\n", encoding="utf-8")
    plan = Plan.from_csv(path)
    await run(client, plan, journal)
    (tmp_path / "c" / "a.cer").unlink()

    adopted = await run(client, plan, journal)
    [updated] = await run(client, plan, journal, existing="update")

    assert (adopted, updated.state, "a.cer" in updated.reason) == ([], State.FAILED, True)


async def test_rows_of_a_file_are_compared_with_what_was_adopted(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    uids, journal = [emulator.add_empresa(rfc=rfc) for rfc in (ONE, TWO)], tmp_path / "j"
    path = folder(tmp_path) / "plan.csv"

    def plan(codpos: str) -> Plan:
        cells = f"{ONE},{uids[0]},{codpos},,,\n{TWO},{uids[1]},,c/a.cer,c/a.key,12345678a\n"
        path.write_text(f"rfc,uid,codpos,cer,key,password\n{cells}", encoding="utf-8")
        return Plan.from_csv(path)

    await run(client, plan("06500"), journal)
    (tmp_path / "c" / "a.key").write_bytes(b"another")

    with pytest.raises(PlanError) as caught:
        await run(client, plan("06600"), journal)

    codes = [(problem.row, problem.code) for problem in caught.value.problems]
    assert codes == [(2, "run.adopted_changed"), (3, "run.adopted_changed")]
    assert [name in str(caught.value) for name in ("codpos", "cer/key")] == [True, True]


async def test_a_uid_that_the_journal_contradicts_is_named_with_its_column(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    uid, other = emulator.add_empresa(rfc=ONE), emulator.add_empresa(rfc=TWO)
    await run(client, of_uid(uid), tmp_path / "j")

    with pytest.raises(PlanError) as caught:
        await run(client, of_uid(other), tmp_path / "j")

    [problem] = caught.value.problems
    assert (problem.row, problem.column, problem.code) == (1, "uid", "run.uid_changed")
    assert all(each in problem.reason for each in (uid, other))


@pytest.mark.parametrize("sends", [0, 1])
async def test_a_person_may_keep_the_company_that_the_journal_does_not_name(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, sends: int
) -> None:
    """Of two companies that the audit found, the journal has the uid of one."""
    gone, kept = "gone", emulator.add_empresa(rfc=ONE)
    await write(client, tmp_path / "j", state=StepState.CONFLICT, uid=gone, sends=sends)
    plan = Plan.from_values([ExistingRow(rfc=ONE, uid=kept)])

    found = only(await preview(client, plan, journal=tmp_path / "j"))
    [row] = await run(client, plan, tmp_path / "j")

    assert (found.action, found.uid, row.state, row.uid) == (Action.ADOPT, kept, State.ADOPTED, kept)


@pytest.mark.parametrize("state", [StepState.CONFLICT, StepState.UNRESOLVED, StepState.UNKNOWN, StepState.INTENT])
async def test_a_create_in_doubt_is_not_resolved_to_another_company(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, state: StepState
) -> None:
    uid, other = emulator.add_empresa(rfc=ONE), emulator.add_empresa(rfc=TWO)
    await write(client, tmp_path / "j", state=state, sends=1, series=(F,))

    found = only(await preview(client, of_uid(other), journal=tmp_path / "j"))
    [row] = await run(client, of_uid(other), tmp_path / "j")
    [corrected] = await run(client, of_uid(uid), tmp_path / "j")

    assert (found.action, row.state, row.uid, row.reason) == (Action.CONFLICT, State.CONFLICT, None, found.reason)
    assert (f"has the uid {uid}" in row.reason, row.series[0].state) == (True, State.NOT_TRIED)
    assert (corrected.state, corrected.uid, writes(emulator)) == (State.ADOPTED, uid, ["series.create"])


async def test_a_contradicted_uid_is_not_replaced_by_one_that_the_row_does_not_say(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path
) -> None:
    """The create's answer had the uid of another company, and the row repeats it."""
    uid, other = emulator.add_empresa(rfc=ONE), emulator.add_empresa(rfc=TWO)
    await write(
        client, tmp_path / "j", state=StepState.DONE, origin=Origin.CREATED, uid=other, sends=1, reason="?", series=(F,)
    )

    [row] = await run(client, of_uid(other), tmp_path / "j")

    assert (row.state, f"has the uid {uid}" in row.reason, writes(emulator)) == (State.CONFLICT, True, [])


async def write(client: FacturaOnline, path: Path, *, series: tuple[PlanSerie, ...] = (), **facts: Any) -> None:
    """Write a journal of one row, whose company has this state."""
    step = Step(number=1, owner=ONE)
    account, host = client.credentials.fingerprint, engine_of(client).config.base_url or ""
    async with await SqliteJournal.open(path, account=account, host=host) as journal:
        await journal.adjust(add=[step, *(Step.of_serie(1, ONE, *serie.key) for serie in series)])
        await journal.save(evolve(step, **facts))
