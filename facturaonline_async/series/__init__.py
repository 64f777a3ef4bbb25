"""Series: the numbered sequences of a company's documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.series._models import Serie
    from facturaonline_async.series._service import SeriesService
    from facturaonline_async.series._tipo_documento import TipoDocumento
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {"_models": ["Serie"], "_service": ["SeriesService"], "_tipo_documento": ["TipoDocumento"]},
    )

__all__ = ["Serie", "SeriesService", "TipoDocumento"]
