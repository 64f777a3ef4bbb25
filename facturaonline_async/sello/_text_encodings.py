"""Text that holds DER: which encoding it is in, PEM blocks, base64. It may be a key's text, and does not show."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Final

from attrs import field, frozen

from facturaonline_async.config import Secret, SecretBytes

__all__ = ["PemBlock", "base64_contents", "decode_text", "pem_blocks", "strip_wrapping", "unescape"]

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----(.*?)(?=-----(?:BEGIN|END) |\Z)", re.DOTALL)
_PEM_HEADER: Final = re.compile(r"^[A-Za-z-]+: .*$", re.MULTILINE)
_DATA_URI: Final = re.compile(r"^data:[^,]*,", re.IGNORECASE)
_QUOTED: Final = re.compile(r"""b?(["'`])(.*)\1[,;]?""", re.DOTALL)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ESCAPES: Final = (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\/", "/"))
"""As source code and JSON write them."""
_URL_ESCAPES: Final = tuple(
    (escape, character) for character in "+/=\r\n\t " for escape in {f"%{ord(character):02X}", f"%{ord(character):02x}"}
)
"""Of the characters of base64 text that a URL escapes; `urllib` takes a second for a million percent signs."""
_MAX_BLOCKS: Final = 500
"""A bundle of all the world's authorities has 150."""
_BLANKS_BUT_SPACES: Final = str.maketrans("", "", "\r\n\t\f\v")
_FOR_URLS: Final = str.maketrans("-_", "+/")


@frozen
class PemBlock:
    """One block of PEM text.

    Attributes:
        body: the text between the lines that begin and end it, without headers.
        is_legacy: whether its headers say that it is encrypted in OpenSSL's traditional way.

    """

    body: Secret = field(repr=False)
    is_legacy: bool


def decode_text(content: bytes) -> Secret | None:
    """Return the text that the bytes are, without a byte order mark; None for bytes that are no text."""
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


def unescape(text: Secret) -> Secret:
    """Return the text without the escapes of source code and JSON."""
    return _replace_all(text, _ESCAPES)


def _replace_all(text: Secret, pairs: Iterable[tuple[str, str]]) -> Secret:
    for old, new in pairs:
        text = Secret(text.reveal().replace(old, new))
    return text


def pem_blocks(text: Secret) -> list[PemBlock]:
    """Return the first 500 PEM blocks of a text, in their order. One that breaks off ends where the next one begins."""
    found = islice(_PEM.finditer(text.reveal()), _MAX_BLOCKS)
    bodies = list(map(Secret, map(itemgetter(1), found)))  # no frame of ours has a text
    return [PemBlock(Secret(_PEM_HEADER.sub("", body.reveal())), "Proc-Type:" in body.reveal()) for body in bodies]


def strip_wrapping(text: Secret) -> Secret:
    """Return the text without quotes, a data URI's beginning, and a URI's escapes."""
    if _QUOTED.fullmatch(text.reveal().strip()):
        text = Secret(_QUOTED.sub(r"\2", text.reveal().strip()).strip())
    # Blanks at the end stay: they may be plus signs.
    return _replace_all(Secret(_DATA_URI.sub("", text.reveal().lstrip())), _URL_ESCAPES)


def base64_contents(text: Secret, *, is_strict: bool = False) -> Iterator[SecretBytes]:
    """Yield each content that base64 text may stand for, the likeliest first: either alphabet, with or without padding.

    Blanks mean nothing, or, in a text that went through a web form, each stands for a plus sign: within the text, or at
    its ends too. A single letter at the end holds no byte: the text breaks off there, and is_strict leaves it out.
    """
    seen: set[Secret] = set()
    for candidate in (
        Secret("".join(text.reveal().split())),
        _restore_pluses(Secret(text.reveal().strip())),
        _restore_pluses(text),
    ):
        if candidate not in seen and _BASE64.fullmatch(candidate.reveal()):
            seen.add(candidate)
            letters = Secret(candidate.reveal().rstrip("=").translate(_FOR_URLS))
            if not (is_strict and len(letters.reveal()) % 4 == 1):
                yield _decode(letters)


def _restore_pluses(text: Secret) -> Secret:
    return Secret(text.reveal().translate(_BLANKS_BUT_SPACES).replace(" ", "+"))


def _decode(letters: Secret) -> SecretBytes:
    length = len(letters.reveal())
    length -= length % 4 == 1
    return SecretBytes(base64.b64decode(letters.reveal()[:length] + "=" * (-length % 4)))
