"""Check of a Sello: every fault of its files and its password, before any request."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import SecretBytes
from facturaonline_async._text import printable
from facturaonline_async._validators import is_one_line, type_name
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello._certificate import PublicNumbers, UnreadableSubjectError, read_certificate
from facturaonline_async.sello._certificate_key_selection import select
from facturaonline_async.sello._file_kind import Content, FileKind
from facturaonline_async.sello._models import Sello
from facturaonline_async.sello._password_diagnosis import explain_unsendable, explain_wrong_password
from facturaonline_async.sello._private_key import (
    UnsupportedKeyError,
    UnusableKeyError,
    WrongPasswordError,
    encode_password,
    open_private_key,
)
from facturaonline_async.sello._report import Certificado, CheckReport, Kind

__all__ = ["check_sello"]

_EXPIRES_SOON: Final = timedelta(days=30)
_MIN_BITS: Final = 2048
_MAX_RFC_LENGTH: Final = 200
"""Characters. NFC may take quadratic time; a real RFC has 13."""


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
        findings.append(Finding("swapped", "cer", message("findings.swapped")))
    findings += _file_findings(cer, "cer")
    findings += _file_findings(key, "key")
    certificado, certified = _read_certificado(cer, findings)
    public = _open_key(key, sello, certified, findings)
    if certificado is not None:
        findings += _certificate_findings(certificado, rfc, kind, now or datetime.now(UTC), production=production)
        if public is not None and public != certified:
            findings.append(Finding("key_mismatch", "key", message("findings.key_mismatch")))
    return CheckReport(certificado, tuple(sorted(findings, key=lambda finding: not finding.is_error)))


def _check_arguments(sello: object, rfc: object, kind: object, now: object) -> None:
    """Raise `InvalidInputError` where an argument is not what `check` takes."""
    if not isinstance(sello, Sello):
        raise InvalidInputError(
            message("values.wrong_type", name="sello", wanted=Sello.__name__, kind=type_name(sello)), field="sello"
        )
    if rfc is not None and not isinstance(rfc, str):
        raise InvalidInputError(message("values.not_text_or_none", name="rfc", kind=type_name(rfc)), field="rfc")
    if kind is not None and not (isinstance(kind, str) and kind in {"csd", "fiel"}):
        raise InvalidInputError(message("sello.not_a_kind_or_none", name="kind", value=f"{kind!r:.40}"), field="kind")
    if now is not None and not isinstance(now, datetime):
        raise InvalidInputError(message("values.not_datetime_or_none", name="now", kind=type_name(now)), field="now")
    if now is not None and now.utcoffset() is None:
        raise InvalidInputError(message("values.without_time_zone", name="now"), field="now")


def _file_findings(content: Content, field: str) -> Iterator[Finding]:
    """Yield the findings about how a file was stored or transferred."""
    if content.is_truncated:
        yield Finding("truncated", field, message("findings.truncated", count=len(content.der)))
    if content.text_form:
        yield Finding("not_der", field, message("findings.not_der", form=content.text_form))
    if content.text_mode:
        yield Finding("text_mode", field, content.text_mode)
    if content.extra:
        yield Finding("trailing_bytes", field, message("findings.trailing_bytes", count=content.extra))


def _read_certificado(
    content: Content, findings: list[Finding]
) -> tuple[Certificado, PublicNumbers | None] | tuple[None, None]:
    """Return the certificate's facts and its public key, or None and None."""
    if content.is_unrecoverable:
        return None, None
    if content.kind is not FileKind.CERTIFICATE:
        if not content.is_truncated or content.kind is not FileKind.OTHER:
            findings.append(Finding("not_a_certificate", "cer", _describe_kind(content)))
    elif not content.is_truncated:
        try:
            return read_certificate(content.der)
        except UnreadableSubjectError:
            findings.append(Finding("unreadable_subject", "cer", message("findings.unreadable_subject")))
        except ValueError:
            findings.append(Finding("not_a_certificate", "cer", message("findings.certificate_unreadable")))
    return None, None


def _describe_kind(content: Content) -> Message:
    return message(f"findings.file_is_{content.kind}")


def _is_readable_key(content: Content, findings: list[Finding]) -> bool:
    """Return whether the file is a whole private key; add a finding if not."""
    if content.kind is FileKind.LEGACY_KEY:
        findings.append(Finding("unsupported_key", "key", _describe_kind(content)))
        return False
    if content.is_unrecoverable:
        return False
    if not content.kind.is_key and not (content.is_truncated and content.kind is FileKind.OTHER):
        findings.append(Finding("not_a_key", "key", _describe_kind(content)))
    return content.kind.is_key and not content.is_truncated


def _open_key(
    content: Content, sello: Sello, certified: PublicNumbers | None, findings: list[Finding]
) -> PublicNumbers | None:
    """Return the public half of the private key, or None if the key does not open."""
    if not _is_readable_key(content, findings):
        return None
    password = sello.password
    is_plain = content.kind is FileKind.PLAIN_KEY
    if is_plain:
        findings.append(Finding("key_not_encrypted", "key", _describe_kind(content)))
    elif not password:
        findings.append(Finding("no_password", "password", message("findings.no_password")))
        return None
    public = None
    try:
        public = open_private_key(content.der, None if is_plain else encode_password(password), certified)
    except WrongPasswordError:
        findings.append(explain_wrong_password(content.der, password))
        return None
    except UnusableKeyError as error:
        code = "unsupported_key" if isinstance(error, UnsupportedKeyError) else "damaged_key"
        seen = message("findings.plain_key_but" if is_plain else "findings.encrypted_key_but", fault=error.fault)
        findings.append(Finding(code, "key", seen))
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
            shown = f"{printable(wanted):.20}"
            if certificado.rfc:
                seen = message("findings.rfc_mismatch", holder=f"{certificado.rfc:.60}", rfc=shown)
            else:
                seen = message("findings.rfc_mismatch_without_holder", rfc=shown)
            yield Finding("rfc_mismatch", "cer", seen)
    yield from _validity_findings(certificado, now)
    if certificado.key_bits < _MIN_BITS:
        bits = certificado.key_bits
        seen = message("findings.weak_key", bits=bits) if bits else message("findings.without_rsa_key")
        yield Finding("weak_key", "cer", seen)
    if certificado.signature_hash in {"md5", "sha1"}:
        yield Finding("weak_signature", "cer", message("findings.weak_signature", hash=certificado.signature_hash))
    if not certificado.is_from_sat:
        issuer = certificado.issuer or certificado.issuer_organization
        shown = f"{issuer!r:.80}"
        seen = message("findings.unknown_issuer", issuer=shown) if issuer else message("findings.without_issuer")
        yield Finding("unknown_issuer", "cer", seen)
    elif production and certificado.is_test:
        yield Finding(
            "test_certificate", "cer", message("findings.test_certificate", issuer=f"{certificado.issuer!r:.80}")
        )


def _kind_findings(certificado: Certificado, kind: Kind | None) -> Iterator[Finding]:
    if certificado.kind is None:
        match bool(certificado.rfc), bool(certificado.numero):
            case False, False:
                seen = message("findings.without_rfc_and_number")
            case False, True:
                seen = message("findings.without_rfc")
            case True, False:
                seen = message("findings.without_number")
            case _:
                seen = message("findings.sucursal_contradicts_key_usage")
        yield Finding("unknown_kind", "cer", seen)
    elif certificado.kind == "fiel" and kind == "csd":
        yield Finding("fiel_as_csd", "cer", message("findings.fiel_as_csd"))
    elif certificado.kind == "csd" and kind == "fiel":
        yield Finding("csd_as_fiel", "cer", message("findings.csd_as_fiel"))


def _validity_findings(certificado: Certificado, now: datetime) -> Iterator[Finding]:
    if now > certificado.not_after:
        yield Finding("expired", "cer", message("findings.expired", moment=f"{certificado.not_after:%Y-%m-%d %H:%M}"))
    elif now < certificado.not_before:
        seen = message("findings.not_yet_valid", moment=f"{certificado.not_before:%Y-%m-%d %H:%M}")
        yield Finding("not_yet_valid", "cer", seen)
    elif certificado.not_after - now <= _EXPIRES_SOON:
        seen = message("findings.expires_soon", moment=f"{certificado.not_after:%Y-%m-%d %H:%M}")
        yield Finding("expires_soon", "cer", seen)
