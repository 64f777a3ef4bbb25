"""Look-ups that every resource needs: one shared list, and proof of a delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.engine import Engine
from facturaonline_async.config import Credentials
from facturaonline_async.errors import NotFoundError

__all__ = ["is_gone", "shared_index"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


async def shared_index(
    engine: Engine, endpoint: Endpoint, credentials: Credentials, index: Callable[[], Awaitable[dict[K, list[V]]]]
) -> dict[K, list[V]]:
    """Return the objects by key, from one list that concurrent callers share.

    Do not change the result. The list begins after the question.

    Args:
        engine: Engine of the session.
        endpoint: Endpoint of the list.
        credentials: Key pair.
        index: Reads the list, and sorts it by key.

    """
    return await engine.single_flight.read((endpoint.name, credentials.fingerprint), index)


async def is_gone(engine: Engine, endpoint: Endpoint, credentials: Credentials, uid: int | str, until: float) -> bool:
    """Return whether a read proves that an object does not exist.

    "Not found" proves nothing while the API may not show a new object yet.

    Args:
        engine: Engine of the session.
        endpoint: Endpoint that reads one object.
        credentials: Key pair.
        uid: Uid of the object.
        until: Time of the loop's clock at which the read must end.

    """
    try:
        await engine.send(endpoint, credentials, uid=uid, until=until)
    except NotFoundError:
        return not engine.pending.is_pending(endpoint.resource, credentials.fingerprint, uid)
    return False
