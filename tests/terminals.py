"""The command at a terminal: what people see there, and what they type."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections.abc import Sequence

from facturaonline_async.testing import Emulator
from tests.test_cli import Ran, environment

# The terminal becomes that of the command's session, so that Ctrl-C and hidden input work as people know them.
_START = (
    "import fcntl, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from facturaonline_async.cli import main; main()"
)


async def at_terminal(*arguments: object, answers: Sequence[tuple[str, str]], emulator: Emulator) -> Ran:
    """Run the command at a terminal; when it shows a text, type the answer. Its `err` is what the terminal showed."""
    master, slave = pty.openpty()
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _START, *map(str, arguments),
            stdin=slave, stdout=pipe, stderr=slave, start_new_session=True, env=environment(emulator),
        )  # fmt: skip
    finally:
        os.close(slave)
    try:
        shown = asyncio.create_task(asyncio.to_thread(_show, master, list(answers)))
        out, _ = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), await shown)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


def _show(master: int, answers: list[tuple[str, str]]) -> str:
    """Read what the terminal shows until nobody uses it any more."""
    shown, seen = b"", 0
    while True:
        try:
            read = os.read(master, 4096)
        except OSError:  # so Linux tells the end
            read = b""
        if not read:
            return shown.decode()
        shown += read
        if answers and answers[0][0].encode() in shown[seen:]:
            seen = len(shown)
            os.write(master, answers.pop(0)[1].encode())
