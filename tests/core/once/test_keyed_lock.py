"""Locks by key: order, cancellation and no leftovers."""

from __future__ import annotations

import asyncio

from facturaonline_async._core.once.keyed_lock import KeyedLock
from tests.virtual import virtually


def test_holders_of_a_key_follow_one_another_in_order() -> None:
    async def main() -> tuple[list[tuple[int, float]], dict[object, object]]:
        locks, held = KeyedLock(), list[tuple[int, float]]()

        async def hold(number: int) -> None:
            async with locks.hold("k"):
                held.append((number, asyncio.get_running_loop().time()))
                await asyncio.sleep(1)

        async with locks.hold("other"):
            await asyncio.gather(*(hold(number) for number in range(3)))
        return held, dict(locks._locks)

    assert virtually(main()) == ([(0, 0.0), (1, 1.0), (2, 2.0)], {})


def test_a_cancelled_waiter_is_skipped() -> None:
    async def main() -> tuple[int, bool, object, dict[object, object]]:
        locks = KeyedLock()

        async def hold() -> float:
            async with locks.hold("k"):
                await asyncio.sleep(1)
                return asyncio.get_running_loop().time()

        tasks = [asyncio.create_task(hold()) for _ in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        waiting = len(locks._locks["k"])
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return waiting, isinstance(done[1], asyncio.CancelledError), done[2], dict(locks._locks)

    assert virtually(main()) == (1, True, 2.0, {})


def test_a_key_is_held_inside_the_block_alone() -> None:
    async def main() -> list[bool]:
        locks = KeyedLock()
        before = locks.is_held("k")
        async with locks.hold("k"):
            inside, other = locks.is_held("k"), locks.is_held("other")
        return [before, inside, other, locks.is_held("k")]

    assert virtually(main()) == [False, True, False, False]
