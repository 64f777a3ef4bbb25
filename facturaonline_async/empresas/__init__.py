"""Empresas: the companies that an account invoices for."""

from __future__ import annotations

from facturaonline_async.empresas._models import CambiosEmpresa, CorreoSmtp, Empresa, NuevaEmpresa
from facturaonline_async.empresas._service import EmpresaService

__all__ = ["CambiosEmpresa", "CorreoSmtp", "Empresa", "EmpresaService", "NuevaEmpresa"]
