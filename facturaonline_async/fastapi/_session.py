"""The session of an application, which opens, closes and uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection

from facturaonline_async._messages import message
from facturaonline_async.client import SessionManager
from facturaonline_async.config import Config

if TYPE_CHECKING:
    from facturaonline_async.sharing import Shared

__all__ = ["health", "lifespan", "session"]

_NAME: Final = "facturaonline"
"""Name of the session in the state of the application and of its requests."""


def lifespan(
    config: Config,
    *,
    shared: Shared | None = None,
    inner: Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]] | None = None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """Return a lifespan that opens one session with the application.

    ::

        app = FastAPI(lifespan=lifespan(Config(base_url=SANDBOX, max_wait=5)))

    An application with a lifespan of its own gives it as `inner`, which runs while the session is open, or enters the
    returned one inside its own, where it opens what the session needs::

        @asynccontextmanager
        async def own(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
            async with Postgres(url) as shared, lifespan(config, shared=shared)(app) as state:
                yield state

    At shutdown the server lets requests end before it closes the session. Calls in flight then fail as
    `SessionManager.aclose` says. Each worker process has a session, with limits of its own unless there is `shared`.

    Args:
        config: settings of the session; they must have a ``base_url``.
        shared: service that several processes share; see `SessionManager`. It is not closed with the session.
        inner: the application's own lifespan, or None.

    Raises:
        InvalidInputError: see `SessionManager`. Raised when the application starts.

    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with SessionManager(config, shared) as manager:
            setattr(app.state, _NAME, manager)
            if inner is None:
                yield {_NAME: manager}
            else:
                async with inner(app) as state:
                    yield {**(state or {}), _NAME: manager}

    return opened


async def session(request: HTTPConnection) -> SessionManager:
    """Return the application's session, as a dependency of a request or a WebSocket.

    ::

        async def handler(session: Annotated[SessionManager, Depends(session)]) -> …:

    Args:
        request: the request or WebSocket; FastAPI fills it in.

    Raises:
        RuntimeError: the application was not started with `lifespan`.

    """
    # A mounted application has a state of its own, and servers without a state of the lifespan pass only that one on.
    found = getattr(request.state, _NAME, None) or getattr(request.app.state, _NAME, None)
    if not isinstance(found, SessionManager):
        raise RuntimeError(message("fastapi.no_session"))  # noqa: TRY004  # nothing has a wrong type
    return found


async def health(manager: Annotated[SessionManager, Depends(session)]) -> JSONResponse:
    """Answer whether calls can be made: 200, or 503 while they cannot.

    ::

        app.get("/health")(health)

    The body has ``status`` ("ok", "closed" or "outage": the service that processes share is away), and the numbers of
    `SessionStats`: ``waiting``, ``in_flight``, ``held_keys`` with the seconds of the longest hold as ``held_for``. The
    API itself is not called.

    Args:
        manager: the session; FastAPI fills it in.

    """
    stats = manager.stats
    status = "closed" if stats.is_closed else "ok" if stats.outage is None else "outage"
    body = {
        "status": status,
        "waiting": stats.waiting,
        "in_flight": stats.in_flight,
        "held_keys": len(stats.held_keys),
        "held_for": round(max(stats.held_keys.values(), default=0.0), 3),
    }
    return JSONResponse(body, 200 if status == "ok" else 503)
