"""What a file is, whatever it was sent as: DER, or text that holds DER."""

from __future__ import annotations

import base64
import binascii
import codecs
import enum
import re
from typing import Final

from attrs import field, frozen

from facturaonline_async.config import SecretBytes
from facturaonline_async.sello import der

__all__ = ["Content", "What", "recognise"]


class What(enum.StrEnum):
    """What a file holds, in words that complete "it is …"."""

    CERTIFICATE = "a certificate"
    KEY = "an encrypted private key"
    PLAIN_KEY = "a private key without a password"
    LEGACY_KEY = "a private key in OpenSSL's traditional format"
    REQUEST = "a certificate request (.req)"
    ENVELOPE = "an envelope (.sdg, .p7b)"
    BAG = "a key store (.pfx, .p12)"
    EMPTY = "empty"
    ARCHIVE = "a ZIP archive"
    TEXT = "some other text"
    OTHER = "something else"

    @property
    def is_key(self) -> bool:
        """Whether it is a private key of any kind."""
        return self in {What.KEY, What.PLAIN_KEY, What.LEGACY_KEY}


@frozen
class Content:
    """A file's content, found out.

    Attributes:
        what: what it is; for a file that breaks off, as far as can be seen.
        der: its DER, wherever it was found; kept from showing itself, for it may be a key.
        text: ``"PEM text"``, ``"base64 text"`` or ``""`` for bytes.
        extra: bytes behind the end.
        is_truncated: whether it breaks off.

    """

    what: What
    der: SecretBytes = field(converter=SecretBytes)
    text: str = ""
    extra: int = 0
    is_truncated: bool = False


_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)(?:-----END|\Z)", re.DOTALL)
_PEM_HEADER: Final = re.compile(r"^[A-Za-z-]+: .*$", re.MULTILINE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def recognise(content: bytes) -> Content:
    """Return what a file holds. Never raises."""
    if not content:
        return Content(What.EMPTY, b"")
    found = _in_der(content, "")
    if found.what is not What.OTHER or found.is_truncated:
        return found
    if content.startswith(b"PK\x03\x04"):
        return Content(What.ARCHIVE, content)
    text = _text(content)
    if text is None:
        return found
    if pem := _PEM.search(text):
        return _in_text(_PEM_HEADER.sub("", pem[2]), "PEM text", is_legacy="Proc-Type:" in pem[2])
    bare = re.sub(r"^data:[^,]*,", "", text.strip())
    return _in_text(bare, "base64 text", is_legacy=False)


def _text(content: bytes) -> str | None:
    """Return the text that the bytes are, without a byte order mark, or None."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    return content.decode("ascii").replace("\\n", "\n") if content.isascii() else None


def _in_text(text: str, form: str, *, is_legacy: bool) -> Content:
    letters = "".join(text.split())
    if not _BASE64.fullmatch(letters):
        return Content(What.TEXT, b"")
    letters = letters.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    # A single letter at the end holds no byte: the text breaks off there.
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        content = base64.b64decode(letters + "=" * (-len(letters) % 4))
    except (binascii.Error, ValueError):  # pragma: no cover  # the pattern leaves nothing to refuse
        return Content(What.TEXT, b"")
    if is_legacy:
        return Content(What.LEGACY_KEY, content, form)
    found = _in_der(content, form)
    is_nothing = found.what is What.OTHER and not found.is_truncated
    return Content(What.TEXT, b"") if is_nothing else found


def _in_der(content: bytes, text: str) -> Content:
    if content[0] != der.SEQUENCE:
        return Content(What.OTHER, content, text)
    try:
        outer = der.first(content)
    except der.TruncatedError:
        return Content(_what_is_left(content), content, text, is_truncated=True)
    except der.DerError:
        return Content(What.OTHER, content, text)
    return Content(_what(outer), content[: outer.end], text, extra=len(content) - outer.end)


def _what(outer: der.Element) -> What:
    """Return what a well-formed sequence is, by the tags within."""
    try:
        parts = list(outer)
        tags = [part.tag for part in parts]
        if tags == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
            return _signed([part.tag for part in parts[0]])
        if tags == [der.SEQUENCE, der.OCTET_STRING]:
            return What.KEY
    except der.DerError:
        return What.OTHER
    if tags[:3] == [der.INTEGER, der.SEQUENCE, der.OCTET_STRING] or tags == [der.INTEGER] * 9:
        return What.PLAIN_KEY
    if tags[:2] == [der.INTEGER, der.SEQUENCE]:
        return What.BAG
    if tags == [der.OBJECT_IDENTIFIER, der.VERSION]:
        return What.ENVELOPE
    return What.OTHER


def _signed(tags: list[int]) -> What:
    """Tell a certificate from a request for one: the one names its algorithm in third place, the other its key."""
    if tags[:2] == [der.VERSION, der.INTEGER] or tags[:6] == [der.INTEGER, *[der.SEQUENCE] * 5]:
        return What.CERTIFICATE
    return What.REQUEST if tags[:3] == [der.INTEGER, der.SEQUENCE, der.SEQUENCE] else What.OTHER


def _what_is_left(content: bytes) -> What:
    """Return what a file that breaks off was going to be, if its first bytes tell."""
    # SEQUENCE (with a length of two bytes) { SEQUENCE (with a length of two bytes) { version … is how certificates
    # begin, and { SEQUENCE (with a length of one byte) { identifier … is how encrypted keys do.
    within = content[4:]
    if re.match(rb"\x30\x82..[\xa0\x02]", within, re.DOTALL):
        return What.CERTIFICATE
    if re.match(rb"\x30[\x0b-\x7f]\x06", within, re.DOTALL):
        return What.KEY
    return What.OTHER
