"""Recognition of a file's kind, for DER, PEM, base64 and text-mode transfers."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from attrs import evolve, field, frozen

from facturaonline_async._messages import Message
from facturaonline_async._secrets import Secret, SecretBytes
from facturaonline_async.sello import (
    _der as der,
    _text_decoding as text_decoding,
    _text_mode_repair as text_mode_repair,
)

__all__ = ["Content", "FileKind", "decode_base64_text", "first_recognised", "recognise", "recognise_all"]


class FileKind(enum.StrEnum):
    """Kind of a file; the text "findings.file_is_<value>" describes it."""

    CERTIFICATE = "certificate"
    KEY = "key"
    PLAIN_KEY = "plain_key"
    LEGACY_KEY = "legacy_key"
    PUBLIC_KEY = "public_key"
    REQUEST = "request"
    ENVELOPE = "envelope"
    BAG = "bag"
    EMPTY = "empty"
    ARCHIVE = "archive"
    TEXT = "text"
    OTHER = "other"

    @property
    def is_key(self) -> bool:
        """Whether the file is a private key of any kind."""
        return self in {FileKind.KEY, FileKind.PLAIN_KEY, FileKind.LEGACY_KEY}


@frozen
class Content:
    """Recognised content of a file, or of one block of a PEM file.

    Attributes:
        kind: kind of the content; for a truncated file, as its first bytes indicate.
        der: the content in DER. The repr hides it, because it may be a private key.
        text_form: ``"PEM"`` or ``"base64"``; ``""`` for a binary file.
        text_mode: damage by a transfer in text mode, one sentence; None if there is none.
        extra: number of bytes after the content.
        is_truncated: whether the content is incomplete.

    """

    kind: FileKind
    der: SecretBytes = field(converter=SecretBytes)
    text_form: str = ""
    text_mode: Message | None = None
    extra: int = 0
    is_truncated: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the kind is known, and no byte is missing or extra."""
        return self.kind is not FileKind.OTHER and not self.is_truncated and not self.extra

    @property
    def is_unrecoverable(self) -> bool:
        """Whether a transfer in text mode has destroyed the content."""
        return bool(self.text_mode) and self.kind is FileKind.OTHER


_MAX_PARTS: Final = 10
_PKCS7: Final = bytes.fromhex("2a864886f70d0107")
_MIN_BASE64_LENGTH: Final = 16
_NESTED_PEM: Final = b"-----BEGIN "


def recognise(content: bytes) -> Content:
    """Return the content of a file; of several PEM blocks, the first known one.

    Never raises.

    Args:
        content: bytes of the file.

    """
    return first_recognised(recognise_all(content))


def first_recognised(found: Sequence[Content]) -> Content:
    """Return the first content of a known kind, or else the first content.

    Args:
        found: contents of one file, at least one.

    """
    return next(
        (each for each in found if each.kind not in {FileKind.TEXT, FileKind.OTHER, FileKind.PUBLIC_KEY}), found[0]
    )


def recognise_all(content: bytes) -> tuple[Content, ...]:
    """Return the content of a file, or the content of each of its PEM blocks in order.

    Never raises.

    Args:
        content: bytes of the file.

    """
    if not content:
        return (Content(FileKind.EMPTY, b""),)
    if content.startswith(b"PK\x03\x04"):
        return (Content(FileKind.ARCHIVE, content),)
    found = _recognise_binary(content)
    if found.kind is not FileKind.OTHER or found.is_truncated or found.text_mode:
        return (found,)
    text = text_decoding.decode_text(content)
    return (found,) if text is None else _recognise_text(text)


def decode_base64_text(text: Secret) -> SecretBytes | None:
    """Decode a base64 text; return PEM text as bytes, and None for any other text.

    Args:
        text: base64 or PEM text.

    """
    text = text_decoding.unescape(text)
    if text_decoding.pem_blocks(text):
        return SecretBytes(text.reveal().encode("utf-8", "replace"))
    contents = list(text_decoding.base64_contents(text_decoding.strip_wrapping(text), is_strict=True))
    return next(
        (each for each in contents if each and _recognise_der(each).is_complete), contents[0] if contents else None
    )


def _recognise_text(text: Secret) -> tuple[Content, ...]:
    """Return the contents of PEM or base64 text, with or without quotes and escapes."""
    text = text_decoding.unescape(text)
    if blocks := text_decoding.pem_blocks(text):
        return tuple(_recognise_block(block) for block in blocks)
    contents = [each for each in _decode_candidates(text_decoding.strip_wrapping(text)) if each]
    if contents and contents[0].startswith(_NESTED_PEM):
        return tuple(
            _recognise_block(block) for block in text_decoding.pem_blocks(Secret(contents[0].decode("latin-1")))
        )
    return (_choose_candidate(contents, "base64"),)


def _recognise_block(block: text_decoding.PemBlock) -> Content:
    contents = _decode_candidates(block.body)
    if contents and block.is_legacy:
        return Content(FileKind.LEGACY_KEY, contents[0], "PEM")
    return _choose_candidate(contents, "PEM")


def _decode_candidates(text: Secret) -> list[SecretBytes]:
    if len(text.reveal()) < _MIN_BASE64_LENGTH:
        return []
    return list(text_decoding.base64_contents(text))


def _choose_candidate(contents: list[SecretBytes], form: str) -> Content:
    """Return the first complete decoding of one text, or else the first decoding."""
    candidates = [evolve(_recognise_binary(content), text_form=form) for content in contents]
    found = next((each for each in candidates if each.is_complete), candidates[0] if candidates else None)
    is_unknown = found is None or (found.kind is FileKind.OTHER and not found.is_truncated and not found.text_mode)
    return Content(FileKind.TEXT, b"") if found is None or is_unknown else found


def _recognise_binary(content: bytes) -> Content:
    """Return the content of a binary file, after undoing a transfer in text mode."""
    found = _recognise_der(content)
    if found.is_complete:
        return found
    for restoration in text_mode_repair.undo_text_mode(content):
        if (restored := _recognise_der(restoration.content)).is_complete:
            return evolve(restored, text_mode=restoration.damage)
    damage = text_mode_repair.describe_loss(content)
    return Content(FileKind.OTHER, b"", text_mode=damage) if damage else found


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
    """Return the kind of a well-formed sequence, by the tags of its elements."""
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
    """Return the kind of a sequence with elements in BER.

    The SAT's Certifica writes its envelopes in BER, and Java writes its key stores so.
    """
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
    """Return whether signed content is a certificate or a certificate request.

    The third element is the algorithm in a certificate, and the public key in a request.
    """
    if tags[:2] == [der.VERSION, der.INTEGER] or tags[:6] == [der.INTEGER, *[der.SEQUENCE] * 5]:
        return FileKind.CERTIFICATE
    return FileKind.REQUEST if tags[:3] == [der.INTEGER, der.SEQUENCE, der.SEQUENCE] else FileKind.OTHER


def _classify_truncated(start: bytes) -> FileKind:
    """Return the kind of a truncated file, by its bytes from the fifth on."""
    # A certificate begins with SEQUENCE (length of two bytes) { SEQUENCE (length of two bytes) { version …, and an
    # encrypted key with SEQUENCE (length of two bytes) { SEQUENCE (length of one byte) { identifier …
    if re.match(rb"\x30\x82..[\xa0\x02]", start, re.DOTALL):
        return FileKind.CERTIFICATE
    if re.match(rb"\x30[\x0b-\x7f]\x06", start, re.DOTALL):
        return FileKind.KEY
    return FileKind.OTHER
