"""A process that checks Sellos: ``python -m facturaonline_async.sello.worker``, asked through its standard input.

Loading a key holds the GIL, so that threads do not help a batch. `multiprocessing` is not used, for its children import
the user's ``__main__`` again. Questions and answers are pickles behind their length in four bytes, between a parent and
the child that it started; a question holds the key and its password, and goes through the pipe only.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
from datetime import datetime
from typing import IO, Final, TypedDict

from facturaonline_async.config import Secret
from facturaonline_async.sello import Kind, Sello, check

__all__ = ["Question", "main", "read", "write"]

_LENGTH: Final = struct.Struct(">I")
_BEHIND_OTHERS: Final = 10


class Question(TypedDict):
    """The arguments of `check`, with nothing in them that refuses to be pickled."""

    cer: bytes
    key: bytes
    password: str
    rfc: str | None
    kind: Kind | None
    now: datetime | None
    production: bool


def write(pipe: IO[bytes], value: object) -> None:
    """Write one message.

    Raises:
        OSError: nobody reads it.

    """
    content = pickle.dumps(value)
    pipe.write(_LENGTH.pack(len(content)) + content)
    pipe.flush()


def read(pipe: IO[bytes]) -> object:
    """Read one message.

    Raises:
        EOFError: the other side is gone.

    """
    header = pipe.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(header)
    return pickle.loads(pipe.read(length))  # noqa: S301  # from the process that this one started, or was started by


def main() -> None:
    """Say hello, and answer until the parent closes the pipe. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_BEHIND_OTHERS)  # the parent's event loop comes first
    # What anything prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    write(answers, "ready")
    while True:
        try:
            question = read(sys.stdin.buffer)
        except EOFError:
            return
        write(answers, _answer(question))  # type: ignore[arg-type]  # only the parent asks


def _answer(question: Question) -> object:
    sello = Sello(question["cer"], question["key"], Secret(question["password"]))
    return check(
        sello,
        rfc=question["rfc"],
        kind=question["kind"],
        now=question["now"],
        production=question["production"],
    )


if __name__ == "__main__":
    main()
