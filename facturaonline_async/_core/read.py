"""Conversion of a reply's payload to values, without stalling the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.protocol.json import JsonError, Rows
from facturaonline_async._core.protocol.structure import StructureError
from facturaonline_async._messages import message

__all__ = ["read_all", "read_file", "read_one"]

T = TypeVar("T")

_ROWS_AT_ONCE: Final = 500
"""Rows read between two checkpoints: about half a millisecond, compared to which a checkpoint is cheap."""


def read_one(reply: Reply, read: Callable[[object], T]) -> T:
    """Return the payload as one value.

    Args:
        reply: Reply of the API.
        read: Converts one JSON object.

    Raises:
        UnreadableAnswerError: The payload is not readable. The error names the field, never its value.

    """
    try:
        return read(reply.payload)
    except StructureError as problem:
        reason = problem.args[0]
    raise reply.unreadable(reason)


def read_file(reply: Reply) -> bytes:
    """Return the payload as the bytes of a file.

    Args:
        reply: Reply of an endpoint with ``response="bytes"``.

    Raises:
        UnreadableAnswerError: The payload is an envelope that says yes.

    """
    if isinstance(reply.payload, bytes):
        return reply.payload
    raise reply.unreadable(message("calls.not_a_file"))


async def read_all(
    reply: Reply, read: Callable[[object], T], *, note: Callable[[list[T]], None] | None = None
) -> list[T]:
    """Return the payload as a list of values, with checkpoints for other tasks.

    Args:
        reply: Reply of the API.
        read: Converts one JSON object.
        note: Called with each batch of values, or None.

    Raises:
        UnreadableAnswerError: The payload is not a list, or a row is not readable. No row is skipped, because a
            caller that misses it would create it again. The error names the row's index and field.

    """
    values: list[T] = []

    def add(rows: Iterable[object]) -> int:
        """Read a batch of rows, and return the index of its first value."""
        start = len(values)
        values.extend(map(read, rows))
        return start

    is_long = not isinstance(reply.payload, list) or len(reply.payload) > _ROWS_AT_ONCE
    reason = ""
    try:
        # No local holds the rows: it would show their keys in a traceback.
        for start in map(add, _batches(reply)):
            if note is not None:
                note(values[start:])
            if is_long:
                await asyncio.sleep(0)
    except StructureError as problem:
        reason = message("calls.in_row", row=len(values), reason=problem.args[0])
    except JsonError:
        reason = message("calls.in_row", row=len(values), reason=message("calls.row_not_json"))
    if reason:
        raise reply.unreadable(reason)
    return values


def _batches(reply: Reply) -> Iterable[Iterable[object]]:
    """Return the rows in batches, without a local that holds any."""
    if isinstance(reply.payload, Rows):
        return reply.payload
    if not isinstance(reply.payload, list):
        raise reply.unreadable(message("calls.not_a_list"))
    return map(
        reply.payload.__getitem__, [slice(at, at + _ROWS_AT_ONCE) for at in range(0, len(reply.payload), _ROWS_AT_ONCE)]
    )
