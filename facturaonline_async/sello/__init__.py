"""Sello: a certificate with its key and password (CSD or FIEL), and the check that finds what is wrong with one."""

from __future__ import annotations

from facturaonline_async.findings import Finding, Severity
from facturaonline_async.sello.certificado import Certificado, Kind
from facturaonline_async.sello.checking import check
from facturaonline_async.sello.report import Report
from facturaonline_async.sello.values import Sello, read_file

__all__ = ["Certificado", "Finding", "Kind", "Report", "Sello", "Severity", "check", "read_file"]
