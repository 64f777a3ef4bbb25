"""Sello: a certificate with its key and password (CSD or FIEL), and the check that finds what is wrong with one."""

from __future__ import annotations

from datetime import datetime

from facturaonline_async.sat._findings import Finding, Severity
from facturaonline_async.sello._models import Sello, read_file
from facturaonline_async.sello._report import Certificado, CheckReport, Kind

__all__ = ["Certificado", "CheckReport", "Finding", "Kind", "Sello", "Severity", "check", "read_file"]


def check(
    sello: Sello,
    *,
    rfc: str | None = None,
    kind: Kind | None = "csd",
    now: datetime | None = None,
    production: bool = False,
) -> CheckReport:
    """Find everything that is wrong with a certificate, its key and its password. Nothing is sent.

    It takes about 2 ms, during which other threads of the process stand still; up to 50 ms if the password is wrong and
    may have been garbled. Where the key's file asks for more work than the SAT's do, half a second, and two if the
    password is wrong; beyond that the key is refused.
    In an event loop, call it in a thread (``anyio.to_thread.run_sync``); `create`, `ensure`, `update` and `provision`
    do so by themselves.

    Args:
        sello: with the files as they are: DER, or (reported as ``not_der``) PEM or base64 text.
        rfc: the company's, to be compared with the certificate's; None: not compared.
        kind: what it should be; None: a CSD or a FIEL.
        now: an aware datetime to judge the validity by; default: the current time.
        production: whether it is meant for production, where the SAT's test certificates are worth a warning.

    Raises:
        InvalidInputError: an argument is not what it should be, such as a `now` without a time zone. What is wrong with
            the Sello is never raised.

    """
    # `cryptography` is loaded when it is needed: most processes only read.
    from facturaonline_async.sello._check import check_sello  # noqa: PLC0415

    return check_sello(sello, rfc=rfc, kind=kind, now=now, production=production)
