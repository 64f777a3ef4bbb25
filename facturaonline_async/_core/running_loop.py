"""The running event loop, or an error that says why a call cannot be made."""

from __future__ import annotations

import asyncio

from facturaonline_async._messages import message
from facturaonline_async.errors import NotSentError

__all__ = ["running_loop"]


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running asyncio event loop.

    Raises:
        NotSentError: There is none, as in programs that run trio.

    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise NotSentError(message("calls.no_event_loop")) from None
