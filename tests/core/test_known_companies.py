"""Answers that mix two companies are detected and never used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from facturaonline_async import (
    CambiosEmpresa,
    Empresa,
    FacturaOnline,
    FacturaOnlineError,
    InvalidInputError,
    Secret,
    UnreadableAnswerError,
)
from facturaonline_async._core.known_companies import KnownCompanies, same_rfc
from facturaonline_async.empresas._models import key_marks
from facturaonline_async.provision import Plan, PlanSerie, RowOutcome, Run, State, StepEvent, provision
from facturaonline_async.testing import Emulator, Fault
from facturaonline_async.testing._emulator.empresa_fields import format_created, format_detail, format_updated
from tests.plans import nueva
from tests.steps import longest_step

MAIN = "607a062eae2bb"
RFC, OTHER = "EKU9003173C9", "AAA010101AA1"
F = PlanSerie(letra="F", tipo_documento="factura")


@frozen
class Two:
    """Two companies: the requested one and another one."""

    emulator: Emulator
    mine: str
    other: str

    def row(self, uid: str) -> dict[str, Any]:
        return dict(self.emulator.state["empresas"][uid])

    def keys(self, uid: str) -> dict[str, Any]:
        return {name: self.row(uid)[name] for name in ("api_key", "secret_key")}

    def lists(self, **changes: Any) -> None:
        """Put these fields into the requested company's row of every list."""
        rows = [self.row(MAIN), self.row(self.mine) | changes, self.row(self.other)]
        self.answers("empresas.list", {"response": "success", "data": [format_detail(row) for row in rows]})

    def set_detail(self, row: dict[str, Any]) -> None:
        """Return this detail for every company."""
        self.answers("empresas.get", {"status": "success", "data": format_detail(row)})

    def answers(self, endpoint: str, body: dict[str, Any], *, commit: bool = False) -> None:
        self.emulator.inject(Fault.status(200, body=body, commit=commit), endpoint=endpoint, times=None)


@pytest.fixture
def two(emulator: Emulator) -> Two:
    return Two(emulator, emulator.add_empresa(rfc=RFC), emulator.add_empresa(rfc=OTHER))


#: What a list may give for the company that is asked for: another's uid, keys, or both.
SWAPPED_ROWS: dict[str, Callable[[Two], dict[str, Any]]] = {
    "uid": lambda two: {"uid": two.other},
    "keys": lambda two: two.keys(two.other),
    "uid and keys": lambda two: {"uid": two.other, **two.keys(two.other)},
}
#: What a detail may be instead.
SWAPPED_DETAILS: dict[str, Callable[[Two], dict[str, Any]]] = {
    "whole": lambda two: two.row(two.other),
    "uid": lambda two: two.row(two.mine) | {"uid": two.other},
    "RFC": lambda two: two.row(two.mine) | {"rfc": OTHER},
    "keys": lambda two: two.row(two.mine) | two.keys(two.other),
    "all but the uid": lambda two: two.row(two.other) | {"uid": two.mine},
    "no RFC": lambda two: two.row(two.mine) | {"rfc": ""},
    "the main company's keys": lambda two: two.row(two.mine) | two.keys(MAIN),
}

each_row = pytest.mark.parametrize("swapped", SWAPPED_ROWS.values(), ids=SWAPPED_ROWS)
each_detail = pytest.mark.parametrize("swapped", SWAPPED_DETAILS.values(), ids=SWAPPED_DETAILS)


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_row
@pytest.mark.parametrize("call", ["find", "ensure"])
async def test_find_refuses_a_list_that_contradicts_itself_about_the_company(
    client: FacturaOnline, two: Two, swapped: Callable[[Two], dict[str, Any]], call: str
) -> None:
    two.lists(**swapped(two))
    with pytest.raises(UnreadableAnswerError) as refused:
        await (client.empresas.find(RFC) if call == "find" else client.empresas.ensure(nueva(RFC)))
    assert two.other in str(refused.value)
    assert two.emulator.count("empresas.create") == 0


@each_row
async def test_a_listed_company_with_anothers_uid_or_keys_has_no_credentials(
    client: FacturaOnline, two: Two, swapped: Callable[[Two], dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    two.lists(**swapped(two))
    for empresas in (await client.empresas.list(), [each async for each in client.empresas.iterate()]):
        (empresa,) = (each for each in empresas if each.rfc == RFC)
        with pytest.raises(UnreadableAnswerError, match=two.other):
            client.for_empresa(empresa)
        assert type(empresa.keys_problem) is str  # a serialiser may refuse a subclass
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_a_list_that_swaps_two_companies_is_detected_by_their_details(client: FacturaOnline, two: Two) -> None:
    """The list is consistent in itself, but each uid leads to the other company's detail."""
    rows = [two.row(two.mine) | {"rfc": OTHER}, two.row(two.other) | {"rfc": RFC}]
    two.answers("empresas.list", {"response": "success", "data": [format_detail(row) for row in rows]})
    with pytest.raises(UnreadableAnswerError) as refused:
        await client.empresas.ensure(nueva(RFC))
    assert (RFC in str(refused.value), OTHER in str(refused.value)) == (True, True)
    found = await client.empresas.find(RFC)
    assert found is not None
    with pytest.raises(UnreadableAnswerError):
        client.for_empresa(await client.empresas.get(found.uid))
    assert two.emulator.count("empresas.create") == 0


async def test_keys_of_another_company_are_recognised_from_an_earlier_list(client: FacturaOnline, two: Two) -> None:
    await client.empresas.list()
    row = format_detail(two.row(two.mine) | two.keys(two.other))
    two.answers("empresas.list", {"response": "success", "data": [row]})
    (empresa,) = await client.empresas.list(rfc=RFC)
    with pytest.raises(UnreadableAnswerError, match=two.other):
        client.for_empresa(empresa)


async def test_a_later_consistent_list_replaces_an_earlier_one(client: FacturaOnline, two: Two) -> None:
    two.lists(**two.keys(two.other))
    with pytest.raises(UnreadableAnswerError):
        await client.empresas.ensure(nueva(RFC))
    two.emulator.clear_faults()
    assert (await client.empresas.ensure(nueva(RFC))).uid == two.mine
    assert (await client.empresas.ensure(nueva(OTHER))).uid == two.other


# ── Details ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_detail
@pytest.mark.parametrize("call", ["ensure", "verified", "provision"])
async def test_a_detail_of_another_company_or_with_its_keys_is_never_used(
    client: FacturaOnline, two: Two, swapped: Callable[[Two], dict[str, Any]], call: str
) -> None:
    two.set_detail(swapped(two))
    if call == "provision":
        plan = Plan.from_values([(nueva(RFC), [F])])
        async with provision(client, plan, settle=0.1) as run:
            (outcome,) = [outcome async for outcome in run]
        assert (outcome.ok, outcome.credentials, run.report.is_complete) == (False, None, False)
        message = outcome.reason
    else:
        await client.empresas.list()
        with pytest.raises(UnreadableAnswerError) as refused:
            await (
                client.empresas.ensure(nueva(RFC))
                if call == "ensure"
                else client.empresas.get_verified(two.mine, rfc=RFC)
            )
        message = str(refused.value)
    assert two.mine in message
    if swapped(two)["uid"] == two.other or two.keys(two.other).items() <= swapped(two).items():
        assert two.other in message
    assert (two.emulator.count("empresas.create"), len(two.emulator.state["series"])) == (0, 0)


@pytest.mark.parametrize("name", ["whole", "uid", "RFC", "keys", "all but the uid"])
async def test_get_with_another_companys_answer_warns_and_has_no_credentials(
    client: FacturaOnline, two: Two, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = await client.empresas.find(RFC)
    assert found is not None
    row = SWAPPED_DETAILS[name](two)
    two.set_detail(row)
    empresa = await client.empresas.get(found.uid)
    assert (empresa.uid, empresa.rfc) == (row["uid"], row["rfc"])
    (record,) = caplog.records
    assert (record.levelno, empresa.keys_problem in record.getMessage()) == (logging.WARNING, True)
    assert type(empresa.keys_problem) is str  # a serialiser may refuse a subclass
    with pytest.raises(UnreadableAnswerError, match=two.mine):
        _ = empresa.credentials
    assert row["api_key"] not in caplog.text


async def test_copies_of_a_mixed_up_value_have_no_credentials(client: FacturaOnline, two: Two) -> None:
    two.set_detail(two.row(two.other))
    empresa = await client.empresas.get(two.mine)
    with pytest.raises(UnreadableAnswerError):
        _ = evolve(empresa, email="x@example.com").credentials


@pytest.mark.parametrize("has_keys", [True, False])
async def test_the_main_companys_keys_are_detected_without_a_list(
    client: FacturaOnline,
    two: Two,
    has_keys: bool,  # noqa: FBT001
) -> None:
    """If lists lack the main company, or all keys, the keys are verified by a call."""
    rows = [format_detail(two.row(two.mine)), format_detail(two.row(two.other))]
    if not has_keys:
        rows = [{name: value for name, value in row.items() if "_key" not in name} for row in rows]
    two.answers("empresas.list", {"response": "success", "data": rows})
    two.set_detail(two.row(two.mine) | two.keys(MAIN))
    with pytest.raises(UnreadableAnswerError) as refused:
        await client.empresas.ensure(nueva(RFC))
    assert (MAIN in str(refused.value), two.mine in str(refused.value)) == (True, True)
    two.emulator.clear_faults()
    assert (await client.empresas.ensure(nueva(RFC))).credentials == two.emulator.credentials_of(two.mine)


async def test_keys_missing_from_lists_are_verified_once(client: FacturaOnline, two: Two) -> None:
    rows = [format_detail(two.row(uid)) for uid in (two.mine, two.other)]
    bare = [{name: value for name, value in row.items() if "_key" not in name} for row in rows]
    two.answers("empresas.list", {"response": "success", "data": bare})
    two.set_detail(two.row(two.mine) | two.keys(two.other))
    with pytest.raises(UnreadableAnswerError, match=two.other):
        await client.empresas.ensure(nueva(RFC))
    two.emulator.clear_faults()
    two.answers("empresas.list", {"response": "success", "data": bare})
    before = two.emulator.count("empresas.current")
    for _ in range(3):
        await client.empresas.ensure(nueva(RFC))
    assert two.emulator.count("empresas.current") - before == 1


# ── Keys that no list has shown ───────────────────────────────────────────────────────────────────────────────────────

UNKNOWN_KEYS = Fault.status(401, body={"status": "error", "message": "La cuenta que intenta autenticarse no existe"})
NEW, NEWER = "DDD010101AA1", "BBB010101AA1"


def tell_other_keys(emulator: Emulator) -> None:
    """Return the detail of `NEW` with the keys of `NEWER`."""
    rows = {row["rfc"]: row for row in emulator.state["empresas"].values()}
    keys = {name: rows[NEWER][name] for name in ("api_key", "secret_key")}
    body = {"status": "success", "data": format_detail(rows[NEW]) | keys}
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.get", times=None)


async def test_unlisted_keys_are_verified_once_before_use(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.stale(600), endpoint="empresas.list", times=None)
    first = await client.empresas.ensure(nueva(NEW))
    for _ in range(3):
        assert await client.empresas.ensure(nueva(NEW)) == first
    asked = [request.endpoint for request in emulator.requests if request.endpoint != "empresas.list"]
    assert asked == ["empresas.create", "empresas.get", "empresas.current", *["empresas.get"] * 3]


async def test_a_new_company_never_gets_another_new_companys_keys(client: FacturaOnline, emulator: Emulator) -> None:
    """No list has shown either company's keys."""
    emulator.inject(Fault.stale(600), endpoint="empresas.list", times=None)
    made = [(await client.empresas.create(nueva(rfc))).uid for rfc in (NEW, NEWER)]
    tell_other_keys(emulator)
    with pytest.raises(UnreadableAnswerError) as refused:
        await client.empresas.ensure(nueva(NEW))
    assert [uid in str(refused.value) for uid in made] == [True, True]
    emulator.clear_faults()
    emulator.inject(Fault.stale(600), endpoint="empresas.list", times=None)
    for uid, rfc in zip(made, (NEW, NEWER), strict=True):
        assert (await client.empresas.ensure(nueva(rfc))).credentials == emulator.credentials_of(uid)


async def test_a_plan_creates_no_serie_with_another_new_companys_keys(
    client: FacturaOnline, emulator: Emulator
) -> None:
    """The other company is created during the run, so that no list has shown its keys."""

    def see(event: StepEvent) -> None:
        rfcs = [row["rfc"] for row in emulator.state["empresas"].values()]
        if NEW in rfcs and NEWER not in rfcs:
            emulator.add_empresa(rfc=NEWER)
            tell_other_keys(emulator)

    async with provision(client, Plan.from_values([(nueva(NEW), [F])]), settle=0.2, on_event=see) as run:
        (outcome,) = [outcome async for outcome in run]
    assert (outcome.ok, outcome.credentials, run.report.is_complete) == (False, None, False)
    uids = [uid for uid, row in emulator.state["empresas"].items() if row["rfc"] in {NEW, NEWER}]
    assert [uid in outcome.reason for uid in uids] == [True, True]
    assert len(emulator.state["series"]) == 0


@pytest.mark.virtual_clock
async def test_ensure_waits_for_new_keys_that_do_not_work_yet(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.stale(600), endpoint="empresas.list", times=None)
    emulator.inject(UNKNOWN_KEYS, endpoint="empresas.current", times=2)
    empresa = await client.empresas.ensure(nueva(NEW))
    assert empresa.credentials == emulator.credentials_of(empresa.uid)
    assert emulator.count("empresas.current") == 3
    emulator.inject(UNKNOWN_KEYS, endpoint="empresas.current", times=None)
    with pytest.raises(UnreadableAnswerError, match="before the deadline"):
        await client.empresas.ensure(nueva(NEWER))


async def test_a_plan_waits_for_new_keys_that_do_not_work_yet(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(UNKNOWN_KEYS, endpoint="empresas.current", times=3, skip=1)  # the first one is the main company's
    plan = Plan.from_values([(nueva(rfc), [F]) for rfc in (NEW, NEWER)])
    async with provision(client, plan, settle=0.2) as run:
        outcomes = [outcome async for outcome in run]
    assert ([outcome.ok for outcome in outcomes], run.report.is_complete) == ([True, True], True)


async def test_the_final_list_of_a_run_is_compared_with_the_keys_it_used(
    client: FacturaOnline, emulator: Emulator
) -> None:
    """The verification was wrong: the run created series in another company."""
    plan = Plan.from_values([(nueva(NEW), [F])])
    async with provision(client, plan, settle=0.2) as run:
        (outcome,) = [outcome async for outcome in _until_one(run, emulator)]
    assert (outcome.ok, run.report.is_complete) == (True, False)
    assert f"{NEW}: the list gives its company {outcome.uid} other keys" in " ".join(run.report.audit or ())


async def _until_one(run: Run, emulator: Emulator) -> AsyncIterator[RowOutcome]:
    """Yield the outcomes; after each, the list gives the companies other keys."""
    async for outcome in run:
        for uid, row in emulator.state["empresas"].items():
            if uid == outcome.uid:
                emulator.state["empresas"][uid] = row | {"api_key": "another" * 8}
        yield outcome


async def test_an_answer_without_an_rfc_verifies_keys_by_its_uid(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.stale(600), endpoint="empresas.list", times=None)
    uid = (await client.empresas.create(nueva(NEW))).uid
    for owner in (uid, MAIN):
        body = {"status": "success", "data": format_detail(emulator.state["empresas"][owner]) | {"rfc": ""}}
        emulator.clear_faults()
        emulator.inject(Fault.status(200, body=body), endpoint="empresas.current", times=None)
        if owner == uid:
            assert (await client.empresas.get_verified(uid, rfc=NEW)).uid == uid
    other = (await client.empresas.create(nueva(NEWER))).uid
    with pytest.raises(UnreadableAnswerError, match=MAIN):
        await client.empresas.get_verified(other, rfc=NEWER)


async def test_a_value_read_before_a_contradiction_is_refused(client: FacturaOnline, two: Two) -> None:
    row = format_detail(two.row(two.mine) | two.keys(two.other))
    two.answers("empresas.list", {"response": "success", "data": [row]})
    (empresa,) = await client.empresas.list(rfc=RFC)
    assert empresa.keys_problem == ""
    two.emulator.clear_faults()
    await client.empresas.list()
    with pytest.raises(UnreadableAnswerError, match=two.other):
        client.for_empresa(empresa)


async def test_consistent_answers_cost_no_further_call(client: FacturaOnline, two: Two) -> None:
    await client.empresas.ensure(nueva(RFC))
    client.for_empresa(await client.empresas.get(two.mine))
    assert [request.endpoint for request in two.emulator.requests] == ["empresas.list", "empresas.get", "empresas.get"]


# ── Answers to creates and updates ────────────────────────────────────────────────────────────────────────────────────


def told_of(two: Two, **changes: Any) -> dict[str, Any]:
    return {"status": "create", "0": format_created(two.row(two.other) | changes)}


@pytest.mark.parametrize("rfc", [OTHER, "CCC010101AA1", ""])
async def test_a_creates_answer_about_another_company_is_not_the_new_one(
    client: FacturaOnline, two: Two, rfc: str
) -> None:
    """The company was created nevertheless: `ensure` finds it."""
    await client.empresas.list()
    body = told_of(two, rfc=rfc)
    two.answers("empresas.create", body, commit=True)
    empresa = await client.empresas.ensure(nueva("DDD010101AA1"))
    assert (empresa.rfc, two.emulator.count("empresas.create")) == ("DDD010101AA1", 1)
    assert empresa.credentials == two.emulator.credentials_of(empresa.uid)
    if rfc:
        with pytest.raises(UnreadableAnswerError, match=two.other):
            await client.empresas.create(nueva("BBB010101AA1"))


async def test_a_creates_answer_with_another_companys_uid_is_detected(client: FacturaOnline, two: Two) -> None:
    await client.empresas.list()
    two.answers("empresas.create", told_of(two, rfc="DDD010101AA1"), commit=True)
    with pytest.raises(UnreadableAnswerError, match=two.other):
        await client.empresas.create(nueva("DDD010101AA1"))


async def test_a_plan_takes_no_uid_from_a_creates_answer_about_another_company(client: FacturaOnline, two: Two) -> None:
    two.answers("empresas.create", told_of(two), commit=True)
    plan = Plan.from_values([(nueva("DDD010101AA1"), [F])])
    async with provision(client, plan, settle=0.2) as run:
        (outcome,) = [outcome async for outcome in run]
    assert (outcome.state, outcome.ok, run.report.is_complete) == (State.ADOPTED, True, True)
    assert outcome.uid not in {two.mine, two.other}
    (serie,) = two.emulator.state["series"].values()
    assert serie["empresa"] == outcome.uid


@pytest.mark.parametrize("lists", ["show it", "lie behind", "are from before"])
async def test_a_plan_keeps_no_foreign_uid_from_a_creates_answer(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, lists: str
) -> None:
    """The answer has no RFC, so that only the company's detail contradicts it. A second run or read corrects it."""
    emulator.inject(
        Fault.status(200, body={"status": "create", "0": {"acco_uid": MAIN}}, commit=True), endpoint="empresas.create"
    )
    if lists != "show it":  # the first one is that of the beginning
        emulator.inject(Fault.stale(600), endpoint="empresas.list", times=2 if lists == "lie behind" else None)
    plan = Plan.from_values([(nueva(NEW), [F])])
    async with provision(client, plan, settle=0.3, journal=tmp_path / "run.sqlite") as run:
        (outcome,) = [outcome async for outcome in run]
    (uid,) = [uid for uid, row in emulator.state["empresas"].items() if row["rfc"] == NEW]
    if lists == "are from before":
        assert (outcome.state, outcome.uid, run.report.is_complete) == (State.UNRESOLVED, None, False)
        emulator.clear_faults()
        async with provision(client, plan, settle=0.3, journal=tmp_path / "run.sqlite") as run:
            (outcome,) = [outcome async for outcome in run]
    assert (outcome.state, outcome.uid, outcome.ok, run.report.is_complete) == (State.ADOPTED, uid, True, True)
    assert emulator.count("empresas.create") == 1
    assert [serie["empresa"] for serie in emulator.state["series"].values()] == [uid]


async def test_a_creates_answer_has_no_credentials(client: FacturaOnline) -> None:
    with pytest.raises(InvalidInputError, match="has no keys"):
        client.for_empresa(await client.empresas.create(nueva(RFC)))


@pytest.mark.parametrize(
    "answer",
    [
        lambda two: two.row(two.other),
        lambda two: two.row(two.mine) | {"uid": two.other},
        lambda two: two.row(two.mine) | {"rfc": OTHER},
    ],
)
async def test_an_updates_answer_about_another_company_is_unreadable(
    client: FacturaOnline, two: Two, answer: Callable[[Two], dict[str, Any]]
) -> None:
    await client.empresas.list()
    two.answers("empresas.update", {"status": "create", "0": format_updated(answer(two))}, commit=True)
    with pytest.raises(UnreadableAnswerError, match=two.mine):
        await client.empresas.update(two.mine, CambiosEmpresa(ciudad="Arandas"))


async def test_a_company_may_change_its_rfc(client: FacturaOnline, two: Two) -> None:
    await client.empresas.list()
    await client.empresas.update(two.mine, CambiosEmpresa(rfc="DDD010101AA1"))
    empresa = await client.empresas.get_verified(two.mine, rfc="DDD010101AA1")
    assert empresa.credentials == two.emulator.credentials_of(two.mine)


async def test_a_plan_changes_no_company_that_a_list_gave_the_wrong_uid(client: FacturaOnline, two: Two) -> None:
    rows = [two.row(two.mine) | {"rfc": OTHER}, two.row(two.other) | {"rfc": RFC}]
    two.answers("empresas.list", {"response": "success", "data": [format_detail(row) for row in rows]})
    async with provision(client, Plan.from_values([(nueva(RFC), [])]), existing="update", settle=0.1) as run:
        (outcome,) = [outcome async for outcome in run]
    assert (outcome.state, two.emulator.count("empresas.update")) == (State.FAILED, 0)


# ── Consistent answers ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_companies_may_have_the_same_rfc(client: FacturaOnline, emulator: Emulator) -> None:
    uids = [emulator.add_empresa(rfc=RFC) for _ in range(2)]
    for empresa in await client.empresas.list():
        assert client.for_empresa(empresa).credentials == emulator.credentials_of(empresa.uid)
    for uid in uids:
        assert (await client.empresas.get_verified(uid, rfc=RFC)).credentials == emulator.credentials_of(uid)
    assert (await client.empresas.ensure(nueva(RFC))).uid in uids


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("EKU9003173C9", " eku9003173c9 ", True),
        ("ÑAN&010101ABC", "N\u0303an&010101abc", True),
        ("EKU9003173C9", "EKU9003173C8", False),
        ("EKU9003173C9", "", False),
    ],
)
def test_rfcs_are_compared_in_normal_form(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert same_rfc(one, other) is same


async def test_each_of_three_companies_with_the_same_keys_is_reported_with_another_one() -> None:
    identities = KnownCompanies()
    rows = [Empresa(uid=uid, rfc=uid, api_key=Secret("k" * 20), secret_key=Secret("s" * 20)) for uid in "abc"]
    listing = identities.listing("account")
    await listing.add(rows, key_marks(rows))
    await listing.end()
    assert all(listing.problem(row) and identities.problem(row) for row in rows)


async def _known(*uids: str) -> tuple[KnownCompanies, list[Empresa]]:
    """Return the registry after one list, and the list's companies."""
    identities = KnownCompanies()
    listing = identities.listing("account")
    rows = []
    for uid in uids:
        rows.append(Empresa(uid=uid, rfc=uid, api_key=Secret(uid * 20), secret_key=Secret("s" * 20)))
        await listing.add(rows[-1:], key_marks(rows[-1:]))
        await asyncio.sleep(0)
    await listing.end()
    return identities, rows


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_a_contradiction_after_known_rows_is_detected(size: int) -> None:
    identities, rows = await _known("a", "b", "c")
    rows.append(evolve(rows[0], uid="d", rfc="d"))
    listing = identities.listing("account")
    for start in range(0, len(rows), size):
        await listing.add(rows[start : start + size], key_marks(rows[start : start + size]))
    assert [bool(listing.problem(row)) for row in rows] == [True, False, False, True]


async def test_a_known_list_is_only_compared() -> None:
    identities, rows = await _known("a", "b", "c")
    listing = identities.listing("account")
    await listing.add(rows, key_marks(rows))
    assert (listing.owners, listing.rfcs) == ({}, {})


class _HashedText(str):
    """Text that counts how often a dict or a set looks for it."""

    __slots__ = ()
    hashes = 0

    def __hash__(self) -> int:
        _HashedText.hashes += 1
        return super().__hash__()


async def _hashes(companies: int) -> float:
    """Return how often each company of a list of this length is looked up while the list is recorded."""
    uids = [_HashedText(number) for number in range(companies)]
    rows = [Empresa(uid=uid, rfc=uid, api_key=Secret(f"{uid:>020}"), secret_key=Secret("s" * 20)) for uid in uids]
    listing, _HashedText.hashes = KnownCompanies().listing("account"), 0
    for start in range(0, companies, 10):
        await listing.add(rows[start : start + 10], key_marks(rows[start : start + 10]))
    await listing.end()
    return _HashedText.hashes / companies


async def test_a_long_list_costs_no_more_for_each_company() -> None:
    assert await _hashes(1_000) <= 3


def test_no_step_grows_with_the_known_rows_before_the_first_new_one() -> None:
    steps = {}
    for number in (100, 1_000):

        async def listed(number: int = number) -> None:
            identities, rows = await _known(*map(str, range(number)))
            listing = identities.listing("account")
            for row in [*rows, Empresa(uid="new", rfc="new")]:
                await listing.add([row], key_marks([row]))
                await asyncio.sleep(0)

        steps[number] = longest_step(listed)
    assert steps[1_000] < 1.3 * steps[100], steps


async def test_other_tasks_run_while_a_long_list_is_put_into_the_registry() -> None:
    rows = [Empresa(uid=uid, rfc=uid, api_key=Secret(f"{uid:>020}")) for uid in map(str, range(10_000))]
    listing = KnownCompanies().listing("account")
    await listing.add(rows, key_marks(rows))
    ending, turns = asyncio.create_task(listing.end()), 0
    while not ending.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 2 * len(rows) / 500  # RFCs, and keys


async def test_a_list_that_was_requested_before_a_rename_does_not_take_it_back() -> None:
    identities, rows = await _known("a", "b")
    before = identities.listing("account")
    identities.renamed("a", "new")
    after = identities.listing("account")
    for listing in (before, after):
        await listing.add(rows, key_marks(rows))
        await listing.end()
        assert bool(identities.problem(evolve(rows[0], rfc="new"))) is (listing is after)


async def test_rows_that_agreed_with_an_earlier_state_of_the_registry_are_compared_again() -> None:
    """Two lists at once, of which one moves a key to another company while the other one is read."""
    identities, rows = await _known("a", "b")
    moved = evolve(rows[0], uid="b", rfc="b")
    slow, other = identities.listing("account"), identities.listing("account")
    await slow.add(rows[:1], key_marks(rows[:1]))
    await other.add([moved], key_marks([moved]))
    await other.end()
    await slow.add([moved], key_marks([moved]))
    assert [bool(slow.problem(row)) for row in (rows[0], moved)] == [True, True]


async def test_an_error_about_mixed_companies_shows_no_key(client: FacturaOnline, two: Two) -> None:
    two.set_detail(two.row(two.other))
    with pytest.raises(FacturaOnlineError) as refused:
        await client.empresas.ensure(nueva(RFC))
    for secret in (*two.keys(two.mine).values(), *two.keys(two.other).values(), *two.keys(MAIN).values()):
        assert secret not in f"{refused.value!r} {refused.value} {vars(refused.value)}"
