"""Conversion of a reply's payload to values, without stalling the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.protocol.envelope import Reply
from facturaonline_async._core.protocol.json import JsonError, Rows
from facturaonline_async._core.protocol.structure import StructureError
from facturaonline_async._messages import message

__all__ = ["read_all", "read_batches", "read_file", "read_one"]

T = TypeVar("T")


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


async def read_all(reply: Reply, read: Callable[[object], T]) -> list[T]:
    """Return the payload as a list of values, with checkpoints for other tasks.

    Args:
        reply: Reply of the API.
        read: Converts one JSON object.

    Raises:
        UnreadableAnswerError: As for `read_batches`.

    """
    values: list[T] = []
    for batch in read_batches(reply, read):
        if values:  # most lists are one batch
            await asyncio.sleep(0)
        values += batch
    return values


def read_batches(reply: Reply, read: Callable[[object], T]) -> Iterator[list[T]]:
    """Yield the payload as values, in batches.

    The caller lets other tasks run behind each batch.

    Args:
        reply: Reply of the API.
        read: Converts one JSON object.

    Raises:
        UnreadableAnswerError: The payload is not a list, or a row is not readable. No row is skipped, because a
            caller that misses it would create it again. The error names the row's index and field.

    """
    index, reason = 0, ""
    values: list[T] = []

    def convert(rows: Iterable[object]) -> list[T]:
        """Return the values of a batch; after an error, `values` has those before it."""
        nonlocal values
        values = []
        values.extend(map(read, rows))
        return values

    try:
        # No local of this frame holds the rows: it would show their keys in a traceback.
        for batch in map(convert, _batches(reply)):
            yield batch
            index, values = index + len(batch), []
    except StructureError as problem:
        reason = problem.args[0]
    except JsonError:
        reason = message("calls.row_not_json")
    if reason:
        raise reply.unreadable(message("calls.in_row", row=index + len(values), reason=reason))


def _batches(reply: Reply) -> Iterable[Iterable[object]]:
    """Return the rows in batches, without a local that holds any."""
    if isinstance(reply.payload, Rows):
        return reply.payload
    if not isinstance(reply.payload, list):
        raise reply.unreadable(message("calls.not_a_list"))
    return in_batches(reply.payload)
