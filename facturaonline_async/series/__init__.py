"""Series: the numbered sequences of a company's documents."""

from __future__ import annotations

from facturaonline_async.series._models import Serie
from facturaonline_async.series._service import SeriesService
from facturaonline_async.series._tipo_documento import TipoDocumento

__all__ = ["Serie", "SeriesService", "TipoDocumento"]
