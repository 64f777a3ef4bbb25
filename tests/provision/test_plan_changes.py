"""What a resumed run does with a row that has changed since: the same as its preview says, and nothing in silence.

`TABLE` has a line for each kind of row, state that the journal holds, and policy of the second run, and a column for
each change between the two runs. A cell says what becomes of the row: the state of its company and the series that the
run creates; "refused": the plan is refused as a whole, and nothing is sent; "-": such a row cannot have this change.

Under "adopt" no data of a company that exists are sent, in whichever run. So a change of data is "done" where the
journal holds no digest of the earlier ones: of a row that only gave series, and in a journal of an older version.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import define, evolve, frozen

from facturaonline_async import CambiosEmpresa, FacturaOnline, Sello, connect
from facturaonline_async.provision import (
    Action,
    Existing,
    ExistingRow,
    Plan,
    PlanError,
    PlanSerie,
    PreviewRow,
    RowOutcome,
    State,
    StepEvent,
    ValueRow,
    preview,
    provision,
)
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.journals import alter, recorded
from tests.plans import nueva

pytestmark = pytest.mark.virtual_clock

Row = ValueRow | ExistingRow

F = PlanSerie(letra="F", tipo_documento="factura", folio=1)
P = PlanSerie(letra="P", tipo_documento="pago")
OTHER_SELLO = Sello(b"another", b"key", "12345678a")

CHANGES: Final = ("nothing", "uid", "razon_social", "certificate", "serie added", "serie removed")

TABLE: Final = """
new    created  adopt  | done         | -            | refused      | refused      | done+P       | refused
new    created  update | done         | -            | refused      | refused      | done+P       | refused
new    created  fail   | done         | -            | refused      | refused      | done+P       | refused
new    adopted  adopt  | done         | -            | refused      | refused      | done+P       | refused
new    adopted  update | updated      | -            | refused      | refused      | updated+P    | refused
new    adopted  fail   | done         | -            | refused      | refused      | done+P       | refused
new    updated  adopt  | done         | -            | refused      | refused      | done+P       | refused
new    updated  update | done         | -            | refused      | refused      | done+P       | refused
new    unknown  adopt  | adopted+F    | -            | refused      | refused      | adopted+F+P  | adopted
new    unknown  update | adopted+F    | -            | refused      | refused      | adopted+F+P  | adopted
new    resolved adopt  | done         | -            | refused      | refused      | done+P       | refused
new    resolved update | done         | -            | refused      | refused      | done+P       | refused
new    failed   adopt  | adopted+F    | -            | adopted+F    | adopted+F    | adopted+F+P  | adopted
new    failed   update | updated+F    | -            | updated+F    | updated+F    | updated+F+P  | updated
new    failed   fail   | failed       | -            | failed       | failed       | failed       | failed
new    conflict adopt  | adopted+F    | -            | adopted+F    | adopted+F    | adopted+F+P  | adopted
new    conflict update | updated+F    | -            | updated+F    | updated+F    | updated+F+P  | updated
new    old      adopt  | done         | -            | done         | done         | done+P       | refused
new    old      update | updated      | -            | updated      | updated      | updated+P    | refused
uid    created  adopt  | done         | refused      | refused      | refused      | done+P       | refused
uid    created  update | done         | refused      | refused      | refused      | done+P       | refused
uid    adopted  adopt  | done         | refused      | refused      | refused      | done+P       | refused
uid    adopted  update | updated      | refused      | refused      | refused      | updated+P    | refused
uid    adopted  fail   | done         | refused      | refused      | refused      | done+P       | refused
uid    updated  adopt  | done         | refused      | refused      | refused      | done+P       | refused
uid    updated  update | done         | refused      | refused      | refused      | done+P       | refused
uid    equal    adopt  | done         | refused      | refused      | refused      | done+P       | refused
uid    equal    update | done         | refused      | refused      | refused      | done+P       | refused
uid    unknown  adopt  | adopted+F    | conflict     | refused      | refused      | adopted+F+P  | adopted
uid    unknown  update | adopted+F    | conflict     | refused      | refused      | adopted+F+P  | adopted
uid    failed   adopt  | adopted+F    | failed       | adopted+F    | adopted+F    | adopted+F+P  | adopted
uid    failed   update | updated+F    | failed       | updated+F    | updated+F    | updated+F+P  | updated
uid    failed   fail   | adopted+F    | failed       | adopted+F    | adopted+F    | adopted+F+P  | adopted
uid    conflict adopt  | adopted+F    | failed       | adopted+F    | adopted+F    | adopted+F+P  | adopted
uid    conflict update | adopted+F    | failed       | updated+F    | updated+F    | adopted+F+P  | adopted
uid    old      adopt  | done         | refused      | done         | done         | done+P       | refused
uid    old      update | updated      | refused      | updated      | updated      | updated+P    | refused
series created  adopt  | done         | refused      | refused      | refused      | done+P       | refused
series created  update | done         | refused      | refused      | refused      | done+P       | refused
series adopted  adopt  | done         | refused      | done         | done         | done+P       | refused
series adopted  update | done         | refused      | updated      | updated      | done+P       | refused
series unknown  adopt  | adopted+F    | conflict     | refused      | refused      | adopted+F+P  | adopted
series unknown  update | adopted+F    | conflict     | refused      | refused      | adopted+F+P  | adopted
series failed   adopt  | adopted+F    | failed       | adopted+F    | adopted+F    | adopted+F+P  | adopted
series failed   update | adopted+F    | failed       | updated+F    | updated+F    | adopted+F+P  | adopted
series conflict adopt  | adopted+F    | failed       | adopted+F    | adopted+F    | adopted+F+P  | adopted
series conflict update | adopted+F    | failed       | updated+F    | updated+F    | adopted+F+P  | adopted
"""

LINES: Final = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
WAYS: Final = {
    Action.CREATE: State.CREATED.value,
    Action.UPDATE: State.UPDATED.value,
    Action.ADOPT: State.ADOPTED.value,
    Action.CONFLICT: State.CONFLICT.value,
    Action.REFUSE: State.FAILED.value,
    Action.DONE: "done",
}


@frozen
class Stored:
    """A journal with one row, and the account that belongs to it.

    Attributes:
        row: the row of the first run, as the second run may find it.
        uid: uid of the row's company.
        other: uid of a company with another RFC.
        journal: path of the journal.

    """

    row: Row
    uid: str
    other: str
    journal: Path


@define
class Account:
    """Account in which each cell has companies of its own."""

    emulator: Emulator
    folder: Path
    number: int = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[FacturaOnline]:
        """Give a client that remembers nothing of earlier runs."""
        async with connect(self.emulator.credentials, base_url=self.emulator.base_url, config=QUICK) as client:
            yield client

    async def run(self, row: Row, journal: Path, existing: Existing = "adopt", *, until: str = "") -> RowOutcome | None:
        """Run a plan of one row, and return its outcome; None: an earlier run finished it."""

        def stop(event: StepEvent) -> None:
            if event.state == until:
                under_way.stop()

        async with (
            self.session() as client,
            provision(
                client,
                Plan.from_values([row]),
                journal=journal,
                settle=0.2,
                existing=existing,
                audit=False,
                on_event=stop,
            ) as under_way,
        ):
            outcomes = [each async for each in under_way]
        assert sum(under_way.report.empresas.values()) == 1
        return outcomes[0] if outcomes else None

    async def store(self, kind: str, state: str) -> Stored:
        """Let a first run leave this state of a row of this kind."""
        self.number += 1
        rfc, journal = f"AAA010101{self.number:03}", self.folder / f"{self.number}.sqlite"
        other = self.emulator.add_empresa(rfc=f"BBB010101{self.number:03}", razon_social="Another")
        new = ValueRow(nueva=nueva(rfc), series=(F,))
        if state in {"created", "unknown", "resolved"}:
            if state != "created":
                self.emulator.inject(Fault.drop_after_commit(), endpoint="empresas.create")
            await self.run(new, journal, until="unknown")
            if state == "resolved":
                await self.run(new, journal)
            [uid] = [uid for uid, row in self.emulator.state["empresas"].items() if row["rfc"] == rfc]
            return Stored(_as_kind(kind, new, uid, None), uid, other, journal)
        cambios = None if state == "conflict" else CambiosEmpresa(codpos="06500")
        if state == "failed" and kind != "new":
            missing = evolve(_as_kind(kind, new, "", cambios), number=1)
            await self.run(missing, journal)
        uid = self.emulator.add_empresa(rfc=rfc, codpos="06500" if state == "equal" else "01000", razon_social="Old")
        row = _as_kind(kind, new, uid, cambios)
        twin = self.emulator.add_empresa(rfc=rfc) if state == "conflict" else None
        if state != "failed" or kind == "new":
            policy: dict[str, Existing] = {"equal": "update", "updated": "update", "failed": "fail"}
            await self.run(row, journal, policy.get(state, "adopt"))
        if twin is not None:
            del self.emulator.state["empresas"][twin]
        if state == "old":
            alter(journal, "UPDATE steps SET digest = NULL WHERE kind = 'empresas'")
        return Stored(row, uid, other, journal)

    def company(self, uid: str) -> Any:
        """Return a company and its series."""
        series = [row for row in self.emulator.state["series"].values() if row["empresa"] == uid]
        return deepcopy((self.emulator.state["empresas"][uid], series))


def _as_kind(kind: str, new: ValueRow, uid: str, cambios: CambiosEmpresa | None) -> Row:
    if kind == "new":
        return new
    if kind == "uid":
        return ExistingRow(rfc=new.rfc, uid=uid, series=new.series, cambios=cambios)
    return ExistingRow(rfc=new.rfc, series=new.series)


def changed(stored: Stored, change: str) -> Row:
    """Return the row of the second run."""
    row = stored.row
    if change == "uid":
        assert isinstance(row, ExistingRow)
        return evolve(row, uid=stored.other)
    if change.startswith("serie"):
        return evolve(row, series=(F, P) if change == "serie added" else ())
    attribute: dict[str, Any] = {"razon_social": "New"} if change == "razon_social" else {"csd": OTHER_SELLO}
    if change == "nothing":
        return row
    if isinstance(row, ValueRow):
        return evolve(row, nueva=evolve(row.nueva, **attribute))
    return evolve(row, cambios=evolve(row.cambios or CambiosEmpresa(), **attribute))


def as_text(company: str, series: list[str]) -> str:
    return "+".join([company, *series])


def done_by_run(row: RowOutcome | None) -> str:
    if row is None:
        return "done"
    company = "done" if row.is_earlier and row.state is not State.CONFLICT else row.state.value
    return as_text(company, [each.letra for each in row.series if each.state is State.CREATED and not each.is_earlier])


def said_by_preview(row: PreviewRow, *, company: str) -> str:
    """Return what a preview says; a company to complete is one that a run finds done, or adopts."""
    if row.action is Action.COMPLETE:
        assert company in {"done", "adopted"}
    else:
        company = WAYS[row.action]
    return as_text(company, [each.letra for each in row.series if each.action is Action.CREATE])


async def cell(account: Account, kind: str, state: str, policy: Any, change: str) -> str:
    """Return what becomes of a row; preview and run agree about it."""
    stored = await account.store(kind, state)
    row, before = changed(stored, change), (account.company(stored.uid), account.company(stored.other))
    steps = recorded(stored.journal)
    said: PreviewRow | str
    async with account.session() as client:
        try:
            [said] = (await preview(client, Plan.from_values([row]), existing=policy, journal=stored.journal)).rows
        except PlanError as error:
            said = str(error)
    assert recorded(stored.journal) == steps
    try:
        outcome = await account.run(row, stored.journal, policy)
    except PlanError as error:
        assert str(error) == said
        assert (recorded(stored.journal), account.company(stored.uid)) == (steps, before[0])
        return "refused"
    assert isinstance(said, PreviewRow)
    text = done_by_run(outcome)
    assert said_by_preview(said, company=text.partition("+")[0]) == text
    assert outcome is None or str(outcome.reason) == said.reason
    assert account.company(stored.other) == before[1]
    if change == "uid":
        assert account.company(stored.uid) == before[0]
    if policy == "update" and not text.startswith("failed"):
        _check_update(account, stored, change)
    return text


def _check_update(account: Account, stored: Stored, change: str) -> None:
    """See that nothing that changed in the plan was dropped."""
    if change == "razon_social":
        assert account.company(stored.uid)[0]["razon_social"].upper() == "NEW"
    elif change == "certificate":
        updates = [each for each in account.emulator.requests if each.endpoint == "empresas.update"]
        assert [each for each in updates if stored.uid in each.path]


@pytest.mark.parametrize(("line", "cells"), [(line, cells) for line, *cells in LINES])
async def test_preview_and_run_agree_about_a_row_that_changed(
    emulator: Emulator, tmp_path: Path, line: str, cells: list[str]
) -> None:
    account, (kind, state, policy) = Account(emulator, tmp_path), line.split()
    expected = dict(zip(CHANGES, cells, strict=True))

    found = {
        change: await cell(account, kind, state, policy, change) if expected[change] != "-" else "-"
        for change in CHANGES
    }

    assert found == expected


def test_the_table_has_each_kind_state_and_change() -> None:
    lines = {tuple(line.split()) for line, *_ in LINES}
    both = {(kind, state, policy) for kind, state, _ in lines for policy in ("adopt", "update")}
    shared = {"created", "adopted", "unknown", "failed", "conflict"}

    assert both <= lines
    assert all({state for kind, state, _ in lines if kind == each} >= shared for each in ("new", "uid", "series"))
