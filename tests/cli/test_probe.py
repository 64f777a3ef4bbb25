"""``facturaonline probe``: what it observes, that it leaves nothing, and that its report says nothing of anybody."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import (
    AuthenticationError,
    Credentials,
    FacturaOnlineError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
)
from facturaonline_async._cli.probe_report import Observations, ObservedAnswer, differences, read_report, report_of
from facturaonline_async._cli.probe_run import LeftSerie, Limits, Probe
from facturaonline_async._cli.probe_shape import compare, shape_of
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import environment, run, started
from tests.terminals import at_terminal

pytestmark = pytest.mark.one_python

MAIN = "607a062eae2bb"
LIMITS = Limits(call=30, listed=20, idle=5)
CALLS = 20
"""Requests of a whole probe of an emulator, those of the clean-up included."""

LISTS = 3
"""Lists of series that a probe of an emulator without lag reads before it deletes."""


def probe_of(emulator: Emulator, limits: Limits = LIMITS) -> Probe:
    return Probe(emulator.base_url, emulator.credentials, limits)


async def requests_of(emulator: Emulator, least: int, endpoint: str = "") -> None:
    """Wait until the emulator has got so many requests."""
    while (emulator.count(endpoint) if endpoint else len(emulator.requests)) < least:  # noqa: ASYNC110  # no event says so
        await asyncio.sleep(0.01)


async def observe(emulator: Emulator) -> Observations:
    probe = probe_of(emulator)
    await probe.run()
    assert probe.left == []
    return probe.observed


def saved(folder: Path, observed: Observations, **changes: Any) -> Path:
    """Write a report with changed answers (``name__attribute=value``) and durations."""
    report = report_of(observed)
    for name, value in changes.items():
        *of, what = name.split("__")
        place = report["observed"]["answers"][":".join(".".join(of).split("_is_"))] if of else report["observed"]
        assert what in place
        place[what] = value
    path = folder / "probe.json"
    path.write_text(json.dumps(report))
    return path


# ── What it observes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
async def test_a_probe_of_the_emulator_finds_what_the_emulator_does_and_leaves_nothing(emulator: Emulator) -> None:
    own = emulator.add_serie(MAIN, letra="F", tipo_documento="factura")
    observed = await observe(emulator)

    assert [*emulator.state["series"]] == [own]
    assert len(emulator.requests) == CALLS + 1  # with the request for the idle connection
    assert {name: answer.read_as for name, answer in observed.answers.items()} == {
        "empresas.current": "success",
        "empresas.list": "success",
        "series.list": "success",
        "series.list:wrong_keys": "AuthenticationError",
        "series.create": "success",
        "series.list:with_serie": "success",
        "series.get": "success",
        "series.deactivate": "success",
        "series.get:paused": "success",
        "series.activate": "success",
        "series.get:active": "success",
        "series.create:duplicate": "success",
        "series.create:missing_field": "ValidationError",
        "series.create:wrong_value": "ValidationError",
        "series.delete": "success",
        "series.get:unknown_uid": "NotFoundError",
        "series.deactivate:unknown_uid": "NotFoundError",
        "series.delete:unknown_uid": "NotFoundError",
    }
    assert (observed.active, observed.paused, observed.is_reused) == ("Activa", "Pausada", True)
    assert (observed.list_lag, observed.idle, observed.idle_watched) == (0.0, None, 5)
    assert observed.answers["series.activate"].shape == {"status": "=success", "messsage": "string"}


@pytest.mark.virtual_clock
async def test_the_letra_of_a_probe_is_one_that_no_serie_has(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["QX", "QY"])
    monkeypatch.setattr("random.choices", lambda letters, k: [*next(drawn)] if k == 2 else ["a"] * k)
    own = emulator.add_serie(MAIN, letra="zqxA", tipo_documento="pago")
    await observe(emulator)

    assert [*emulator.state["series"]] == [own]
    assert {each.fields["letra"] for each in emulator.requests if each.endpoint == "series.create"} == {
        *("ZQYA", "ZQYB", "ZQYC")
    }


@pytest.mark.virtual_clock
@pytest.mark.parametrize("lag", [0.2, 3.0, 11.0])
async def test_the_lag_of_the_list_is_measured_to_a_quarter_of_a_second(lag: float) -> None:
    async with Emulator(list_lag=lag) as emulator:
        observed = await observe(emulator)
        assert emulator.state["series"] == {}
    assert observed.list_lag is not None
    assert 0 <= observed.list_lag - lag <= 0.25


@pytest.mark.virtual_clock
async def test_a_serie_that_no_list_shows_is_left_and_said() -> None:
    async with Emulator(list_lag=1000) as emulator:
        probe = probe_of(emulator)
        await probe.run()
        [row] = emulator.state["series"].values()
    assert (probe.observed.list_lag, probe.observed.list_watched) == (None, 20)
    assert probe.left == [LeftSerie(row["letra"], "")]
    assert "series.get" not in probe.observed.answers


@pytest.mark.virtual_clock
async def test_a_serie_that_cannot_be_deleted_is_left_and_said(emulator: Emulator) -> None:
    emulator.inject(Fault.status(403, body={"status": "error", "message": "no"}), endpoint="series.delete", times=None)
    probe = probe_of(emulator)
    await probe.run()
    rows = emulator.state["series"]

    assert sorted(each.uid for each in probe.left) == sorted(map(str, rows))
    assert {each.letra for each in probe.left} == {row["letra"] for row in rows.values()}


@pytest.mark.virtual_clock
@pytest.mark.parametrize("data", [None, [{}], [{"SerieName": "F", "SerieID": None}], "?"], ids=json.dumps)
async def test_a_list_that_is_not_readable_shows_no_serie_as_deleted(emulator: Emulator, data: Any) -> None:
    emulator.inject(Fault.html_page(status=500, commit=False), endpoint="series.delete", times=None)
    emulator.inject(
        Fault.status(200, body={"status": "success", "data": data}), endpoint="series.list", skip=LISTS, times=None
    )
    probe = probe_of(emulator)
    await probe.run()
    rows = emulator.state["series"]

    named = {(each.letra, each.uid, each.is_certain) for each in probe.left if each.uid}
    assert named <= {(row["letra"], str(uid), False) for uid, row in rows.items()}
    assert (len(probe.left), len(named) >= 1) == (len(rows), True)


@pytest.mark.virtual_clock
async def test_the_first_page_of_a_longer_list_shows_no_serie_as_deleted(emulator: Emulator) -> None:
    emulator.inject(Fault.html_page(status=500, commit=False), endpoint="series.delete", times=None)
    page = {"status": "success", "data": [], "pagination": {"lastPage": 2}}
    emulator.inject(Fault.status(200, body=page), endpoint="series.list", skip=LISTS, times=None)
    probe = probe_of(emulator)
    await probe.run()
    assert (len(probe.left), len(emulator.state["series"])) == (2, 2)


@pytest.mark.virtual_clock
async def test_a_known_serie_is_deleted_although_no_list_is_readable(emulator: Emulator) -> None:
    duplicate = {"status": "error", "message": {"letra": ["La letra ya está en uso"]}}
    emulator.inject(Fault.status(422, body=duplicate), endpoint="series.create", skip=1)
    emulator.inject(Fault.html_page(status=500, commit=False), endpoint="series.delete")
    emulator.inject(
        Fault.status(200, body={"status": "success", "data": None}), endpoint="series.list", skip=LISTS, times=None
    )
    probe = probe_of(emulator)
    await probe.run()
    assert (probe.left, emulator.state["series"]) == ([], {})


@pytest.mark.virtual_clock
async def test_a_serie_whose_delete_was_refused_surely_exists(emulator: Emulator) -> None:
    emulator.inject(Fault.status(403, body={"status": "error", "message": "no"}), endpoint="series.delete", times=None)
    probe = probe_of(emulator)
    await probe.run()
    assert [each.is_certain for each in probe.left] == [True, True]


@pytest.mark.virtual_clock
async def test_unknown_keys_end_a_probe_before_anything_is_created(emulator: Emulator) -> None:
    probe = Probe(emulator.base_url, Credentials(api_key="a", secret_key="b"), LIMITS)
    with pytest.raises(AuthenticationError):
        await probe.run()
    assert (probe.left, {each.method for each in emulator.requests}) == ([], {"GET", "HEAD"})


async def test_a_server_that_is_away_ends_a_probe() -> None:
    probe = Probe("http://127.0.0.1:9/api", Credentials(api_key="a", secret_key="b"), LIMITS)
    with pytest.raises(NotSentError):
        await probe.run()
    assert (probe.left, probe.observed) == ([], Observations())


# ── It leaves nothing ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
@pytest.mark.parametrize("number", range(CALLS + 6))  # with a lag, the list is read more often
async def test_a_probe_that_is_cancelled_during_any_call_deletes_what_it_created(number: int) -> None:
    async with Emulator(list_lag=1.0) as emulator:
        emulator.inject(Fault.delay_answer(7), skip=number)  # the work is done before
        task = asyncio.create_task(probe_of(emulator).run())
        await asyncio.wait(
            [task, asyncio.create_task(requests_of(emulator, number + 1))], return_when=asyncio.FIRST_COMPLETED
        )
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(10)  # the delayed call
        assert (task.cancelled(), emulator.state["series"]) == (True, {})


@pytest.mark.virtual_clock
async def test_a_second_cancellation_does_not_end_the_clean_up() -> None:
    async with Emulator(list_lag=5.0) as emulator:
        task = asyncio.create_task(probe_of(emulator).run())
        await requests_of(emulator, 1, "series.create")
        for _ in range(3):
            await asyncio.sleep(0.5)
            task.cancel()
        await asyncio.wait([task])
        assert (task.cancelled(), emulator.state["series"]) == (True, {})


@pytest.mark.virtual_clock
@pytest.mark.parametrize("number", range(CALLS + 6))  # with a lag, the list is read more often
@pytest.mark.parametrize("fault", [Fault.drop_after_commit(), Fault.garbage(), Fault.html_page(status=500)], ids=str)
async def test_an_answer_that_is_lost_or_odd_leaves_nothing(number: int, fault: Fault) -> None:
    async with Emulator(list_lag=1.0) as emulator:
        emulator.inject(fault, skip=number)
        probe = probe_of(emulator)
        try:
            await probe.run()
        except FacturaOnlineError as error:
            assert isinstance(error, OutcomeUnknownError)
        created = Counter(each.fields["letra"] for each in emulator.requests if each.endpoint == "series.create")
        # Of a create that was refused, and whose answer was lost, nobody knows that it was not done.
        refused = {letra for letra in created if letra[-1] in "BC"}
        assert {(each.letra, each.uid) for each in probe.left} <= {(letra, "") for letra in refused}
        assert (len(probe.left) <= 1, emulator.state["series"]) == (True, {})


# ── Its report says nothing of anybody ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
async def test_a_report_has_no_value_of_the_account(emulator: Emulator) -> None:
    emulator.add_empresa(rfc="EKU9003173C9", razon_social="ESCUELA KEMPER URGATE", email="kemper@example.com")
    emulator.add_serie(MAIN, letra="SECRETA", tipo_documento="factura", estatus="Activa de Kemper")
    keys = emulator.credentials
    odd = {
        "status": "Kemper 1",
        "response": keys.secret_key.reveal(),
        "data": {"EKU9003173C9": {"607a062eae2bb": [1, "KEMPER"]}, keys.api_key.reveal(): None, "ESCUELA KEMPER": 1},
    }
    emulator.inject(Fault.status(200, body=odd), endpoint="empresas.list")
    emulator.inject(Fault.status(401, body=[{"status": "error", "message": "KEMPER"}]), endpoint="series.get")
    probe = probe_of(emulator)
    await probe.run()
    assert probe.observed.answers["empresas.list"].read_as == "OutcomeUnknownError"
    text = json.dumps(report_of(probe.observed, differences=[*differences(Observations(), probe.observed)]))
    emulator.clear_faults()
    whole = json.dumps(report_of(await observe(emulator)))
    letras = {each.fields["letra"] for each in emulator.requests if each.endpoint == "series.create"}

    values = {"EKU", "EMU2", "607a", "kemper", "secreta", "emulador", keys.api_key.reveal(), keys.secret_key.reveal()}
    assert [value for value in values | letras if value.casefold() in (text + whole).casefold()] == []
    assert shape_of(json.dumps(odd).encode()) == {
        "status": "=<other>",
        "response": "=<other>",
        "data": {"<other>": "integer|null|object"},
    }


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b"", None),
        (b"<html>", None),
        (b"[" * 100_000, None),
        (b'"text"', "string"),
        (b'[{"status": "success", "a": 1}]', [{"status": "=success", "a": "integer"}]),
        (b'{"status": 1, "response": "failed", "0": "x"}', {"status": "integer", "response": "=failed", "0": "string"}),
        (
            b'{"d": [{"a": 1}, {"a": "", "b": {}}, {"b": null}]}',
            {"d": [{"a": "absent|integer|string", "b": "null|object"}]},
        ),
        (b'{"d": [[], [true]], "e": [], "f": [1.5, null]}', {"d": [["boolean"]], "e": [], "f": ["null|number"]}),
    ],
)
def test_a_shape_has_names_and_types(body: bytes, shape: Any) -> None:
    assert shape_of(body) == shape


@pytest.mark.parametrize(
    ("expected", "found", "result"),
    [
        ({"a": "string"}, {"a": "string"}, []),
        ({"a": "integer|string"}, {"a": "string"}, []),
        ({"a": "string"}, {"a": "integer|string"}, [("a", "string", "integer|string")]),
        ({"a": "string"}, {}, [("a", "string", "absent")]),
        ({}, {"a": {"b": "null"}}, [("a", "absent", "object")]),
        ({"d": []}, {"d": [{"a": "null"}]}, []),
        ({"d": [{"a": "string"}]}, {"d": [{"a": "null"}]}, [("d[].a", "string", "null")]),
        ({"status": "=success"}, {"status": "=create"}, [("status", "=success", "=create")]),
        (None, {"a": "string"}, [("", "no_json", "object")]),
        (None, None, []),
    ],
)
def test_shapes_are_compared_field_by_field(expected: Any, found: Any, result: list[tuple[str, str, str]]) -> None:
    assert [*compare(expected, found)] == result


# ── Emulator(behaviour=…) ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.virtual_clock
async def test_an_emulator_with_other_settings_is_played_by_another_one(tmp_path: Path) -> None:
    statuses = {"authentication": 401, "validation": 422, "not_found": 404}
    duplicate = {"status": "error", "message": {"letra": ["La letra ya está en uso"]}}
    async with Emulator() as emulator:
        own = await observe(emulator)
    async with Emulator(list_lag=3.0, refusal_statuses=statuses) as emulator:
        emulator.inject(Fault.status(422, body=duplicate), endpoint="series.create", skip=1)
        emulator.inject(Fault.status(201, body={"response": "success", "id": 7}, commit=True), endpoint="series.delete")
        emulator.inject(Fault.html_page(status=404, commit=False), endpoint="series.deactivate", skip=1)
        changed = await observe(emulator)
    async with Emulator(behaviour=saved(tmp_path, changed)) as emulator:
        played = await observe(emulator)

    assert [*differences(changed, played)] == []
    assert {(each["of"], each["what"]) for each in differences(own, changed)} >= {
        *(("series.list:wrong_keys", "status"), ("series.create:duplicate", "read_as"), ("series.delete", "response")),
        *(("series.deactivate:unknown_uid", "content_type"), ("behaviour", "list_lag")),
    }
    assert [*differences(own, played)] == [*differences(own, changed)]


@pytest.mark.virtual_clock
@pytest.mark.parametrize(
    "changes",
    [
        {"active": "Vigente", "paused": "Inactiva"},
        {"idle": 2.0},
        {"is_reused": False, "idle": 0.0},
        {"list_lag": 7.5},
        {"series__create_is_missing_field__read_as": "success"},
        {"series__create_is_wrong_value__read_as": "success"},
        {"series__create_is_duplicate__read_as": "ApiError", "series__create_is_duplicate__status": 409},
        {"series__list_is_wrong_keys__shape": {"status": "=error", "Data": "null", "message": ["string"]}},
        {"series__get_is_unknown_uid__shape": [{"response": "=failed", "0": "string"}]},
        {"series__get_is_unknown_uid__read_as": "PermissionDeniedError"},
        {"series__activate__shape": {"response": "=create", "data": {"a": "integer", "b": ["number"], "c": "null"}}},
        {"series__activate__status": 202, "series__activate__content_type": "text/json"},
        {
            "series__list_is_with_serie__shape": {
                "status": "=success",
                "data": [dict.fromkeys(("SerieID", "SerieName", "SerieType", "SerieStatus"), "string")],
                "pagination": {"total": "integer"},
            },
            "series__list__shape": {"status": "=success", "data": [], "pagination": {"total": "integer"}},
        },
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_changed_report_is_played_without_a_difference(
    tmp_path: Path, emulator: Emulator, changes: dict[str, Any]
) -> None:
    own = await observe(emulator)
    case = next((name.removesuffix("__read_as") for name, value in changes.items() if value == "success"), None)
    if case is not None:  # what is accepted is answered like any other create
        create = own.answers["series.create"]
        changes = changes | {f"{case}__shape": create.shape}
    if "series__create_is_duplicate__status" in changes:
        changes = changes | {"series__create_is_duplicate__shape": {"status": "=error", "message": "string"}}
    path = saved(tmp_path, own, **changes)
    async with Emulator(behaviour=path) as other:
        played = await observe(other)

    expected = read_report(path)
    assert [*differences(expected, played)] == []
    assert [*differences(expected, own)] != []


@pytest.mark.virtual_clock
async def test_durations_are_compared_with_a_tolerance_of_half_a_second() -> None:
    def of(*, lag: float | None, idle: float | None) -> Observations:
        return Observations(list_lag=lag, idle=idle)

    assert [*differences(of(lag=1.0, idle=2.0), of(lag=1.5, idle=1.6))] == []
    assert [each["what"] for each in differences(of(lag=1.0, idle=None), of(lag=1.6, idle=2.0))] == ["list_lag", "idle"]


# ── The command ───────────────────────────────────────────────────────────────────────────────────────────────────────

QUICK = ("--idle-wait", "0.2", "--list-wait", "20")


@pytest.mark.slow
async def test_the_report_of_a_probe_is_played_and_probed_again(tmp_path: Path) -> None:
    first, second = tmp_path / "probe.json", tmp_path / "again.json"
    async with Emulator(list_lag=1.0, refusal_statuses={"not_found": 404}) as emulator:
        ran = await run("probe", "--yes", "--out", first, *QUICK, emulator=emulator)
    assert (ran.code, "series.get:unknown_uid, status: expected 200, found 404" in ran.out) == (0, True)
    async with Emulator(behaviour=first) as emulator:
        again = await run("probe", "--yes", "--out", second, "--against", first, *QUICK, emulator=emulator)
    report = json.loads(second.read_text())

    assert (again.code, f"No difference to the report {first}." in again.out) == (0, True)
    assert (report["differences"], report["is_complete"], report["left"]) == ([], True, 0)
    assert report["compared_with"] == "report"


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("none/p.json", (), "does not exist. Create it"),
        ("p.json", (), "--force to replace it"),
        ("link.json", (), "--force to replace it"),
        ("link.json", ("--force",), "does not exist. Create it"),
        ("loop.json", ("--force",), "Too many levels of symbolic links"),
        ("folder", (), "Is a directory"),
        ("folder", ("--force",), "Is a directory"),
        ("pipe", ("--force",), "Invalid argument"),
    ],
)
async def test_a_report_that_cannot_be_written_is_refused_before_anything_is_sent(
    tmp_path: Path, emulator: Emulator, name: str, options: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "p.json").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.json").symlink_to("nowhere/p.json")
    (tmp_path / "loop.json").symlink_to("loop.json")
    os.mkfifo(tmp_path / "pipe")
    ran = await run("probe", "--yes", "--out", tmp_path / name, *options, *QUICK, emulator=emulator)
    assert (ran.code, reason in ran.err, "Traceback" in ran.err, emulator.requests) == (2, True, False, ())


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)], ids=str)
async def test_a_report_that_cannot_be_written_in_the_end_hides_nothing(
    emulator: Emulator, tmp_path: Path, options: tuple[str, ...]
) -> None:
    emulator.inject(Fault.status(403, body={"status": "error", "message": "no"}), endpoint="series.delete", times=None)
    emulator.inject(Fault.delay_answer(1), endpoint="series.get")
    out = tmp_path / "folder" / "p.json"
    out.parent.mkdir()
    waits = ("--idle-wait", "0.2", "--list-wait", "0.5")
    arguments = ("probe", "--yes", "--out", str(out), *waits, *options)
    async with started(*arguments, env=environment(emulator)) as process:
        await requests_of(emulator, 1, "series.get")
        out.parent.rmdir()
        printed, errors = (each.decode() for each in await process.communicate())
    uids = [*emulator.state["series"]]

    assert (process.returncode, len(uids)) == (1, 2)
    assert [uid for uid in uids if f"still exists: facturaonline series delete {uid}\n" not in errors] == []
    assert f"--out {out} cannot be written: the folder {out.parent} does not exist" in errors
    assert errors.index("still exists") < errors.index("cannot be written")
    if options:
        assert json.loads(printed)["left"] == 2
    else:
        assert "answers were observed." in printed
        assert "The report is in" not in printed


@pytest.mark.parametrize(
    ("field", "value", "seen"),
    [
        ("observed.list_lag", "z", '"z"'),
        ("observed.list_lag", True, "true"),
        ("observed.list_lag", float("nan"), "NaN"),
        ("observed.idle", -1, "-1"),
        ("observed.idle_watched", None, "null"),
        ("observed.is_reused", 1, "1"),
        ("observed.active", ["Activa"], '["Activa"]'),
        ("observed.other", 1, "1"),
        ("observed.answers", [], "[]"),
        ("observed.answers.series/get", "x" * 1000, f'"{"x" * 59} …'),
        ("observed.answers.series/get.status", "200", '"200"'),
        ("observed.answers.series/get.milliseconds", 1.5, "1.5"),
        ("observed.answers.series/get.shape", {"data": [{"a": 1}]}, '{"data": [{"a": 1}]}'),
        ("observed.answers.series/get.shape", ["string", "string"], '["string", "string"]'),
        ("observed.answers.series/get.read_as", None, "null"),
        ("observed.idle", ..., ""),
        ("observed.answers.series/get.status", ..., ""),
        ("observed", ..., "null"),
    ],
    ids=repr,
)
def test_a_wrong_field_of_a_report_is_named(tmp_path: Path, field: str, value: Any, seen: str) -> None:
    answer = ObservedAnswer(status=200, content_type="", read_as="success", shape={"a": "null"}, milliseconds=1)
    path = saved(tmp_path, Observations(answers={"series.get": answer}, list_lag=1, idle=2.5))
    assert read_report(path).answers == {"series.get": answer}
    report = place = json.loads(path.read_text())
    *of, last = (each.replace("/", ".") for each in field.split("."))
    for each in of:
        place = place[each]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    path.write_text(json.dumps(report))

    named = field.replace("/", ".")
    problem = f"{named} has the unexpected value {seen}" if seen else f"{named} is missing"
    with pytest.raises(InvalidInputError) as caught:
        read_report(path)
    text = f"--against: {path} is not a report of facturaonline probe: {problem}: give another file."
    assert (str(caught.value), caught.value.field) == (text, "against")


@pytest.mark.parametrize(
    "content", ["", "[]", "1", "{}", '{"format": 1}', "[" * 100_000, "\udc80"], ids=lambda each: each[:5]
)
def test_a_file_of_another_kind_is_no_report(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(InvalidInputError, match=r"is not a report of facturaonline probe: give another file\.$"):
        read_report(path)


async def test_a_wrong_report_is_refused_before_anything_is_sent(emulator: Emulator, tmp_path: Path) -> None:
    wrong, out = saved(tmp_path, Observations(), list_lag="z"), tmp_path / "again.json"
    ran = await run("probe", "--yes", "--out", out, "--against", wrong, *QUICK, emulator=emulator)
    assert (ran.code, "observed.list_lag has the unexpected value" in ran.err) == (2, True)
    assert (emulator.requests, out.exists()) == ((), False)


@pytest.mark.slow
async def test_production_and_unknown_hosts_are_refused(tmp_path: Path) -> None:
    keys = {"FACTURAONLINE_API_KEY": "a", "FACTURAONLINE_SECRET_KEY": "b"}
    for url, name in (
        ("https://facturaonline.com.mx/api", "PRODUCTION"),
        ("https://api.factura.com", "PRODUCTION"),
        ("https://other.example/api", "UNKNOWN HOST"),
    ):
        out = tmp_path / "probe.json"
        ran = await run("probe", "--yes", "--out", out, env=keys | {"FACTURAONLINE_BASE_URL": url})
        assert (ran.code, f"this is {name} ({url})" in ran.err, out.exists()) == (2, True, False)


@pytest.mark.slow
async def test_a_probe_asks_first(emulator: Emulator, tmp_path: Path) -> None:
    out = tmp_path / "probe.json"
    piped = await run("probe", "--out", out, emulator=emulator)
    declined = await at_terminal("probe", "--out", out, answers=[("[y/N]", "n\n")], emulator=emulator)
    assert (piped.code, "give --yes" in piped.err, declined.code, emulator.requests) == (2, True, 1, ())
    assert f"Create and delete a serie in LOCAL ({emulator.base_url})?" in declined.err
    agreed = await at_terminal("probe", "--out", out, *QUICK, answers=[("[y/N]", "y\n")], emulator=emulator)
    assert (agreed.code, "No difference to the emulator." in agreed.out, out.exists()) == (0, True, True)
    again = await run("probe", "--yes", "--out", out, emulator=emulator)
    assert (again.code, "exists: give another name" in again.err) == (2, True)
    forced = await run("probe", "--yes", "--json", "--force", "--out", out, *QUICK, emulator=emulator)
    assert (forced.code, forced.err, forced.json) == (0, "", json.loads(out.read_text()))


@pytest.mark.slow
async def test_a_probe_asks_in_the_language_of_the_person_also_with_json(emulator: Emulator, tmp_path: Path) -> None:
    probe = ("--lang", "es", "probe", "--json", "--out", tmp_path / "probe.json")
    piped = await run(*probe, emulator=emulator)
    declined = await at_terminal(*probe, answers=[("/N]", "n\n")], emulator=emulator)
    shown = ("¿Crear y eliminar una serie en ", "[s/N]", "No se creó nada.")
    assert (declined.code, [text in declined.err for text in shown], emulator.requests) == (1, [True] * 3, ())
    assert (piped.code, "give --yes" in piped.err) == (2, True)


@pytest.mark.slow
async def test_what_is_left_is_named_with_its_remedy(emulator: Emulator, tmp_path: Path) -> None:
    emulator.inject(Fault.status(403, body={"status": "error", "message": "no"}), endpoint="series.delete", times=None)
    options = ("--idle-wait", 0.2, "--list-wait", 0.5)
    ran = await run("--lang", "es", "probe", "--yes", "--out", tmp_path / "p.json", *options, emulator=emulator)
    rows = emulator.state["series"]

    assert (ran.code, len(rows)) == (1, 2)
    assert [uid for uid in rows if f"todavía existe: facturaonline series delete {uid}\n" not in ran.err] == []
    assert json.loads((tmp_path / "p.json").read_text())["left"] == 2


@pytest.mark.slow
async def test_what_may_be_left_is_named_too(emulator: Emulator, tmp_path: Path) -> None:
    emulator.inject(Fault.html_page(status=500, commit=False), endpoint="series.delete", times=None)
    rowless = {"status": "success", "data": [{}]}
    emulator.inject(Fault.status(200, body=rowless), endpoint="series.list", skip=LISTS, times=None)
    options = ("--idle-wait", 0.2, "--list-wait", 0.5)
    ran = await run("probe", "--yes", "--out", tmp_path / "p.json", *options, emulator=emulator)
    uid, row = next(iter(emulator.state["series"].items()))  # of two, the only one that a list had

    assert ran.code == 1
    assert (
        f"serie {row['letra']} (uid {uid}) of the probe may still exist: facturaonline series delete {uid}\n" in ran.err
    )
    assert json.loads((tmp_path / "p.json").read_text())["left"] == 2


@pytest.mark.slow
async def test_ctrl_c_deletes_what_was_created_and_says_so(emulator: Emulator, tmp_path: Path) -> None:
    emulator.inject(Fault.delay_answer(1), endpoint="series.deactivate")
    options = ("probe", "--yes", "--out", str(tmp_path / "p.json"))
    async with started(*options, env=environment(emulator)) as process:
        await requests_of(emulator, 1, "series.deactivate")
        process.send_signal(2)
        _, err = await process.communicate()

    assert (process.returncode, emulator.state["series"]) == (130, {})
    assert err.decode().endswith("Interrupted. Nothing of the probe is left.\n")
