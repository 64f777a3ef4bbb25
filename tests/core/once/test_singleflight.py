"""Callers that ask for the same read at the same time."""

from __future__ import annotations

import asyncio

import pytest

from facturaonline_async import NotFoundError, NotSentError, connect
from facturaonline_async._core.once.singleflight import SingleFlight
from facturaonline_async._messages import message
from facturaonline_async.testing import Emulator
from tests.calls import counted
from tests.tasks import FACTORIES
from tests.virtual import virtually


async def read_by_a_hundred() -> list[int]:
    shared, reads = SingleFlight(), 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        await asyncio.sleep(1)
        return reads

    return await asyncio.gather(*(shared.read("k", read) for _ in range(100)))


def test_concurrent_callers_share_one_read() -> None:
    assert virtually(read_by_a_hundred()) == [1] * 100


def test_a_caller_never_gets_a_read_that_began_before_it_asked() -> None:
    async def main() -> list[float]:
        shared, clock = SingleFlight(), asyncio.get_running_loop().time

        async def read() -> float:
            started_at = clock()
            await asyncio.sleep(1)
            return started_at

        async def ask(at: float) -> float:
            await asyncio.sleep(at)
            return await shared.read("k", read)

        return await asyncio.gather(*(ask(at) for at in (0.0, 0.5, 0.9, 1.5)))

    assert virtually(main()) == [0.0, 1.0, 1.0, 2.0]


def test_different_reads_do_not_wait_for_each_other() -> None:
    async def main() -> float:
        shared = SingleFlight()
        await asyncio.gather(*(shared.read(key, lambda: asyncio.sleep(1)) for key in range(10)))
        return asyncio.get_running_loop().time()

    assert virtually(main()) == 1.0


def test_an_error_goes_to_each_caller_as_a_copy() -> None:
    async def main() -> list[BaseException | None]:
        async def read() -> None:
            await asyncio.sleep(1)
            raise NotFoundError("no", endpoint="series.list", status=404)

        shared = SingleFlight()
        return await asyncio.gather(*(shared.read("k", read) for _ in range(3)), return_exceptions=True)

    errors = virtually(main())
    assert [str(error) for error in errors] == ["series.list: no (HTTP 404)"] * 3
    assert len({id(error) for error in errors}) == 3


class UncopiedError(Exception):
    """An error of other code, which `copy.copy` cannot copy."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def test_an_error_of_other_code_goes_to_each_caller_as_it_is() -> None:
    error = UncopiedError("a", "bug")

    async def main() -> list[object]:
        async def read() -> None:
            await asyncio.sleep(1)
            raise error

        shared = SingleFlight()
        return await asyncio.gather(*(shared.read("k", read) for _ in range(3)), return_exceptions=True)

    assert virtually(main()) == [error] * 3


#: Steps of the loop between what happens to a read and what happens to its callers: they meet in each order.
MOMENTS = range(5)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cancelled_caller_does_not_affect_the_others(moment: int) -> None:
    async def main() -> tuple[list[object], set[object]]:
        shared, ending = SingleFlight(), asyncio.Event()

        async def read() -> str:
            await ending.wait()
            return "read"

        asking = [asyncio.create_task(shared.read("k", read)) for _ in range(20)]
        await asyncio.sleep(1)
        ending.set()
        for _ in range(moment):
            await asyncio.sleep(0)
        for leaving in asking[::2]:
            leaving.cancel()
        await asyncio.wait(asking)
        return [each.result() for each in asking[1::2]], set(shared._tasks)

    assert virtually(main()) == (["read"] * 10, set())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_read_without_callers_is_cancelled_and_the_next_caller_reads_anew(moment: int) -> None:
    async def main() -> tuple[list[str], str, float]:
        shared, ends = SingleFlight(), list[str]()

        async def read() -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        leaving = [asyncio.create_task(shared.read("k", read)) for _ in range(3)]
        await asyncio.sleep(1)
        for each in leaving:
            each.cancel()
        for _ in range(moment):
            await asyncio.sleep(0)
        answer = await shared.read("k", lambda: asyncio.sleep(1, "fine"))
        return ends, answer, asyncio.get_running_loop().time()

    assert virtually(main()) == (["cancelled"], "fine", 2.0)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_read_abandoned_before_it_began_has_no_further_caller(moment: int) -> None:
    async def main() -> str:
        shared = SingleFlight()
        first = asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1, "first")))
        await asyncio.sleep(0.5)
        leaving = asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1, "abandoned")))
        await asyncio.sleep(0.1)
        leaving.cancel()
        for _ in range(moment):
            await asyncio.sleep(0)
        answer = await shared.read("k", lambda: asyncio.sleep(1, "fine"))
        await first
        return answer

    assert virtually(main()) in ({"fine", "abandoned"} if moment == 0 else {"fine"})


def test_a_caller_may_be_cancelled_before_the_read_begins() -> None:
    async def main() -> list[object]:
        shared = SingleFlight()
        first = asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1, "first")))
        await asyncio.sleep(0.5)
        leaving = asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1, "never")))
        await asyncio.sleep(0.1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        return [
            await first,
            await shared.read("k", lambda: asyncio.sleep(1, "second")),
            shared._next_reads,
            shared._current_reads,
        ]

    assert virtually(main()) == ["first", "second", {}, {}]


def test_closing_cancels_running_reads() -> None:
    async def main() -> tuple[list[str], float]:
        shared = SingleFlight()
        asking = [asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1000))) for _ in range(2)]
        await asyncio.sleep(1)
        asking.append(asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1000))))
        await asyncio.sleep(1)
        await shared.aclose()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        return [str(error) for error in errors], asyncio.get_running_loop().time()

    assert virtually(main()) == ([str(NotSentError(message("calls.closed_while_waiting")))] * 3, 2.0)


def test_closing_waits_until_each_read_has_ended() -> None:
    async def main() -> tuple[list[str], float]:
        shared, ended = SingleFlight(), list[str]()

        async def read() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)
                ended.append("read")

        asking = asyncio.create_task(shared.read("k", read))
        await asyncio.sleep(1)
        await shared.aclose()
        now = asyncio.get_running_loop().time()
        await asyncio.wait([asking])
        return ended, now

    assert virtually(main()) == (["read"], 2.0)


def test_a_read_cancelled_from_outside_does_not_affect_the_next() -> None:
    """A shutdown handler may cancel all tasks, also those that have not begun."""

    async def main(moment: float) -> tuple[list[str], str]:
        shared = SingleFlight()
        asking = [asyncio.create_task(shared.read("k", lambda: asyncio.sleep(5))) for _ in range(2)]
        await asyncio.sleep(moment)
        asking.append(asyncio.create_task(shared.read("k", lambda: asyncio.sleep(5))))
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task(), *asking}:
            task.cancel()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        return [type(error).__name__ for error in errors], await shared.read("k", lambda: asyncio.sleep(1, "fine"))

    for moment in (0.0, 1.0):
        assert virtually(main(moment)) == (["NotSentError"] * 3, "fine")


@pytest.mark.parametrize("moment", MOMENTS)
def test_nobody_joins_a_read_that_was_cancelled_from_outside(moment: int) -> None:
    async def main() -> str | None:
        shared = SingleFlight()
        asking = asyncio.create_task(shared.read("k", lambda: asyncio.sleep(5)))
        await asyncio.sleep(0)
        (read,) = shared._tasks
        read.cancel()
        for _ in range(moment):
            await asyncio.sleep(0)
        try:
            answer = await shared.read("k", lambda: asyncio.sleep(1, "fine"))
        except NotSentError:
            answer = None  # it asked before the read had ended
        await asyncio.wait([asking])
        return answer

    assert virtually(main()) in ({None, "fine"} if moment < MOMENTS[-1] else {"fine"})


def test_cancelling_many_callers_costs_linear_time() -> None:
    async def calls(number: int) -> int:
        shared = SingleFlight()
        asking = [asyncio.create_task(shared.read("k", lambda: asyncio.sleep(1000))) for _ in range(number)]
        await asyncio.sleep(1)
        with counted() as made:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return made["call"] + made["c_call"]

    assert virtually(calls(2_000)) <= 2.5 * virtually(calls(1_000))


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("is_late", [False, True])
def test_find_and_ensure_work_with_every_task_factory(name: str, is_late: bool) -> None:  # noqa: FBT001
    """It also works with a factory that is set after the session was first used."""

    async def main() -> tuple[object, ...]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(None if is_late else FACTORIES[name]())
        async with Emulator() as emulator, connect(emulator.credentials, base_url=emulator.base_url) as client:
            await client.series.find(letra="A", tipo_documento="factura")
            loop.set_task_factory(FACTORIES[name]())
            series = await asyncio.gather(
                *(client.series.ensure(letra=letra, tipo_documento="factura") for letra in "FFG")
            )
            found = await client.series.find(letra="F", tipo_documento="factura")
            missing = await client.empresas.find("EKU9003173C9")
            return [serie.letra for serie in series], found == series[0], missing, len(emulator.state["series"])

    assert (["F", "F", "G"], True, None, 2) == asyncio.run(main())


@pytest.mark.parametrize("name", FACTORIES)
def test_concurrent_callers_share_one_read_with_every_task_factory(name: str) -> None:
    async def main() -> list[int]:
        asyncio.get_running_loop().set_task_factory(FACTORIES[name]())
        return await read_by_a_hundred()

    assert [1] * 100 == virtually(main())
