"""What every journal promises: what was written is there, and one process at a time writes."""

from __future__ import annotations

import asyncio
import base64
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import CambiosEmpresa, FacturaOnline, connect
from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async.provision import (
    Existing,
    ExistingRow,
    JournalError,
    JournalInUseError,
    Plan,
    PlanSerie,
    State,
    provision,
)
from facturaonline_async.provision._journal.digests import empresa_digest
from facturaonline_async.provision._steps import SERIES, Step
from facturaonline_async.testing import Emulator, make_sello
from tests.conftest import QUICK
from tests.journals import all_steps, rfc, row
from tests.plans import nueva, private_key
from tests.provision.journal.places import KEYS, Place, run
from tests.provision.test_model import plan_of

RFC = "EKU9003173C9"


def step(number: int = 1, **more: Any) -> Step:
    return Step(number=number, owner=f"AAA010101{number:03}", **more)


async def begun(place: Place, steps: int = 3) -> None:
    """Leave a journal there with some steps."""
    async with place.opened() as journal:
        await journal.adjust(add=[step(number) for number in range(steps)])


# ── What is written ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_saved_step_is_read_back_unchanged(place: Place) -> None:
    saved = step(
        7, kind=SERIES, natural_key=("Ñ&", "factura"), state=StepState.UNRESOLVED, origin=Origin.ADOPTED, uid="607",
        sends=2, digest=b"\0\xff", reason="«¿qué?» 'x'; DROP TABLE steps -- \\ %s 😀",
    )  # fmt: skip
    async with place.opened() as journal:
        await journal.adjust(add=[step(7), evolve(saved)])
        await journal.save(saved)
        assert await journal.steps_of_row(saved.rfc) == [step(7), saved]
    async with place.opened() as journal:
        assert await all_steps(journal) == [step(7), saved]


async def test_the_moment_when_a_step_is_due_is_kept(place: Place) -> None:
    due = 5_000_000_000.25
    async with place.opened() as journal:
        await journal.adjust(add=[step(1), step(2)])
        await journal.adjust(save=[step(1, due=due)])
        await journal.save(step(2, due=1.5, state=StepState.DONE, sends=1, uid="7"))
        (first,), (second,) = await journal.steps_of_row(step(1).rfc), await journal.steps_of_row(step(2).rfc)
        assert first.due == pytest.approx(due, abs=60)  # a database has a clock of its own
        assert second.is_unaudited
        await journal.end_audit()
        (second,) = await journal.steps_of_row(second.rfc)
        assert second.due == 0.0


async def test_adjust_adds_changes_and_drops_steps_and_baseline(place: Place) -> None:
    first, second = step(1), step(2)
    async with place.opened() as journal:
        assert await journal.is_empty()
        await journal.adjust(add=[first, second], baseline=[(*first.primary_key, "a"), (*first.primary_key, "b")])
        assert not await journal.is_empty()
        await journal.adjust(
            add=[step(3)],
            save=[step(2, state=StepState.INTENT)],
            drop=[first],
            forget=[first.primary_key],
            baseline=[(*second.primary_key, "c")],
        )
        assert await all_steps(journal) == [step(2, state=StepState.INTENT), step(3)]
        assert await journal.open_companies() == [step(2, state=StepState.INTENT)]
        assert await journal.baseline() == [(*second.primary_key, "c")]
        serie = Step.of_serie(2, second.rfc, "F", "factura")
        await journal.replace_baseline([], [(*serie.primary_key, "7"), (*serie.primary_key, "7")])
        assert sorted(await journal.baseline(second.rfc)) == [(*second.primary_key, "c"), (*serie.primary_key, "7")]
        await journal.replace_baseline([serie.primary_key], [(*serie.primary_key, "8")])
        assert (*serie.primary_key, "8") in await journal.baseline(second.rfc)
        assert (*serie.primary_key, "7") not in await journal.baseline(second.rfc)


async def test_the_rfcs_are_read_in_pages_and_in_the_order_of_the_plan(place: Place) -> None:
    numbers = [3, 1, 2]
    async with place.opened() as journal:
        await journal.adjust(add=(each for number in numbers for each in row(number, series=1)))
        await journal.adjust(add=[row(3, series=2)[-1]])
        pages, after = list[list[str]](), 0
        while after or not pages:
            page, after = await journal.owners(after, limit=3)
            pages.append(page)
    assert pages == [[rfc(3), rfc(1)], [rfc(1), rfc(2)], [rfc(3)]]


async def test_the_steps_of_several_rows_are_read_at_once_in_the_order_of_the_plan(place: Place) -> None:
    rows = [row(number, series=3) for number in (3, 1, 2)]
    async with place.opened() as journal:
        await journal.adjust(add=(each for steps in rows for each in steps))
        found = await journal.steps_of_rows([rfc(1), rfc(3), rfc(9)])
    assert found == {rfc(3): rows[0], rfc(1): rows[1]}


async def test_a_plan_of_thousands_of_steps_is_written_in_order(place: Place) -> None:
    async with place.opened() as journal:
        await journal.adjust(add=(step(number) for number in range(2500)))
        await asyncio.gather(*(journal.save(step(number, state=StepState.INTENT)) for number in range(2500)))
    assert [each.number for each in place.recorded()] == list(range(2500))
    assert place.states() == {"intent": 2500}


async def test_saves_of_one_step_are_written_in_their_order(place: Place) -> None:
    states = [StepState.INTENT, StepState.UNKNOWN, StepState.PLANNED, StepState.INTENT, StepState.DONE]
    async with place.opened() as journal:
        await journal.adjust(add=[step(1), step(2)])
        saves = [journal.save(step(number, state=state)) for state in states for number in (1, 2)]
        read = asyncio.create_task(journal.steps_of_row(step(1).rfc))
        await asyncio.gather(*saves)
        assert [each.state for each in await read] == [StepState.DONE]
    assert place.states() == {"done": 2}


async def test_a_digest_is_the_same_in_the_next_run_and_another_one_elsewhere(place: Place, tmp_path: Path) -> None:
    digests = []
    for where in (place, place, Place(path=str(tmp_path / "elsewhere"))):
        async with where.opened() as journal:
            digests.append((journal.digest(b"payload"), empresa_digest(journal, nueva(RFC))))
    assert digests[0] == digests[1]
    assert not set(digests[0]) & set(digests[2])


async def test_an_adopted_company_that_is_to_be_updated_keeps_its_uid_and_digest(place: Place) -> None:
    async with place.opened() as journal:
        digest = empresa_digest(journal, nueva(RFC), is_equal=True)
        adopted = step(1, state=StepState.DONE, origin=Origin.ADOPTED, uid="7", digest=digest)
        await journal.adjust(add=[step(1)])
        await journal.save(adopted)
        assert await journal.steps_of_row(adopted.rfc) == [adopted]
        planned = step(1, uid="7", digest=digest)
        await journal.adjust(save=[planned])
    async with place.opened() as journal:
        assert await journal.steps_of_row(planned.rfc) == [planned]


async def test_a_later_run_updates_what_an_earlier_one_adopted(
    place: Place, client: FacturaOnline, emulator: Emulator
) -> None:
    uid = emulator.add_empresa(rfc=RFC, razon_social="Old")
    plan = Plan.from_values([ExistingRow(rfc=RFC, uid=uid, cambios=CambiosEmpresa(razon_social="New"))])
    states: list[list[State]] = []
    existing: tuple[Existing, ...] = ("adopt", "update", "update")

    for policy in existing:
        async with (
            evolve(place, lease=30.0).store() as store,
            provision(client, plan, journal=store, existing=policy, audit=False) as under_way,
        ):
            states.append([row.state async for row in under_way])

    assert states == [[State.ADOPTED], [State.UPDATED], []]
    assert (await client.empresas.get(uid)).razon_social.upper() == "NEW"


_DIES = """
    import asyncio, os, sys
    from facturaonline_async._core.once.states import StepState
    from facturaonline_async.provision._steps import Step
    from tests.provision.journal.places import Place

    async def main():
        async with Place.of(sys.argv[1]).opened() as journal:
            await journal.adjust(add=[Step(number=n, owner=str(n)) for n in range(100)])
            for n in range(100):
                saved = journal.save(Step(number=n, owner=str(n), state=StepState.INTENT))
                if n % 2:
                    await saved
                    print(n, flush=True)
            os.kill(os.getpid(), 9) if sys.argv[2] == "kill" else os._exit(3)

    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["kill", "exit"])
async def test_a_saved_step_survives_a_kill(place: Place, how: str) -> None:
    died = await asyncio.to_thread(run, _DIES, place.told, how)
    promised = {int(line) for line in died.stdout.split()}
    assert (died.returncode, len(promised)) == (-signal.SIGKILL if how == "kill" else 3, 50), died.stderr
    async with place.opened() as journal:
        steps = await all_steps(journal)
    assert promised <= {each.number for each in steps if each.state is StepState.INTENT}


async def test_no_journal_stores_a_secret(place: Place) -> None:
    """Searched for as they are, in base64, in hexadecimal and reversed, in the middle of a run and after it."""
    sello = make_sello(RFC, password="clave-muy-secreta-1", private_key=private_key())
    plan = Plan.from_values([(nueva(RFC, csd=sello), [PlanSerie(letra="F", tipo_documento="factura")])])
    everything = b""
    async with Emulator() as emulator, evolve(place, lease=30.0).store() as store:
        async with (
            connect(emulator.credentials, base_url=emulator.base_url, config=QUICK) as client,
            provision(client, plan, journal=store, settle=0.1) as under_way,
        ):
            async for _ in under_way:
                everything += await asyncio.to_thread(place.content)
        everything += await asyncio.to_thread(place.content)
        keys = [row[name].encode() for row in emulator.state["empresas"].values() for name in ("api_key", "secret_key")]
    assert RFC.encode() in everything  # it does read where steps are stored
    for secret in (*keys, b"clave-muy-secreta-1", sello.key[40:400], sello.cer[40:400]):
        for offset in range(3):
            part = base64.b64encode(secret[offset:])[2:-4]
            assert part not in everything
        for form in (secret, secret.hex().encode(), secret[::-1], emulator.credentials.fingerprint.encode()):
            assert form not in everything


# ── Who may use it ────────────────────────────────────────────────────────────────────────────────────────────────────

_HOLDS = """
    import asyncio, sys
    from tests.provision.journal.places import Place

    async def main():
        async with Place.of(sys.argv[1]).opened():
            print("open", flush=True)
            await asyncio.sleep(600)

    asyncio.run(main())
"""


async def test_a_second_process_is_refused_until_the_first_has_ended(place: Place) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_HOLDS), place.told]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"open\n"
        with pytest.raises(JournalInUseError, match=r"another process uses .*Wait for it, or stop it"):
            async with place.opened():
                pass
        holder.kill()
    async with place.opened():
        pass


async def test_a_second_run_of_the_same_process_is_refused_too(place: Place) -> None:
    async with place.opened():
        with pytest.raises(JournalInUseError, match="another process"):
            async with place.opened():
                pass
    async with place.opened():
        pass


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"account": "other"}, "belongs to another account: it was created with other main keys"),
        (
            {"host": "https://example.org/api"},
            r"belongs to https://example\.com/api, but this run uses https://example\.org",
        ),
    ],
)
async def test_another_account_or_host_is_refused(place: Place, more: dict[str, str], reason: str) -> None:
    await begun(place)
    before = await asyncio.to_thread(place.content)
    with pytest.raises(JournalError, match=reason):
        async with place.opened(**more):
            pass
    assert await asyncio.to_thread(place.content) == before
    async with place.opened():  # for its own it is free
        pass


# ── Ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_save_is_still_written(place: Place) -> None:
    await begun(place)
    async with place.opened() as journal:

        async def save() -> None:
            await journal.save(step(1, state=StepState.INTENT))

        saving = asyncio.create_task(save())
        await asyncio.sleep(0)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    assert [each.state for each in place.recorded()] == [StepState.PLANNED, StepState.INTENT, StepState.PLANNED]


async def test_cancelling_open_releases_the_journal(place: Place) -> None:
    async with place.store() as store:

        async def is_free() -> bool:
            try:
                journal = await store.open(**KEYS)
            except JournalError:
                return False
            await journal.aclose()
            return True

        for ticks in range(12):
            opening = asyncio.create_task(store.open(**KEYS))
            for _ in range(ticks):
                await asyncio.sleep(0.001 * (ticks > 6))
            if opening.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await opening
            else:
                await (await opening).aclose()
            while not await is_free():  # noqa: ASYNC110  # it rings no bell
                await asyncio.sleep(0.01)


async def test_cancelling_close_releases_the_journal(place: Place) -> None:
    await begun(place)
    async with place.store() as store:
        journal = await store.open(**KEYS)
        journal.save(step(1, state=StepState.DONE))
        closing = asyncio.create_task(journal.aclose())
        for _ in range(3):
            await asyncio.sleep(0)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await journal.aclose()
        await (await store.open(**KEYS)).aclose()
    assert [each.state for each in place.recorded()] == [StepState.PLANNED, StepState.DONE, StepState.PLANNED]


async def test_a_closed_journal_refuses_jobs(place: Place) -> None:
    async with place.opened() as journal:
        await journal.aclose()
        await journal.aclose()
        journal.save(step())  # no task awaits it
        with pytest.raises(JournalError, match="is closed"):
            await journal.save(step())
        with pytest.raises(JournalError, match="is closed"):
            await journal.is_empty()


# ── Runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_that_was_left_is_resumed(place: Place, client: FacturaOnline, emulator: Emulator) -> None:
    plan = plan_of([1, 2, 0])
    async with evolve(place, lease=30.0).store() as store:
        async with provision(client, plan, journal=store, settle=0.2, concurrency=1) as under_way:
            async for _ in under_way:
                break
        async with provision(client, plan, journal=store, settle=0.2) as under_way:
            async for _ in under_way:
                pass
    assert under_way.report.is_complete
    assert under_way.report.earlier_empresas[State.CREATED] >= 1
    assert (emulator.count("empresas.create"), emulator.count("series.create")) == (3, 3)
    assert place.states() == {"done": 6}
