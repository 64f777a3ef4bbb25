"""A process that checks Sellos: ``python -m facturaonline_async.sello.worker TOKEN``, asked through its standard input.

Loading a key holds the GIL, so that threads do not help a batch. `multiprocessing` is not used, for its children import
the user's ``__main__`` again. Questions and answers are pickles behind their length in four bytes, between a parent and
the child that it started; a question holds the key and its password, and goes through the pipe only. Before the first
of them the child proves that it is this module, by an answer to the parent's token that nobody else would give: what
stands in the pipe before it (a ``sitecustomize`` may print there) is no message, and is not read as one.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import struct
import sys
from typing import IO, Final

from facturaonline_async.config import Secret, SecretBytes
from facturaonline_async.sello import Report, Sello
from facturaonline_async.sello.terms import Terms

__all__ = ["main", "packed", "proof", "read", "write"]

_LENGTH: Final = struct.Struct(">I")
_BEHIND_OTHERS: Final = 10


def proof(token: str) -> bytes:
    """Return the 32 bytes that say: this module runs here, and was started with this token."""
    return hashlib.sha256(f"facturaonline_async.sello.worker {token}".encode()).digest()


def packed(sello: Sello, terms: Terms) -> SecretBytes:
    """Return a question. A Sello refuses to be pickled; its parts stand nowhere else on the way, and show nowhere."""
    return SecretBytes(pickle.dumps((sello.cer, bytes(sello.key), sello.password.reveal(), terms)))


def write(pipe: IO[bytes], content: bytes) -> None:
    """Write one message.

    Raises:
        OSError: nobody reads it.

    """
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def read(pipe: IO[bytes]) -> SecretBytes:
    """Read one message.

    Raises:
        EOFError: the other side is gone.

    """
    header = pipe.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(header)
    content = SecretBytes(pipe.read(length))
    if len(content) < length:
        raise EOFError
    return content


def main() -> None:
    """Prove what this is, and answer until the parent closes the pipe. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_BEHIND_OTHERS)  # the parent's event loop comes first
    # What anything prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(proof(sys.argv[1]))
    answers.flush()
    while True:
        try:
            question = read(sys.stdin.buffer)
        except EOFError:
            return
        write(answers, pickle.dumps(_answer(question)))


def _answer(question: SecretBytes) -> Report | str:
    """Return a report; or, should anything be raised, the name of that: the process lives on."""
    # `cryptography` is loaded by the first question, not before the proof.
    from facturaonline_async.sello.checking import find  # noqa: PLC0415

    try:
        return find(*_unpacked(question))
    except Exception as error:  # noqa: BLE001  # the parent finds out what it is
        return type(error).__name__


def _unpacked(question: SecretBytes) -> tuple[Sello, Terms]:
    cer, key, password, terms = pickle.loads(question)  # noqa: S301  # from the process that started this one
    return Sello(cer, SecretBytes(key), Secret(password)), terms


if __name__ == "__main__":
    main()
