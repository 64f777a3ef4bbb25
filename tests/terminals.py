"""The command at a terminal: what people see there, and what they type."""

from __future__ import annotations

import asyncio
import os
import pty
import select
from collections.abc import Mapping, Sequence

from facturaonline_async.testing import Emulator
from tests.cli.test_app import Ran, environment
from tests.forkserver import read, start

INTERRUPT = b"\x03"
"""What Ctrl-C sends."""


async def at_terminal(
    *arguments: object,
    answers: Sequence[tuple[str, str]],
    emulator: Emulator,
    errors_apart: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Ran:
    """Run the command at a terminal; when it shows a text, type the answer. Its `err` is what the terminal showed.

    Args:
        arguments: arguments of the command.
        answers: texts that the terminal shows, and the answers.
        emulator: the API.
        errors_apart: whether the standard error goes elsewhere; it is `err` then.
        variables: further variables of its environment.

    """
    master, slave = pty.openpty()
    out, to_out = os.pipe()
    # Its session gets the terminal, so that Ctrl-C and hidden input work as people know them.
    err, to_err = os.pipe() if errors_apart else (None, os.dup(slave))
    streams = slave, to_out, to_err
    code = start(
        [str(each) for each in arguments], environment(emulator) | dict(variables or {}), streams, at_terminal=True
    )
    shown, told, ended = await asyncio.gather(
        asyncio.to_thread(_show, master, list(answers)), asyncio.to_thread(read, out), asyncio.to_thread(read, code)
    )
    os.close(master)
    if err is not None:
        shown = await asyncio.to_thread(lambda: read(err).decode())
    return Ran(int(ended), told.decode(), shown)


def _show(master: int, answers: list[tuple[str, str]]) -> str:
    """Read what the terminal shows until nobody uses it any more."""
    shown, seen, pressed = b"", 0, False
    while True:
        if pressed and not select.select([master], [], [], 1.0)[0]:
            os.write(master, INTERRUPT)  # one between the question and the read waits for a line: people press again
        try:
            read = os.read(master, 4096)
        except OSError:  # so Linux tells the end
            read = b""
        if not read:
            return shown.decode()
        shown += read
        pressed = pressed and not read.replace(b"^C", b"").strip()
        if answers and answers[0][0].encode() in shown[seen:]:
            seen = len(shown)
            answer = answers.pop(0)[1].encode()
            os.write(master, answer)
            pressed = answer == INTERRUPT
