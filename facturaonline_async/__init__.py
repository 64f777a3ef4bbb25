"""Asyncio client for FacturaOnline: companies and series, created exactly once.

Begin with `connect`. Further modules: `facturaonline_async.bulk` (many calls at once), `facturaonline_async.provision`
(companies and series from a plan), `facturaonline_async.sello` (certificate checks) and, for tests,
`facturaonline_async.testing`.
"""

from __future__ import annotations

from facturaonline_async._core.logging import RedactingFilter
from facturaonline_async.client import FacturaOnline, SessionManager, connect
from facturaonline_async.config import (
    FACTURA_COM_PRODUCTION,
    FACTURA_COM_SANDBOX,
    PRODUCTION,
    SANDBOX,
    Config,
    Credentials,
    Rate,
    RetryPolicy,
    Secret,
)
from facturaonline_async.empresas._models import (
    CambiosEmpresa,
    CorreoSmtp,
    Empresa,
    NuevaEmpresa,
)
from facturaonline_async.empresas._service import EmpresaService
from facturaonline_async.errors import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    InvalidInputError,
    LimiterWaitError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnreadableAnswerError,
    ValidationError,
)
from facturaonline_async.events import AttemptEvent, Event, HoldEvent, SessionStats
from facturaonline_async.sello import Sello
from facturaonline_async.series._models import Serie
from facturaonline_async.series._service import SeriesService
from facturaonline_async.series._tipo_documento import TipoDocumento

__all__ = [
    "FACTURA_COM_PRODUCTION",
    "FACTURA_COM_SANDBOX",
    "PRODUCTION",
    "SANDBOX",
    "ApiError",
    "AttemptEvent",
    "AuthenticationError",
    "CambiosEmpresa",
    "Config",
    "CorreoSmtp",
    "Credentials",
    "Empresa",
    "EmpresaService",
    "Event",
    "FacturaOnline",
    "FacturaOnlineError",
    "HoldEvent",
    "InvalidInputError",
    "LimiterWaitError",
    "NotFoundError",
    "NotSentError",
    "NuevaEmpresa",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "Rate",
    "RateLimitError",
    "RedactingFilter",
    "RequestTimeoutError",
    "RetryPolicy",
    "Secret",
    "Sello",
    "Serie",
    "SeriesService",
    "ServerError",
    "SessionManager",
    "SessionStats",
    "TipoDocumento",
    "UnreadableAnswerError",
    "ValidationError",
    "connect",
]
