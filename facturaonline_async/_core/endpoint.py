"""Endpoints as values; each resource lists its own in its ``_wire.py``."""

from __future__ import annotations

import enum
from typing import Literal

from attrs import Factory, field, frozen

from facturaonline_async._endpoint_names import EndpointName

__all__ = ["Endpoint", "RetrySafety"]


class RetrySafety(enum.Enum):
    """What may be done when the outcome of a call is unknown."""

    #: It changes nothing: repeat it.
    READ = "read"
    #: Its effect is the same once or twice: repeat it.
    IDEMPOTENT = "idempotent"
    #: Its effect can be read: verify, and repeat it only if the effect is missing.
    VERIFY_FIRST = "verify first"
    #: It creates one object for a reference that the client chose: repeat it. To the second request the server answers
    #: with the same object, or refuses the reference; a refusal then does not say whether the first one was done.
    ONCE_PER_REFERENCE = "reference"
    #: Its effect adds up: repeat it only if it was certainly not done.
    NEVER = "never"


@frozen(kw_only=True, eq=False)
class Endpoint:
    """One endpoint of the API.

    Attributes:
        name: Resource and verb, such as ``"series.create"``; limits and errors use it.
        method: HTTP method.
        path: Path below the base URL; ``{uid}`` stands for the uid.
        retry_safety: What may be done when the outcome is unknown.
        response: What a success is: the API's envelope, or the bytes of a file, such as a PDF. Refusals are envelopes.
        is_delete: Whether it deletes an object.
        upload: Whether it carries certificates and so has the longer ``Config.upload_timeout``.
        resource: First part of `name`, such as ``"series"``.
        listing: Whether its answer may be as large as ``Config.max_list_bytes``.

    """

    name: EndpointName
    method: str
    path: str
    retry_safety: RetrySafety
    response: Literal["envelope", "bytes"] = "envelope"
    is_delete: bool = False
    upload: bool = False
    listing: bool = False
    resource: str = field(init=False, default=Factory(lambda self: self.name.partition(".")[0], takes_self=True))
