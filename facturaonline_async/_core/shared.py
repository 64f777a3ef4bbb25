"""What the sessions of several processes share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from facturaonline_async._messages import message
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:  # a session on its own needs no quota
    from facturaonline_async._core.limits.quota import SharedQuota
    from facturaonline_async._core.once.store import Store

__all__ = ["Shared", "check_settle", "grace_of", "shared_clock"]

_MARGIN: Final = 10.0
"""What `check_settle` adds for clocks and for the server, in seconds."""

_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)


class Shared(Protocol):
    """A service through which processes share quota and creates."""

    @property
    def quota(self) -> SharedQuota | None:
        """The shared quota, or None: each process keeps its own limits."""
        ...

    def creates(self, config: Config) -> Store | None:
        """Return the store of creates for the sessions of one host, or None.

        Args:
            config: Settings of the session; it has a ``base_url``.

        Raises:
            InvalidInputError: A setting is unsafe with several processes.

        """
        ...


def grace_of(config: Config) -> float:
    """Return ``Config.grace`` in seconds, or its default.

    Args:
        config: Settings of the session.

    """
    return config.connect_timeout + 1 if config.grace is None else config.grace


def check_settle(config: Config, settle: float) -> None:
    """Refuse a settle time that may end before a create of another process.

    Args:
        config: Settings of the session.
        settle: Seconds after which lists must show an object.

    Raises:
        InvalidInputError: It is too short.

    """
    least = config.upload_timeout + grace_of(config) + _MARGIN
    if settle < least:
        raise InvalidInputError(message("values.settle_too_short", settle=settle, least=least), field="settle")


def shared_clock() -> float:
    """Return seconds of a clock that also runs while the machine is suspended.

    Where the system has no such clock, it is the monotonic one.

    The age of a grant is measured with it, because other processes go on meanwhile.
    """
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)
