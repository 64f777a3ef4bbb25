"""Decoding of text that holds DER: character encodings, PEM blocks and base64.

The text may be a private key, so it stays inside `Secret`.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Final

from attrs import field, frozen

from facturaonline_async._secrets import Secret, SecretBytes

__all__ = ["PemBlock", "base64_contents", "decode_text", "pem_blocks", "strip_wrapping", "unescape"]

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----(.*?)(?=-----(?:BEGIN|END) |\Z)", re.DOTALL)
_PEM_HEADER: Final = re.compile(r"^[A-Za-z-]+: .*$", re.MULTILINE)
_DATA_URI: Final = re.compile(r"^data:[^,]*,", re.IGNORECASE)
_QUOTED: Final = re.compile(r"""b?(["'`])(.*)\1[,;]?""", re.DOTALL)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ESCAPES: Final = (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\/", "/"))
"""Escapes of source code and JSON."""
_URL_ESCAPES: Final = tuple(
    (escape, character) for character in "+/=\r\n\t " for escape in {f"%{ord(character):02X}", f"%{ord(character):02x}"}
)
"""URL escapes of base64 characters. `urllib` takes a second for a million percent signs."""
_MAX_BLOCKS: Final = 500
"""A bundle of all public certificate authorities has 150."""
_BLANKS_BUT_SPACES: Final = str.maketrans("", "", "\r\n\t\f\v")
_FOR_URLS: Final = str.maketrans("-_", "+/")


@frozen
class PemBlock:
    """One block of PEM text.

    Attributes:
        body: the text between the BEGIN and END lines, without headers.
        is_legacy: whether its headers announce OpenSSL's traditional encryption.

    """

    body: Secret = field(repr=False)
    is_legacy: bool


def decode_text(content: bytes) -> Secret | None:
    """Decode bytes as text without a byte order mark; return None for binary data.

    Args:
        content: bytes of a file.

    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return Secret(content[len(mark) :].decode(encoding, "replace"))
    # PEM and base64 are ASCII: in UTF-16 about every other byte is zero, comments excepted.
    if content.count(0) * 3 > len(content):
        is_little = content[1::2].count(0) > content[::2].count(0)
        return Secret(content.decode("utf-16-le" if is_little else "utf-16-be", "replace"))
    if content.isascii() or b"-----BEGIN " in content:
        return Secret(content.decode("latin-1"))
    return None


def unescape(text: Secret) -> Secret:
    """Undo the escapes of source code and JSON.

    Args:
        text: PEM or base64 text.

    """
    return _replace_all(text, _ESCAPES)


def _replace_all(text: Secret, pairs: Iterable[tuple[str, str]]) -> Secret:
    for old, new in pairs:
        text = Secret(text.reveal().replace(old, new))
    return text


def pem_blocks(text: Secret) -> list[PemBlock]:
    """Return the first 500 PEM blocks of a text, in order.

    A block without an END line ends where the next one begins.

    Args:
        text: text of any kind.

    """
    found = islice(_PEM.finditer(text.reveal()), _MAX_BLOCKS)
    bodies = list(map(Secret, map(itemgetter(1), found)))  # no frame of this module holds a bare text
    return [PemBlock(Secret(_PEM_HEADER.sub("", body.reveal())), "Proc-Type:" in body.reveal()) for body in bodies]


def strip_wrapping(text: Secret) -> Secret:
    """Return the text without quotes, the prefix of a data URI, and URL escapes.

    Args:
        text: base64 text.

    """
    if _QUOTED.fullmatch(text.reveal().strip()):
        text = Secret(_QUOTED.sub(r"\2", text.reveal().strip()).strip())
    # Blanks at the end stay: they may be plus signs.
    return _replace_all(Secret(_DATA_URI.sub("", text.reveal().lstrip())), _URL_ESCAPES)


def base64_contents(text: Secret, *, is_strict: bool = False) -> Iterator[SecretBytes]:
    """Yield each possible decoding of a base64 text, the most probable first.

    Both alphabets are accepted, with or without padding. Blanks are ignored, or read as plus signs, as a web form
    leaves them: within the text, or also at its ends.

    Args:
        text: base64 text.
        is_strict: whether to skip a text whose last letter holds no byte, because it is incomplete.

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
