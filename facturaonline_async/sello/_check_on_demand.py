"""The check of a Sello, which imports `cryptography` at its first call."""

from __future__ import annotations

from datetime import datetime

from facturaonline_async.sello._models import Sello
from facturaonline_async.sello._report import CheckReport, Kind

__all__ = ["check"]


def check(
    sello: Sello,
    *,
    rfc: str | None = None,
    kind: Kind | None = "csd",
    now: datetime | None = None,
    production: bool = False,
) -> CheckReport:
    """Find every fault of a certificate, its key and its password. Send nothing.

    A check takes about 1 ms and holds the GIL meanwhile; up to 50 ms for a wrong password that may be garbled. A key
    with a higher iteration count than the SAT's takes up to 0.5 s, or 2 s with a wrong password; a key above that
    limit is refused.
    In an event loop, call the function in a thread (``anyio.to_thread.run_sync``). `create`, `ensure`, `update` and
    `provision` do so by themselves.

    Args:
        sello: certificate, key and password. The files may be DER, or PEM or base64 text (reported as ``not_der``).
        rfc: RFC of the company, which the certificate must have; None: not compared.
        kind: expected kind, ``"csd"`` or ``"fiel"``; None: either.
        now: aware datetime at which the certificate must be valid; default: the current time.
        production: whether to warn of the SAT's test certificates.

    Returns:
        The certificate's facts, and all findings, errors first.

    Raises:
        InvalidInputError: an argument has a wrong type, or `now` has no time zone. A fault of the Sello is a finding,
            never an exception.

    """
    # Import `cryptography` only when needed: most processes only read.
    from facturaonline_async.sello._check import check_sello  # noqa: PLC0415

    return check_sello(sello, rfc=rfc, kind=kind, now=now, production=production)
