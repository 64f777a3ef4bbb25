"""Empresas: the companies of an account."""

from __future__ import annotations

from facturaonline_async.empresas._models import CambiosEmpresa, CorreoSmtp, Empresa, NuevaEmpresa
from facturaonline_async.empresas._service import EmpresaService

__all__ = ["CambiosEmpresa", "CorreoSmtp", "Empresa", "EmpresaService", "NuevaEmpresa"]
