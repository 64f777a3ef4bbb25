"""Worker processes check many Sellos: they import this library alone, and end with the block."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve

from facturaonline_async import InvalidInputError
from facturaonline_async.provision import Plan, PlanSerie, State, check, provision
from facturaonline_async.provision.checkers import Checkers, checkers
from facturaonline_async.sello import Sello, check as sello_check, process
from facturaonline_async.sello.terms import Terms
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


# ── Processes that are none of ours, or never answer ──────────────────────────────────────────────────────────────────

GIVEN: dict[str, Any] = {"rfc": RFC, "kind": "csd", "now": NOW}


@pytest.mark.parametrize(("noise", "processes"), [(60_000, 1), (70_000, 0)])
async def test_what_others_print_before_the_process_is_known_is_not_read(
    noise: int, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sitecustomize that prints, and what it prints would be a message, and do harm."""

    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    content = pickle.dumps(Harm())
    (tmp_path / "sitecustomize.py").write_text(
        "import os, struct, sys\n"
        "print('hello')\n"
        f"content = {content!r}\n"
        "os.write(1, struct.pack('>I', len(content)) + content)\n"
        f"os.write(1, bytes({noise}))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with checkers(1) as checked:
        assert (await checked(made(), **GIVEN)).findings == ()
        assert (await checked(made(), **GIVEN)).findings == ()
        assert len(checked._idle) == processes
    assert not (tmp_path / "harm").exists()
    pickle.loads(content)
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "program",
    [
        "exec cat",  # says what it hears
        'echo "$@"; exec cat',
        "exec sleep 60",
        "sleep 60 & wait",  # what it starts holds the pipe
        "yes",  # never ends saying something
        "exit 0",
    ],
)
async def test_another_program_is_not_trusted(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(process, "_HELLO", 0.3)
    before = children()
    async with checkers(1) as checked:
        assert (await checked(made(), **GIVEN)).findings == ()
        assert checked._all == set()
    assert children() == before


async def test_a_check_that_takes_too_long_is_given_up_and_the_next_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with checkers(1) as checked:
        await checked(made(), **GIVEN)
        stopped = checked._idle[0].pid
        os.kill(stopped, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(process, "_ANSWER", 0.2)
            report = await checked(made(), **GIVEN)
        assert [(each.code, each.field) for each in report.findings] == [("not_checked", "key")]
        assert_gone(stopped)
        assert (await checked(made(), **GIVEN)).findings == ()
        assert [each.pid != stopped for each in checked._idle] == [True]


# ── Cancellation, and the end of the block ────────────────────────────────────────────────────────────────────────────


def assert_gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def stopped_and_asked(
    checked: Checkers, how: Callable[[], Coroutine[Any, Any, object]]
) -> tuple[int, asyncio.Task[object]]:
    """Return a process that cannot answer, and a task that waits for it."""
    await checked(made(), **GIVEN)
    pid = checked._idle[0].pid
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(how())
    while checked._idle:  # noqa: ASYNC110  # a thread takes it
        await asyncio.sleep(0.001)
    return pid, task


@pytest.mark.parametrize("how", ["cancel", "timeout", "end of the block"])
async def test_a_check_that_was_cancelled_leaves_no_process(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PATIENCE", 10**6)  # what is busy is not waited for
    async with checkers(1) as checked:

        async def ask() -> object:
            return await checked(made(), **GIVEN)

        limit = asyncio.timeout(None)

        async def ask_in_time() -> object:
            async with limit:
                return await ask()

        pid, task = await stopped_and_asked(checked, ask_in_time if how == "timeout" else ask)
        if how == "timeout":
            limit.reschedule(0)
        if how == "cancel":
            task.cancel()
        if how != "end of the block":
            with pytest.raises((asyncio.CancelledError, TimeoutError)):
                await task
    assert_gone(pid)
    assert (checked._idle, checked._all) == ([], set())
    if how == "end of the block":
        with pytest.raises(anyio.ClosedResourceError):
            await task


async def test_a_check_whose_call_was_cancelled_still_counts() -> None:
    """Else a run with time-outs would start more and more processes."""
    async with checkers(1) as checked:

        async def ask() -> object:
            return await checked(made(), **GIVEN)

        pid, task = await stopped_and_asked(checked, ask)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        second = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGCONT)
        await second
        assert {each.pid for each in checked._all} == {pid}


async def test_nothing_is_checked_behind_the_block() -> None:
    async with checkers(1) as checked:
        await checked(made(), **GIVEN)
    with pytest.raises(anyio.ClosedResourceError):
        await checked(made(), **GIVEN)


async def test_every_process_is_closed_once_and_no_two_threads_close_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python frees a pipe's buffer under the second."""
    closed: list[int] = []
    close = process.Process.close

    def counted(self: process.Process) -> None:
        closed.append(self.pid)
        close(self)

    monkeypatch.setattr(process.Process, "close", counted)
    async with checkers(2) as checked:

        async def ask() -> object:
            return await checked(made(), **GIVEN)

        first = checked._take()
        assert first is not None
        busy, task = await stopped_and_asked(checked, ask)
        checked._put_back(first, is_well=True)
    with pytest.raises(anyio.ClosedResourceError):
        await task
    assert sorted(closed) == sorted([first.pid, busy])


async def test_a_process_that_answers_while_the_block_ends_is_not_kept() -> None:
    async with checkers(1) as checked:
        taken = checked._take()
        assert taken is not None
        await checked.aclose()
        checked._put_back(taken, is_well=True)
        assert_gone(taken.pid)
        assert checked._idle == []


async def test_processes_are_taken_and_put_back_under_a_lock() -> None:
    class Watched(list[Any]):
        def held(self) -> None:
            assert checked._lock.locked()

        def __len__(self) -> int:
            self.held()
            return super().__len__()

        def pop(self, *_: Any) -> Any:
            self.held()
            return super().pop()

        def append(self, each: Any) -> None:
            self.held()
            super().append(each)

    async with checkers(2) as checked:
        checked._idle = Watched()
        for _ in range(2):
            await asyncio.gather(*(checked(made(), **GIVEN) for _ in range(6)))
        assert list.__len__(checked._idle) in {1, 2}


# ── Arguments ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ODD: list[tuple[dict[str, Any], str]] = [
    ({"kind": []}, "kind"),
    ({"kind": "CSD"}, "kind"),
    ({"kind": 1}, "kind"),
    ({"now": date(2026, 1, 1)}, "now"),
    ({"now": 0}, "now"),
    ({"now": datetime(2026, 1, 1)}, "now"),  # noqa: DTZ001  # that is what is wrong with it
    ({"rfc": 123}, "rfc"),
    ({"rfc": b"EKU9003173C9"}, "rfc"),
    ({"sello": None}, "sello"),
    ({"sello": ("cer", "key", "password")}, "sello"),
]


@pytest.mark.parametrize(("given", "field"), ODD)
async def test_an_argument_that_is_none_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    arguments = {"sello": made(), **GIVEN} | given
    with pytest.raises(InvalidInputError, match=field) as refused:
        sello_check(**arguments)
    assert refused.value.field == field
    async with checkers(1) as checked:
        with pytest.raises(InvalidInputError, match=field):
            await checked(**arguments)
        assert checked._all == set()


class Zone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=-6)

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        return "here"

    def __reduce__(self) -> Any:
        raise TypeError


class Moment(datetime):
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError


class Text(str):
    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError


async def test_arguments_of_strange_classes_go_into_a_process() -> None:
    now = Moment(2026, 6, 1, 5, tzinfo=Zone())  # 11:00 UTC, where a made one begins to be valid
    async with checkers(1) as checked:
        for moment, expected in ((now, []), (now - timedelta(microseconds=1), ["not_yet_valid"])):
            report = await checked(made(), rfc=Text(RFC), kind=Text("csd"), now=moment)  # type: ignore[arg-type]
            assert [each.code for each in report.findings] == expected
        assert len(checked._idle) == 1
        edge = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
        assert [each.code for each in (await checked(made(), **GIVEN | {"now": edge})).findings] == ["expired"]


async def test_an_error_in_a_process_is_raised_here_and_the_process_lives_on() -> None:
    odd = Terms(rfc=5, kind="csd", now=NOW, production=False)  # type: ignore[arg-type]  # which `Terms.of` refuses
    worker = process.Process()
    try:
        assert worker.ask(made(), odd) == "AttributeError"
        sello = made()
        assert worker.ask(sello, Terms(None, "csd", NOW, production=False)) == sello_check(sello, now=NOW)
    finally:
        worker.close()


SCRIPT = """
import asyncio, sys
print("imported as", __name__)
from facturaonline_async import Config, connect
from facturaonline_async import InvalidInputError
from facturaonline_async.provision import Plan, provision
from facturaonline_async.testing import Emulator

async def main():
    config = Config(rates=())
    async with Emulator() as server, connect(server.credentials, base_url=server.base_url, config=config) as client:
        async with provision(client, Plan.from_csv(sys.argv[1]), audit=False) as run:
            async for row in run:
                print(row.rfc, row.state)

asyncio.run(main())
"""


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    certify(tmp_path, [RFC])
    path = written(tmp_path, [ROW | {"cer": f"c/{RFC}.cer", "key": f"c/{RFC}.key"}])
    (tmp_path / "script.py").write_text(SCRIPT)
    # A file of this name in the folder would be found first by a process that looked there for modules.
    ran = subprocess.run([sys.executable, tmp_path / "script.py", path], capture_output=True, text=True, check=False)
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
        provision(client, plan, audit=False) as run,
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
    assert {each.reason.rpartition(" ")[2] for row in outcomes for each in row.warnings} == {"[rfc_check_digit]"}


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
