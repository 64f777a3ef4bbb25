"""Which kind of file it is, however it was sent: DER, text that holds DER, or DER that was transferred as text."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from attrs import evolve, field, frozen

from facturaonline_async.config import Secret, SecretBytes
from facturaonline_async.sello import _der as der, _text_encodings as text_encodings, _text_mode as text_mode

__all__ = ["Content", "FileKind", "decode_base64_text", "first_recognised", "recognise", "recognise_all"]


class FileKind(enum.StrEnum):
    """What a file holds, in words that complete "it is …"."""

    CERTIFICATE = "a certificate"
    KEY = "an encrypted private key"
    PLAIN_KEY = "a private key without a password"
    LEGACY_KEY = "a private key in OpenSSL's traditional format"
    PUBLIC_KEY = "a public key"
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
        return self in {FileKind.KEY, FileKind.PLAIN_KEY, FileKind.LEGACY_KEY}


@frozen
class Content:
    """A file's content, found out; or one block's of a PEM file.

    Attributes:
        what: what it is; for a file that breaks off, as far as can be seen.
        der: its DER, wherever it was found; kept from showing itself, for it may be a key.
        text: ``"PEM text"``, ``"base64 text"`` or ``""`` for bytes.
        text_mode: what a transfer as text did to it, as a clause; ``""``: nothing.
        extra: bytes behind the end.
        is_truncated: whether it breaks off.

    """

    kind: FileKind
    der: SecretBytes = field(converter=SecretBytes)
    text: str = ""
    text_mode: str = ""
    extra: int = 0
    is_truncated: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether it is of a known kind, complete, and nothing stands behind it."""
        return self.kind is not FileKind.OTHER and not self.is_truncated and not self.extra

    @property
    def is_unrecoverable(self) -> bool:
        """Whether a transfer as text has changed it in a way that cannot be undone."""
        return bool(self.text_mode) and self.kind is FileKind.OTHER


_MAX_PARTS: Final = 10
_PKCS7: Final = bytes.fromhex("2a864886f70d0107")
_MIN_BASE64_LENGTH: Final = 16
_NESTED_PEM: Final = b"-----BEGIN "


def recognise(content: bytes) -> Content:
    """Return what a file holds, of several PEM blocks the `likeliest`. Never raises."""
    return first_recognised(recognise_all(content))


def first_recognised(found: Sequence[Content]) -> Content:
    """Return the first content that says something about a file, or else the first one."""
    return next(
        (each for each in found if each.kind not in {FileKind.TEXT, FileKind.OTHER, FileKind.PUBLIC_KEY}), found[0]
    )


def recognise_all(content: bytes) -> tuple[Content, ...]:
    """Return what a file holds: one content, or that of each PEM block in order. Never raises."""
    if not content:
        return (Content(FileKind.EMPTY, b""),)
    if content.startswith(b"PK\x03\x04"):
        return (Content(FileKind.ARCHIVE, content),)
    found = _recognise_binary(content)
    if found.kind is not FileKind.OTHER or found.is_truncated or found.text_mode:
        return (found,)
    text = text_encodings.decode_text(content)
    return (found,) if text is None else _recognise_text(text)


def decode_base64_text(text: Secret) -> SecretBytes | None:
    """Return the bytes of a base64 text, or of PEM text the text itself; None for another text, or none."""
    text = text_encodings.unescape(text)
    if text_encodings.pem_blocks(text):
        return SecretBytes(text.reveal().encode("utf-8", "replace"))
    contents = list(text_encodings.base64_contents(text_encodings.strip_wrapping(text), is_strict=True))
    return next(
        (each for each in contents if each and _recognise_der(each).is_complete), contents[0] if contents else None
    )


def _recognise_text(text: Secret) -> tuple[Content, ...]:
    """Return what PEM or base64 holds, whatever it was copied out of."""
    text = text_encodings.unescape(text)
    if blocks := text_encodings.pem_blocks(text):
        return tuple(_recognise_block(block) for block in blocks)
    contents = [each for each in _decode_candidates(text_encodings.strip_wrapping(text)) if each]
    if contents and contents[0].startswith(_NESTED_PEM):
        return tuple(
            _recognise_block(block) for block in text_encodings.pem_blocks(Secret(contents[0].decode("latin-1")))
        )
    return (_choose_candidate(contents, "base64 text"),)


def _recognise_block(block: text_encodings.PemBlock) -> Content:
    contents = _decode_candidates(block.body)
    if contents and block.is_legacy:
        return Content(FileKind.LEGACY_KEY, contents[0], "PEM text")
    return _choose_candidate(contents, "PEM text")


def _decode_candidates(text: Secret) -> list[SecretBytes]:
    if len(text.reveal()) < _MIN_BASE64_LENGTH:
        return []
    return list(text_encodings.base64_contents(text))


def _choose_candidate(contents: list[SecretBytes], form: str) -> Content:
    """Return the first of several readings of one text that is whole, or else the first one."""
    readings = [evolve(_recognise_binary(content), text=form) for content in contents]
    found = next((each for each in readings if each.is_complete), readings[0] if readings else None)
    is_nothing = found is None or (found.kind is FileKind.OTHER and not found.is_truncated and not found.text_mode)
    return Content(FileKind.TEXT, b"") if found is None or is_nothing else found


def _recognise_binary(content: bytes) -> Content:
    """Return what bytes are, as they are or as they were before they were transferred as text."""
    found = _recognise_der(content)
    if found.is_complete:
        return found
    for restoration in text_mode.undo_text_mode(content):
        if (before := _recognise_der(restoration.content)).is_complete:
            return evolve(before, text_mode=restoration.damage)
    how = text_mode.describe_loss(content)
    return Content(FileKind.OTHER, b"", text_mode=how) if how else found


def _recognise_der(content: bytes) -> Content:
    if content[:1] != bytes((der.SEQUENCE,)):
        return Content(FileKind.OTHER, content)
    if content[1:2] == b"\x80":  # BER: the length is not stated
        return Content(_classify_ber(der.Element(content, der.SEQUENCE, 2, len(content))), content)
    try:
        outer = der.first_element(content)
    except der.TruncatedError:
        return Content(_classify_truncated(content[4:12]), content, is_truncated=True)
    except der.DerError:
        return Content(FileKind.OTHER, content)
    return Content(_classify_der(outer), content[: outer.end], extra=len(content) - outer.end)


def _classify_der(outer: der.Element) -> FileKind:
    """Return what a well-formed sequence is, by the tags within."""
    try:
        parts = list(islice(outer, _MAX_PARTS))
        tags = [part.tag for part in parts]
        if tags == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
            return _classify_signed([part.tag for part in islice(parts[0], _MAX_PARTS)])
    except der.DerError:
        return _classify_ber(outer)
    if tags == [der.SEQUENCE, der.OCTET_STRING]:
        return FileKind.KEY
    if tags[:3] == [der.INTEGER, der.SEQUENCE, der.OCTET_STRING] or tags == [der.INTEGER] * 9:
        return FileKind.PLAIN_KEY
    if tags in ([der.SEQUENCE, der.BIT_STRING], [der.INTEGER, der.INTEGER]):
        return FileKind.PUBLIC_KEY
    if tags[:2] == [der.INTEGER, der.SEQUENCE]:
        return FileKind.BAG
    if tags == [der.OBJECT_IDENTIFIER, der.VERSION]:
        return FileKind.ENVELOPE
    return FileKind.OTHER


def _classify_ber(outer: der.Element) -> FileKind:
    """Return what a sequence with parts in BER is: the SAT's Certifica writes its envelopes so, and Java key stores."""
    try:
        first = next(iter(outer), None)
    except der.DerError:
        return FileKind.OTHER
    if first is None:
        return FileKind.OTHER
    if first.tag == der.OBJECT_IDENTIFIER and first.content.startswith(_PKCS7):
        return FileKind.ENVELOPE
    is_bag = first.tag == der.INTEGER and outer.data[first.end : first.end + 2] == b"\x30\x80"
    return FileKind.BAG if is_bag else FileKind.OTHER


def _classify_signed(tags: list[int]) -> FileKind:
    """Tell a certificate from a request for one: the one names its algorithm in third place, the other its key."""
    if tags[:2] == [der.VERSION, der.INTEGER] or tags[:6] == [der.INTEGER, *[der.SEQUENCE] * 5]:
        return FileKind.CERTIFICATE
    return FileKind.REQUEST if tags[:3] == [der.INTEGER, der.SEQUENCE, der.SEQUENCE] else FileKind.OTHER


def _classify_truncated(within: bytes) -> FileKind:
    """Return what a file that breaks off was going to be, if its bytes from the fifth on tell."""
    # SEQUENCE (with a length of two bytes) { SEQUENCE (with a length of two bytes) { version … is how certificates
    # begin, and { SEQUENCE (with a length of one byte) { identifier … is how encrypted keys do.
    if re.match(rb"\x30\x82..[\xa0\x02]", within, re.DOTALL):
        return FileKind.CERTIFICATE
    if re.match(rb"\x30[\x0b-\x7f]\x06", within, re.DOTALL):
        return FileKind.KEY
    return FileKind.OTHER
