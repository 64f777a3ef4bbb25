"""Conversion of a reply's payload to values, without stalling the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.protocol.structure import StructureError
from facturaonline_async._messages import message

__all__ = ["read_all", "read_one"]

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
    if not isinstance(reply.payload, list):
        raise reply.unreadable(message("calls.not_a_list"))
    values: list[T] = []
    reason = ""
    try:
        # No local holds the rows: it would show their keys in a traceback.
        for start in range(0, len(reply.payload), _ROWS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            values.extend(map(read, reply.payload[start : start + _ROWS_AT_ONCE]))
            if note is not None:
                note(values[start:])
    except StructureError as problem:
        reason = message("calls.in_row", row=len(values), reason=problem.args[0])
    if reason:
        raise reply.unreadable(reason)
    return values
