"""Endpoint: what a call is, as a value. Each resource lists its own in its ``dialect.py``."""

from __future__ import annotations

import enum

from attrs import frozen

from facturaonline_async._endpoint_names import EndpointName

__all__ = ["Endpoint", "RetrySafety"]


class RetrySafety(enum.Enum):
    """What may be done when nobody knows whether a call happened."""

    #: It changes nothing: repeat it freely.
    READ = "read"
    #: Doing it twice is the same as doing it once: repeat it.
    IDEMPOTENT = "idempotent"
    #: It brings about a state that a read shows: look, and repeat it only if the state is not there.
    VERIFY_FIRST = "state"
    #: Doing it twice makes two: never repeat it, unless it surely was not sent.
    NEVER = "never"


@frozen(kw_only=True)
class Endpoint:
    """One row of the provider's documentation.

    Attributes:
        name: resource and verb, such as ``"series.create"``; limits and errors go by it.
        method: HTTP method.
        path: below the base URL; ``{uid}`` stands for the uid.
        repeat: what may be done when the outcome is unknown.
        removes: it brings about that something is not there.
        upload: it carries certificates, and may take longer.
        listing: its answer may be large.

    """

    name: EndpointName
    method: str
    path: str
    retry_safety: RetrySafety
    is_delete: bool = False
    upload: bool = False
    listing: bool = False
