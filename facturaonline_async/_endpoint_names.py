"""The names of all endpoints, for settings: these know nothing of the resources."""

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
"""Resource and verb. A type checker refuses an `Endpoint` with another name; a test looks for names without one."""

ENDPOINT_NAMES: Final[frozenset[str]] = frozenset(get_args(EndpointName))
