"""An emulator in a thread of its own, and what a client says of one that cannot answer."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from facturaonline_async import NotSentError, connect
from facturaonline_async.testing import Emulator, Fault, emulator_in_thread


async def list_series(emulator: Emulator) -> int:
    async with connect(emulator.credentials, base_url=emulator.base_url) as client:
        return len(await client.series.list())


def test_an_emulator_in_a_thread_serves_one_loop_after_another() -> None:
    with emulator_in_thread() as emulator:
        assert [asyncio.run(list_series(emulator)) for _ in range(2)] == [0, 0]
    assert emulator.count("series.list") == 2


def test_it_takes_an_emulator_with_settings_and_obeys_it_from_the_tests_thread() -> None:
    with emulator_in_thread(Emulator(refusal_statuses={"validation": 422})) as emulator:
        (main,) = emulator.state["empresas"]
        emulator.add_serie(main, letra="F", tipo_documento="factura")
        emulator.inject(Fault.status(503), endpoint="series.list")
        assert asyncio.run(list_series(emulator)) == 1
    assert [request.status for request in emulator.requests] == [503, 200]


def test_its_thread_ends_with_the_block_also_after_an_error() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="mine"), emulator_in_thread():
        raise ValueError("mine")
    assert threading.active_count() == before


def test_an_emulator_that_cannot_start_raises_in_the_callers_thread() -> None:
    before = threading.active_count()
    with emulator_in_thread() as emulator, pytest.raises(RuntimeError, match="started already"):  # noqa: SIM117
        with emulator_in_thread(emulator):
            pytest.fail("it runs twice")
    assert threading.active_count() == before


class SlowEmulator(Emulator):
    """Emulator that starts when it is told to; its user presses Ctrl-C before."""

    def __init__(self) -> None:
        super().__init__()
        self.may_start = threading.Event()

    async def __aenter__(self) -> Self:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        while not self.may_start.is_set():  # noqa: ASYNC110  # another thread sets it
            await asyncio.sleep(0.01)
        return await super().__aenter__()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, which a worker of pytest-xdist ignores."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("ctrl_c")
def test_a_start_that_is_interrupted_is_not_waited_for_and_leaves_no_thread() -> None:
    before = threading.active_count()
    emulator = SlowEmulator()
    with pytest.raises(KeyboardInterrupt), emulator_in_thread(emulator):
        pytest.fail("it has started")
    assert threading.active_count() == before + 1
    emulator.may_start.set()
    for thread in threading.enumerate():
        if thread.name == "facturaonline-emulator":
            thread.join()
    assert threading.active_count() == before


# ── An emulator that cannot answer ────────────────────────────────────────────────────────────────────────────────────


def test_a_client_says_that_the_loop_of_its_emulator_does_not_run() -> None:
    """As with a fixture of the whole session whose test has a loop of its own."""
    with asyncio.Runner() as fixtures:
        emulator = Emulator()
        fixtures.run(emulator.start())
        with pytest.raises(NotSentError, match=r"in an event loop that does not run now.*facturaonline_emulator"):
            asyncio.run(list_series(emulator))
        fixtures.run(emulator.aclose())


async def test_a_client_in_another_thread_says_that_the_loop_of_its_emulator_is_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a synchronous test client inside an asynchronous test."""
    monkeypatch.setattr("facturaonline_async._local_loops._PATIENCE", 0.1)
    async with Emulator() as emulator:
        errors: list[Exception] = []

        def call() -> None:
            try:
                asyncio.run(list_series(emulator))
            except NotSentError as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()  # blocks this loop
    (error,) = errors
    assert "its event loop is blocked, perhaps by a synchronous test client" in str(error)


async def test_a_client_in_another_loop_is_served_while_the_emulators_loop_runs() -> None:
    async with Emulator() as emulator:
        assert await asyncio.to_thread(lambda: asyncio.run(list_series(emulator))) == 0


async def test_a_stopped_emulator_is_forgotten_so_that_another_server_may_have_its_port() -> None:
    async with Emulator() as emulator:
        port = int(emulator.base_url.split(":")[-1].removesuffix("/api"))

    def serve() -> int:
        with emulator_in_thread(Emulator(port=port)) as other:
            return asyncio.run(list_series(other))

    assert await asyncio.to_thread(serve) == 0
