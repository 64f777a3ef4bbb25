"""Certificates are checked in a thread: one at a time in each event loop, two in a dry run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any

import anyio
import pytest
from attrs import evolve

from facturaonline_async import InvalidInputError, connect
from facturaonline_async.empresas import _validation
from facturaonline_async.provision import Plan, PlanSerie, State, provision, validate
from facturaonline_async.sello import CheckReport, Sello, _check_in_thread as threads, check as sello_check
from facturaonline_async.sello._check_in_thread import check_in_thread
from facturaonline_async.testing import Emulator, make_sello
from tests.plans import nueva
from tests.sello.certificates import NOW, RFC, made, private_key
from tests.sello.test_before_sending import CHECKED

GIVEN: dict[str, Any] = {"rfc": RFC, "kind": "csd", "now": NOW}


class Held:
    """Replacement for `check` that blocks each call until it is released."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = threading.Event()
        self.under_way = self.most = self.done = 0

    def __call__(self, sello: Sello, **_: object) -> CheckReport:
        assert threading.current_thread() is not threading.main_thread()
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        assert self.open.wait(10)
        with self.lock:
            self.under_way -= 1
            self.done += 1
        return CheckReport(None, ())

    async def reaches(self, number: int) -> None:
        """Wait until at least so many checks run, and let further checks start."""
        async with asyncio.timeout(10):
            while self.under_way < number:  # noqa: ASYNC110  # threads count
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    found = Held()
    for module in (threads, _validation):
        monkeypatch.setattr(module, "check", found)
    yield found
    found.open.set()


async def test_a_check_in_a_thread_has_the_same_findings() -> None:
    sellos = [made(), evolve(made(), password="otra"), Sello(b"cer", b"key", "\udcff ñ"), made(kind="fiel")]
    reports = await asyncio.gather(*(check_in_thread(sello, rfc=RFC, kind="csd") for sello in sellos))
    assert list(reports) == [sello_check(sello, rfc=RFC) for sello in sellos]


# ── How many at once ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_all_sessions_of_an_event_loop_check_one_at_a_time(emulator: Emulator, held: Held) -> None:
    async with (
        connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as one,
        connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as another,
        asyncio.TaskGroup() as group,
    ):
        for client in (one, another) * 3:
            group.create_task(client.empresas.create(nueva(RFC, csd=made())))
        await held.reaches(1)
        held.open.set()
    assert (held.most, held.done) == (1, 6)


async def test_a_run_checks_one_at_a_time(emulator: Emulator, held: Held) -> None:
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}", csd=made()), []) for number in range(6)])
    async with (
        connect(emulator.credentials, base_url=emulator.base_url, config=CHECKED) as client,
        provision(client, plan, audit=False) as run,
    ):
        await held.reaches(1)
        held.open.set()
        assert [row.state async for row in run] == [State.CREATED] * 6
    assert (held.most, held.done) == (1, 6)


async def test_a_dry_run_checks_two_at_a_time(held: Held) -> None:
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}", csd=made()), []) for number in range(6)])
    async with validate(plan) as rows:
        await held.reaches(2)
        held.open.set()
        assert [row.problems async for row in rows] == [()] * 6
    assert (held.most, held.done) == (2, 6)


async def test_event_loops_do_not_wait_for_each_other(held: Held) -> None:
    def in_another_loop() -> CheckReport:
        return asyncio.run(check_in_thread(made(), rfc=None, kind=None))

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(asyncio.to_thread(in_another_loop))
            group.create_task(check_in_thread(made(), rfc=None, kind=None))
        await held.reaches(3)
        held.open.set()
    assert (held.most, held.done) == (3, 4)


# ── Cancellation ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_check_ends_at_once_and_leaves_no_task(held: Held) -> None:
    before = asyncio.all_tasks()
    tasks = [asyncio.create_task(check_in_thread(made(), rfc=None, kind=None)) for _ in range(3)]
    await held.reaches(1)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}
    assert (held.under_way, asyncio.all_tasks()) == (1, before)
    held.open.set()
    assert (await check_in_thread(made(), rfc=None, kind=None)).ok
    async with asyncio.timeout(10):
        while held.under_way:  # noqa: ASYNC110  # threads count
            await asyncio.sleep(0.001)
    assert held.done == 2  # the one that had begun, and the last; none of those that waited


async def test_a_cancelled_scope_ends_with_the_check_under_way(held: Held) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(lambda: check_in_thread(made(), rfc=None, kind=None))
            await held.reaches(1)
            scope.cancel()
            held.open.set()
    assert (held.under_way, held.done, held.most) == (0, 1, 1)


async def test_a_dry_run_that_ends_early_leaves_no_check(held: Held) -> None:
    plan = Plan.from_values([(nueva(f"AAA010101{number:03}", csd=made()), []) for number in range(6)])
    before = asyncio.all_tasks()
    async with validate(plan):
        await held.reaches(2)
        held.open.set()
    assert (held.under_way, asyncio.all_tasks() == before) == (0, True)
    assert held.done < 6


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
async def test_an_invalid_argument_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    arguments = {"sello": made(), **GIVEN} | given
    with pytest.raises(InvalidInputError, match=field) as refused:
        sello_check(**arguments)
    assert refused.value.field == field
    del arguments["now"]
    if field != "now":
        with pytest.raises(InvalidInputError, match=field):
            await check_in_thread(**arguments)


class Zone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(hours=-6)

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        return "here"


class Moment(datetime):
    pass


class Text(str):
    __slots__ = ()


def test_arguments_of_subclasses_are_accepted() -> None:
    now = Moment(2026, 6, 1, 5, tzinfo=Zone())  # 11:00 UTC, where a made one begins to be valid
    for moment, expected in ((now, []), (now - timedelta(microseconds=1), ["not_yet_valid"])):
        report = sello_check(made(), rfc=Text(RFC), kind=Text("csd"), now=moment)  # type: ignore[arg-type]
        assert [each.code for each in report.findings] == expected
    edge = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
    assert [each.code for each in sello_check(made(), **GIVEN | {"now": edge}).findings] == ["expired"]


# ── Runs and dry runs ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_checks_every_new_company_and_only_the_faulty_rows_fail(emulator: Emulator) -> None:
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


async def test_a_dry_run_has_the_findings_of_a_run() -> None:
    good = make_sello(RFC, private_key=private_key())
    plan = Plan.from_values([(nueva(RFC, csd=good, fiel=good), []), (nueva("XIQB891116QE4", csd=good), [])])
    async with validate(plan) as rows:
        found = sorted([row async for row in rows], key=lambda row: row.number)
    assert [[(each.column, each.reason.rpartition(" ")[2]) for each in row.problems] for row in found] == [
        [("fielcer", "[csd_as_fiel]")],
        [("cer", "[rfc_mismatch]")],
    ]
    assert [[each.column for each in row.warnings] for row in found] == [[], ["regimen_nomina"]]
