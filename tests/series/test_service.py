"""SeriesService against the emulator."""

from __future__ import annotations

import asyncio
import json
import traceback

import pytest
from attrs import evolve

from facturaonline_async import (
    AuthenticationError,
    Credentials,
    FacturaOnline,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    Serie,
    ServerError,
    TipoDocumento,
    UnreadableAnswerError,
    ValidationError,
    connect,
)
from facturaonline_async.testing import Emulator, Fault
from tests.conftest import QUICK
from tests.replay import replaying

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"


async def test_a_created_serie_is_listed_and_active(client: FacturaOnline) -> None:
    await client.series.create(letra="F", tipo_documento=TipoDocumento.FACTURA)
    (serie,) = await client.series.list()
    expected = Serie(uid=serie.uid, letra="F", tipo_documento="factura", descripcion="Factura", estatus="Activa")
    assert (serie, serie.is_active) == (expected, True)
    assert await client.series.get(serie.uid) == expected
    assert await client.series.get(str(serie.uid)) == expected


async def test_a_create_sends_its_arguments(client: FacturaOnline, emulator: Emulator) -> None:
    await client.series.create(letra=" Ñ ", tipo_documento="carta_porte", folio=77)
    (row,) = emulator.state["series"].values()
    assert (row["letra"], row["tipo_documento"], row["folio"]) == ("Ñ", "carta_porte", 77)
    assert emulator.requests[-1].content_type == "application/json"


async def test_an_undocumented_kind_of_document_is_sent_unchanged(client: FacturaOnline) -> None:
    serie = await client.series.ensure(letra="N", tipo_documento="nomina")
    assert serie.tipo_documento == "nomina"


async def test_a_serie_is_paused_activated_and_deleted(client: FacturaOnline) -> None:
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    await client.series.deactivate(serie.uid)
    assert not (await client.series.get(serie.uid)).is_active
    await client.series.activate(serie.uid)
    assert (await client.series.get(serie.uid)).is_active
    await client.series.delete(serie.uid)
    assert await client.series.list() == []


@pytest.mark.parametrize("estatus", ["Suspendida", ""])
@pytest.mark.parametrize("verb", ["activate", "deactivate"])
async def test_after_a_lost_answer_an_unknown_estatus_proves_nothing(
    client: FacturaOnline, emulator: Emulator, verb: str, estatus: str
) -> None:
    uid = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    emulator.state["series"][uid]["estatus"] = estatus
    emulator.inject(Fault.drop_before_commit(), endpoint=f"series.{verb}")
    with pytest.raises(OutcomeUnknownError) as unknown:
        await getattr(client.series, verb)(uid)
    assert (emulator.count(f"series.{verb}"), emulator.state["series"][uid]["estatus"]) == (1, estatus)
    assert f"the serie {uid} has the estatus {estatus!r}" in unknown.value.__notes__[0]


@pytest.mark.parametrize("estatus", ["Activa", "activa", "ACTIVA"])
def test_is_active_ignores_case(estatus: str) -> None:
    assert Serie(uid=1, letra="F", tipo_documento="factura", estatus=estatus).is_active


@pytest.mark.parametrize("estatus", ["Inactiva", "Pausada", "", "Activada"])
def test_any_other_estatus_is_kept_and_means_not_active(estatus: str) -> None:
    serie = Serie(uid=1, letra="F", tipo_documento="factura", estatus=estatus)
    assert (serie.is_active, serie.estatus) == (False, estatus)


@pytest.mark.parametrize("verb", ["get", "activate", "deactivate", "delete"])
async def test_a_missing_serie_raises_not_found(client: FacturaOnline, verb: str) -> None:
    with pytest.raises(NotFoundError) as missing:
        await getattr(client.series, verb)(404)
    assert (missing.value.uid, missing.value.endpoint) == (404, f"series.{verb}")


async def test_series_belong_to_the_company_of_the_keys(client: FacturaOnline, emulator: Emulator) -> None:
    other = await client.empresas.get(emulator.add_empresa(rfc="CACX7605101P8"))
    theirs = client.for_empresa(other)
    mine = await client.series.ensure(letra="F", tipo_documento="factura")
    serie = await theirs.series.ensure(letra="F", tipo_documento="factura")
    assert serie.uid != mine.uid
    assert [row["empresa"] for row in emulator.state["series"].values()] == [MAIN, other.uid]
    with pytest.raises(NotFoundError):
        await theirs.series.get(mine.uid)
    assert theirs.session is client.session


async def test_wrong_keys_raise_an_authentication_error(emulator: Emulator) -> None:
    wrong = Credentials(api_key="JDJ5JDEwJG5vbmU=", secret_key="JDJ5JDEwJG5vbmU=")
    async with connect(wrong, base_url=emulator.base_url) as client:
        with pytest.raises(AuthenticationError) as refused:
            await client.series.list()
    assert ("bm9uZQ" in "".join(traceback.format_exception(refused.value)), "none" in refused.value.snippet) == (
        False,
        False,
    )


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"letra": "", "tipo_documento": "factura"}, "letra"),
        ({"letra": "  ", "tipo_documento": "factura"}, "letra"),
        ({"letra": 7, "tipo_documento": "factura"}, "letra"),
        ({"letra": "F", "tipo_documento": ""}, "tipo_documento"),
        ({"letra": "F", "tipo_documento": None}, "tipo_documento"),
        ({"letra": "F", "tipo_documento": "factura", "folio": 0}, "folio"),
        ({"letra": "F", "tipo_documento": "factura", "folio": "1"}, "folio"),
        ({"letra": "F", "tipo_documento": "factura", "folio": True}, "folio"),
        ({"letra": "F", "tipo_documento": "factura", "folio": 10**5000}, "folio"),
    ],
)
@pytest.mark.parametrize("verb", ["create", "ensure"])
async def test_bad_input_is_refused_before_anything_is_sent_and_the_error_names_it(
    client: FacturaOnline, emulator: Emulator, verb: str, arguments: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInputError, match=field) as refused:
        await getattr(client.series, verb)(**arguments)
    assert (refused.value.field, emulator.requests) == (field, ())


async def test_a_validation_error_has_the_servers_texts_by_field(client: FacturaOnline, emulator: Emulator) -> None:
    body = {"status": "error", "message": {"letra": ["El campo letra ya existe"]}}
    emulator.inject(Fault.status(422, body=body), endpoint="series.create")
    with pytest.raises(ValidationError) as refused:
        await client.series.create(letra="F", tipo_documento="factura")
    assert refused.value.fields == {"letra": ("El campo letra ya existe",)}


# ── find and ensure ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_find_distinguishes_series_by_letra_and_tipo_documento(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_serie(MAIN, letra="F", tipo_documento="pago")
    wanted = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    found = await client.series.find(letra="F", tipo_documento="factura")
    assert found is not None
    assert found.uid == wanted
    assert await client.series.find(letra="F", tipo_documento="retencion") is None


async def test_find_prefers_an_active_serie_among_several(client: FacturaOnline, emulator: Emulator) -> None:
    for estatus in ("Pausada", "Activa", "Pausada"):
        emulator.add_serie(MAIN, letra="F", tipo_documento="factura", estatus=estatus)
    found = await client.series.find(letra="F", tipo_documento="factura")
    assert found is not None
    assert found.is_active


async def test_find_all_gives_active_series_first(client: FacturaOnline, emulator: Emulator) -> None:
    uids = [
        emulator.add_serie(MAIN, letra="F", tipo_documento="factura", estatus=estatus)
        for estatus in ("Pausada", "Activa", "Pausada", "Activa")
    ]
    emulator.add_serie(MAIN, letra="F", tipo_documento="pago")
    found = await client.series.find_all(letra="F", tipo_documento="factura")
    assert [serie.uid for serie in found] == [uids[3], uids[1], uids[2], uids[0]]  # the API lists the newest first
    assert await client.series.find_all(letra="G", tipo_documento="factura") == []


async def test_each_caller_of_find_all_gets_a_list_of_its_own(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    both = await asyncio.gather(*(client.series.find_all(letra="F", tipo_documento="factura") for _ in range(2)))
    both[0].clear()
    assert [serie.letra for serie in both[1]] == ["F"]


@pytest.mark.parametrize(("stored", "asked"), [("F ", "F"), ("Ñ", "N\u0303"), ("N\u0303", "Ñ")])
async def test_blanks_and_decomposed_accents_make_no_second_serie(
    client: FacturaOnline, emulator: Emulator, stored: str, asked: str
) -> None:
    uid = emulator.add_serie(MAIN, letra=stored, tipo_documento="factura")
    assert (await client.series.ensure(letra=asked, tipo_documento="factura")).uid == uid


async def test_ensure_creates_once_and_then_finds(client: FacturaOnline, emulator: Emulator) -> None:
    first = await client.series.ensure(letra="F", tipo_documento="factura", folio=5)
    second = await client.series.ensure(letra="F", tipo_documento="factura", folio=99)
    assert first == second
    assert (emulator.count("series.create"), emulator.state["series"][first.uid]["folio"]) == (1, 5)


async def test_ensure_leaves_a_paused_serie_paused(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.add_serie(MAIN, letra="F", tipo_documento="factura", estatus="Pausada")
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    assert (serie.is_active, emulator.count("series.activate"), emulator.count("series.create")) == (False, 0, 0)


async def test_concurrent_ensures_of_one_serie_create_one(client: FacturaOnline, emulator: Emulator) -> None:
    series = await asyncio.gather(*(client.series.ensure(letra="F", tipo_documento="factura") for _ in range(50)))
    assert (len({serie.uid for serie in series}), len(emulator.state["series"])) == (1, 1)


async def test_ensure_after_a_lost_response_finds_the_created_serie(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.drop_after_commit(), endpoint="series.create")
    serie = await client.series.ensure(letra="F", tipo_documento="factura")
    assert (list(emulator.state["series"]), emulator.count("series.create")) == ([serie.uid], 1)


async def test_ensure_never_creates_twice_even_if_nothing_was_created(
    client: FacturaOnline, emulator: Emulator
) -> None:
    emulator.inject(Fault.drop_before_commit(), endpoint="series.create")
    with pytest.raises(OutcomeUnknownError):
        await client.series.ensure(letra="F", tipo_documento="factura")
    assert (emulator.count("series.create"), len(emulator.state["series"])) == (1, 0)


async def test_ensure_waits_for_a_list_that_lags() -> None:
    async with Emulator(list_lag=0.3) as emulator:
        config = evolve(QUICK, deadline=5)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            serie = await client.series.ensure(letra="F", tipo_documento="factura")
        assert (list(emulator.state["series"]), emulator.count("series.create")) == ([serie.uid], 1)


async def test_ensure_raises_an_error_that_says_it_was_created_if_no_list_shows_it() -> None:
    async with Emulator(list_lag=600) as emulator:
        async with connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client:
            with pytest.raises(UnreadableAnswerError, match="created"):
                await client.series.ensure(letra="F", tipo_documento="factura")
        assert emulator.count("series.create") == 1


async def test_ensure_adopts_a_serie_that_another_caller_created_meanwhile(
    client: FacturaOnline, emulator: Emulator
) -> None:
    """The list shows nothing, the create is refused, and then the list shows it."""
    emulator.inject(Fault.status(200, body={"status": "success", "data": []}), endpoint="series.list")
    emulator.inject(Fault.status(409, body={"status": "error", "message": "Ya existe"}), endpoint="series.create")
    wanted = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    assert (await client.series.ensure(letra="F", tipo_documento="factura")).uid == wanted


async def test_a_refused_ensure_raises_the_apis_reason(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(
        Fault.status(200, body={"status": "error", "message": "El tipo no es válido"}),
        endpoint="series.create",
        times=None,
    )
    with pytest.raises(ValidationError, match="no es válido"):
        await client.series.ensure(letra="F", tipo_documento="???")
    assert (emulator.count("series.create"), emulator.count("series.list")) == (1, 2)


async def test_an_ensure_whose_list_fails_creates_nothing(client: FacturaOnline, emulator: Emulator) -> None:
    emulator.inject(Fault.status(500), endpoint="series.list", times=None)
    with pytest.raises(ServerError):
        await client.series.ensure(letra="F", tipo_documento="factura")
    assert emulator.count("series.create") == 0


async def test_a_thousand_ensures_share_their_lists_and_stay_within_the_concurrency() -> None:
    async with Emulator(latency=0.002) as emulator:
        config = evolve(QUICK, concurrency=16, concurrency_per_key=16)
        async with connect(emulator.credentials, base_url=emulator.base_url, config=config) as client:
            series = await asyncio.gather(
                *(client.series.ensure(letra=f"S{number}", tipo_documento="factura") for number in range(1000))
            )
        assert len({serie.uid for serie in series}) == len(emulator.state["series"]) == 1000
        assert emulator.count("series.create") == 1000
        assert emulator.in_flight_max == 16
        assert emulator.count("series.list") < 100


# ── Rows that cannot be read ──────────────────────────────────────────────────────────────────────────────────────────

GOOD = {"SerieID": 1, "SerieName": "F", "SerieType": "factura", "SerieDescription": "x", "SerieStatus": "Activa"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD | {"SerieName": None}, "row 1: SerieName: is required, but empty"),
        (GOOD | {"SerieID": "private"}, "row 1: SerieID: expected a whole number, not this text"),
        ({"SerieID": 1}, "row 1: SerieName is missing"),
        ("private", "row 1: expected an object, not this text"),
    ],
)
async def test_a_malformed_row_raises_an_error_that_names_it(row: object, reason: str) -> None:
    body = json.dumps({"status": "success", "data": [GOOD, row, GOOD]})
    async with replaying(body) as (client, _):
        with pytest.raises(UnreadableAnswerError) as unreadable:
            await client.series.list()
    assert reason in str(unreadable.value)
    assert "private" not in str(unreadable.value)
    text = unreadable.value.args[0]
    assert (text.code, text.parameters["reason"].code) == ("calls.unreadable_answer", "calls.in_row")
    assert text.parameters["reason"].parameters["reason"].code.startswith("calls.")


@pytest.mark.parametrize("data", [None, {}, "x", 7])
async def test_a_response_that_is_no_list_is_unreadable(data: object) -> None:
    async with replaying(json.dumps({"status": "success", "data": data})) as (client, _):
        with pytest.raises(UnreadableAnswerError, match="expected a list"):
            await client.series.list()


async def test_undocumented_fields_are_ignored() -> None:
    async with replaying(json.dumps({"status": "success", "data": [GOOD | {"SerieColor": "rojo"}]})) as (client, _):
        assert [serie.letra for serie in await client.series.list()] == ["F"]


async def test_reading_a_long_list_does_not_block_other_tasks() -> None:
    body = json.dumps({"status": "success", "data": [GOOD] * 20_000})
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    async with replaying(body) as (client, _):
        series = client.series
        await series.list()
        counting = asyncio.create_task(count())
        assert len(await series.list()) == 20_000
        counting.cancel()
    assert rounds > 15  # less than ten of them wait for the network


@pytest.mark.parametrize("letra", ["F\x00", "F\nG", "\ud800", "a\u2028b"])
async def test_a_letra_with_a_control_character_is_refused_before_anything_is_sent(
    client: FacturaOnline, emulator: Emulator, letra: str
) -> None:
    for call in (client.series.create, client.series.ensure, client.series.find):
        with pytest.raises(InvalidInputError, match=r"letra holds the character U\+"):
            await call(letra=letra, tipo_documento="factura")
    assert emulator.requests == ()
