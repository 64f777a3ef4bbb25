"""Rules of the SAT: identifiers, regímenes fiscales and findings. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.sat._findings import Finding, Severity
    from facturaonline_async.sat._regimenes import Regimen, find_regimen
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__, {"_findings": ["Finding", "Severity"], "_regimenes": ["Regimen", "find_regimen"]}
    )

__all__ = ["Finding", "Regimen", "Severity", "find_regimen"]
