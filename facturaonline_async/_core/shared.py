"""What the sessions of several processes share."""

from __future__ import annotations

import time
from typing import Final, Protocol

from facturaonline_async._core.limits.quota import SharedQuota
from facturaonline_async._core.once.store import Store
from facturaonline_async.config import Config

__all__ = ["Shared", "grace_of", "shared_clock"]

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


def shared_clock() -> float:
    """Return seconds of a clock that also runs while the machine is suspended.

    Where the system has no such clock, it is the monotonic one.

    The age of a grant is measured with it, because other processes go on meanwhile.
    """
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)
