"""Whatever ends a check, no frame of its traceback shows the key or its password."""

from __future__ import annotations

import asyncio
import base64
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from facturaonline_async.provision.checkers import checkers
from facturaonline_async.sello import (
    Sello,
    check,
    checking,
    cifrado,
    der,
    files,
    llave,
    passwords,
    selection,
    text_mode,
    worker,
    wrapping,
)
from facturaonline_async.sello.process import GoneError, Process
from facturaonline_async.sello.terms import Terms
from tests.sello.certificates import NOW, made

PASSWORD = " muy secreta ñ\udcff "
GOOD = made(password="muy secreta")
PEM = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + base64.encodebytes(GOOD.key) + b"-----END ENCRYPTED PRIVATE KEY-----"
TERMS = Terms(rfc=None, kind="csd", now=NOW, production=False)


def shown(error: BaseException | None) -> str:
    """Return the traceback with all locals, and those of all errors behind it."""
    everything: list[str] = []
    while error is not None:
        everything += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        error = error.__context__
    return "".join(everything)


def assert_hidden(error: BaseException) -> None:
    text = shown(error)
    assert "secreta" not in text
    for content in (bytes(GOOD.key), base64.b64encode(GOOD.key), base64.encodebytes(GOOD.key)):
        for at in (4, 70, 300, 600, 1000):
            part = content[at : at + 12]
            assert repr(part)[2:-1] not in text
            assert repr(pickle.dumps(part)[-14:-2])[2:-1] not in text


class Interrupts:
    """Calls a function, and is interrupted at the nth time."""

    def __init__(self, function: Callable[..., Any], number: int) -> None:
        self.function = function
        self.number = number

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        self.number -= 1
        if self.number < 0:
            del arguments, more
            raise KeyboardInterrupt
        return self.function(*arguments, **more)


def places() -> Iterator[tuple[Any, str, int]]:
    yield from ((llave, "load_der_private_key", number) for number in range(3))
    yield from ((llave, "_is_consistent", 0), (llave, "_works", 0), (cifrado, "examined", 0))
    yield from ((checking, name, 0) for name in ("encoded", "explain", "open_llave", "_public"))
    yield from ((passwords, name, 0) for name in ("encoded", "_in_windows", "_opens", "open_llave", "_undone"))
    yield from ((passwords, "unquote_to_bytes", 0), (cifrado, "canonical", 0))
    yield from ((der, "_read", number) for number in range(8))
    yield from ((files, name, 0) for name in ("_in_text", "_in_block", "_best"))
    yield from ((files, name, number) for name in ("_binary", "_in_der", "_what") for number in range(2))
    yield from ((wrapping, name, 0) for name in ("text_of", "bare", "PemBlock", "base64_contents", "_decoded"))
    yield from ((text_mode, name, 0) for name in ("undone", "loss"))
    yield from ((selection, name, 0) for name in ("select_key", "select_certificate"))
    yield (base64, "b64decode", 0)


def dressed() -> Iterator[Sello]:
    """Give a good and a wrong password, with a key in each dress, at its place and at the other."""
    for password in (GOOD.password, PASSWORD):
        for key in (GOOD.key, PEM, base64.b64encode(GOOD.key)):
            yield Sello(GOOD.cer, key, password)
            yield Sello(bytes(key), GOOD.cer, password)


@pytest.mark.parametrize(("where", "name", "number"), list(places()), ids=lambda each: getattr(each, "__name__", each))
def test_an_interrupted_check_shows_nothing(
    where: Any, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = 0
    for sello in dressed():
        with monkeypatch.context() as patch:
            patch.setattr(where, name, Interrupts(getattr(where, name), number))
            try:
                check(sello, now=NOW)
            except KeyboardInterrupt as error:
                interrupted += 1
                assert_hidden(error)
    assert interrupted > 0


def test_a_question_that_cannot_be_written_shows_nothing() -> None:
    class Broken:
        def write(self, _: bytes) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError) as error:
        worker.write(Broken(), worker.packed(GOOD, TERMS))  # type: ignore[arg-type]
    assert_hidden(error.value)


def test_a_process_that_dies_shows_nothing() -> None:
    process = Process()
    process.kill()
    with pytest.raises(GoneError) as error:
        process.ask(GOOD, TERMS)
    process.close()
    assert_hidden(error.value)


async def test_a_cancelled_call_shows_nothing() -> None:
    async with checkers(1) as checked:
        task = asyncio.ensure_future(checked(GOOD, rfc=None, kind="csd", now=NOW))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as error:
            await task
    assert_hidden(error.value)


def test_this_test_would_see_it() -> None:
    def careless(password: str, key: bytes) -> None:
        raise KeyboardInterrupt

    for parts in ((GOOD.password.reveal(), b""), ("", bytes(GOOD.key)), ("", PEM)):
        with pytest.raises(KeyboardInterrupt) as error:
            careless(*parts)
        with pytest.raises(AssertionError):
            assert_hidden(error.value)
