"""Rules of the SAT: identifiers, regímenes fiscales and findings. No I/O."""

from __future__ import annotations

from facturaonline_async.sat._findings import Finding, Severity
from facturaonline_async.sat._regimenes import Regimen, find_regimen

__all__ = ["Finding", "Regimen", "Severity", "find_regimen"]
