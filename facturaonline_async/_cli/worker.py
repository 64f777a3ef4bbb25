"""The command ``facturaonline worker``: carry out enqueued runs in this process."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facturaonline_async._cli import interruption
from facturaonline_async._cli.command_groups import single_command
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._core.logging import LOGGER, RedactingFilter
from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async._validators import type_name
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async.procrastinate import Worker

__all__ = ["app", "command"]


def command(
    worker: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:WORKER", help="A Worker in a Python module, as batch:worker.", show_default=False
        ),
    ],
) -> None:
    """Carry out enqueued runs in this process, until SIGTERM or Ctrl-C.

    Start it on any number of machines. The module makes a facturaonline_async.procrastinate.Worker with the settings of
    the session, the database, and a function that returns the plan of a run. It is imported from this folder, or from
    the installed ones. Host, keys and database of the profile are in the variables FACTURAONLINE_* that it reads.

    SIGTERM stops what is under way: requests in flight are waited for, everything is written down, and the jobs go back
    into the queue, for the other workers. A worker that is killed or cut off is replaced after 30 s.

    Examples:
      facturaonline worker batch:worker
    """
    current_settings().export()
    found = _find(worker)
    handler = _LogHandler(logging.INFO)
    handler.addFilter(RedactingFilter())
    level = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        sys.stderr.write(f"{message('cli.worker_begins')}\n")
        interruption.run(found.run())
        sys.stderr.write(f"{message('cli.worker_has_ended')}\n")
    finally:
        LOGGER.setLevel(level)
        LOGGER.removeHandler(handler)


app: typer.Typer = single_command("worker", command)


class _LogHandler(logging.Handler):
    """Writes what the worker does to the standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        sys.stderr.write(f"{printable(record.getMessage())}\n")
        sys.stderr.flush()


def _find(text: str) -> Worker:
    """Import a worker.

    Raises:
        InvalidInputError: there is no such worker.

    """
    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise InvalidInputError(message("cli.worker_malformed", value=f"{text!r:.200}"), field="worker")
    if (folder := os.getcwd()) not in sys.path:  # noqa: PTH109  # a path of sys.path is a text
        sys.path.insert(0, folder)
    try:
        module: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        module = None
    if module is None:
        raise InvalidInputError(message("cli.worker_module_missing", module=f"{module_name!r:.200}"), field="worker")
    found = getattr(module, name, None)
    if found is None:
        text = message("cli.worker_missing", module=module_name, name=f"{name!r:.200}")
        raise InvalidInputError(text, field="worker")
    from facturaonline_async.procrastinate import Worker  # noqa: PLC0415  # an extra

    if not isinstance(found, Worker):
        text = message("cli.worker_of_another_type", value=f"{text!r:.200}", kind=type_name(found))
        raise InvalidInputError(text, field="worker")
    return found
