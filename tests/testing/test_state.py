"""The state has two plain tables that tests may change."""

from __future__ import annotations

import re

import pytest

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing import Emulator
from facturaonline_async.testing._emulator.state import AccountState, Behaviour

from .caller import Caller, headers

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"


async def letras(caller: Caller) -> list[str]:
    return [row["SerieName"] for row in (await caller.get("/v4/series"))["data"]]


def test_the_tables_are_plain_and_the_main_company_is_flagged() -> None:
    state = Emulator().state

    assert (dict, dict, dict) == (type(state), type(state["empresas"]), type(state["series"]))
    assert [(MAIN, True)] == [(uid, row["main"]) for uid, row in state["empresas"].items()]
    assert {} == state["series"]


async def test_an_empty_row_becomes_a_company_with_its_own_keys(emulator: Emulator) -> None:
    emulator.state["empresas"]["5670a524cfc65"] = {}
    credentials = emulator.credentials_of("5670a524cfc65")

    assert credentials != emulator.credentials
    async with Caller(emulator, credentials) as caller:
        row = (await caller.get("/v1/current/account"))["data"]
        assert ("5670a524cfc65", "", "", credentials.api_key.reveal()) == tuple(
            row[name] for name in ("uid", "rfc", "regimen_fiscal", "api_key")
        )
        assert "create" == (await caller.post("/v4/account/5670a524cfc65/update", data={"calle": "x"}))["status"]


async def test_a_row_keeps_the_keys_it_has(emulator: Emulator) -> None:
    emulator.state["empresas"]["x"] = {"api_key": "one", "secret_key": "two"}

    async with Caller(emulator, emulator.credentials_of("x")) as caller:
        assert {"F-Api-Key": "one", "F-Secret-Key": "two"} == caller.headers
        assert "x" == (await caller.get("/v1/current/account"))["data"]["uid"]
        assert "one" == (await caller.post("/v4/account/x/update", data={"calle": "x"}))["0"]["acco_api_key"]


async def test_an_empty_row_becomes_a_serie_of_the_main_company(emulator: Emulator, caller: Caller) -> None:
    emulator.state["series"][5] = {}

    shown = {
        "SerieID": 5,
        "SerieName": "",
        "SerieType": "factura",
        "SerieDescription": "Factura",
        "SerieStatus": "Activa",
    }
    assert {"status": "success", "data": [shown]} == await caller.get("/v4/series")
    assert {"status": "success", "data": shown} == await caller.get("/v4/series/5")


async def test_a_serie_may_have_a_text_as_its_id(emulator: Emulator, caller: Caller) -> None:
    emulator.state["series"]["77"] = {"letra": "F"}

    assert "77" == (await caller.get("/v4/series/77"))["data"]["SerieID"]
    assert "success" == (await caller.post("/v4/series/77/drop"))["status"]


async def test_new_ids_are_higher_than_existing_ones(emulator: Emulator, caller: Caller) -> None:
    emulator.state["series"][900_000] = {"letra": "F"}
    await caller.create_serie("G")

    assert [900_000, 900_001] == list(emulator.state["series"])


async def test_a_serie_moved_by_hand_belongs_to_its_new_company(emulator: Emulator, caller: Caller) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    uid = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    async with Caller(emulator, emulator.credentials_of(norte)) as of_norte:
        assert (["F"], []) == (await letras(caller), await letras(of_norte))

        emulator.state["series"][uid]["empresa"] = norte
        assert (["F"], []) == (await letras(of_norte), await letras(caller))


async def test_changes_through_a_kept_reference_are_noticed(emulator: Emulator, caller: Caller) -> None:
    state = emulator.state
    await caller.create_serie("A")

    state["series"][1] = {"letra": "B"}
    assert ["B", "A"] == await letras(caller)
    state["series"].clear()
    state["series"][2] = {"letra": "C"}
    assert ["C"] == await letras(caller)
    del state["series"][2]
    assert [] == await letras(caller)
    state["series"] = {3: {"letra": "D"}}
    assert ["D"] == await letras(caller)
    state["series"][3]["empresa"] = "another"
    assert [] == await letras(caller)


async def test_keys_changed_through_a_kept_reference_are_noticed(emulator: Emulator, caller: Caller) -> None:
    row = emulator.state["empresas"][MAIN]
    assert [] == await letras(caller)
    row["secret_key"] = "another"

    assert "error" == (await caller.get("/v4/series"))["status"]
    row["api_key"] = "one"
    new = headers(emulator.credentials)
    assert {"F-Api-Key": "one", "F-Secret-Key": "another"} == new
    assert "success" == (await caller.get("/v4/series", headers=new))["status"]


async def test_a_company_replaced_through_a_kept_reference_is_completed(emulator: Emulator, caller: Caller) -> None:
    empresas = emulator.state["empresas"]
    assert [] == await letras(caller)
    empresas[MAIN] = {"main": True, "rfc": "X"}

    assert caller.headers != headers(emulator.credentials)
    assert "error" == (await caller.get("/v4/series"))["status"]
    shown = await caller.get("/v1/accounts", headers=headers(emulator.credentials))
    assert ["X"] == [row["rfc"] for row in shown["data"]]


async def test_another_company_replaced_through_a_kept_reference_is_listed(emulator: Emulator, caller: Caller) -> None:
    norte = emulator.add_empresa(rfc="XIQB891116QE4")
    empresas = emulator.state["empresas"]
    assert [] == await letras(caller)
    empresas[norte] = {"rfc": "X"}

    shown = (await caller.get("/v1/accounts"))["data"][1]
    assert (norte, "X", headers(emulator.credentials_of(norte))["F-Api-Key"]) == (
        shown["uid"],
        shown["rfc"],
        shown["api_key"],
    )


async def test_a_company_removed_by_hand_is_gone(emulator: Emulator, caller: Caller) -> None:
    assert [] == await letras(caller)
    emulator.state["empresas"].clear()

    assert "error" == (await caller.get("/v4/series"))["status"]
    with pytest.raises(LookupError):
        emulator.credentials_of(MAIN)


async def test_a_seeded_company_has_all_usual_values(emulator: Emulator, caller: Caller) -> None:
    uid = emulator.add_empresa(rfc="XIQB891116QE4", razon_social="Berenice", curp="XIQB891116MGRMZR05")
    row = (await caller.get(f"/v1/account/{uid}"))["data"]

    assert re.fullmatch(r"[0-9a-f]{13}", uid)
    assert ("Berenice", "XIQB891116QE4", "XIQB891116MGRMZR05") == (row["razon_social"], row["rfc"], row["curp"])
    assert "Personas Físicas con Actividades Empresariales y Profesionales" == row["regimen_fiscal"]
    assert all(row[name] for name in ("codpos", "email", "cer", "key"))


async def test_a_company_can_be_seeded_under_a_uid(emulator: Emulator) -> None:
    assert "5670a524cfc65" == emulator.add_empresa(rfc="XIQB891116QE4", uid="5670a524cfc65")


async def test_a_serie_is_seeded_with_the_given_values(emulator: Emulator, caller: Caller) -> None:
    uid = emulator.add_serie(MAIN, letra="F", tipo_documento="pago", folio=9, estatus="Inactiva")

    row = (await caller.get(f"/v4/series/{uid}"))["data"]
    assert ("F", "pago", "Inactiva") == (row["SerieName"], row["SerieType"], row["SerieStatus"])
    assert 9 == emulator.state["series"][uid]["folio"]


def test_seeding_names_the_unknown_key() -> None:
    emulator = Emulator()

    with pytest.raises(InvalidInputError, match="has no key razons"):
        emulator.add_empresa(rfc="XIQB891116QE4", razons="x")
    with pytest.raises(LookupError, match="'nobody'"):
        emulator.add_serie("nobody", letra="F", tipo_documento="factura")


def test_the_state_can_be_seeded_before_the_start() -> None:
    emulator = Emulator()
    emulator.state["empresas"]["a"] = {"rfc": "X"}

    assert "<Emulator 2 empresas, 0 series>" == repr(emulator)
    assert emulator.credentials_of("a").api_key.reveal().startswith("JDJ5JDEwJ")


def test_keys_and_uids_of_many_companies_differ() -> None:
    emulator = Emulator()
    uids = [emulator.add_empresa(rfc=f"AAA{number:06d}AAA") for number in range(300)]

    assert uids == sorted(set(uids))
    keys = [row[name] for row in emulator.state["empresas"].values() for name in ("api_key", "secret_key")]
    assert 602 == len(set(keys))


def test_listing_series_reads_only_the_rows_of_the_company() -> None:
    """A row is opened only if it is looked at: 20,000 rows of others must cost nothing."""

    class Counting(dict[str, object]):
        opened = 0

        def get(self, key: str, default: object = None) -> object:
            Counting.opened += 1
            return super().get(key, default)

    state = AccountState(0, Behaviour(list_lag=0, read_lag=0, paging=False), ("empresas", "series"))
    for number in range(1000):
        state.add_serie(Counting(empresa=str(number % 500)))
    state.series("7")
    Counting.opened = 0

    assert 2 == len(state.series("7"))
    assert Counting.opened <= 6


def test_rows_of_a_further_resource_are_deleted_with_their_company() -> None:
    state = AccountState(0, Behaviour(list_lag=0, read_lag=0, paging=False), ("series", "clientes", "empresas"))
    gone, stays = state.add_empresa({}), state.add_empresa({})
    state.tables["clientes"] |= {1: {"empresa": gone}, 2: {"empresa": stays}, 3: {}}
    state.remove_empresa(gone)
    assert state.tables == {
        "clientes": {2: {"empresa": stays}, 3: {}},
        "empresas": {stays: state.empresa(stays)},
        "series": {},
    }
