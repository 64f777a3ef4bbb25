"""Check of a Sello: every fault of its files and its password, before any request."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from facturaonline_async._text import printable
from facturaonline_async._validators import is_one_line, type_name
from facturaonline_async.config import SecretBytes
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello._certificate import PublicNumbers, UnreadableSubjectError, read_certificate
from facturaonline_async.sello._models import Sello
from facturaonline_async.sello._password_diagnosis import explain_unsendable, explain_wrong_password
from facturaonline_async.sello._private_key import (
    DamagedKeyError,
    UnsupportedKeyError,
    WrongPasswordError,
    encode_password,
    open_private_key,
)
from facturaonline_async.sello._recognise import Content, FileKind
from facturaonline_async.sello._report import Certificado, CheckReport, Kind
from facturaonline_async.sello._selection import select

__all__ = ["check_sello"]

_EXPIRES_SOON: Final = timedelta(days=30)
_MIN_BITS: Final = 2048
_MAX_RFC_LENGTH: Final = 200
"""Characters. NFC may take quadratic time; a real RFC has 13."""
_KIND_NAMES: Final = {"csd": "a CSD", "fiel": "an e.firma (FIEL)"}


def check_sello(
    sello: Sello, *, rfc: str | None, kind: Kind | None, now: datetime | None, production: bool
) -> CheckReport:
    """Find every fault of a Sello; see `facturaonline_async.sello.check`.

    Args:
        sello: certificate, key and password.
        rfc: RFC of the company; None: not compared.
        kind: expected kind; None: either.
        now: time at which the certificate must be valid; None: the current time.
        production: whether to warn of the SAT's test certificates.

    """
    _check_arguments(sello, rfc, kind, now)
    findings: list[Finding] = []
    chosen = select(SecretBytes(sello.cer), SecretBytes(sello.key), sello.password)
    cer, key = chosen.cer, chosen.key
    if chosen.is_swapped:
        findings.append(
            Finding("swapped", "cer", "The file given as cer holds the private key, the one given as key the .cer.")
        )
    findings += _file_findings(cer, "cer")
    findings += _file_findings(key, "key")
    certificado, certified = _read_certificado(cer, findings)
    public = _open_key(key, sello, findings)
    if certificado is not None:
        findings += _certificate_findings(certificado, rfc, kind, now or datetime.now(UTC), production=production)
        if public is not None and public != certified:
            findings.append(Finding("key_mismatch", "key", "The private key does not belong to the certificate."))
    return CheckReport(certificado, tuple(sorted(findings, key=lambda finding: not finding.is_error)))


def _check_arguments(sello: object, rfc: object, kind: object, now: object) -> None:
    """Raise `InvalidInputError` where an argument is not what `check` takes."""
    if not isinstance(sello, Sello):
        raise InvalidInputError(f"sello must be a Sello, and was {type_name(sello)}.", field="sello")
    if rfc is not None and not isinstance(rfc, str):
        raise InvalidInputError(f"rfc must be a text or None, and was {type_name(rfc)}.", field="rfc")
    if kind is not None and not (isinstance(kind, str) and kind in _KIND_NAMES):
        raise InvalidInputError(f'kind must be "csd", "fiel" or None, and was {kind!r:.40}.', field="kind")
    if now is not None and not isinstance(now, datetime):
        raise InvalidInputError(f"now must be a datetime or None, and was {type_name(now)}.", field="now")
    if now is not None and now.utcoffset() is None:
        raise InvalidInputError("now must be an aware datetime: give it a time zone.", field="now")


def _file_findings(content: Content, field: str) -> Iterator[Finding]:
    """Yield the findings about how a file was stored or transferred."""
    if content.is_truncated:
        yield Finding("truncated", field, f"The file is incomplete: it ends after {len(content.der)} bytes.")
    if content.text:
        yield Finding("not_der", field, f"The file is {content.text}.")
    if content.text_mode:
        yield Finding("text_mode", field, f"The file was transferred as text: {content.text_mode}.")
    if content.extra:
        yield Finding("trailing_bytes", field, f"The file has {content.extra} extra bytes after its content.")


def _read_certificado(
    content: Content, findings: list[Finding]
) -> tuple[Certificado, PublicNumbers | None] | tuple[None, None]:
    """Return the certificate's facts and its public key, or None and None."""
    if content.is_unrecoverable:
        return None, None
    if content.kind is not FileKind.CERTIFICATE:
        if not content.is_truncated or content.kind is not FileKind.OTHER:
            findings.append(Finding("not_a_certificate", "cer", f"The file is {content.kind}."))
    elif not content.is_truncated:
        try:
            return read_certificate(content.der)
        except UnreadableSubjectError:
            seen = "The subject or the issuer of the certificate cannot be read."
            findings.append(Finding("unreadable_subject", "cer", seen))
        except ValueError:
            seen = "The file begins like a certificate, but cannot be read as one."
            findings.append(Finding("not_a_certificate", "cer", seen))
    return None, None


def _open_key(content: Content, sello: Sello, findings: list[Finding]) -> PublicNumbers | None:
    """Return the public half of the private key, or None if the key does not open."""

    def add(code: str, field: str, seen: str) -> None:
        findings.append(Finding(code, field, seen))

    password = sello.password
    if content.kind is FileKind.LEGACY_KEY:
        add("unsupported_key", "key", f"The file is {content.kind}.")
        return None
    if content.is_unrecoverable:
        return None
    if not content.kind.is_key:
        if not content.is_truncated or content.kind is not FileKind.OTHER:
            add("not_a_key", "key", f"The file is {content.kind}.")
        return None
    if content.is_truncated:
        return None
    is_plain = content.kind is FileKind.PLAIN_KEY
    if is_plain:
        add("key_not_encrypted", "key", f"The file is {content.kind}.")
    elif not password:
        add("no_password", "password", "The password is empty.")
        return None
    public = None
    try:
        public = open_private_key(content.der, None if is_plain else encode_password(password))
    except WrongPasswordError:
        findings.append(explain_wrong_password(content.der, password))
        return None
    except UnsupportedKeyError as error:
        add("unsupported_key", "key", f"The file is {content.kind}, but {error}.")
    except DamagedKeyError as error:
        add("damaged_key", "key", f"The file is {content.kind}, but {error}.")
    if password and not is_one_line(password.reveal()):
        findings.append(explain_unsendable(None if is_plain or public is None else content.der, password))
    return public


def _certificate_findings(
    certificado: Certificado, rfc: str | None, kind: Kind | None, now: datetime, *, production: bool
) -> Iterator[Finding]:
    """Yield the findings about the certificate's facts."""
    yield from _kind_findings(certificado, kind)
    if certificado.rfc:
        yield from identifiers.check_rfc(certificado.rfc, "cer")
    if rfc is not None:
        wanted = unicodedata.normalize("NFC", rfc.strip()[:_MAX_RFC_LENGTH]).strip().upper()
        if wanted != certificado.rfc:
            holder = f"{certificado.rfc or 'no RFC':.60}"
            seen = f"The certificate belongs to {holder}, and the company's RFC is {printable(wanted):.20}."
            yield Finding("rfc_mismatch", "cer", seen)
    yield from _validity_findings(certificado, now)
    if certificado.key_bits < _MIN_BITS:
        key = f"an RSA key of {certificado.key_bits} bits" if certificado.key_bits else "no RSA key"
        yield Finding("weak_key", "cer", f"The certificate has {key}.")
    if certificado.signature_hash in {"md5", "sha1"}:
        yield Finding("weak_signature", "cer", f"The certificate is signed with {certificado.signature_hash}.")
    if not certificado.is_from_sat:
        issuer = certificado.issuer or certificado.issuer_organization
        seen = f"The certificate names {issuer!r:.80} as its issuer." if issuer else "The certificate names no issuer."
        yield Finding("unknown_issuer", "cer", seen)
    elif production and certificado.is_test:
        yield Finding("test_certificate", "cer", f"{certificado.issuer!r:.80} is a test authority of the SAT.")


def _kind_findings(certificado: Certificado, kind: Kind | None) -> Iterator[Finding]:
    if certificado.kind is None:
        faults = [
            fault
            for fault, applies in (
                ("no RFC", not certificado.rfc),
                ("no number of 20 digits", not certificado.numero),
                ("a sucursal and a key usage that contradict each other", certificado.rfc and certificado.numero),
            )
            if applies
        ]
        yield Finding("unknown_kind", "cer", f"The certificate has {' and '.join(faults)}: it is neither CSD nor FIEL.")
    elif kind is not None and certificado.kind != kind:
        code = "fiel_as_csd" if kind == "csd" else "csd_as_fiel"
        yield Finding(code, "cer", f"The certificate is {_KIND_NAMES[certificado.kind]}, given as {_KIND_NAMES[kind]}.")


def _validity_findings(certificado: Certificado, now: datetime) -> Iterator[Finding]:
    if now > certificado.not_after:
        yield Finding("expired", "cer", f"The certificate expired on {certificado.not_after:%Y-%m-%d %H:%M} UTC.")
    elif now < certificado.not_before:
        begin = f"{certificado.not_before:%Y-%m-%d %H:%M} UTC"
        yield Finding("not_yet_valid", "cer", f"The certificate is not valid before {begin}.")
    elif certificado.not_after - now <= _EXPIRES_SOON:
        yield Finding("expires_soon", "cer", f"The certificate expires on {certificado.not_after:%Y-%m-%d %H:%M} UTC.")
