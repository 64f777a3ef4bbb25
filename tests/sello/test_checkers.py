"""Worker processes check many Sellos: they import this library alone, and end with the block."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from facturaonline_async.provision import Plan, PlanSerie, State, check, provision
from facturaonline_async.provision.checkers import checkers
from facturaonline_async.sello import Sello
from facturaonline_async.testing import Emulator, make_sello
from tests.plans import ROW, certify, nueva, written
from tests.sello.certificates import NOW, RFC, made, private_key
from tests.sello.test_before_sending import CHECKED


def children() -> set[int]:
    """Return the processes that this one has started, and that have not ended."""
    return set(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


async def test_processes_find_what_a_check_finds_and_end_with_the_block() -> None:
    sellos = [made(), evolve(made(), password="otra"), Sello(b"cer", b"key", "\udcff ñ"), made(kind="fiel")]
    async with checkers(2) as checked:
        reports = await asyncio.gather(*(checked(sello, rfc=RFC, kind="csd", now=NOW) for sello in sellos))
        assert len(checked._idle) == 2
        pids = [process._process.pid for process in checked._idle]
    assert [[finding.code for finding in report.findings] for report in reports] == [
        [],
        ["wrong_password"],
        ["not_a_certificate", "not_a_key"],
        ["fiel_as_csd"],
    ]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_no_process_is_started_before_it_is_needed() -> None:
    async with checkers() as checked:
        assert checked._idle == []


async def test_a_process_that_dies_is_replaced_by_threads(caplog: pytest.LogCaptureFixture) -> None:
    async with checkers(1) as checked:
        await checked(made(), rfc=RFC, kind="csd", now=NOW)
        checked._idle[0]._process.kill()
        report = await checked(evolve(made(), password="otra"), rfc=RFC, kind="csd", now=NOW)
    assert [finding.code for finding in report.findings] == ["wrong_password"]
    assert "checked in threads" in caplog.text


@pytest.mark.parametrize("frozen", ["frozen", ""])
async def test_where_no_process_can_be_started_threads_check(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if frozen:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        monkeypatch.setattr(subprocess, "Popen", None)  # not even tried
    else:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with checkers() as checked:
        assert (await checked(made(), rfc=RFC, kind="csd", now=NOW)).findings == ()


async def test_a_cancelled_check_leaves_no_process() -> None:
    async with checkers(1) as checked:
        tasks = [asyncio.create_task(checked(made(), rfc=RFC, kind="csd", now=NOW)) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        assert {type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)} == {asyncio.CancelledError}
        again = await checked(made(), rfc="XIQB891116QE4", kind="csd", now=NOW)
        assert [finding.code for finding in again.findings] == ["rfc_mismatch"]
    assert checked._idle == []


SCRIPT = """
import asyncio, sys
print("imported as", __name__)
from facturaonline_async import Config, connect
from facturaonline_async.provision import Plan, provision
from facturaonline_async.testing import Emulator

async def main():
    config = Config(rates=())
    async with Emulator() as server, connect(server.credentials, base_url=server.base_url, config=config) as client:
        async with provision(client, Plan.from_csv(sys.argv[1])) as run:
            async for row in run:
                print(row.rfc, row.state)

asyncio.run(main())
"""


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    certify(tmp_path, [RFC])
    path = written(tmp_path, [ROW | {"cer": f"c/{RFC}.cer", "key": f"c/{RFC}.key"}])
    (tmp_path / "script.py").write_text(SCRIPT)
    # A file of this name in the folder would be found first by a process that looked there for modules.
    ran = subprocess.run(
        [sys.executable, tmp_path / "script.py", path], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("imported as __main__\nEKU9003173C9 created\n", "")


async def test_a_run_checks_every_new_company_and_only_the_faulty_rows_fail(emulator: Emulator) -> None:
    from facturaonline_async import connect  # noqa: PLC0415

    rfcs = [f"AAA010101{number:03}" for number in range(6)]
    sellos = {rfc: make_sello(rfc, private_key=private_key()) for rfc in rfcs}
    sellos[rfcs[1]] = evolve(sellos[rfcs[1]], password="otra")
    sellos[rfcs[4]] = sellos[rfcs[0]]
    serie = PlanSerie(letra="F", tipo_documento="factura")
    plan = Plan.from_values([(nueva(rfc, csd=sellos[rfc]), [serie]) for rfc in rfcs])
    async with (
        connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client,
        provision(client, plan) as run,
    ):
        outcomes = sorted([outcome async for outcome in run], key=lambda outcome: outcome.number)
    assert [outcome.state for outcome in outcomes] == [
        State.CREATED,
        State.FAILED,
        State.CREATED,
        State.CREATED,
        State.FAILED,
        State.CREATED,
    ]
    assert ("[wrong_password]" in outcomes[1].reason, "[rfc_mismatch]" in outcomes[4].reason) == (True, True)
    assert {finding.code for outcome in outcomes for finding in outcome.warnings} == {"rfc_check_digit"}


async def test_a_dry_run_finds_what_a_run_would() -> None:
    good = make_sello(RFC, private_key=private_key())
    plan = Plan.from_values([(nueva(RFC, csd=good, fiel=good), []), (nueva("XIQB891116QE4", csd=good), [])])
    async with check(plan) as rows:
        found = sorted([row async for row in rows], key=lambda row: row.number)
    assert [[(each.column, each.reason.rpartition(" ")[2]) for each in row.problems] for row in found] == [
        [("fielcer", "[csd_as_fiel]")],
        [("cer", "[rfc_mismatch]")],
    ]
    assert [[each.column for each in row.warnings] for row in found] == [[], ["regimen_nomina"]]
