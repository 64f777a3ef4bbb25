"""A plan becomes real companies and series, each once and each series under its own company."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from facturaonline_async import (
    AuthenticationError,
    Config,
    FacturaOnline,
    InvalidInputError,
    NuevaEmpresa,
    Sello,
    ServerError,
    connect,
)
from facturaonline_async.config import Upload
from facturaonline_async.provision import (
    Existing,
    Plan,
    PlanSerie,
    RowOutcome,
    Run,
    RunReport,
    SerieOutcome,
    State,
    StepEvent,
    provision,
)
from facturaonline_async.provision._plan.models import ValueRow
from facturaonline_async.testing import Emulator, Fault
from facturaonline_async.testing._emulator.empresa_fields import format_detail
from tests.conftest import QUICK
from tests.plans import nueva

pytestmark = pytest.mark.virtual_clock

F = PlanSerie(letra="F", tipo_documento="factura", folio=1)
P = PlanSerie(letra="P", tipo_documento="pago")
MAIN = "607a062eae2bb"


async def run(
    client: FacturaOnline, plan: Plan, *, settle: float = 0.2, **how: Any
) -> tuple[list[RowOutcome], RunReport]:
    async with provision(client, plan, settle=settle, **how) as under_way:
        outcomes = [outcome async for outcome in under_way]
    return sorted(outcomes, key=lambda outcome: outcome.number), under_way.report


def rows(emulator: Emulator) -> dict[str, list[str]]:
    """Return each new company's RFC with its series."""
    owners = {uid: row["rfc"] for uid, row in emulator.state["empresas"].items() if uid != MAIN}
    found: dict[str, list[str]] = {rfc: [] for rfc in owners.values()}
    for serie in emulator.state["series"].values():
        found[owners[serie["empresa"]]].append(f"{serie['letra']}:{serie['tipo_documento']}")
    return {rfc: sorted(series) for rfc, series in found.items()}


async def test_missing_companies_and_series_are_created_and_reported(client: FacturaOnline, emulator: Emulator) -> None:
    (outcome,), report = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F, P])]))
    assert rows(emulator) == {"EKU9003173C9": ["F:factura", "P:pago"]}
    (uid,) = set(emulator.state["empresas"]) - {MAIN}
    ids = {row["letra"]: number for number, row in emulator.state["series"].items()}
    assert outcome == RowOutcome(
        number=1,
        rfc="EKU9003173C9",
        state=State.CREATED,
        uid=uid,
        series=(
            SerieOutcome(letra="F", tipo_documento="factura", state=State.CREATED, uid=ids["F"]),
            SerieOutcome(letra="P", tipo_documento="pago", state=State.CREATED, uid=ids["P"]),
        ),
    )
    assert (report.is_complete, report.empresas, report.series) == (
        True,
        Counter({State.CREATED: 1}),
        Counter({State.CREATED: 2}),
    )


async def test_existing_companies_and_series_are_adopted_unchanged(client: FacturaOnline, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc="EKU9003173C9", razon_social="VIEJA")
    emulator.add_serie(uid, letra="F", tipo_documento="factura", folio=77, estatus="Pausada")
    before = json.dumps(emulator.state["empresas"][uid])
    (outcome,), report = await run(client, Plan.from_values([(nueva("eku9003173c9"), [F, P])]))
    assert (outcome.state, outcome.uid, [serie.state for serie in outcome.series]) == (
        State.ADOPTED,
        uid,
        [State.ADOPTED, State.CREATED],
    )
    assert json.dumps(emulator.state["empresas"][uid]) == before
    assert [(row["folio"], row["estatus"]) for row in emulator.state["series"].values()] == [
        (77, "Pausada"),
        (1, "Activa"),
    ]
    assert report.is_complete


async def test_a_second_run_changes_nothing(client: FacturaOnline, emulator: Emulator) -> None:
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), [F, P]) for number in range(10)])
    await run(client, plan)
    before = json.dumps(emulator.state)
    _, report = await run(client, plan)
    assert (json.dumps(emulator.state), report.is_complete, report.empresas[State.ADOPTED]) == (before, True, 10)


async def test_a_failed_row_does_not_stop_the_others(client: FacturaOnline, emulator: Emulator) -> None:
    body = {"status": "error", "message": {"cer": ["El certificado no es válido"]}}
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.create")
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), [F]) for number in range(5)])
    outcomes, report = await run(client, plan)
    (failed,) = (outcome for outcome in outcomes if not outcome.ok)
    assert failed.state is State.FAILED
    assert "El certificado no es válido" in failed.reason
    assert [(serie.state, serie.reason) for serie in failed.series] == [
        (State.NOT_TRIED, "not tried: its company comes first")
    ]
    assert (report.is_complete, report.failed, len(rows(emulator))) == (False, [failed], 4)


async def test_a_failed_serie_leaves_its_company_and_the_other_series(
    client: FacturaOnline, emulator: Emulator
) -> None:
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="series.create")
    (outcome,), report = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F, P])]))
    assert Counter(serie.state for serie in outcome.series) == {State.CREATED: 1, State.FAILED: 1}
    assert (outcome.state, outcome.ok, report.is_complete) == (State.CREATED, False, False)


async def test_series_that_cannot_be_listed_fail_with_the_reason(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.status(500), endpoint="series.list", times=None)
    (outcome,), _ = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F, P])]))
    assert [(serie.state, "the server failed" in serie.reason) for serie in outcome.series] == [
        (State.FAILED, True)
    ] * 2
    assert outcome.state is State.CREATED


async def test_a_company_without_series_is_complete(client: FacturaOnline, emulator: Emulator) -> None:
    (outcome,), report = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [])]))
    assert (outcome.ok, report.is_complete, emulator.count("series.list")) == (True, True, 0)


async def test_wrong_main_keys_stop_before_anything_is_created(emulator: Emulator) -> None:
    wrong = evolve(emulator.credentials, api_key="JDJ5JDEwJG5vbmU=")
    async with connect(wrong, base_url=emulator.base_url, config=QUICK) as client:
        with pytest.raises(AuthenticationError):
            await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    assert emulator.count("empresas.create") == 0


@pytest.mark.parametrize("uids", [2, 3])
async def test_an_rfc_that_exists_several_times_is_a_conflict(
    client: FacturaOnline, emulator: Emulator, uids: int
) -> None:
    found = [emulator.add_empresa(rfc="EKU9003173C9") for _ in range(uids)]
    (outcome,), report = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    assert report.rows_in(State.CONFLICT) == [outcome]
    assert (outcome.state, outcome.reason) == (
        State.CONFLICT,
        f"the account has {uids} companies with this RFC: {', '.join(found)}",
    )
    assert (emulator.count("empresas.create"), len(emulator.state["series"])) == (0, 0)


@pytest.mark.parametrize(
    ("estatus", "adopted"),
    [(["Activa", "Pausada"], 0), (["Pausada", "Activa"], 1), (["Activa", "Activa"], None), (["Pausada"] * 2, None)],
)
async def test_of_several_series_only_a_single_active_one_is_adopted(
    client: FacturaOnline, emulator: Emulator, estatus: list[str], adopted: int | None
) -> None:
    uid = emulator.add_empresa(rfc="EKU9003173C9")
    found = [emulator.add_serie(uid, letra="F", tipo_documento="factura", estatus=each) for each in estatus]
    (outcome,), _ = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    (serie,) = outcome.series
    if adopted is None:
        assert (serie.state, serie.reason) == (
            State.CONFLICT,
            f"the company has 2 series of this kind: {found[0]}, {found[1]}",
        )
    else:
        assert (serie.state, serie.uid) == (State.ADOPTED, found[adopted])


async def test_a_create_without_an_outcome_is_sent_again_after_the_settle_time(
    client: FacturaOnline, emulator: Emulator
) -> None:
    for endpoint in ("empresas.create", "series.create"):
        emulator.inject(Fault.drop_before_commit(), endpoint=endpoint)
    plan = Plan.from_values([(nueva(rfc), [F]) for rfc in ("AAA010101AA1", "AAA010102AA1")])
    outcomes, report = await run(client, plan)
    assert (report.is_complete, [outcome.state for outcome in outcomes]) == (True, [State.CREATED] * 2)
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == (3, 3)
    assert rows(emulator) == {row.rfc: ["F:factura"] for row in plan}


async def test_keys_of_another_company_are_never_used(client: FacturaOnline, emulator: Emulator) -> None:
    """A company that answers with the main company's keys would get its series into the wrong place."""
    uid = emulator.add_empresa(rfc="EKU9003173C9")
    other = emulator.add_empresa(rfc="AAA010101AA1")
    rows = emulator.state["empresas"]
    plan = Plan.from_values([(nueva("EKU9003173C9"), [F])])
    for row, reason in (
        (rows[other], f"asked for the company {uid}, the API answered with the company {other}"),
        (
            rows[MAIN] | {"uid": uid, "rfc": "EKU9003173C9"},
            f"the API gave the same keys for two companies, {uid} and {MAIN}: they are used for neither",
        ),
    ):
        body = {"status": "success", "data": format_detail(row)}
        emulator.inject(Fault.status(200, body=body), endpoint="empresas.get")
        (outcome,), report = await run(client, plan)
        assert reason in outcome.reason
        assert (outcome.state, outcome.ok) == (State.ADOPTED, False)
        assert [(serie.state, serie.reason) for serie in outcome.series] == [(State.NOT_TRIED, outcome.reason)]
        assert report.is_complete is False
    assert len(emulator.state["series"]) == 0


async def test_concurrent_runs_of_one_session_create_nothing_twice(client: FacturaOnline, emulator: Emulator) -> None:
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), [F]) for number in range(10)])
    await asyncio.gather(
        run(client, plan), run(client, plan), *(client.empresas.ensure(nueva(row.rfc)) for row in plan.rows[5:])
    )
    await asyncio.gather(run(client, plan), run(client, plan))
    assert (len(emulator.state["empresas"]) - 1, len(emulator.state["series"])) == (10, 10)


async def test_keys_known_to_belong_to_another_company_are_not_used(client: FacturaOnline, emulator: Emulator) -> None:
    mine, other = emulator.add_empresa(rfc="EKU9003173C9"), emulator.add_empresa(rfc="AAA010101AA1")
    rows = emulator.state["empresas"]
    keys = {name: rows[other][name] for name in ("api_key", "secret_key")}
    body = {"status": "success", "data": format_detail(rows[mine]) | keys}
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.get")
    (outcome,), _ = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    assert f"the API gave the same keys for two companies, {mine} and {other}" in outcome.reason
    assert len(emulator.state["series"]) == 0


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_company_is_read_again_until_its_answer_has_keys(
    client: FacturaOnline,
    emulator: Emulator,
    is_there: bool,  # noqa: FBT001
) -> None:
    if is_there:
        emulator.add_empresa(rfc="EKU9003173C9")
    keyless = format_detail({"uid": "x"} | {"rfc": "EKU9003173C9"})
    uid = next((uid for uid, row in emulator.state["empresas"].items() if row["rfc"] == "EKU9003173C9"), None)
    if uid is not None:
        body = {"status": "success", "data": keyless | {"uid": uid, "api_key": "", "secret_key": ""}}
        emulator.inject(Fault.status(200, body=body), endpoint="empresas.get")
    (outcome,), _ = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    assert (outcome.ok, emulator.count("empresas.get")) == (True, 2 if is_there else 1)


async def test_a_plan_may_contain_the_main_company(client: FacturaOnline, emulator: Emulator) -> None:
    rfc = emulator.state["empresas"][MAIN]["rfc"]
    (outcome,), report = await run(client, Plan.from_values([(nueva(rfc), [F])]))
    assert (outcome.state, outcome.uid, report.is_complete) == (State.ADOPTED, MAIN, True)


async def test_an_adopted_company_may_become_readable_late() -> None:
    async with (
        Emulator(read_lag=0.3) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        await client.empresas.create(nueva("EKU9003173C9"))
        (outcome,), _ = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    assert (outcome.ok, outcome.state) == (True, State.ADOPTED)


@frozen
class Broken:
    """A row whose data cannot be had."""

    number: int = 1
    rfc: str = "EKU9003173C9"
    series: tuple[PlanSerie, ...] = (F,)
    existing: Existing | None = None

    async def load(self) -> NuevaEmpresa:
        raise RuntimeError("clave-secreta")


async def test_an_unexpected_exception_fails_one_row_and_its_text_is_not_shown(
    client: FacturaOnline, emulator: Emulator
) -> None:
    _, good = Plan.from_values([(nueva(rfc), [F]) for rfc in ("AAA010102AA1", "AAA010101AA1")])
    outcomes, report = await run(client, Plan([Broken(), good]))
    assert [(outcome.state, outcome.reason) for outcome in outcomes] == [
        (State.FAILED, "unexpected RuntimeError"),
        (State.CREATED, ""),
    ]
    assert report.failed == outcomes[:1]


async def test_an_account_that_cannot_be_listed_creates_nothing(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.status(500), endpoint="empresas.list", times=None)
    with pytest.raises(ServerError):
        await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]))
    assert emulator.count("empresas.create") == 0


async def test_lost_answers_make_no_duplicates(client: FacturaOnline, emulator: Emulator) -> None:
    for endpoint in ("empresas.create", "series.create"):
        emulator.inject(Fault.drop_after_commit(), endpoint=endpoint, times=None, probability=0.3)
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), [F, P]) for number in range(30)])
    _, report = await run(client, plan)
    expected = {row.rfc: ["F:factura", "P:pago"] for row in plan}
    assert (report.is_complete, rows(emulator)) == (True, expected)


@pytest.mark.one_python
async def test_a_plan_of_200_companies_creates_exactly_200_companies_and_600_series() -> None:
    """Exactly 200 and 600, each series under its own company, none under the main one."""
    series = [
        PlanSerie(letra=letra, tipo_documento=tipo)
        for letra, tipo in (("F", "factura"), ("NC", "nota_credito"), ("P", "pago"))
    ]
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), series) for number in range(200)])
    async with Emulator(read_lag=0.05, list_lag=0.02) as emulator:
        config = Config(rates=(), check_sello=False)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            _, report = await run(client, plan)
        owners = Counter(row["empresa"] for row in emulator.state["series"].values())
        assert (len(emulator.state["empresas"]) - 1, len(emulator.state["series"])) == (200, 600)
        assert rows(emulator) == {row.rfc: ["F:factura", "NC:nota_credito", "P:pago"] for row in plan}
        assert (owners[MAIN], set(owners.values())) == (0, {3})
    assert report.is_complete


# ── The list at the end ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_audit_waits_until_lists_show_everything() -> None:
    async with (
        Emulator(list_lag=0.4) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=evolve(QUICK, deadline=2)) as client,
    ):
        _, report = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]), settle=2)
    assert (report.audit, report.is_complete) == ([], True)


async def test_differences_of_the_final_list_are_reported(client: FacturaOnline, emulator: Emulator) -> None:
    """Another program creates one of the plan's companies again, and deletes another, during the run."""
    plan = Plan.from_values([(nueva(rfc), []) for rfc in ("AAA010101AA1", "AAA010102AA1", "AAA010103AA1")])
    async with provision(client, plan, settle=0.1) as under_way:
        uids = {outcome.rfc: outcome.uid async for outcome in meddled(under_way, emulator)}
    report = under_way.report
    second = next(uid for uid, row in emulator.state["empresas"].items() if row["razon_social"] == "OTRA")
    assert (report.empresas[State.CREATED], report.is_complete, sorted(report.audit or ())) == (
        3,
        False,
        [
            f"AAA010101AA1: the account has 2 companies with this RFC: {uids['AAA010101AA1']}, {second}",
            f"AAA010102AA1: the list does not show its company {uids['AAA010102AA1']}",
        ],
    )
    assert {type(difference) for difference in report.audit or ()} == {str}


async def meddled(under_way: Run, emulator: Emulator) -> AsyncIterator[RowOutcome]:
    async for outcome in under_way:
        if outcome.rfc == "AAA010101AA1":
            emulator.add_empresa(rfc=outcome.rfc, razon_social="OTRA")
        if outcome.rfc == "AAA010102AA1":
            del emulator.state["empresas"][outcome.uid]
        yield outcome


# ── Observing and stopping a run ──────────────────────────────────────────────────────────────────────────────────────


async def test_every_change_of_a_step_is_an_event_without_secrets(client: FacturaOnline, emulator: Emulator) -> None:
    events: list[StepEvent] = []
    await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]), on_event=events.append)
    (uid,) = set(emulator.state["empresas"]) - {MAIN}
    (serie,) = emulator.state["series"]
    assert [(event.letra, event.state, event.origin, event.uid) for event in events] == [
        ("", "intent", None, None),
        ("", "done", "created", uid),
        ("F", "intent", None, None),
        ("F", "done", "created", None),
        ("F", "done", "created", str(serie)),
    ]
    assert "12345678a" not in repr(events)


async def test_the_reasons_of_a_run_are_exact_str_for_every_serialiser(
    client: FacturaOnline, emulator: Emulator
) -> None:
    """`msgspec` and others refuse a subclass of str."""
    emulator.inject(Fault.status(200, body={"status": "error", "message": {"cer": ["No"]}}), endpoint="empresas.create")
    events: list[StepEvent] = []
    outcomes, _ = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]), on_event=events.append)
    ((outcome,), (serie,)) = outcomes, outcomes[0].series
    reasons = [outcome.reason, serie.reason, *(event.reason for event in events if event.reason)]

    assert len(reasons) > 2
    assert [type(reason) for reason in reasons] == [str] * len(reasons)


async def test_an_exception_of_on_event_is_logged_and_does_not_affect_the_run(
    client: FacturaOnline, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: StepEvent) -> None:
        raise RuntimeError("clave-secreta")

    _, report = await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]), on_event=broken)
    assert (report.is_complete, "on_event raised RuntimeError" in caplog.text) == (True, True)
    assert "clave-secreta" not in caplog.text


async def test_a_stopped_run_finishes_requests_in_flight_and_starts_no_others(tmp_path: Path) -> None:
    async with (
        Emulator(latency=0.02) as emulator,
        connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
    ):
        plan = Plan.from_values([(nueva(f"AAA010101{number:03}"), [F, P]) for number in range(30)])
        async with provision(client, plan, journal=tmp_path / "j", concurrency=3, settle=5) as under_way:
            outcomes = []
            async for outcome in under_way:
                outcomes.append(outcome)
                under_way.stop()
        assert {request.status for request in emulator.requests} == {200}
        assert (3 <= len(outcomes) < 10, under_way.report.is_complete, under_way.report.audit) == (True, False, None)
        reasons = {serie.reason for row in outcomes for serie in row.series if not serie.state.is_there}
        assert reasons <= {"not tried: the run was stopped", "not tried: its company comes first"}
        _, report = await run(client, plan, journal=tmp_path / "j")
        assert (report.is_complete, len(rows(emulator)), len(emulator.state["series"])) == (True, 30, 60)


async def test_existing_of_a_row_overrides_existing_of_the_run(client: FacturaOnline, emulator: Emulator) -> None:
    choices: list[Existing | None] = ["adopt", "update", "fail", None]
    rfcs = [f"AAA010101AA{number}" for number in range(4)]
    uids = [emulator.add_empresa(rfc=rfc, razon_social="VIEJA") for rfc in rfcs]
    plan = Plan(
        ValueRow(nueva=nueva(rfc), number=number, existing=existing)
        for number, (rfc, existing) in enumerate(zip(rfcs, choices, strict=True), 1)
    )
    outcomes, report = await run(client, plan, existing="update")
    assert [outcome.state for outcome in outcomes] == [State.ADOPTED, State.UPDATED, State.FAILED, State.UPDATED]
    assert outcomes[2].reason == f"the company exists (uid {uids[2]}), and the plan forbids that"
    names = [emulator.state["empresas"][uid]["razon_social"] for uid in uids]
    assert names == ["VIEJA", f"EMPRESA {rfcs[1]}", "VIEJA", f"EMPRESA {rfcs[3]}"]
    assert (report.is_complete, report.empresas[State.UPDATED]) == (False, 2)


@pytest.mark.parametrize(
    "wrong", [{"existing": "replace"}, {"settle": -1}, {"settle": float("nan")}, {"concurrency": 0}]
)
async def test_an_invalid_argument_is_refused_before_anything_is_sent(
    client: FacturaOnline, emulator: Emulator, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await run(client, Plan.from_values([(nueva("EKU9003173C9"), [F])]), **wrong)
    assert (caught.value.field, emulator.count("empresas.create")) == (next(iter(wrong)), 0)


# ── The SAT's own test certificates ───────────────────────────────────────────────────────────────────────────────────


def sat_plans() -> list[list[tuple[str, Sello, Sello | None]]]:
    """Return the ten real CSD pairs, three with their FIEL, in two plans of distinct RFCs."""
    folder = Path(os.environ.get("SAT_TEST_CERTS", ""))
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip("SAT_TEST_CERTS names no folder with the SAT's test files")
    pairs = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["pairs"]

    def sello(pair: dict[str, str]) -> Sello:
        return Sello((folder / pair["cer"]).read_bytes(), (folder / pair["key"]).read_bytes(), pair["password"])

    fiels = {pair["rfc"]: sello(pair) for pair in pairs if pair["kind"] == "fiel"}
    first: dict[str, tuple[str, Sello, Sello | None]] = {}
    second: dict[str, tuple[str, Sello, Sello | None]] = {}
    for pair in pairs:
        if pair["kind"] == "csd":
            rfc, again = pair["rfc"], pair["rfc"] in first
            (second if again else first)[rfc] = rfc, sello(pair), None if again else fiels.get(rfc)
    return [list(first.values()), list(second.values())]


@pytest.mark.parametrize("upload", ["multipart", "base64"])
async def test_the_test_certificates_of_the_sat_arrive_byte_for_byte(upload: Upload) -> None:
    plans = sat_plans()
    assert ([len(plan) for plan in plans], sum(fiel is not None for plan in plans for _, _, fiel in plan)) == (
        [8, 2],
        3,
    )
    for certificates in plans:
        async with Emulator() as emulator:
            config = evolve(QUICK, upload=upload)
            plan = Plan.from_values((nueva(rfc, csd=csd, fiel=fiel), [F]) for rfc, csd, fiel in certificates)
            async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
                _, report = await run(client, plan)
            arrived = {
                request.fields["rfc"]: sorted(file.sha256 for file in request.files.values())
                for request in emulator.requests
                if request.endpoint == "empresas.create"
            }
        sent = {rfc: hashes(csd, fiel) for rfc, csd, fiel in certificates}
        assert (report.is_complete, arrived) == (True, sent)


def hashes(*sellos: Sello | None) -> list[str]:
    contents = [content for sello in sellos if sello is not None for content in (sello.cer, sello.key)]
    return sorted(hashlib.sha256(content).hexdigest() for content in contents)
