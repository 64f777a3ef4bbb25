"""The `facturaonline` command, as people run it: in a process of its own."""

from __future__ import annotations

import ast
import asyncio
import csv
import errno
import json
import os
import re
import signal
import socket
import stat
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from cryptography import x509
from typer.main import get_command

from facturaonline_async import Credentials, Rate, Sello, connect, testing
from facturaonline_async._cli import app, example, interruption, provision
from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan, State
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.testing import Emulator, Fault
from facturaonline_async.testing._emulator import server
from tests.forkserver import command
from tests.plans import HEADER, ROW, certify, written
from tests.virtual import clocks, virtually

COMMAND = [sys.executable, "-m", "facturaonline_async"]


@frozen
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(emulator: Emulator | None = None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACTURAONLINE_")}
    inherited |= {"COLUMNS": "160", "TERM": "dumb", "XDG_CONFIG_HOME": os.devnull}  # nobody's own profiles
    if emulator is None:
        return inherited
    return inherited | {
        "FACTURAONLINE_BASE_URL": emulator.base_url,
        "FACTURAONLINE_API_KEY": emulator.credentials.api_key.reveal(),
        "FACTURAONLINE_SECRET_KEY": emulator.credentials.secret_key.reveal(),
    }


async def run(
    *arguments: object, emulator: Emulator | None = None, env: dict[str, str] | None = None, given: bytes | None = None
) -> Ran:
    if arguments[:1] == ("provision",) and "--settle" not in arguments:
        arguments = (*arguments, "--settle", "0.3")  # the last look is made then
    code, out, err = await command([str(each) for each in arguments], environment(emulator) | (env or {}), given)
    return Ran(code, out.decode(), err.decode())


def plan(folder: Path, companies: int, **cells: object) -> Path:
    rfcs = [f"AAA010101{number:03}" for number in range(companies)]
    certify(folder, rfcs)
    rows = [ROW | {"rfc": rfc, "cer": f"c/{rfc}.cer", "key": f"c/{rfc}.key"} | cells for rfc in rfcs]
    return written(folder, rows)


async def test_a_database_that_is_away_is_reported_once(emulator: Emulator) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = f"postgresql://user@127.0.0.1:{closed.getsockname()[1]}/database"
    ran = await run("series", "list", "--database", away, emulator=emulator)

    assert (ran.code, len(ran.err.splitlines()), "no connection to PostgreSQL" in ran.err) == (1, 1, True)


def test_every_command_that_calls_the_api_can_share_a_database() -> None:
    found: dict[str, set[str]] = {}
    for name, module in app._MODULES.items():
        command = get_command(import_module(f"facturaonline_async._cli.{module}").app)
        for each in getattr(command, "commands", {"": command}).values():
            found[f"{name} {each.name}"] = {option for parameter in each.params for option in parameter.opts}
    calling = {name: options for name, options in found.items() if "--base-url" in options}
    assert len(calling) > 10
    assert [name for name, options in calling.items() if "--database" not in options] == []


@pytest.mark.parametrize("words", [(), ("provision",), ("plan",), ("plan", "preview"), ("empresas", "get")])
async def test_h_shows_the_help_as_help_does(words: tuple[str, ...]) -> None:
    short, long = await run(*words, "-h"), await run(*words, "--help")

    assert (short.code, short.out) == (0, long.out)


@pytest.mark.parametrize("words", [(), ("provision",), ("empresas", "update")])
async def test_no_flag_has_a_type_in_the_help(words: tuple[str, ...]) -> None:
    ran = await run(*words, "--help")

    assert ("<bool>" in ran.out, "--help" in ran.out) == (False, True)


# ── plan example ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_example_is_a_plan_of_distinct_companies_with_three_series_each(tmp_path: Path) -> None:
    ran = await run("plan", "example", tmp_path / "demo", "--empresas", 20)
    path = tmp_path / "demo" / "plan.csv"
    read = Plan.from_csv(path)
    assert (ran.code, len(read), len({row.rfc for row in read})) == (0, 20, 20)
    assert {len(row.series) for row in read} == {3}
    assert f"facturaonline provision {path} --emulator" in ran.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    certificates = [x509.load_der_x509_certificate((path.parent / row["cer"]).read_bytes()) for row in rows]
    keys = {certificate.public_key().public_numbers().n for certificate in certificates}  # type: ignore[union-attr]
    assert len(keys) == 16
    assert len({certificate.serial_number for certificate in certificates}) == 20


async def test_the_example_goes_into_an_empty_folder_and_no_other(tmp_path: Path) -> None:
    assert (await run("plan", "example", tmp_path, "--empresas", 1)).code == 0
    again = await run("plan", "example", tmp_path, "--empresas", 1)
    assert (again.code, "is not an empty folder" in again.err) == (2, True)


def test_an_example_that_fails_removes_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Sello:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(example, "make_sello", full)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        with pytest.raises(OSError, match="No space"):
            example.command(folder, 3)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


async def test_the_command_that_an_example_prints_quotes_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "mi carpeta [red]"
    ran = await run("plan", "example", folder, "--empresas", 1)
    assert f"provision '{folder}/plan.csv' --emulator" in ran.out
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.*")} == {0o600}


async def test_an_error_while_creating_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = await run("plan", "example", tmp_path / "file" / "demo")
    assert (ran.code, ran.err) == (1, f"Not a directory: {tmp_path / 'file' / 'demo'}\n")


async def test_one_company_and_one_serie_are_written_in_the_singular(tmp_path: Path) -> None:
    ran = await run("plan", "example", tmp_path / "demo", "--empresas", 1)
    assert f"Wrote {tmp_path / 'demo' / 'plan.csv'} with 1 empresa and 3 series. Now try:" in ran.out
    dry = await run("provision", plan(tmp_path, 1, series="F:factura"), "--dry-run")
    assert "The plan is well formed: 1 empresa, 1 serie. Nothing was sent." in dry.out


async def test_a_folder_of_an_example_controls_no_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "demo\x1b[2J\nforged\udcff"
    written = await run("plan", "example", folder, "--empresas", 1)
    again = await run("plan", "example", folder, "--empresas", 1)
    assert (written.code, written.out.count("demo\ufffd[2J forged\ufffd")) == (0, 2)
    assert ("\x1b" in written.out + again.err, len(written.out.splitlines())) == (False, 2)
    assert "demo\ufffd[2J forged\ufffd" in again.err


def test_no_message_of_the_command_has_a_raw_path() -> None:
    """A path is a parameter of a message only as the text of `printable_path`."""
    raw = [
        f"{path.name}:{each.value.lineno}"
        for path in sorted(Path(example.__file__).parent.glob("*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "message"
        for each in call.keywords
        if re.search(r"\bstr\((?!serie\.uid)", ast.unparse(each.value))
    ]
    assert raw == []


def test_example_rfcs_are_distinct_and_well_formed() -> None:
    rfcs = [rfc for rfc, _ in zip(example_rfcs(), range(20_000), strict=False)]
    assert len(set(rfcs)) == 20_000
    assert [rfc for rfc in rfcs if len(rfc) != 12 or identifiers.check_rfc(rfc)] == []


async def test_a_dry_run_of_an_example_has_no_problem_and_no_warning(tmp_path: Path) -> None:
    await run("plan", "example", tmp_path, "--empresas", 20)
    ran = await run("provision", tmp_path / "plan.csv", "--dry-run", "--json")
    assert (ran.code, ran.json) == (0, {"dry_run": True, "empresas": 20, "series": 60, "notices": [], "warnings": []})


# ── provision ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_example_is_provisioned_against_the_emulator_in_two_commands(tmp_path: Path) -> None:
    await run("plan", "example", tmp_path, "--empresas", 12)
    ran = await run("provision", tmp_path / "plan.csv", "--emulator", "--rate", "1000/1")
    assert ran.code == 0
    cells = [re.findall(r"\w+", line) for line in ran.out.splitlines() if "empresas" in line or "series" in line]
    assert cells == [["empresas", "12", "12", "0", "0", "0"], ["series", "36", "36", "0", "0", "0"]]
    assert ("12/12" in ran.err, "36/36" in ran.err) == (True, True)


async def test_a_plan_is_provisioned_over_the_network(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("provision", plan(tmp_path, 5), "--rate", "1000/1", "--json", emulator=emulator)
    owners = Counter(row["empresa"] for row in emulator.state["series"].values())
    assert (ran.code, len(emulator.state["empresas"]), set(owners.values())) == (0, 6, {2})
    assert ran.err == ""
    result, none = ran.json, {"created": 0, "adopted": 0, "updated": 0}
    assert (result["complete"], result["empresas"], result["series"]) == (
        True,
        dict.fromkeys(State, 0) | {"planned": 5, "created": 5, "earlier": none},
        dict.fromkeys(State, 0) | {"planned": 10, "created": 10, "earlier": none},
    )
    assert {row["uid"] for row in result["rows"]} == set(emulator.state["empresas"]) - {"607a062eae2bb"}
    assert all(serie["uid"] in emulator.state["series"] for row in result["rows"] for serie in row["series"])


async def test_rows_come_in_the_order_of_the_plan_with_the_warnings_of_a_dry_run(
    tmp_path: Path, emulator: Emulator
) -> None:
    path = plan(tmp_path, 6)
    dry = await run("provision", path, "--dry-run", "--json")
    emulator.inject(Fault.delay(0.3), endpoint="empresas.create")
    ran = await run("provision", path, "--rate", "1000/1", "--json", emulator=emulator)
    assert [row["number"] for row in ran.json["rows"]] == list(range(2, 8))
    assert (len(ran.json["warnings"]), ran.json["warnings"]) == (12, dry.json["warnings"])
    people = await run("provision", path, "--emulator", "--rate", "1000/1")
    lines = [line for line in people.err.splitlines() if line.startswith("warning")]
    assert [line.split(",")[0] for line in lines] == ["warning 6 x", "warning 6 x"]


async def test_a_second_run_adopts_everything(tmp_path: Path, emulator: Emulator) -> None:
    path = plan(tmp_path, 3)
    for expected in ("created", "adopted"):
        ran = await run("provision", path, "--rate", "1000/1", "--json", emulator=emulator)
        assert (ran.code, ran.json["empresas"][expected], ran.json["series"][expected]) == (0, 3, 6)
    assert len(emulator.state["empresas"]) == 4


async def test_failed_rows_are_shown_with_the_reason_and_the_exit_code_is_1(tmp_path: Path, emulator: Emulator) -> None:
    body = {"status": "error", "message": {"cer": ["El certificado no es [válido]"]}}
    emulator.inject(Fault.status(200, body=body), endpoint="empresas.create")
    emulator.inject(Fault.status(422, body={"message": "no"}), endpoint="series.create")
    ran = await run("provision", plan(tmp_path, 2), "--rate", "1000/1", emulator=emulator)
    assert (ran.code, "Not complete" in ran.out) == (1, True)
    flat = " ".join(re.sub("[^\\w\\s:\\[\\]]", " ", ran.out).split())
    assert re.search(r"[23] AAA010101\d\d\d empresa .*El certificado no es \[válido\]", flat)
    assert re.search(r"[23] AAA010101\d\d\d serie [FP]:(factura|pago)", flat)


async def test_a_narrow_terminal_shows_the_whole_reason(tmp_path: Path, emulator: Emulator) -> None:
    emulator.inject(Fault.status(422, body={"message": "El certificado no es válido"}), endpoint="empresas.create")
    ran = await run("provision", plan(tmp_path, 1), "--rate", "1000/1", emulator=emulator, env={"COLUMNS": "60"})
    flat = " ".join(re.sub("[^\\w\\s:,]", " ", ran.out).split())
    assert "row 2, AAA010101000, empresa, failed:" in flat
    assert "El certificado no es válido" in flat


async def test_a_plan_with_faults_is_refused_before_anything_is_sent(tmp_path: Path, emulator: Emulator) -> None:
    certify(tmp_path, ["EKU9003173C9"])
    files = {"cer": "c/EKU9003173C9.cer", "key": "c/EKU9003173C9.key"}
    rows = [
        ROW | files | {"rfc": "x", "codpos": "y"},
        ROW | files,
        ROW | files | {"rfc": "HAÑ930228SM9", "cer": "none.cer"},
    ]
    path = written(tmp_path, rows)
    ran = await run("provision", path, emulator=emulator)
    as_json = await run("provision", path, "--json", emulator=emulator)
    assert (ran.code, as_json.code, emulator.requests) == (2, 2, ())
    assert [line.split(":")[0] for line in ran.err.splitlines() if line.strip()] == [
        "The plan has faults",
        "row 2, rfc",
        "row 2, codpos",
        "row 4, cer",
    ]
    assert [(each["row"], each["column"]) for each in as_json.json["problems"]] == [
        (2, "rfc"),
        (2, "codpos"),
        (4, "cer"),
    ]


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
async def test_all_faulty_cells_certificates_and_corrections_are_shown_at_once(
    tmp_path: Path, emulator: Emulator, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSD_OF_KEMPER", "wrong")
    certify(tmp_path, ["EKU9003173C9"])
    files = {"cer": "c/EKU9003173C9.cer", "key": "c/EKU9003173C9.key"}
    rows = [
        ROW | files | {"codpos": "y", "password": "wrong"},  # a faulty cell, and a faulty certificate
        ROW | {"rfc": "XIQB891116QE4", "razon_social": " ACME"},  # a mended cell, and no certificate
        ROW | files | {"rfc": "HAÑ930228SM9", "series": "F"},  # a faulty cell, and another company's certificate
        ROW | files | {"rfc": "AAA010101AAA", "password": "", "password_env": "CSD_OF_KEMPER"},
    ]
    path = written(tmp_path, rows)
    ran = await run("provision", path, *options, emulator=emulator)
    as_json = await run("provision", path, *options, "--json", emulator=emulator)
    shown = as_json.json
    assert (ran.code, as_json.code, emulator.requests) == (2, 2, ())
    assert sorted({(each["row"], each["column"]) for each in shown["problems"]}) == [
        *[(2, "codpos"), (2, "password"), (3, "cer"), (3, "key"), (4, "cer"), (4, "series")],
        *[(5, "cer"), (5, "password_env")],
    ]
    assert [(each["row"], each["column"]) for each in shown["notices"]] == [(3, "razon_social")]
    lines = [line.split(":")[0] for line in ran.err.splitlines() if line.strip()]
    assert [line for line in lines if not line.startswith("warning")][:3] == [
        *("note row 3, razon_social", "The plan has faults", "row 2, codpos"),
    ]
    assert "row 5, password_env: CSD_OF_KEMPER: " in ran.err


async def test_no_check_skips_the_check_of_certificates(tmp_path: Path, emulator: Emulator) -> None:
    path = written(tmp_path, [ROW | {"codpos": "y"}, ROW | {"rfc": "XIQB891116QE4"}])
    ran = await run("provision", path, "--no-check", "--json", emulator=emulator)
    assert (ran.code, [(each["row"], each["column"]) for each in ran.json["problems"]]) == (2, [(2, "codpos")])


async def test_a_run_names_the_variable_of_a_wrong_password(
    tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSD_OF_KEMPER", "wrong")
    certify(tmp_path, ["EKU9003173C9"])
    files = {"cer": "c/EKU9003173C9.cer", "key": "c/EKU9003173C9.key", "password": "", "password_env": "CSD_OF_KEMPER"}
    ran = await run("provision", written(tmp_path, [ROW | files]), "--json", emulator=emulator)
    (row,) = ran.json["rows"]
    assert (ran.code, row["reason"].startswith("password_env: CSD_OF_KEMPER: ")) == (1, True)


async def test_notices_of_one_column_and_reason_are_one_line(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run("provision", plan(tmp_path, 5, codpos="6500", colonia=" Centro"), "--dry-run", emulator=emulator)
    assert [line for line in ran.err.splitlines() if line.startswith("note ")] == [
        "note rows 2, 3, 4 and 2 more, codpos: was read with its leading zero",
        "note rows 2, 3, 4 and 2 more, colonia: was read without the blanks around it",
    ]


@pytest.mark.parametrize(("options", "code"), [((), 2), (("--any-tipo",), 0)])
async def test_a_misspelt_tipo_is_refused_without_the_option_any_tipo(
    tmp_path: Path, emulator: Emulator, options: tuple[str, ...], code: int
) -> None:
    path = plan(tmp_path, 1, series="F:facturas")
    ran = await run("provision", path, *options, emulator=emulator)
    assert (ran.code, "did you mean factura?" in ran.err, bool(emulator.requests)) == (code, code == 2, code == 0)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("plan.csv", ",".join(HEADER), "there are no rows below the header"),
        ("plan.csv", "PK\x03\x04", "this is a workbook, and its name must end in .xlsx or .ods"),
        ("plan.toml", "", "there is no [[empresas]] table"),
        ("plan.txt", "", "the name of a plan must end in .csv, .xlsx, .ods or .toml"),
    ],
)
async def test_a_problem_of_a_whole_plan_names_its_file_and_no_row(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    problem = {"row": None, "column": "", "reason": reason, "seen": None, "file": name}
    assert (await run("provision", path, "--json")).json["problems"] == [problem]
    assert (await run("provision", path)).err.strip() == f"{name}: {reason}"


async def test_a_correction_of_a_whole_plan_names_its_file(tmp_path: Path) -> None:
    path = plan(tmp_path, 1)
    path.write_text(path.read_text(encoding="utf-8").replace(",", ", "), encoding="utf-8")
    ran = await run("provision", path, "--dry-run")
    assert "note plan.csv: a blank follows each separator of the header" in ran.err


async def test_a_dry_run_reads_everything_and_sends_nothing(tmp_path: Path, emulator: Emulator) -> None:
    path = plan(tmp_path, 3, codpos="6500")
    ran = await run("provision", path, "--dry-run", emulator=emulator)
    as_json = await run("provision", path, "--dry-run", "--json", emulator=emulator)
    assert (ran.code, emulator.requests) == (0, ())
    assert "3 empresas, 6 series. Nothing was sent" in ran.out
    assert "note row 2, codpos: was read with its leading zero, and was '6500'" in ran.err
    reason = "was read with its leading zero"
    mended = [{"row": row, "column": "codpos", "reason": reason, "seen": "6500"} for row in (2, 3, 4)]
    told = as_json.json
    warned = [(each["row"], each["column"], each["reason"].rpartition(" ")[2]) for each in told.pop("warnings")]
    assert told == {"dry_run": True, "empresas": 3, "series": 6, "notices": mended}
    assert sorted(set(warned)) == [(row, column, "[rfc_check_digit]") for row in (2, 3, 4) for column in ("cer", "rfc")]


async def test_a_dry_run_reports_every_row_whose_certificate_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = plan(tmp_path, 3)
    read = Plan.parse(path)
    for file in (tmp_path / "c").glob("AAA*.cer"):
        file.unlink()
    problems = await provision.check(read, as_json=False)
    assert [(each.row, each.column) for each in problems] == [(2, "cer"), (3, "cer"), (4, "cer")]
    as_json = await provision.check(read, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (as_json, [each["row"] for each in shown["problems"]]) == (problems, [2, 3, 4])


async def test_no_output_shows_a_key_or_a_password(tmp_path: Path, emulator: Emulator) -> None:
    emulator.inject(Fault.status(422, body={"message": "clave-secreta"}), endpoint="empresas.create", times=None)
    wrong = {"FACTURAONLINE_API_KEY": "JDJ5JDEwJG5vbmU="}
    path = plan(tmp_path, 2, password="clave-secreta")
    for more in ((), ("--json",)):
        for env in ({}, wrong):
            ran = await run("provision", path, *more, "--timeout", "5", emulator=emulator, env=env)
            shown = ran.out + ran.err
            assert ran.code == 1
            assert "clave-secreta" not in shown
            assert emulator.credentials.secret_key.reveal() not in shown
            assert "Traceback" not in shown


async def test_an_error_about_refused_keys_ends_with_a_remedy(tmp_path: Path, emulator: Emulator) -> None:
    ran = await run(
        "provision", plan(tmp_path, 1), emulator=emulator, env={"FACTURAONLINE_API_KEY": "JDJ5JDEwJG5vbmU="}
    )
    assert (ran.code, "La cuenta que intenta autenticarse no existe" in ran.err) == (1, True)
    assert ran.err.splitlines()[1:] == [
        "Nothing was created.",
        (
            "Check FACTURAONLINE_API_KEY and FACTURAONLINE_SECRET_KEY, and that FACTURAONLINE_BASE_URL is the "
            "environment (sandbox or production) of these keys."
        ),
    ]
    listed = await run("series", "list", emulator=emulator, env={"FACTURAONLINE_API_KEY": "JDJ5JDEwJG5vbmU="})
    assert (listed.code, listed.err.splitlines()[1:]) == (1, ran.err.splitlines()[2:])


def test_the_option_rate_replaces_the_default_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a virtual clock, where calls arrive when they are sent."""
    emulators: list[Emulator] = []

    def logged(**more: Any) -> Emulator:
        emulators.append(Emulator(**more | {"log_limit": 10_000}))
        return emulators[0]

    monkeypatch.setattr(testing, "Emulator", logged)
    monkeypatch.setattr(interruption.asyncio, "run", virtually)  # type: ignore[attr-defined]
    with clocks():
        provision.command(plan(tmp_path, 20), rate=Rate(40, 0.5), use_emulator=True, as_json=True)
    times = [request.at for request in emulators[0].requests]
    assert max(sum(start <= time < start + 0.499 for time in times) for start in times) == 40


async def test_the_concurrency_bounds_the_calls_in_flight(
    tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first three creates wait for each other."""
    together = asyncio.Barrier(3)

    async def pause(seconds: float) -> None:
        if seconds:
            await together.wait()

    monkeypatch.setattr(server, "_pause", pause)
    emulator.inject(Fault.delay(1), endpoint="empresas.create", times=3)
    ran = await run("provision", plan(tmp_path, 10), "--concurrency", "3", "--rate", "1000/1", emulator=emulator)
    assert (ran.code, emulator.in_flight_max) == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--rate", "fast"], "CALLS/SECONDS"),
        (["--rate", "0/1"], "CALLS/SECONDS"),
        (["--concurrency", "0"], "concurrency"),
        (["--timeout", "0"], "timeout"),
        (["--emulator", "--base-url", "https://a.example.mx"], "exclude"),
    ],
)
async def test_an_invalid_option_is_refused_by_name(tmp_path: Path, arguments: list[str], hint: str) -> None:
    ran = await run("provision", plan(tmp_path, 1), *arguments)
    assert (ran.code, hint in ran.err) == (2, True)


@pytest.mark.parametrize("missing", ["FACTURAONLINE_API_KEY", "FACTURAONLINE_BASE_URL"])
async def test_a_missing_environment_variable_is_named(tmp_path: Path, emulator: Emulator, missing: str) -> None:
    ran = await run("provision", plan(tmp_path, 1), emulator=emulator, env={missing: ""})
    assert (ran.code, missing in ran.err, ran.err.count("\n")) == (2, True, 1)


async def interrupted(*arguments: object, when: asyncio.Future[object], emulator: Emulator) -> Ran:
    async with started(*arguments, env=environment(emulator)) as process:
        await when
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def started(
    *arguments: object, env: dict[str, str], first: str = ""
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the command where Ctrl-C works, wherever these tests run: in the background shells switch it off.

    `first` is code that the process runs before the command.
    """
    code = (
        f"{first}\nimport signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from facturaonline_async._cli import main; main()"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *map(str, arguments), stdout=pipe, stderr=pipe, env=env
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_ctrl_c_ends_a_run_and_the_next_one_finishes_it(tmp_path: Path) -> None:
    async with Emulator(latency=0.02) as emulator:

        async def some_are_created() -> None:
            while emulator.count("series.create") < 4:  # noqa: ASYNC110  # the emulator rings no bell
                await asyncio.sleep(0.01)

        path = plan(tmp_path, 30)
        ran = await interrupted(
            "provision", path, "--rate", "100/1", when=asyncio.ensure_future(some_are_created()), emulator=emulator
        )
        assert (ran.code, "Traceback" in ran.err, "wait three minutes" in ran.err) == (130, False, True)
        assert "Interrupted after" in ran.out
        again = await run("provision", path, "--rate", "1000/1", "--json", emulator=emulator)
        assert (again.code, len(emulator.state["empresas"]), len(emulator.state["series"])) == (0, 31, 60)


# ── emulator ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_emulator_prints_the_environment_variables_for_clients() -> None:
    async with started("emulator", "--port", "0", env=environment()) as process:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
        exports = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        pair = Credentials(api_key=exports["FACTURAONLINE_API_KEY"], secret_key=exports["FACTURAONLINE_SECRET_KEY"])
        async with connect(pair, base_url=exports["FACTURAONLINE_BASE_URL"]) as client:
            assert (await client.empresas.current()).rfc == "EMU200101PP5"
        process.send_signal(signal.SIGINT)
        await process.communicate()
        assert process.returncode == 130


# ── The command itself ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_option_version_prints_the_version() -> None:
    ran = await run("--version")
    assert (ran.code, ran.out) == (0, f"facturaonline {version('facturaonline-async')}\n")


async def test_help_names_the_first_commands() -> None:
    ran = await run("--help")
    assert ran.code == 0
    assert all(word in ran.out for word in ("provision", "emulator", "plan", "plan example demo"))


async def test_help_imports_no_template_engine() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "importtime",
        *COMMAND[1:],
        "--help",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (b"typer" in err, b"jinja2" in err) == (True, False)


@pytest.mark.parametrize("command", ["provision", "status", "report", "emulator", "plan example"])
async def test_every_command_and_option_has_help(command: str) -> None:
    ran = await run(*command.split(), "--help")
    options = [line for line in ran.out.splitlines() if re.search(r"^│? {0,4}\*? {0,4}(--\w|\w+ +<)", line)]
    assert (ran.code, len(options) >= 2) == (0, True)
    assert all(len(re.findall(r"[a-z]{2,}", line)) >= 4 for line in options)


async def test_without_the_extra_cli_the_command_names_it() -> None:
    code = "import sys; sys.modules['typer'] = None; from facturaonline_async._cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE, env=environment()
    )
    _, err = await process.communicate()
    assert (process.returncode, "facturaonline-async[cli]" in err.decode()) == (1, True)


# ── sello check ───────────────────────────────────────────────────────────────────────────────────────────────────────

OPEN = {"FACTURAONLINE_SELLO_PASSWORD": "12345678a"}


async def check(*arguments: object, env: dict[str, str] = OPEN) -> Ran:
    return await run("sello", "check", *arguments, env=env)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    certify(tmp_path, ["EKU9003173C9"])
    return tmp_path / "c" / "EKU9003173C9.cer", tmp_path / "c" / "EKU9003173C9.key"


async def test_a_good_pair_shows_its_facts(pair: tuple[Path, Path]) -> None:
    ran = await check(*pair, "--rfc", "EKU9003173C9")
    facts = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in ran.out.splitlines() if "  " in line.strip())
    assert (ran.code, ran.err, facts["RFC"], facts["kind"]) == (0, "", "EKU9003173C9", "CSD")
    assert ran.out.splitlines()[-1] == "It can be sent."


async def test_each_finding_about_a_pair_is_shown_with_its_remedy(pair: tuple[Path, Path]) -> None:
    ran = await check(*reversed(pair), "--rfc", "XIQB891116QE4", "--kind", "fiel")
    found = re.findall(r"^(error|warning) (\w+):", ran.out, re.MULTILINE)
    assert (ran.code, found) == (1, [("error", "swapped"), ("error", "csd_as_fiel"), ("error", "rfc_mismatch")])
    assert "Exchange them" in ran.out


async def test_a_pair_with_only_warnings_has_exit_code_0(pair: tuple[Path, Path]) -> None:
    ran = await check(*pair, "--production", "--json")
    ((certificate,),) = [ran.json]
    assert (ran.code, certificate["ok"], certificate["certificado"]["rfc"]) == (0, True, "EKU9003173C9")
    assert [(each["code"], each["severity"]) for each in certificate["findings"]] == [("test_certificate", "warning")]


async def test_the_password_comes_from_the_standard_input(pair: tuple[Path, Path]) -> None:
    for password, code in ((b"12345678a\n", 0), (b"otra\n", 1)):
        ran = await run("sello", "check", *pair, "--password-stdin", given=password)
        assert (ran.code, "wrong_password" in ran.out) == (code, code == 1)


async def test_without_a_password_and_a_terminal_the_error_names_the_options(pair: tuple[Path, Path]) -> None:
    ran = await check(*pair, env={})
    assert (ran.code, "--password-stdin" in ran.err, "FACTURAONLINE_SELLO_PASSWORD" in ran.err) == (2, True, True)


async def test_all_pairs_of_a_folder_are_checked_and_single_files_reported(tmp_path: Path) -> None:
    certify(tmp_path, ["EKU9003173C9", "XIQB891116QE4"])
    (tmp_path / "c" / "EKU9003173C9.cer").rename(tmp_path / "c" / "other.cer")
    (tmp_path / "alone").mkdir()
    (tmp_path / "c" / "XIQB891116QE4.key").rename(tmp_path / "alone" / "XIQB891116QE4.key")
    (tmp_path / "c" / "XIQB891116QE4.cer").rename(tmp_path / "alone" / "CSD.CER")
    (tmp_path / "c" / "more.key").write_bytes(b"x")
    ran = await check(tmp_path, "--json")
    found = {each["name"]: [finding["code"] for finding in each["findings"]] for each in ran.json}
    assert (ran.code, found) == (
        1,
        {
            "alone/CSD.CER": [],  # the only two of their folder
            "c/other.cer": [],  # the key of another name is its own
            "c/more.key": ["unpaired"],
        },
    )
    assert (await check(tmp_path)).code == 1


async def test_all_certificates_of_a_plan_are_checked(tmp_path: Path) -> None:
    path = plan(tmp_path, 3)
    good = await check(path, env={})
    bad = await check(plan(tmp_path, 3, password="otra-secreta"), env={})
    assert (good.code, good.out.split("\n")[0].strip()) == (0, "3 certificates: 0 cannot be sent, 3 with warnings")
    assert (bad.code, bad.out.split("\n")[0].strip()) == (1, "3 certificates: 3 cannot be sent, 3 with warnings")
    assert "otra-secreta" not in bad.out + bad.err


async def test_the_certificates_of_a_plan_with_faulty_cells_are_checked(tmp_path: Path) -> None:
    path = plan(tmp_path, 3)
    text = path.read_text(encoding="utf-8")
    last = re.findall(r"c/(\w+)\.cer", text)[-1]
    path.write_text(text.replace(f"c/{last}.cer", "c/gone.cer"), encoding="utf-8")
    ran = await check(path, env={})
    assert (ran.code, ran.out.split("\n")[0].strip()) == (2, "2 certificates: 0 cannot be sent, 2 with warnings")
    assert "The plan has faults:\nrow 4, cer: cannot be read: " in ran.err


@pytest.mark.parametrize("arguments", [("nowhere.cer", "nowhere.key"), ("nowhere.csv",), ("nowhere.cer",), (".",)])
async def test_a_path_that_cannot_be_read_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    ran = await check(*(tmp_path / "empty" / argument for argument in arguments))
    assert (ran.code, "Traceback" in ran.err, ran.out) == (2, False, "")
