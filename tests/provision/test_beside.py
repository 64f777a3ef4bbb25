"""Several users of one session, or of one journal: what one of them makes, no other makes again."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import FacturaOnline, InvalidInputError, OutcomeUnknownError, UnreadableAnswerError
from facturaonline_async.provision import JournalError, Plan, State, ThingEvent, locks, provision
from facturaonline_async.provision.journal import Journal
from facturaonline_async.testing import Emulator
from tests.plans import nueva
from tests.provision.stage import EMPRESAS, SERIES, YES, YES_IN_OTHER_WORDS, Act, Stage, edited, lost, run, staged
from tests.provision.test_model import plan_of, there, wanted
from tests.provision.verdict import phases
from tests.provision.world import SETTLE

RFC = "AAA010101000"
WHATS = pytest.mark.parametrize("what", [EMPRESAS, SERIES])


async def ensure(client: FacturaOnline, what: str) -> object:
    """Ensure the company, or its serie F; the company itself is there already then."""
    if what == EMPRESAS:
        return await client.empresas.ensure(nueva(RFC))
    own = client.for_empresa(await client.empresas.ensure(nueva(RFC)))
    return await own.series.ensure(letra="F", tipo_documento="factura")


# ── Lists that show late what is there ────────────────────────────────────────────────────────────────────────────────


@staged(list_lag=8.0)
async def test_a_second_ensure_finds_what_no_list_shows_yet(stage: Stage, client: FacturaOnline) -> None:
    first = await client.empresas.ensure(nueva(RFC))
    second = await client.empresas.ensure(nueva(RFC))
    assert (first.uid, stage.count(EMPRESAS)) == (second.uid, 1)


@staged(list_lag=8.0)
async def test_a_run_adopts_what_was_ensured_a_moment_ago(stage: Stage, client: FacturaOnline) -> None:
    await client.empresas.ensure(nueva(RFC))
    _, report = await run(client, plan_of([1]))
    assert (there(stage), report.is_complete, report.empresas[State.ADOPTED]) == (wanted(plan_of([1])), True, 1)


@staged(list_lag=8.0)
async def test_an_ensure_finds_what_a_run_has_made_a_moment_ago(stage: Stage, client: FacturaOnline) -> None:
    async with provision(client, plan_of([0]), settle=SETTLE) as under_way:
        async for outcome in under_way:
            empresa = await client.empresas.ensure(nueva(RFC))
            assert (outcome.uid, stage.count(EMPRESAS)) == (empresa.uid, 1)
    assert under_way.report.is_complete


@staged(list_lag=8.0)
async def test_what_is_ensured_during_a_run_is_adopted_by_it(stage: Stage, client: FacturaOnline) -> None:
    plan = plan_of([1] * 6)
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        async for outcome in under_way:
            if outcome.number == 1:
                await client.empresas.ensure(nueva(plan.rows[-1].rfc))
    assert (there(stage), under_way.report.empresas[State.ADOPTED], under_way.report.is_complete) == (
        wanted(plan),
        1,
        True,
    )


@staged(list_lag=8.0)
async def test_two_runs_that_meet_in_the_middle_make_each_once(stage: Stage, client: FacturaOnline) -> None:
    plan = plan_of([1] * 10)
    backwards = Plan.from_values((nueva(row.rfc), row.series) for row in reversed(plan.rows))
    ended = await asyncio.gather(run(client, plan, concurrency=1), run(client, backwards, concurrency=1))
    assert there(stage) == wanted(plan)
    assert [report.is_complete for _, report in ended] == [True, True]
    assert sum(report.empresas[State.CREATED] for _, report in ended) == 10


@staged()
async def test_a_run_that_ends_leaves_the_others_their_ears(stage: Stage, client: FacturaOnline) -> None:
    """Two runs have heard of nothing. One ends; long after what was then made is in no doubt, the other comes to it."""
    plan, other = plan_of([0] * 8), Plan.from_values([(nueva("BBB010101000"), [])])
    async with provision(client, plan, settle=SETTLE, concurrency=1) as under_way:
        async for outcome in under_way:
            if outcome.number == 1:
                _, report = await run(client, other)
                assert report.is_complete
                await client.empresas.ensure(nueva(plan.rows[-1].rfc))
                await asyncio.sleep(2 * client.session.config.settle)
    assert there(stage) == wanted(plan) + wanted(other)
    assert (under_way.report.empresas[State.ADOPTED], under_way.report.is_complete) == (1, True)


# ── Doubts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@WHATS
@staged(settle=200.0)
async def test_an_ensures_doubt_outlives_a_run_that_settles_sooner(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    """The create of the ensure is done when a run that waits for a few seconds only would have sent its own."""
    stage.on(what, lost(done_after=60), times=1)
    with pytest.raises(OutcomeUnknownError):
        await ensure(client, what)
    (outcome,), report = await run(client, plan_of([1]), settle=5.0)
    assert (there(stage), stage.count(what)) == (wanted(plan_of([1])), 1)
    assert (outcome.ok, report.is_complete) == (True, True)


@pytest.mark.parametrize(("what", "words"), [(EMPRESAS, YES_IN_OTHER_WORDS), (SERIES, YES)])
@staged()
async def test_what_the_api_says_it_made_is_made_by_nobody_else_though_no_list_shows_it(
    stage: Stage, client: FacturaOnline, what: str, words: Act
) -> None:
    """A yes that cannot be read, or one that tells no uid: long after the run, ensures and runs wait for it."""
    stage.on(what, words, times=1)
    _, report = await run(client, plan_of([1]))
    await asyncio.sleep(2 * client.session.config.settle)
    with pytest.raises(UnreadableAnswerError, match="was created"):
        await ensure(client, what)
    (outcome,), again = await run(client, plan_of([1]))
    assert State.UNRESOLVED in {outcome.state, *(serie.state for serie in outcome.series)}
    assert (stage.count(what), report.is_complete, again.is_complete) == (1, False, False)


@WHATS
@staged()
async def test_several_that_are_found_before_a_create_are_for_a_person(
    stage: Stage, client: FacturaOnline, what: str
) -> None:
    """An ensure of this session is in doubt; when a run comes to create it, two are there that its lists had not."""
    stage.on(what, lost(), times=1)
    with pytest.raises(OutcomeUnknownError):
        await ensure(client, what)
    if what == EMPRESAS:
        stage.on("empresas.list", edited(lambda body: body.update(data=body["data"][:1])), times=2)
        uids = [stage.state.add_empresa({"rfc": RFC}) for _ in range(2)]
    else:
        stage.on("series.list", edited(lambda body: body.update(data=[])), times=1)
        row = {"empresa": stage.uid(RFC), "letra": "F", "tipo_documento": "factura"}
        uids = [str(stage.state.add_serie(dict(row))) for _ in range(2)]
    (outcome,), _ = await run(client, plan_of([1]))
    found = outcome if what == EMPRESAS else outcome.series[0]
    assert (found.state, found.uid, stage.count(what)) == (State.CONFLICT, None, 1)
    assert found.reason in {f"there are 2 of it: {', '.join(each)}" for each in (uids, uids[::-1])}


# ── One journal ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def opened(path: Path) -> Journal:
    return await Journal.open(path, account="fingerprint", host="https://example.com/api")


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def test_a_journal_has_one_lock_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "j")
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    names = [tmp_path / "j", tmp_path / "link", tmp_path / "folder" / "j", tmp_path / "folder" / "link"]
    for first in names:  # the first of all by a link to nothing
        async with await opened(first):
            for second in names:
                with pytest.raises(JournalError, match="another process is working with the journal"):
                    await opened(second)
    assert names_in(tmp_path) == {"folder", "j", "j.lock", "link"}


async def test_a_journal_with_two_names_of_its_own_is_refused(tmp_path: Path) -> None:
    await (await opened(tmp_path / "j")).aclose()
    (tmp_path / "k").hardlink_to(tmp_path / "j")
    for name in "jk":
        with pytest.raises(JournalError, match=r"cannot be opened: it has several names \(hard links\)"):
            await opened(tmp_path / name)
    (tmp_path / "k").unlink()
    await (await opened(tmp_path / "j")).aclose()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
async def test_where_files_cannot_be_locked_nobody_else_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks, "_lock", refuse)
    with pytest.raises(JournalError, match=f"/j cannot be opened: {os.strerror(code)}") as caught:
        await opened(tmp_path / "j")
    assert "another process" not in str(caught.value)


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("meddle", [_remove, _replace])
async def test_a_journal_that_is_taken_away_stops_the_run_before_anything_more_is_sent(
    client: FacturaOnline, emulator: Emulator, tmp_path: Path, meddle: Callable[[Path], None]
) -> None:
    done: list[str] = []

    def on_event(event: ThingEvent) -> None:
        if event.phase == "done" and not event.letra:
            done.append(event.rfc)
            if len(done) == 3:
                meddle(tmp_path / "j")

    async with asyncio.timeout(30):
        with pytest.raises(JournalError, match=r"the file was removed or replaced\. Nothing more is sent"):
            await run(client, plan_of([1] * 6), journal=tmp_path / "j", concurrency=1, on_event=on_event)
    assert (len(done), emulator.count(EMPRESAS), emulator.count(SERIES)) == (3, 3, 2)


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "a?b#c%20.sqlite", "-"])
async def test_whatever_a_journal_is_called_it_is_a_file(
    client: FacturaOnline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _, report = await run(client, plan_of([1]), journal=name)
    assert (report.is_complete, phases(tmp_path / name)) == (True, {"done": 2})
    assert names_in(tmp_path) == {name, f"{name}.lock"}


@pytest.mark.parametrize("name", ["", b"j", "nul\0", 7])
async def test_what_is_no_path_is_refused_by_name(client: FacturaOnline, emulator: Emulator, name: Any) -> None:
    with pytest.raises(InvalidInputError, match="journal must be the path of a file, and was") as caught:
        await run(client, plan_of([1]), journal=name)
    assert (caught.value.field, emulator.count(EMPRESAS)) == ("journal", 0)
