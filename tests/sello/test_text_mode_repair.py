"""A binary file that was transferred as text gives one finding that says so."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from attrs import evolve

from facturaonline_async.sello import Sello, check
from facturaonline_async.sello._file_kind import FileKind, recognise
from facturaonline_async.testing import _der as der
from tests.sello.certificates import NOW, RFC, made, manifest, needs_sat, sat


def cp1252_to_utf8(content: bytes) -> bytes:
    return "".join(
        bytes((byte,)).decode("latin-1" if byte in {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "cp1252") for byte in content
    ).encode()


def crlf(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def git_crlf(content: bytes) -> bytes:
    """Put a CR before each LF that has none."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


MENDED: dict[str, Callable[[bytes], bytes]] = {
    "LF to CRLF": crlf,
    "Latin-1 to UTF-8": lambda content: content.decode("latin-1").encode(),
    "Windows-1252 to UTF-8": cp1252_to_utf8,
    "Latin-1 to UTF-8, LF to CRLF": lambda content: crlf(content.decode("latin-1").encode()),
}
LOST: dict[str, Callable[[bytes], bytes]] = {
    "seven bits": lambda content: bytes(byte & 0x7F for byte in content),
    "seven bits, LF to CRLF": lambda content: crlf(bytes(byte & 0x7F for byte in content)),
    "replaced by ?": lambda content: content.decode("ascii", "replace").encode("ascii", "replace"),
    "replaced by U+FFFD": lambda content: content.decode("utf-8", "replace").encode(),
    "left out": lambda content: content.decode("ascii", "ignore").encode(),
}


def with_line_feeds() -> Sello:
    """Return a pair whose files have line feeds in them, and a CR LF of their own."""
    sello = made(razon_social="A\nB\r\nC")
    key = next(each for each in (made().key for _ in range(1000)) if 3 <= each.count(b"\n") and b"\r\n" not in each)
    return evolve(sello, key=key)


GOOD = with_line_feeds()


def codes(sello: Sello) -> list[tuple[str, str]]:
    return [(each.field, each.code) for each in check(sello, rfc=RFC, now=NOW).findings]


@pytest.mark.parametrize("how", MENDED)
def test_a_transfer_that_can_be_undone_is_the_only_finding(how: str) -> None:
    mangled = Sello(MENDED[how](GOOD.cer), MENDED[how](GOOD.key), GOOD.password)
    assert codes(mangled) == [("cer", "text_mode"), ("key", "text_mode")]
    assert mangled.to_der() == GOOD
    as_text = Sello(base64.b64encode(mangled.cer), base64.b64encode(mangled.key), GOOD.password)
    assert as_text.to_der() == GOOD


@pytest.mark.parametrize("how", LOST)
def test_a_transfer_that_cannot_be_undone_is_the_only_finding(how: str) -> None:
    mangled = Sello(LOST[how](GOOD.cer), LOST[how](GOOD.key), GOOD.password)
    assert codes(mangled) == [("cer", "text_mode"), ("key", "text_mode")]
    assert mangled.to_der() == mangled


@needs_sat
@pytest.mark.parametrize("how", MENDED | LOST)
def test_each_real_file_in_text_mode_is_reported_as_such(how: str) -> None:
    """A file without a line feed is not changed by what changes line feeds."""
    change = (MENDED | LOST)[how]
    for pair in manifest("pairs"):
        good = sat(pair["cer"], pair["key"])
        for content in (good.cer, bytes(good.key)):
            found = recognise(change(content))
            assert (bool(found.text_mode), found.is_unrecoverable) == (change(content) != content, how in LOST)


def test_line_feeds_changed_only_without_a_cr_are_reported() -> None:
    sello = Sello(git_crlf(GOOD.cer), GOOD.key, GOOD.password)
    assert codes(sello) == [("cer", "text_mode")]


def test_the_finding_describes_the_damage() -> None:
    seen = [check(Sello(change(GOOD.cer), GOOD.key, "x"), now=NOW).findings[0].seen for change in MENDED.values()]
    line_ends = "a carriage return (0x0D) was inserted before each line feed (0x0A)"
    utf8 = "the bytes above 0x7F were rewritten as UTF-8"
    assert seen == [
        f"The file was transferred as text: {how}." for how in (line_ends, utf8, utf8, f"{utf8}, and {line_ends}")
    ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"0" * 200, FileKind.TEXT),
        (b"0\x02\x01" + b"a" * 200, FileKind.TEXT),
        ("0123 not base64! ".encode("utf-16-le") * 20, FileKind.TEXT),
        (b"0\n\r\n" * 50, FileKind.TEXT),
        (GOOD.cer + b"\r\n", FileKind.CERTIFICATE),
    ],
)
def test_other_files_were_not_transferred_as_text(content: bytes, what: FileKind) -> None:
    found = recognise(content)
    assert (found.kind, found.text_mode) == (what, None)


# ── BER ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ber(tag: int, *parts: bytes) -> bytes:
    """Return an element of indefinite length."""
    return bytes((tag, 0x80)) + b"".join(parts) + b"\0\0"


SIGNED, DATA = der.oid("1.2.840.113549.1.7.2"), der.oid("1.2.840.113549.1.7.1")
ENVELOPES = {
    "as Certifica writes it": ber(
        0x30,
        SIGNED,
        ber(0xA0, ber(0x30, der.integer(1), b"\x31\0", ber(0x30, DATA, ber(0xA0, ber(0x24, der.octets(b"PK\5\6")))))),
    ),
    "enveloped data": ber(0x30, der.oid("1.2.840.113549.1.7.3"), ber(0xA0, ber(0x30, der.integer(0)))),
    "BER within DER": der.sequence(SIGNED, ber(0xA0, ber(0x30, der.integer(1)))),
    "DER": der.sequence(SIGNED, der.explicit(0, der.sequence(der.integer(1)))),
}
BAGS = {
    "as Java writes it": ber(0x30, der.integer(3), ber(0x30, DATA)),
    "BER within DER": der.sequence(der.integer(3), ber(0x30, DATA)),
}


@pytest.mark.parametrize("form", ENVELOPES)
def test_an_envelope_is_recognised_in_any_encoding(form: str) -> None:
    for content in (ENVELOPES[form], base64.b64encode(ENVELOPES[form])):
        assert recognise(content).kind is FileKind.ENVELOPE
    found = check(Sello(ENVELOPES[form], GOOD.key, GOOD.password), now=NOW).findings
    assert [(each.code, each.seen) for each in found if each.code != "not_der"] == [
        ("not_a_certificate", "The file is an envelope (.sdg, .p7b).")
    ]


@pytest.mark.parametrize("form", BAGS)
def test_a_key_store_is_recognised_in_any_encoding(form: str) -> None:
    assert recognise(BAGS[form]).kind is FileKind.BAG


@pytest.mark.parametrize("content", [b"0\x80", b"0\x80\0\0", b"0\x80\x06", b"0\x80\x02\x01\x03\0\0", b"0\x80\x30\x80"])
def test_other_ber_is_not_recognised_as_an_envelope_or_key_store(content: bytes) -> None:
    assert recognise(content).kind in {FileKind.OTHER, FileKind.TEXT}
