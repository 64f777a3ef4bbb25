"""What a file is, whatever it was sent as: DER, or text that holds DER."""

from __future__ import annotations

import base64
import binascii
import codecs
import enum
import re
from typing import Final
from urllib.parse import unquote

from attrs import field, frozen

from facturaonline_async.config import Secret, SecretBytes
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
_DATA_URI: Final = re.compile(r"^data:[^,]*,", re.IGNORECASE)
_QUOTED: Final = re.compile(r"""b?(["'`])(.*)\1[,;]?""", re.DOTALL)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# As source code and JSON write them.
_ESCAPES: Final = (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\/", "/"))


def recognise(content: bytes) -> Content:
    """Return what a file holds. Never raises."""
    if not content:
        return Content(What.EMPTY, b"")
    found = _in_der(content, "")
    if found.what is not What.OTHER or found.is_truncated:
        return found
    if content.startswith(b"PK\x03\x04"):
        return Content(What.ARCHIVE, content)
    return found if (text := _text(content)) is None else _in_text(text)


def _text(content: bytes) -> Secret | None:
    """Return the text that the bytes are, without a byte order mark, or None. It may be a key's, and does not show."""
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return Secret(content[len(mark) :].decode(encoding, "replace"))
    # What is looked for is ASCII: of UTF-16 every other byte is zero, or nearly, should there be comments.
    if content.count(0) * 3 > len(content):
        is_little = content[1::2].count(0) > content[::2].count(0)
        return Secret(content.decode("utf-16-le" if is_little else "utf-16-be", "replace"))
    if content.isascii() or b"-----BEGIN " in content:
        return Secret(content.decode("latin-1"))
    return None


def _in_text(text: Secret) -> Content:
    """Return what PEM or base64 holds, whatever it was copied out of."""
    for escape, meant in _ESCAPES:
        text = Secret(text.reveal().replace(escape, meant))
    if pem := _PEM.search(text.reveal()):
        return _decoded(Secret(_PEM_HEADER.sub("", pem[2])), "PEM text", is_legacy="Proc-Type:" in pem[2])
    return _decoded(_bare(text), "base64 text", is_legacy=False)


def _bare(text: Secret) -> Secret:
    """Return the text without quotes, a data URI's beginning, and an URI's escapes."""
    if _QUOTED.fullmatch(text.reveal().strip()):
        text = Secret(_QUOTED.sub(r"\2", text.reveal().strip()).strip())
    return Secret(unquote(_DATA_URI.sub("", text.reveal().strip())))


def _decoded(text: Secret, form: str, *, is_legacy: bool) -> Content:
    letters = Secret("".join(text.reveal().split()))
    if not _BASE64.fullmatch(letters.reveal()):
        return Content(What.TEXT, b"")
    letters = Secret(letters.reveal().rstrip("=").translate({ord("-"): "+", ord("_"): "/"}))
    # A single letter at the end holds no byte: the text breaks off there.
    length = len(letters.reveal())
    length -= length % 4 == 1
    try:
        content = SecretBytes(base64.b64decode(letters.reveal()[:length] + "=" * (-length % 4)))
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
        return Content(_what_is_left(content[4:12]), content, text, is_truncated=True)
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


def _what_is_left(within: bytes) -> What:
    """Return what a file that breaks off was going to be, if its bytes from the fifth on tell."""
    # SEQUENCE (with a length of two bytes) { SEQUENCE (with a length of two bytes) { version … is how certificates
    # begin, and { SEQUENCE (with a length of one byte) { identifier … is how encrypted keys do.
    if re.match(rb"\x30\x82..[\xa0\x02]", within, re.DOTALL):
        return What.CERTIFICATE
    if re.match(rb"\x30[\x0b-\x7f]\x06", within, re.DOTALL):
        return What.KEY
    return What.OTHER
