"""A garbled password is distinguished from a wrong one, with its remedy, and never shown."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable
from functools import cache
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, strategies as st

from facturaonline_async.config import SecretBytes
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import Sello, _password_diagnosis as passwords, check
from facturaonline_async.sello._private_key import WrongPasswordError
from tests.effort import examples
from tests.sello.certificates import NOW, RFC, made
from tests.sello.keys import ARIA, PBKDF2, SCRYPT, derived, encrypted, plain


def misread(encoding: str) -> Callable[[str], str]:
    return lambda text: text.encode().decode(encoding)


def web(text: str) -> str:
    """Read UTF-8 as browsers read Windows-1252: its five gaps are Latin-1."""
    return "".join(
        bytes((byte,)).decode("latin-1" if byte in {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "cp1252")
        for byte in text.encode()
    )


GARBLED: dict[str, tuple[Callable[[str], str], str]] = {
    "blanks": (lambda text: f" {text}\t\r\n", "the blanks around it are removed"),
    "marks without a width": (lambda text: f"\ufeff\u200b{text}\u2060", "the blanks around it are removed"),
    "no-break blanks": (lambda text: f"\xa0{text}\u3000", "the blanks around it are removed"),
    "quotes": (lambda text: f'"{text}"', "the quotation marks around it are removed"),
    "single quotes": (lambda text: f"'{text}'", "the quotation marks around it are removed"),
    "typographic quotes": (lambda text: f"\u201c{text}\u201d", "the quotation marks around it are removed"),
    "angle quotes": (lambda text: f"«{text}»", "the quotation marks around it are removed"),
    "Excel's apostrophe": (lambda text: f"'{text}", "the apostrophe before it is removed"),
    "Excel's formula": (lambda text: f'="{text}"', 'the ="…" around it is removed'),
    "Latin-1": (misread("latin-1"), "it is read as UTF-8 (it was read as Latin-1 or Windows-1252)"),
    "Windows-1252": (web, "it is read as UTF-8 (it was read as Latin-1 or Windows-1252)"),
    "code page 850": (misread("cp850"), "it is read as UTF-8 (it was read in code page 850)"),
    "MacRoman": (misread("mac_roman"), "it is read as UTF-8 (it was read as MacRoman)"),
    "bytes of Windows-1252": (
        lambda text: text.encode("cp1252").decode("utf-8", "surrogateescape"),
        "it is given in UTF-8 (it was given in Windows-1252)",
    ),
    "NFD": (lambda text: unicodedata.normalize("NFD", text), "its accents are composed (Unicode NFC)"),
    "HTML": (lambda text: html.escape(text).replace("ñ", "&ntilde;"), "its HTML escapes (&…;) are undone"),
    "HTML, numbers": (
        lambda text: "".join(c if c.isascii() and c.isalnum() else f"&#{ord(c)};" for c in text),
        "its HTML escapes (&…;) are undone",
    ),
    "URL": (lambda text: quote(text, safe=""), "its URL escapes (%…) are undone"),
    "URL in Latin-1": (lambda text: quote(text, safe="", encoding="cp1252"), "its URL escapes (%…) are undone"),
    "JSON": (lambda text: json.dumps(text)[1:-1], "its backslash escapes are undone"),
}
SAID = "The password is right, but was garbled on its way. It opens the key after this: "


@cache
def key(password: str) -> bytes:
    return encrypted(plain(), password.encode())


def found(password: str, given: str) -> Finding:
    (finding,) = check(Sello(CER, key(password), given), rfc=RFC, now=NOW).findings
    assert finding.field == "password"
    for text in (str(finding), repr(finding)):
        assert (password in text, given in text) == (False, False)
    return finding


CER = made().cer


@pytest.mark.parametrize("how", GARBLED)
def test_a_garbled_password_is_reported_with_its_remedy(how: str) -> None:
    change, remedy = GARBLED[how]
    finding = found("Contraseña<1&2 3", change("Contraseña<1&2 3"))
    assert (finding.code, finding.seen) == ("password_garbled", f"{SAID}{remedy}.")
    assert "Give the password as chosen in Certifica" in finding.remedy


def test_a_nul_after_a_password_is_reported_as_a_blank() -> None:
    """HTML has no escape for it, so that it is not in the table."""
    assert found("contraseña1", "contraseña1\0").seen == f"{SAID}the blanks around it are removed."


def test_a_url_encoded_password_with_plus_signs_is_undone() -> None:
    finding = found("mi contraseña 1", quote_plus("mi contraseña 1"))
    assert finding.code == "password_garbled"
    assert "plus signs of its URL escapes are blanks again" in finding.seen
    assert "its URL escapes (%…) are undone" in finding.seen


def test_a_key_with_a_decomposed_password_is_reported() -> None:
    """The key was made on macOS, which may decompose a password."""
    decomposed = unicodedata.normalize("NFD", "contraseña1")
    assert found(decomposed, "contraseña1").seen == f"{SAID}its accents are decomposed (Unicode NFD)."


@pytest.mark.parametrize("times", [2, 3])
def test_a_password_that_was_misread_several_times_is_undone_as_often(times: int) -> None:
    text = "contraseña1"
    for _ in range(times):
        text = web(text)
    remedy = "it is read as UTF-8 (it was read as Latin-1 or Windows-1252)"
    assert found("contraseña1", text).seen == f"{SAID}{'; then '.join([remedy] * times)}."


ALPHABET = st.sampled_from("abcXYZ019 ñÑáéíóúüÁÉ€¿¡&<>\"'%+/=\\#-_.")
PASSWORDS = st.text(ALPHABET, min_size=8, max_size=20).filter(lambda text: text == text.strip())


@given(PASSWORDS, st.lists(st.sampled_from(list(GARBLED)), min_size=1, max_size=2))
@examples(150)
def test_any_two_garblings_of_a_password_are_undone(password: str, changes: list[str]) -> None:
    # What an environment cannot decode stays as it is: nothing is done to it any more.
    assume("bytes of Windows-1252" not in changes[:-1])
    given = password
    for each in changes:
        try:
            given = GARBLED[each][0](given)
        except UnicodeError:
            return
    (finding,) = check(Sello(CER, key(password), given), now=NOW).findings or [None]
    assert given == password or (finding is not None and finding.code == "password_garbled")


@pytest.mark.parametrize(
    ("password", "given"),
    [
        ("contraseña1", "otra"),
        ("contraseña1", "contrasena1"),
        ("contraseña1", "contrase?a1"),
        ("contraseña1", "contrase\ufffda1"),
        ("contraseña1", "Contraseña1"),
        ("contraseña1", "\ufeff"),
        ("contraseña1", "\ud800\udc80"),
        ("contraseña1", "%"),
        ("contraseña1", '"'),
        ("contraseña1", "\\"),
        ("contraseña1", "x" * 100_000),
        ("contraseña1", " " * 100_000 + "x"),
    ],
)
def test_another_password_is_reported_as_wrong_and_not_as_garbled(password: str, given: str) -> None:
    assert found(password, given).code == "wrong_password"


def test_blanks_around_a_long_password_are_reported() -> None:
    assert found("x" * 2000, "x" * 2000 + "\n").code == "password_garbled"


@pytest.mark.parametrize("given", ["contraseña €", "contraseña €".encode("cp1252").decode("utf-8", "surrogateescape")])
def test_a_key_with_a_windows_1252_password_is_reported_as_unsendable(given: str) -> None:
    content = encrypted(plain(), "contraseña €".encode("cp1252"))
    (finding,) = check(Sello(CER, content, given), now=NOW).findings
    assert finding.code == "password_unsendable"
    assert "only if it is encoded in Windows-1252" in finding.seen
    assert "Give the key another password" in finding.remedy


def test_an_untried_password_that_cannot_be_sent_is_reported() -> None:
    """The key has no password, or an unsupported encryption."""
    for content, code in ((plain(), "key_not_encrypted"), (derived(ARIA, 2048), "unsupported_key")):
        found = check(Sello(CER, content, "a\tb\n"), now=NOW).findings
        assert [each.code for each in found] == [code, "password_unsendable"]


# ── What it costs ─────────────────────────────────────────────────────────────────────────────────────────────────────

WORST = "'=\"  %25C3%2583%25C2%25B1&amp;ntilde;\\\\u00f1+ñÃ±" + "\u0303" + '  "'


class Opener:
    """Replacement for `open_private_key` that records each try and opens no key."""

    def __init__(self) -> None:
        self.tried: list[bytes] = []

    def __call__(self, _key: SecretBytes, password: SecretBytes) -> None:
        self.tried.append(bytes(password))
        raise WrongPasswordError


@pytest.mark.parametrize(
    ("content", "most"),
    [
        (lambda: derived(PBKDF2, 2048), 32),
        (lambda: derived(PBKDF2, 100_000), 30),
        (lambda: derived(PBKDF2, 600_000), 5),
        (lambda: derived(PBKDF2, 1_000_000), 3),
        (lambda: derived(SCRYPT, 16384, 8, 8), 2),
    ],
)
def test_the_number_of_tried_passwords_is_bounded(
    content: Callable[[], bytes], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = Opener()
    monkeypatch.setattr(passwords, "open_private_key", opener)
    (finding,) = check(Sello(CER, content(), WORST), now=NOW).findings
    assert (finding.code, len(opener.tried)) == ("wrong_password", most)
    assert len(set(opener.tried)) == most


@pytest.mark.parametrize("given", ["12345678A", "otra-clave_1", "abc", "x" * 1000])
def test_a_wrong_password_without_garbling_causes_no_further_tries(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Opener()
    monkeypatch.setattr(passwords, "open_private_key", opener)
    assert found("contraseña1", given).code == "wrong_password"
    assert opener.tried == []


def test_a_right_password_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This includes a right password that looks garbled."""
    monkeypatch.setattr(passwords, "explain_wrong_password", None)
    for password in ("contraseÃ±a1", '"x y"', "a%20b", "&amp;", " x "):
        assert check(Sello(CER, key(password), password), now=NOW).findings == ()
