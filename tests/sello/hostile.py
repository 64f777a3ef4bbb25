"""Files and texts of any length that cause as much work as possible."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache

from facturaonline_async.sello import Sello, _der as read
from facturaonline_async.testing import _der as der
from tests.sello.certificates import made, whole, with_attributes
from tests.sello.keys import DES3, PBES2, PBKDF2, encrypted, plain, wrapped

Maker = Callable[[int], bytes]

MARKS = "\u0301\u0323"
"""Two combining marks in the wrong order. Composing many of them takes quadratic time."""
ORGANIZATION = "2.5.4.10"
NOTHING = b"\x05\0"


@cache
def good() -> Sello:
    return made()


def repeated(part: bytes, begin: bytes = b"", end: bytes = b"") -> Maker:
    return lambda size: begin + part * (size // len(part)) + end


def pem(content: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(content) + b"-----END CERTIFICATE-----\n"


def deep(size: int) -> bytes:
    """Return well-formed elements, each nested in the one before."""
    headers: list[bytes] = []
    length = 0
    while length < size:
        headers.append(bytes((0x30, 0x84)) + length.to_bytes(4, "big"))
        length += 6
    return b"".join(reversed(headers))


def with_part(number: int, part: Maker) -> Maker:
    """Return a certificate with one element (number, algorithm, issuer, …) replaced."""

    def content(size: int) -> bytes:
        body, algorithm, signature = read.first_element(good().cer)
        parts = list(map(whole, body))
        parts[number] = part(size)
        return der.sequence(der.sequence(*parts), whole(algorithm), whole(signature))

    return content


def with_issuer(tag: int, text: str, encoding: str = "utf-8") -> Maker:
    part = text.encode(encoding)
    value = repeated(part)
    return lambda size: with_attributes(good().cer, "issuer", [(ORGANIZATION, der.string(tag, value(size)))])


def with_derivation(*parameters: Maker) -> Maker:
    cipher = der.sequence(der.oid(DES3), der.octets(bytes(8)))
    return lambda size: wrapped(
        PBES2,
        der.sequence(der.sequence(der.oid(PBKDF2), der.sequence(*(each(size) for each in parameters))), cipher),
    )


RSA = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())
ATTRIBUTE = der.sequence(der.oid(ORGANIZATION), der.utf8("x"))
SMALL_CERTIFICATE = der.sequence(
    der.sequence(der.explicit(0, b""), der.integer(1), *[der.sequence()] * 5), der.sequence(), der.bits(b"")
)

FILES: dict[str, Maker] = {
    "PEM blocks without end": repeated(b"-----BEGIN A-----"),
    "a PEM label without end": repeated(b"A", b"-----BEGIN "),
    "PEM labels without end": repeated(b"-----BEGIN "),
    "dashes": repeated(b"-"),
    "PEM headers": repeated(b"A: b\n", b"-----BEGIN A-----\n"),
    "a PEM header without colon": repeated(b"a", b"-----BEGIN A-----\n"),
    "PEM blocks": repeated(b"-----BEGIN A-----\nMAA=\n-----END A-----\n"),
    "certificates": repeated(pem(good().cer)),
    "small certificates": repeated(pem(SMALL_CERTIFICATE)),
    "keys": repeated(pem(bytes(good().key))),
    "base64 of PEM": lambda size: base64.b64encode(b"-----BEGIN A-----\n" * (size // 24)),
    "base64": repeated(b"M"),
    "base64 in short lines": repeated(b"M\n"),
    "base64 with blanks": repeated(b"M "),
    "plus signs": repeated(b"+ "),
    "blanks": repeated(b" ", end=b"x"),
    "quotes": repeated(b'"'),
    "a quote without end": repeated(b"a'", b'"'),
    "URL escapes": repeated(b"%2B"),
    "percent signs": repeated(b"%"),
    "escapes": repeated(b"\\n"),
    "backslashes": repeated(b"\\"),
    "data URIs": repeated(b"data:"),
    "a data URI without comma": repeated(b"a", b"data:"),
    "UTF-16": lambda size: ("M" * (size // 2)).encode("utf-16"),
    "zeros": repeated(b"\0"),
    "CR LF": repeated(b"\r\n", b"0"),
    "LF": repeated(b"\n", b"0"),
    "control characters": repeated(b"\x01", b"0"),
    "UTF-8 of bytes": repeated(b"\xc2\x82\r\n", b"0\xc2\x82"),
    "U+FFFD": repeated("\ufffd".encode(), b"0"),
    "elements within elements": deep,
    "indefinite lengths": repeated(b"0\x80"),
    "elements without end": repeated(b"0\x82\xff\xff"),
    "many elements": lambda size: der.sequence(repeated(NOTHING)(size)),
    "many elements within a certificate": lambda size: der.sequence(
        der.sequence(repeated(NOTHING)(size)), der.sequence(), der.bits(b"")
    ),
    "a name of marks": with_issuer(0x0C, MARKS),
    "a name in BMP": with_issuer(0x1E, MARKS, "utf-16-be"),
    "a name encoded twice": with_issuer(0x0C, "Ã±"),
    "many attributes": lambda size: with_attributes(
        good().cer, "issuer", [(ORGANIZATION, der.utf8("x"))] * (size // 12)
    ),
    "many attributes at one place": with_part(3, lambda size: der.sequence(der.set_of(ATTRIBUTE * (size // 10)))),
    "places without attributes": with_part(3, lambda size: der.sequence(repeated(b"\x31\0")(size))),
    "an attribute of many parts": with_part(
        3, lambda size: der.sequence(der.set_of(der.sequence(repeated(NOTHING)(size))))
    ),
    "many extensions": with_part(
        7,
        lambda size: der.explicit(3, der.sequence(*[der.sequence(der.oid("1.2.3"), der.octets(b""))] * (size // 9))),
    ),
    "a long modulus": with_part(
        6, lambda size: der.sequence(RSA, der.bits(der.sequence(der.string(2, b"\x7f" * size), der.integer(3))))
    ),
    "a long number": with_part(1, lambda size: der.string(2, b"1" * size)),
    "a long identifier": with_part(2, lambda size: der.sequence(der.string(6, b"\xff" * size + b"\1"))),
    "a long time": with_part(4, lambda size: der.sequence(*[der.string(0x17, b"1" * size)] * 2)),
    "many times": with_part(4, lambda size: der.sequence(repeated(NOTHING)(size))),
    "a key of many parts": with_part(6, lambda size: der.sequence(repeated(NOTHING)(size))),
    "many algorithms": lambda size: wrapped(PBES2, repeated(NOTHING)(size)),
    "many derivations": lambda size: wrapped(PBES2, der.sequence(repeated(NOTHING)(size))),
    "many parameters": with_derivation(repeated(NOTHING)),
    "a long salt": with_derivation(lambda size: der.octets(bytes(size)), lambda _: der.integer(1)),
    "a long scheme": lambda size: der.sequence(der.sequence(der.string(6, b"\xff" * size + b"\1")), der.octets(b"x")),
    "a long key": lambda size: encrypted(plain() + bytes(size)),
    "elements within an encrypted key": lambda size: encrypted(deep(size)),
    "many numbers of a key": lambda size: der.sequence(
        der.integer(0), RSA, der.octets(der.sequence(b"\x02\x01\x01" * (size // 3)))
    ),
}

TEXTS: dict[str, str] = {
    "letters": "a",
    "marks": MARKS,
    "percent signs": "%25",
    "HTML escapes": "&amp;",
    "ampersands": "&",
    "blanks": " ",
    "quotes": '"',
    "backslashes": "\\",
    "surrogates": "\udcff",
    "encoded twice": "Ã±",
    "zeros": "\0",
    "tabs": "a\t",
}
