"""Series in bulk: a file names them, the account is read first, and a second run does only the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from facturaonline_async import NotFoundError, OutcomeUnknownError, UnreadableAnswerError, connect
from facturaonline_async._cli.series_in_bulk import Verb, _Change, _Job
from facturaonline_async.empresas import Empresa
from facturaonline_async.series import Serie
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import run
from tests.terminals import at_terminal

ONE, TWO = "AAA010101001", "AAA010101002"


def account(emulator: Emulator) -> None:
    """Add two companies: F is active, P is paused, N is active."""
    for rfc in (ONE, TWO):
        uid = emulator.add_empresa(rfc=rfc)
        emulator.add_serie(uid, letra="F", tipo_documento="factura")
        emulator.add_serie(uid, letra="P", tipo_documento="pago", estatus="Pausada")
        emulator.add_serie(uid, letra="N", tipo_documento="nomina")


def states(emulator: Emulator) -> list[str]:
    return [f"{row['letra']} {row['estatus']}" for row in emulator.state["series"].values()]


def written(emulator: Emulator) -> list[str]:
    return sorted(request.endpoint for request in emulator.requests if request.method != "GET")


def file(folder: Path, *rows: str) -> Path:
    path = folder / "series.csv"
    path.write_text("\n".join(["rfc,series", *rows]), encoding="utf-8")
    return path


# ── deactivate, activate, delete ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_series_of_a_file_are_paused(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;P:pago", f"{TWO},F:factura")
    ran = await run("series", "deactivate", "--from", path, emulator=emulator)

    assert (ran.code, "Paused: 2 series" in ran.out, written(emulator)) == (0, True, ["series.deactivate"] * 2)
    assert states(emulator) == ["F Pausada", "P Pausada", "N Activa"] * 2
    assert "To pause: 2 series of 2 empresas" in ran.err
    assert "Paused already: 1 serie" in ran.err


@pytest.mark.parametrize("verb", ["deactivate", "activate", "delete"])
async def test_a_second_run_sends_nothing(tmp_path: Path, emulator: Emulator, verb: str) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;P:pago")
    first = await run("series", verb, "--from", path, "--yes", emulator=emulator)
    before = written(emulator)
    second = await run("series", verb, "--from", path, "--yes", "--json", emulator=emulator)

    assert (first.code, second.code, written(emulator)) == (0, 0, before)
    assert (second.json["done"], second.json["already"]) == (0, 2)


async def test_series_are_deleted_only_after_a_yes(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura")
    unasked = await run("series", "delete", "--from", path, emulator=emulator)
    before = written(emulator)
    agreed = await run("series", "delete", "--from", path, "--yes", emulator=emulator)

    assert (unasked.code, before, agreed.code, written(emulator)) == (2, [], 0, ["series.delete"])
    assert len(states(emulator)) == 5


async def test_what_cannot_be_changed_is_named_and_the_rest_is_done(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, "EKU9003173C9,F:factura", f"{ONE},X:factura;F:factura")
    ran = await run("series", "deactivate", "--from", path, "--json", emulator=emulator)

    assert (ran.code, ran.json["done"]) == (1, 1)
    assert [(each["row"], each["rfc"]) for each in ran.json["problems"]] == [(2, "EKU9003173C9"), (3, ONE)]


async def test_series_with_one_name_are_not_guessed(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    twice = [emulator.add_serie(uid, letra="F", tipo_documento="factura") for _ in range(2)]
    ran = await run("series", "delete", "--from", file(tmp_path, f"{ONE},F:factura"), "--yes", emulator=emulator)

    assert (ran.code, written(emulator)) == (1, [])
    assert ", ".join(map(str, twice)) in ran.err


@pytest.mark.parametrize("estatus", ["Suspendida", ""])
@pytest.mark.parametrize("verb", ["activate", "deactivate"])
async def test_a_serie_that_is_neither_active_nor_paused_is_named_and_left_alone(
    tmp_path: Path, emulator: Emulator, verb: str, estatus: str
) -> None:
    account(emulator)
    uid, row = next(iter(emulator.state["series"].items()))
    row["estatus"] = estatus
    path = file(tmp_path, f"{ONE},F:factura;P:pago;N:nomina")
    ran = await run("series", verb, "--from", path, "--json", emulator=emulator)

    [problem] = ran.json["problems"]
    assert (ran.code, ran.json["done"], ran.json["already"], written(emulator)) == (1, 1, 1, [f"series.{verb}"])
    assert (row["estatus"], f"F:factura ({uid}) has the estatus {estatus!r}" in problem["reason"]) == (estatus, True)


@pytest.mark.parametrize("estatus", ["Inactiva", "PAUSADA"])
async def test_words_for_paused_count_as_paused(tmp_path: Path, emulator: Emulator, estatus: str) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    emulator.add_serie(uid, letra="F", tipo_documento="factura", estatus=estatus)
    path = file(tmp_path, f"{ONE},F:factura")
    paused = await run("series", "deactivate", "--from", path, "--json", emulator=emulator)
    active = await run("series", "activate", "--from", path, "--json", emulator=emulator)

    assert [(ran.code, ran.json["already"], ran.json["done"]) for ran in (paused, active)] == [(0, 1, 0), (0, 0, 1)]


@pytest.mark.parametrize("verb", ["activate", "delete"])
async def test_the_estatus_of_a_serie_does_not_matter_where_it_decides_nothing(
    tmp_path: Path, emulator: Emulator, verb: str
) -> None:
    """Another serie of the name is active already, or all are to be deleted."""
    uid = emulator.add_empresa(rfc=ONE)
    emulator.add_serie(uid, letra="F", tipo_documento="factura", estatus="Suspendida")
    if verb == "activate":
        emulator.add_serie(uid, letra="F", tipo_documento="factura")
    ran = await run("series", verb, "--from", file(tmp_path, f"{ONE},F:factura"), "--yes", "--json", emulator=emulator)

    assert (ran.code, ran.json["problems"]) == (0, [])
    assert (ran.json["already"], ran.json["done"]) == ((1, 0) if verb == "activate" else (0, 1))


async def test_a_delete_without_an_answer_is_told(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    emulator.inject(Fault.drop_before_commit(), endpoint="series.delete", times=None)
    emulator.inject(Fault.status(500), endpoint="series.get", times=None)
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await run("series", "delete", "--from", path, "--yes", emulator=emulator)
    emulator.clear_faults()
    again = await run("series", "delete", "--from", path, "--yes", emulator=emulator)

    assert (ran.code, f"{ONE} F:factura" in ran.err) == (3, True)
    assert (again.code, len(states(emulator))) == (0, 5)


@pytest.mark.parametrize("arguments", [[], ["1", "--from", "x.csv"], ["--from", "x.csv", "--empresa", ONE]])
async def test_one_serie_or_a_file_is_named(arguments: list[str], emulator: Emulator) -> None:
    ran = await run("series", "deactivate", *arguments, emulator=emulator)

    assert (ran.code, written(emulator)) == (2, [])


# ── apply ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_missing_series_are_created_and_no_company(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento", "EKU9003173C9,F:factura")
    ran = await run("series", "apply", path, "--settle", "0.3", emulator=emulator)

    assert (ran.code, written(emulator)) == (1, ["series.create"])
    assert "no company with this RFC" in ran.out


async def test_applying_a_plan_twice_creates_nothing_twice(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento")
    arguments = ["series", "apply", path, "--settle", "0.3", "--journal", tmp_path / "run.sqlite"]
    codes = [(await run(*arguments, emulator=emulator)).code for _ in range(2)]

    assert (codes, written(emulator)) == ([0, 0], ["series.create"])


async def test_other_series_are_paused_only_on_demand(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento")
    arguments = ["series", "apply", path, "--settle", "0.3"]
    await run(*arguments, emulator=emulator)
    before = states(emulator)
    ran = await run(*arguments, "--deactivate-others", emulator=emulator)

    assert (ran.code, before[:3]) == (0, ["F Activa", "P Pausada", "N Activa"])
    assert states(emulator) == ["F Activa", "P Pausada", "N Pausada", "F Activa", "P Pausada", "N Activa", "A Activa"]


async def test_other_series_with_an_unknown_estatus_are_named(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    _, paused, row, *_ = emulator.state["series"].values()
    row["estatus"] = "Suspendida"
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await run("series", "apply", path, "--deactivate-others", emulator=emulator)

    assert (ran.code, paused["estatus"], row["estatus"]) == (1, "Pausada", "Suspendida")
    assert ("N:nomina" in ran.err, "'Suspendida'" in ran.err, "Paused already: 1 serie" in ran.err) == (True,) * 3


async def test_other_series_stay_active_if_the_plan_is_not_complete(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura", "EKU9003173C9,F:factura")
    ran = await run("series", "apply", path, "--deactivate-others", "--settle", "0.3", emulator=emulator)

    assert (ran.code, written(emulator), "no other series were paused" in ran.err) == (1, [], True)


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x03"])
async def test_without_a_yes_the_other_series_stay_and_the_new_ones_are_told(
    tmp_path: Path, emulator: Emulator, answer: str
) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;A:arrendamiento")
    ran = await at_terminal(
        "series",
        "apply",
        path,
        "--deactivate-others",
        "--settle",
        "0.3",
        answers=[("[y/N]", "y\n"), ("[y/N]", answer)],
        emulator=emulator,
    )

    assert (ran.code, written(emulator)) == (130 if answer == "\x03" else 1, ["series.create"])
    assert ("No other serie was paused" in ran.err, "Nothing was changed" in ran.err) == (True, False)


async def test_a_serie_with_the_letra_of_a_named_one_and_another_tipo_is_paused(
    tmp_path: Path, emulator: Emulator
) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    emulator.add_serie(uid, letra="F", tipo_documento="factura")
    emulator.add_serie(uid, letra="F", tipo_documento="pago")
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await run("series", "apply", path, "--deactivate-others", "--settle", "0.3", emulator=emulator)

    assert (ran.code, states(emulator)) == (0, ["F Activa", "F Pausada"])


async def test_a_plan_is_not_taken_as_the_journal(tmp_path: Path, emulator: Emulator) -> None:
    path = file(tmp_path, f"{ONE},F:factura")
    before = path.read_bytes()
    ran = await run("series", "apply", path, "--journal", path, emulator=emulator)

    assert (ran.code, path.read_bytes(), len(emulator.requests)) == (2, before, 0)


# ── Confirmation ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", ["deactivate", "delete"])
@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\n", 1), ("\x03", 130), ("y\n", 0), ("s\n", 0)])
async def test_at_a_terminal_only_a_yes_changes_something(
    tmp_path: Path, emulator: Emulator, verb: str, answer: str, code: int
) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await at_terminal("series", verb, "--from", path, answers=[("[y/N]", answer)], emulator=emulator)

    assert (ran.code, written(emulator)) == (code, [] if code else [f"series.{verb}"])
    assert ("Nothing was changed." in ran.err) is (code != 0)


@pytest.mark.parametrize("verb", ["deactivate", "activate", "delete"])
async def test_a_script_needs_yes_in_production_before_anything_is_read(tmp_path: Path, verb: str) -> None:
    """The port is closed: a read would fail otherwise than by the missing --yes."""
    path = file(tmp_path, f"{ONE},F:factura")
    production = "https://app.facturaonline.com.mx.invalid/api"
    keys = {"FACTURAONLINE_API_KEY": "k" * 32, "FACTURAONLINE_SECRET_KEY": "s" * 32}
    ran = await run("series", verb, "--from", path, "--base-url", production, env=keys)

    assert (ran.code, "--yes" in ran.err) == (2, True)


async def test_keys_are_required_before_a_question(tmp_path: Path, emulator: Emulator) -> None:
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await run("series", "delete", "--from", path, "--base-url", emulator.base_url)

    assert (ran.code, "FACTURAONLINE_API_KEY" in ran.err) == (2, True)


# ── Which serie is meant ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_row_with_the_uid_of_another_company_changes_nothing(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    other = emulator.add_empresa(rfc="AAA010101003")
    path = tmp_path / "series.csv"
    path.write_text(f"rfc,uid,series\n{ONE},{other},F:factura\n", encoding="utf-8")
    ran = await run("series", "deactivate", "--from", path, "--json", emulator=emulator)

    assert (ran.code, written(emulator), [each["rfc"] for each in ran.json["problems"]]) == (1, [], [ONE])


async def test_an_rfc_is_found_in_any_case(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE.lower()},F:factura")
    ran = await run("series", "deactivate", "--from", path, emulator=emulator)

    assert (ran.code, states(emulator)[0]) == (0, "F Pausada")


@pytest.mark.parametrize("name", ["F:facturas", "F:Factura", "f:factura"])
async def test_a_misspelt_serie_is_not_taken_for_a_deleted_one(tmp_path: Path, emulator: Emulator, name: str) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},{name}")
    ran = await run("series", "delete", "--from", path, "--yes", "--json", emulator=emulator)

    assert (ran.code, ran.json["already"], [each["rfc"] for each in ran.json["problems"]]) == (1, 0, [ONE])


async def test_the_name_of_a_misspelt_serie_of_the_account_is_not_guessed(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    emulator.add_serie(uid, letra="F", tipo_documento="facturas")
    wrong, right = file(tmp_path, f"{ONE},F:factura"), tmp_path / "right.csv"
    right.write_text(f"rfc,series\n{ONE},F:facturas\n", encoding="utf-8")
    codes = [
        (await run("series", "delete", "--from", path, "--yes", emulator=emulator)).code for path in (wrong, right)
    ]

    assert (codes, states(emulator)) == ([1, 0], [])


async def test_a_notice_about_the_file_is_shown(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = tmp_path / "series.csv"
    path.write_text(f"rfc,series,notas\n{ONE[:3]}-{ONE[3:9]}-{ONE[9:]},F:factura,x\n", encoding="utf-8")
    ran = await run("series", "deactivate", "--from", path, emulator=emulator)

    assert (ran.code, f"was read as {ONE}" in ran.err) == (0, True)


async def test_a_serie_that_is_active_already_gets_no_second_active_one(tmp_path: Path, emulator: Emulator) -> None:
    uid = emulator.add_empresa(rfc=ONE)
    emulator.add_serie(uid, letra="F", tipo_documento="factura")
    emulator.add_serie(uid, letra="F", tipo_documento="factura", estatus="Pausada")
    ran = await run("series", "activate", "--from", file(tmp_path, f"{ONE},F:factura"), "--json", emulator=emulator)

    assert (ran.code, ran.json["already"], written(emulator)) == (0, 1, [])


async def test_a_question_follows_what_would_be_done_also_with_json(tmp_path: Path, emulator: Emulator) -> None:
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura")
    ran = await at_terminal("series", "delete", "--from", path, "--json", answers=[("[y/N]", "n\n")], emulator=emulator)

    assert (ran.code, f"{ONE}: F:factura" in ran.err, written(emulator)) == (1, True, [])


async def test_a_question_is_in_the_language_of_the_person_also_with_json(tmp_path: Path, emulator: Emulator) -> None:
    """The JSON is English."""
    account(emulator)
    path = file(tmp_path, f"{ONE},F:factura;X:factura")
    arguments = ("--lang", "es", "series", "deactivate", "--from", path, "--json")
    declined = await at_terminal(*arguments, answers=[("[s/N]", "n\n")], emulator=emulator)
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="series.deactivate")
    agreed = await at_terminal(*arguments, answers=[("[s/N]", "s\n")], emulator=emulator)

    assert (declined.code, "¿Pausar 1 serie en " in declined.err, "No se cambió nada." in declined.err) == (
        1,
        True,
        True,
    )
    assert (agreed.code, "Por pausar: 1 serie" in agreed.err, agreed.json["done"]) == (1, True, 0)
    assert agreed.json["problems"][0]["reason"] == "the company has no serie X:factura"
    assert "the API refused: no" in agreed.json["failed"][0]["reason"]


# ── Interruption ──────────────────────────────────────────────────────────────────────────────────────────────────────


def job(verb: Verb = "deactivate") -> _Job:
    return _Job(verb, yes=True, as_json=False, base_url=None, database=None)


def change(uid: int) -> _Change:
    empresa = Empresa(uid="1", rfc=ONE, razon_social="Uno")
    return _Change(2, empresa, Serie(uid=uid, letra="F", tipo_documento="factura", estatus="Activa"))


def test_after_ctrl_c_no_other_call_begins() -> None:
    bulk_job = job()
    begun = []
    for each in bulk_job._until_stopped([change(1), change(2), change(3)]):
        begun.append(each.serie.uid)
        bulk_job._stop()

    assert begun == [1]


async def test_the_outcome_of_cancelled_calls_is_unknown(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    account(emulator)
    emulator.inject(Fault.delay(60), endpoint="series.deactivate", times=None)
    async with connect(emulator.credentials, base_url=emulator.base_url) as client:
        bulk_job, found = job(), await client.empresas.list()
        empresa = next(each for each in found if each.rfc == ONE)
        series = await client.for_empresa(empresa).series.list()
        changes = [_Change(2, empresa, serie) for serie in series if serie.is_active]
        task = asyncio.create_task(bulk_job._change_all(client, changes))
        while len(written(emulator)) < len(changes):  # noqa: ASYNC110  # the emulator has no event for it
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    told = capsys.readouterr().err
    assert (len(changes), task.cancelled(), bulk_job._unknown) == (2, True, changes)
    assert [f"{each.name}: there was no answer" in told for each in changes] == [True, True]


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (None, (1, 0, 0)),
        (NotFoundError("gone"), (0, 1, 0)),
        (RuntimeError("bug"), (0, 1, 0)),
        (OutcomeUnknownError("no answer"), (0, 0, 1)),
        (UnreadableAnswerError("not JSON"), (0, 0, 1)),
    ],
)
def test_a_call_is_done_failed_or_unknown(error: Exception | None, counts: tuple[int, int, int]) -> None:
    bulk_job = job()
    bulk_job._count(change(1), error)

    assert (bulk_job._done, len(bulk_job._failed), len(bulk_job._unknown)) == counts
