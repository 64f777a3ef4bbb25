"""Companies whose CSD expires soon: ``empresas list --expiring``.

The API does not say until when a certificate is valid. The certificates of a folder do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from facturaonline_async._cli import output
from facturaonline_async._cli.run_texts import format_rfcs
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import message
from facturaonline_async._secrets import SecretBytes
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async.empresas._models import Empresa
    from facturaonline_async.sello import Certificado

__all__ = ["find_csds", "print_expiring"]


@frozen
class _Csd:
    """A CSD at hand.

    Attributes:
        path: its file.
        certificado: what it states.

    """

    path: Path
    certificado: Certificado


def find_csds(folder: Path) -> dict[str, _Csd]:
    """Return the CSD of each RFC that is valid longest, of a folder's .cer files.

    Folders below it are read, too. A file that is no certificate is named on the standard error.

    Args:
        folder: the folder.

    Raises:
        InvalidInputError: it is no folder, or has no CSD.

    """
    if not folder.is_dir():
        raise InvalidInputError(message("cli.no_folder", path=printable_path(folder)), field="--certificates")
    found: dict[str, _Csd] = {}
    for path in sorted(each for each in folder.rglob("*") if each.suffix.lower() == ".cer" and each.is_file()):
        certificado = _read(path)
        if certificado is None:
            text = message("cli.no_certificate", path=printable_path(path))
            sys.stderr.write(f"{message('cli.warning', text=text)}\n")
        elif certificado.kind == "csd":
            rfc = normalize_rfc(certificado.rfc)
            if rfc not in found or found[rfc].certificado.not_after < certificado.not_after:
                found[rfc] = _Csd(path, certificado)
    if not found:
        raise InvalidInputError(message("cli.no_csd", path=printable_path(folder)), field="--certificates")
    return found


def _read(path: Path) -> Certificado | None:
    from facturaonline_async.sello._certificate import read_certificate  # noqa: PLC0415  # of this option alone
    from facturaonline_async.sello._certificate_key_selection import select_certificate  # noqa: PLC0415  # as above
    from facturaonline_async.sello._file_kind import recognise_all  # noqa: PLC0415  # as above
    from facturaonline_async.sello._models import read_file  # noqa: PLC0415  # as above

    try:
        content = select_certificate(recognise_all(SecretBytes(read_file("cer", path))), lambda: None)
        return read_certificate(content.der)[0]
    except (InvalidInputError, ValueError):
        return None


def print_expiring(empresas: Iterable[Empresa], csds: Mapping[str, _Csd], days: int, *, as_json: bool) -> None:
    """Print the companies whose CSD at hand ends soon or has ended.

    The first to end comes first.

    Args:
        empresas: companies of the account.
        csds: result of `find_csds`.
        days: how many days from now.
        as_json: value of --json.

    """
    now = datetime.now(UTC)
    expiring: list[tuple[Empresa, _Csd]] = []
    without: list[str] = []
    for empresa in empresas:
        if (csd := csds.get(normalize_rfc(empresa.rfc))) is None:
            without.append(empresa.rfc)
        elif csd.certificado.not_after <= now + timedelta(days=days):
            expiring.append((empresa, csd))
    expiring.sort(key=lambda each: each[1].certificado.not_after)
    rows = [_values(empresa, csd, now) for empresa, csd in expiring]
    if as_json:
        output.print_json({"expiring": rows, "without_certificate": without})
        return
    output.print_rows(rows, nothing=message("cli.nothing_expires", count=days))
    if without:
        text = message("cli.without_certificate", count=len(without), rfcs=format_rfcs(without))
        sys.stderr.write(f"{printable(text)}\n")


def _values(empresa: Empresa, csd: _Csd, now: datetime) -> dict[str, str | int]:
    end = csd.certificado.not_after
    return {
        "rfc": empresa.rfc,
        "razon_social": empresa.razon_social,
        "not_after": end.date().isoformat(),
        "days": (end - now).days,
        "numero": csd.certificado.numero,
        "file": str(csd.path),
    }
