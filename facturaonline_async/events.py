"""Events and figures that a session publishes about its work. They hold no key, no header and no body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import frozen

__all__ = ["AttemptEvent", "Event", "HoldEvent", "SessionStats"]


@frozen(kw_only=True)
class AttemptEvent:
    """One attempt of a call has ended.

    Attributes:
        endpoint: name of the endpoint, such as ``"series.create"``.
        uid: the uid that the call is about, or None.
        key: names the key pair without giving it away.
        attempt: number of the attempt, from 1.
        waited: seconds in the limiter and the gate before it.
        took: seconds from the first byte to the last.
        status: HTTP status, or None where there was no answer.
        outcome: ``"ok"``, or the name of the error's class.
        pause: seconds until it is repeated, or None if this attempt was the last.

    """

    endpoint: str
    uid: int | str | None
    key: str
    attempt: int
    waited: float
    took: float
    status: int | None
    outcome: str
    pause: float | None = None


@frozen(kw_only=True)
class HoldEvent:
    """The server asked for fewer calls: those of a key pair are held.

    Attributes:
        endpoint: name of the endpoint that was answered so.
        key: names the key pair without giving it away.
        seconds: for how long.

    """

    endpoint: str
    key: str
    seconds: float


Event: TypeAlias = AttemptEvent | HoldEvent


@frozen(kw_only=True)
class SessionStats:
    """The state of a session at one moment, for health checks and metrics.

    Attributes:
        waiting: calls that wait for the rate limiter or for a free slot.
        in_flight: calls that have a slot; at most ``Config.concurrency``.
        held_keys: seconds until calls may start again, by key pair (as in ``AttemptEvent.key``), for each key pair
            that the server asked to slow down.
        is_closed: whether `SessionManager.aclose` was called.

    """

    waiting: int
    in_flight: int
    held_keys: Mapping[str, float]
    is_closed: bool
