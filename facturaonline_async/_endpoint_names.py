"""The names of all endpoints, for `config`, which must not import the resources."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

__all__ = ["ENDPOINT_NAMES", "EndpointName"]

EndpointName: TypeAlias = Literal[
    "empresas.create",
    "empresas.current",
    "empresas.delete",
    "empresas.get",
    "empresas.list",
    "empresas.update",
    "series.activate",
    "series.create",
    "series.deactivate",
    "series.delete",
    "series.get",
    "series.list",
]
"""Resource and verb. Type checkers refuse an `Endpoint` with another name; a test finds names without an endpoint."""

ENDPOINT_NAMES: Final[frozenset[str]] = frozenset(get_args(EndpointName))
