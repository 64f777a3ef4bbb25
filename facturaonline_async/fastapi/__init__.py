"""One session for a FastAPI application, and answers for its errors.

It needs the extra ``fastapi``. ::

    app = FastAPI(lifespan=lifespan(Config(base_url=SANDBOX, max_wait=5)))
    install_errors(app)

    @app.get("/series")
    async def series(session: Annotated[SessionManager, Depends(session)]) -> list[str]:
        client = FacturaOnline(session, keys_of_the_tenant())
        return [serie.letra for serie in await client.series.list()]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.fastapi._disconnect import cancel_on_disconnect
    from facturaonline_async.fastapi._errors import install_errors, problem
    from facturaonline_async.fastapi._events import progress_events
    from facturaonline_async.fastapi._session import health, lifespan, session
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_disconnect": ["cancel_on_disconnect"],
            "_errors": ["install_errors", "problem"],
            "_events": ["progress_events"],
            "_session": ["health", "lifespan", "session"],
        },
    )

__all__ = ["cancel_on_disconnect", "health", "install_errors", "lifespan", "problem", "progress_events", "session"]
