"""Empresas: the companies of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.empresas._models import CambiosEmpresa, CorreoSmtp, Empresa, NuevaEmpresa
    from facturaonline_async.empresas._service import EmpresaService
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_models": ["CambiosEmpresa", "CorreoSmtp", "Empresa", "NuevaEmpresa"],
            "_service": ["EmpresaService"],
        },
    )

__all__ = ["CambiosEmpresa", "CorreoSmtp", "Empresa", "EmpresaService", "NuevaEmpresa"]
