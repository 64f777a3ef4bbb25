"""No error or interruption of a check shows the key or its password in a frame."""

from __future__ import annotations

import asyncio
import base64
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from facturaonline_async.sello import (
    Sello,
    _certificate_key_selection as certificate_key_selection,
    _check,
    _der as der,
    _file_kind as file_kind,
    _key_encryption as key_encryption,
    _password_diagnosis as passwords,
    _private_key as private_key,
    _text_decoding as text_decoding,
    _text_mode_repair as text_mode_repair,
    check,
)
from facturaonline_async.sello._check_in_thread import check_in_thread
from facturaonline_async.testing import make_sello
from tests.sello.certificates import NOW, made

PASSWORD = " muy secreta ñ\udcff "
GOOD = made(password="muy secreta")
OTHER = make_sello("EKU9003173C9", now=NOW)  # with a key of its own
PEM = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + base64.encodebytes(GOOD.key) + b"-----END ENCRYPTED PRIVATE KEY-----"


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
    """Wrapper of a function that raises KeyboardInterrupt in the nth call."""

    def __init__(self, function: Callable[..., Any], number: int) -> None:
        self.function = function
        self.number = number

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        self.number -= 1
        if self.number < 0:
            del arguments, more
            raise KeyboardInterrupt
        return self.function(*arguments, **more)


def interruption_points() -> Iterator[tuple[Any, str, int]]:
    yield from ((private_key, "load_der_private_key", number) for number in range(3))
    yield from ((private_key, name, 0) for name in ("_is_consistent", "_signs_and_verifies"))
    yield from ((key_encryption, name, 0) for name in ("inspect_encryption", "to_canonical"))
    for name in ("encode_password", "explain_wrong_password", "open_private_key", "_open_key"):
        yield _check, name, 0
    for name in ("encode_password", "_encode_cp1252", "_opens", "open_private_key", "_undo", "unquote_to_bytes"):
        yield passwords, name, 0
    yield from ((der, "_read", number) for number in range(8))
    yield from ((file_kind, name, 0) for name in ("_recognise_text", "_recognise_block", "_choose_candidate"))
    for name in ("_recognise_binary", "_recognise_der", "_classify_der"):
        yield from ((file_kind, name, number) for number in range(2))
    for name in ("decode_text", "strip_wrapping", "PemBlock", "base64_contents", "_decode"):
        yield text_decoding, name, 0
    yield from ((text_mode_repair, name, 0) for name in ("undo_text_mode", "describe_loss"))
    yield from ((certificate_key_selection, name, 0) for name in ("select_key", "select_certificate"))
    yield (base64, "b64decode", 0)


def dressed() -> Iterator[Sello]:
    """Yield a right and a wrong password for a key in each encoding, in its own or the other field.

    The last one is a key beside a certificate of another key.
    """
    for password in (GOOD.password, PASSWORD):
        for key in (GOOD.key, PEM, base64.b64encode(GOOD.key)):
            yield Sello(GOOD.cer, key, password)
            yield Sello(bytes(key), GOOD.cer, password)
    yield Sello(OTHER.cer, GOOD.key, GOOD.password)


@pytest.mark.parametrize(
    ("where", "name", "number"), list(interruption_points()), ids=lambda each: getattr(each, "__name__", each)
)
def test_an_interrupted_check_shows_no_secret(
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


async def test_a_cancelled_call_shows_no_secret() -> None:
    task = asyncio.ensure_future(check_in_thread(GOOD, rfc=None, kind="csd"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as error:
        await task
    assert_hidden(error.value)


async def test_an_error_in_the_thread_and_the_names_of_threads_show_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: list[str] = []

    def interrupted(*_: object) -> None:
        names.extend(each.name for each in threading.enumerate())
        raise RuntimeError

    monkeypatch.setattr(_check, "open_private_key", interrupted)
    with pytest.raises(RuntimeError) as error:
        await check_in_thread(GOOD, rfc=None, kind="csd")
    assert_hidden(error.value)
    assert names
    assert "secreta" not in "".join(names)


def test_this_test_detects_a_secret_in_a_frame() -> None:
    def careless(password: str, key: bytes) -> None:
        raise KeyboardInterrupt

    for parts in ((GOOD.password.reveal(), b""), ("", bytes(GOOD.key)), ("", PEM)):
        with pytest.raises(KeyboardInterrupt) as error:
            careless(*parts)
        with pytest.raises(AssertionError):
            assert_hidden(error.value)
