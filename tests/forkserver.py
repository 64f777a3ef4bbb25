"""The command in processes of its own, forked from one that has imported it.

To start Python and to import the command takes a second of work, and the tests run the command some hundred times. A
forked process is one all the same: with its own environment, exit code, standard streams and end.
``python -m tests.forkserver FD`` is the server: one thread, no event loop, nothing opened.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import facturaonline_async
from facturaonline_async import provision, testing
from facturaonline_async._cli import exit_codes, main  # noqa: F401  # imported late by the command
from facturaonline_async._cli.app import app

__all__ = ["command", "read", "start"]

_MOST = 1 << 20
"""Bytes of one order, at most."""

_ROOT = Path(__file__).parents[1]


# ── Those who order ───────────────────────────────────────────────────────────────────────────────────────────────────


async def command(
    arguments: Sequence[str], environment: Mapping[str, str], given: bytes | None = None
) -> tuple[int, bytes, bytes]:
    """Run the command to its end, and return its exit code and what it wrote to both streams.

    Args:
        arguments: after its name.
        environment: all of it.
        given: on its standard input.

    """
    (source, into), (out, to_out), (err, to_err) = (os.pipe() for _ in range(3))
    code = start(arguments, environment, (source, to_out, to_err))
    reading = asyncio.gather(*(asyncio.to_thread(read, fd) for fd in (out, err, code)))
    await asyncio.to_thread(_write, into, given or b"")
    shown, told, ended = await reading
    return int(ended), shown, told


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    *,
    at_terminal: bool = False,
) -> int:
    """Start the command, and return a file that says its exit code in the end.

    Args:
        arguments: after its name.
        environment: all of it.
        streams: its standard streams; they are closed here.
        at_terminal: whether its standard input is a terminal, and is to be that of a session of its own.

    """
    order = {
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(Path.cwd()),
        "at_terminal": at_terminal,
    }
    code, told = os.pipe()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(_server())
        socket.send_fds(line, [json.dumps(order).encode()], [*streams, told])
    for fd in {*streams, told}:
        os.close(fd)
    return code


def _write(fd: int, content: bytes) -> None:
    with suppress(BrokenPipeError), open(fd, "wb") as stream:
        stream.write(content)


def read(fd: int) -> bytes:
    """Return all that comes from a file, and close it."""
    with open(fd, "rb") as stream:
        return stream.read()


@cache
def _server() -> str:
    """Start the server of this process, and return its address; it ends with this process."""
    address = f"\0facturaonline-tests-{os.getpid()}-{os.urandom(8).hex()}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    with closing(listener):
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forkserver", str(listener.fileno())],
            cwd=_ROOT, pass_fds=[listener.fileno()], stdin=subprocess.PIPE,
        )  # fmt: skip
    atexit.register(server.communicate)
    return address


# ── The server ────────────────────────────────────────────────────────────────────────────────────────────────────────


def serve(listener: socket.socket) -> None:
    """Fork for each order, and return in the forked process; end when the standard input does."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while 0 not in select.select([0, listener.fileno()], [], [])[0]:
        line, _ = listener.accept()
        with line:
            content, fds, *_ = socket.recv_fds(line, _MOST, 4)
        if os.fork() == 0:
            listener.close()
            _watch(json.loads(content), fds)
            return
        for fd in fds:
            os.close(fd)
    os._exit(0)


def _watch(order: dict[str, Any], fds: list[int]) -> None:
    """Fork the command, wait for its end, and tell its exit code; return in the command's process."""
    *streams, told = fds
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for fd in streams:
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(told)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
        os.close(fd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order["at_terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    sys.argv[1:] = order["arguments"]
    # Those that Python made at its start know files of another kind.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # the process's own, to its end
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as above
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115


def _warm_up() -> None:
    """Let what is imported late be imported: by help, by what is wrong with an option, and by the work itself."""
    for package in (facturaonline_async, provision, testing):
        for name in package.__all__:
            getattr(package, name)
    commands = ("provision", "status", "report", "doctor", "probe", "emulator", "plan", "sello", "empresas", "series")
    for arguments in (["--help"], *([command, "--nope"] for command in commands)):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
            app(arguments, prog_name="facturaonline")
    gc.collect()
    gc.freeze()  # what is not looked at is not copied


if __name__ == "__main__":
    _warm_up()
    with socket.socket(fileno=int(sys.argv[1])) as plug:
        serve(plug)
    main()
