"""Under any faults and kills, nothing is created twice, and in the end everything exists once."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from attrs import define
from hypothesis import given, strategies as st

from facturaonline_async.provision import Plan, PlanSerie, RunReport, State
from facturaonline_async.provision._engine.settle_wait import SettleWait
from tests.effort import examples
from tests.plans import nueva
from tests.provision.world import World
from tests.virtual import virtually

_KINDS = (("F", "factura"), ("P", "pago"), ("NC", "nota_credito"))


@define
class Ending:
    """How a process ends: by its last step, by being cancelled, by being asked to stop, or by itself.

    With `loses_wal` the next process finds the journal as it was at an earlier moment.
    """

    steps: int | None = None
    cancel_after: float | None = None
    stop_after: float | None = None
    loses_wal: bool = False


ENDINGS = st.one_of(
    st.builds(Ending, steps=st.integers(0, 80), loses_wal=st.booleans()),
    st.builds(Ending, cancel_after=st.floats(0, 60), loses_wal=st.booleans()),
    st.builds(Ending, stop_after=st.floats(0, 60)),
    st.builds(Ending, loses_wal=st.booleans()),
)


def plan_of(shape: list[int]) -> Plan:
    """Return a plan of companies with so many series each."""
    return Plan.from_values(
        (
            nueva(f"AAA010101{number:03}"),
            [PlanSerie(letra=letra, tipo_documento=tipo) for letra, tipo in _KINDS[:count]],
        )
        for number, count in enumerate(shape)
    )


def wanted(plan: Plan) -> Counter[tuple[str, ...]]:
    """Return every key of the plan, once."""
    keys = Counter[tuple[str, ...]]((row.rfc,) for row in plan)
    keys.update((row.rfc, *serie.key) for row in plan for serie in row.series)
    return keys


def there(world: World) -> Counter[tuple[str, ...]]:
    """Return every key that the API has, with its number."""
    rows = {uid: row for uid, row in world.state.tables["empresas"].items() if not row.get("main")}
    keys = Counter[tuple[str, ...]]((row["rfc"],) for row in rows.values())
    keys.update(
        (rows[row["empresa"]]["rfc"], row["letra"], row["tipo_documento"])
        for row in world.state.tables["series"].values()
    )
    return keys


async def live(world: World, plan: Plan, endings: list[Ending]) -> None:
    """Run the plan through all these ends with faults, and to its end without."""
    with world.rules():
        for ending in endings:
            await world.run(plan, steps=ending.steps, cancel_after=ending.cancel_after, stop_after=ending.stop_after)
            assert max(world.sent.values(), default=0) <= 1, world.sent
            if ending.loses_wal:
                world.lose_wal()
        world.has_faults = False
        report = await world.run(plan)
        assert report is not None
        assert max(world.sent.values(), default=0) <= 1, world.sent
        assert (there(world), set(world.phases())) == (wanted(plan), {"done"})
        assert report.is_complete, report


@examples(150)
@given(
    shape=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    endings=st.lists(ENDINGS, max_size=4),
    chance=st.randoms(use_true_random=False),
    list_lag=st.sampled_from((0.0, 1.0, 8.0)),
    read_lag=st.sampled_from((0.0, 2.0)),
)
def test_no_fault_and_no_crash_makes_a_run_create_anything_twice(
    shape: list[int], endings: list[Ending], chance: random.Random, list_lag: float, read_lag: float
) -> None:
    virtually(live(World(chance, list_lag=list_lag, read_lag=read_lag), plan_of(shape), endings))


# ── What was found so, or was feared ──────────────────────────────────────────────────────────────────────────────────


def scripted(script: dict[str, list[str]], *, series: int, list_lag: float = 0.0) -> tuple[World, RunReport]:
    """Run a plan of one company whose creates meet these fates, and return what came of it."""
    world = World(random.Random(1), script=script, list_lag=list_lag)

    async def main() -> RunReport:
        with world.rules():
            report = await world.run(plan_of([series]))
            assert report is not None
            return report

    return world, virtually(main())


def test_a_create_sent_while_others_settle_gets_a_full_settle_time() -> None:
    """A serie that could not be sent at first is sent when its neighbour is listed, and is due much later."""
    world, report = scripted({"F": ["dropped"], "P": ["not sent"] * 3 + ["done late"]}, series=2, list_lag=8.0)
    assert world.fates == {"ok": 2, "dropped": 1, "not sent": 3, "done late": 1}
    assert (set(there(world).values()), report.series[State.ADOPTED]) == ({1}, 1)


def test_a_refused_serie_is_not_sent_again_in_the_same_run() -> None:
    world, report = scripted({"F": ["dropped"], "P": ["refused"]}, series=2)
    assert (world.fates["refused"], report.series[State.FAILED], report.series[State.CREATED]) == (1, 1, 1)


@pytest.mark.parametrize(("key", "what"), [("F", "series"), ("AAA010101000", "empresas")])
def test_a_create_without_effect_is_sent_three_times_and_no_more(key: str, what: str) -> None:
    world, report = scripted({key: ["dropped"] * 9}, series=1)
    assert (world.fates["dropped"], getattr(report, what)[State.FAILED]) == (3, 1)
    assert "it was sent 3 times, and lists do not show it" in str(report.failed)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_journal_without_its_wal_makes_duplicates_only_without_the_wait(
    monkeypatch: pytest.MonkeyPatch,
    is_held: bool,  # noqa: FBT001
) -> None:
    """Killed when all was sent and no list shows it yet; the journal says that nothing was sent."""
    if not is_held:
        monkeypatch.setattr(SettleWait, "caution", "")
    world, plan = World(random.Random(1), script={}, list_lag=20.0), plan_of([0, 0, 0])

    async def main() -> RunReport | None:
        with world.rules():
            await world.run(plan, cancel_after=5.0)
            world.copies = world.copies[1:2]  # the plan was committed
            world.lose_wal()
            return await world.run(plan)

    report = virtually(main())
    assert report is not None
    if is_held:
        assert (set(there(world).values()), report.is_complete, report.empresas[State.ADOPTED]) == ({1}, True, 3)
    else:
        assert set(there(world).values()) == {2}


def test_a_run_that_ends_while_it_waits_does_not_shorten_the_wait_of_the_next_one() -> None:
    world, plan = World(random.Random(1), script={}, list_lag=20.0), plan_of([0, 0])

    async def main() -> RunReport | None:
        with world.rules():
            await world.run(plan, cancel_after=5.0)
            world.copies = world.copies[1:2]
            world.lose_wal()
            await world.run(plan, stop_after=1.0)
            world.gap = ""  # its file is the one that this run wrote
            return await world.run(plan)

    report = virtually(main())
    assert report is not None
    assert (set(there(world).values()), report.is_complete) == ({1}, True)
