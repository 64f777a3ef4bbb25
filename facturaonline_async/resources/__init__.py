"""The API's resources, one apartment each: ``values`` (what users hold), ``dialect`` (the API's words), ``service``."""

from __future__ import annotations

from typing import Final

from facturaonline_async.endpoint import Endpoint
from facturaonline_async.resources.empresas import dialect as empresas
from facturaonline_async.resources.series import dialect as series

__all__ = ["ENDPOINTS"]

#: Every endpoint that this library calls, by name.
ENDPOINTS: Final[dict[str, Endpoint]] = {each.name: each for each in (*series.ENDPOINTS, *empresas.ENDPOINTS)}
