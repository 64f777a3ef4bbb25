"""Events and figures of a session; they hold no key, header or body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import frozen

__all__ = ["AttemptEvent", "Event", "HoldEvent", "OutageEvent", "SessionStats"]


@frozen(kw_only=True)
class AttemptEvent:
    """The result of one attempt of a call.

    Attributes:
        endpoint: name of the endpoint, such as ``"series.create"``.
        uid: uid of the serie or empresa that the call is about, or None.
        key: `Credentials.fingerprint` of the key pair.
        attempt: number of the attempt, from 1.
        waited: seconds that the attempt waited for the rate limiter and for a free slot.
        took: seconds from the first byte to the last.
        status: HTTP status, or None if there was no response.
        outcome: ``"ok"``, or the name of the error's class.
        pause: seconds until the next attempt, or None if this attempt was the last.

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
    """A pause that the server asked for: no call of the key pair starts until it ends.

    Attributes:
        endpoint: name of the endpoint whose response asked for the pause.
        key: `Credentials.fingerprint` of the key pair.
        seconds: length of the pause, in seconds.

    """

    endpoint: str
    key: str
    seconds: float


@frozen(kw_only=True)
class OutageEvent:
    """The begin or the end of an outage of the service that several processes share.

    Attributes:
        reason: why the service could not be used; ``""`` at the end of the outage.
        is_over: whether the service answers again.

    """

    reason: str
    is_over: bool


Event: TypeAlias = AttemptEvent | HoldEvent


@frozen(kw_only=True)
class SessionStats:
    """The state of a session at one moment, for health checks and metrics.

    Attributes:
        waiting: calls that wait for the rate limiter or for a free slot.
        in_flight: calls that have a slot; at most ``Config.concurrency``.
        held_keys: seconds until calls may start again, by `Credentials.fingerprint`, for each key pair that the
            server asked to pause.
        is_closed: whether `SessionManager.aclose` was called.
        outage: why the service that several processes share does not answer; None if it does, or was not asked yet.

    """

    waiting: int
    in_flight: int
    held_keys: Mapping[str, float]
    is_closed: bool
    outage: str | None = None
