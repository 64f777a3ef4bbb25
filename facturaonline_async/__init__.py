"""Asyncio client for FacturaOnline: companies and series, created exactly once.

Begin with `connect`. Further modules: `facturaonline_async.bulk` (many calls at once), `facturaonline_async.provision`
(companies and series from a plan), `facturaonline_async.sello` (certificate checks) and, for tests,
`facturaonline_async.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async._core.logging import RedactingFilter
    from facturaonline_async._secrets import Secret
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
    )
    from facturaonline_async.empresas import CambiosEmpresa, CorreoSmtp, Empresa, EmpresaService, NuevaEmpresa
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
        SharedUnavailableError,
        UnreadableAnswerError,
        ValidationError,
    )
    from facturaonline_async.events import AttemptEvent, Event, HoldEvent, SessionStats
    from facturaonline_async.sello import Sello
    from facturaonline_async.series import Serie, SeriesService, TipoDocumento
else:  # what a process does not use, it does not import: the command starts without aiohttp
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_core.logging": ["RedactingFilter"],
            "_secrets": ["Secret"],
            "client": ["FacturaOnline", "SessionManager", "connect"],
            "config": [
                *("FACTURA_COM_PRODUCTION", "FACTURA_COM_SANDBOX", "PRODUCTION", "SANDBOX"),
                *("Config", "Credentials", "Rate", "RetryPolicy"),
            ],
            "empresas": ["CambiosEmpresa", "CorreoSmtp", "Empresa", "EmpresaService", "NuevaEmpresa"],
            "errors": [
                *("ApiError", "AuthenticationError", "FacturaOnlineError", "InvalidInputError", "LimiterWaitError"),
                *("NotFoundError", "NotSentError", "OutcomeUnknownError", "PermissionDeniedError", "RateLimitError"),
                *("RequestTimeoutError", "ServerError", "SharedUnavailableError", "UnreadableAnswerError"),
                "ValidationError",
            ],
            "events": ["AttemptEvent", "Event", "HoldEvent", "SessionStats"],
            "sat": [],
            "sello": ["Sello"],
            "series": ["Serie", "SeriesService", "TipoDocumento"],
        },
    )

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
    "SharedUnavailableError",
    "TipoDocumento",
    "UnreadableAnswerError",
    "ValidationError",
    "connect",
]
