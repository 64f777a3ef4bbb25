"""Sello (CSD or FIEL): a certificate with its key and password, and their check.

Can a certificate be sent to the API, and if not, why?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.sat._findings import Finding, Severity
    from facturaonline_async.sello._check_on_demand import check
    from facturaonline_async.sello._models import Sello, read_file
    from facturaonline_async.sello._report import Certificado, CheckReport, Kind
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            ".sat._findings": ["Finding", "Severity"],
            "_check_on_demand": ["check"],
            "_models": ["Sello", "read_file"],
            "_report": ["Certificado", "CheckReport", "Kind"],
        },
    )

__all__ = ["Certificado", "CheckReport", "Finding", "Kind", "Sello", "Severity", "check", "read_file"]
