"""Every endpoint that the library calls, by name."""

from __future__ import annotations

from typing import Final

from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async.empresas import _wire as empresas
from facturaonline_async.series import _wire as series

__all__ = ["ENDPOINTS"]

ENDPOINTS: Final[dict[str, Endpoint]] = {each.name: each for each in (*series.ENDPOINTS, *empresas.ENDPOINTS)}
