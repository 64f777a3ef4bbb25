"""Why a password does not open a key: it is another one, or it was garbled on its way here."""

from __future__ import annotations

import html
import json
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from facturaonline_async._text import TO_LATIN
from facturaonline_async.config import Secret, SecretBytes
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import _key_encryption as key_encryption
from facturaonline_async.sello._private_key import WrongPasswordError, encode_password, open_private_key

__all__ = ["explain_unsendable", "explain_wrong_password"]

_MAX_TRIES: Final = 32
_MAX_ITERATIONS: Final = 3_000_000
"""Rounds of PBKDF2 for all tries together: one and a half seconds. A key of the SAT takes 2048 for each."""
_MAX_CHANGES: Final = 3
"""Changes that are undone one after the other."""
_MAX_LENGTH: Final = 1000
"""Characters. The work of composing accents may grow with the square of their number."""

_BLANKS: Final = (
    "\0\t\n\v\f\r\x1c\x1d\x1e\x1f \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""What is copied along with a password, and not seen: blanks, and marks without a width."""
_LATIN_BLANKS: Final = _BLANKS + "\x85\xa0\xad"
"""Those that a letter in UTF-8 may end with where it was read as Latin-1, too."""
_QUOTES: Final = ('""', "''", "``", "\xb4\xb4", "\u201c\u201d", "\u2018\u2019", "«»", "\u201e\u201c", "\u201a\u2018")


@frozen
class _Change:
    """Something that happens to texts.

    Attributes:
        remedy: what to do about it: "the key opens after …".
        undo: returns the text as it was before; raises `ValueError`, or returns the same, where it did not happen.

    """

    remedy: str
    undo: Callable[[str], str] = field(repr=False)


@frozen
class _Candidate:
    """A text that the password may have been, and what has to be done to the given one."""

    text: Secret
    remedies: tuple[str, ...] = ()


def _without_quotes(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] + text[-1] in _QUOTES
    return text[1:-1] if is_quoted else text


def _without_formula(text: str) -> str:
    return text[2:-1] if text.startswith('="') and text.endswith('"') and len(text) > 2 else text


def _misread(encoding: str) -> Callable[[str], str]:
    return lambda text: text.encode(encoding).decode("utf-8")


def _without_percents(text: str) -> str:
    content = unquote_to_bytes(text)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252")


_STRIP_REMEDY: Final = "the blanks around it are removed"
_CHANGES: Final = (
    _Change(_STRIP_REMEDY, lambda text: text.strip(_BLANKS)),
    _Change(_STRIP_REMEDY, lambda text: text.strip(_LATIN_BLANKS)),
    _Change("the quotation marks around it are removed", _without_quotes),
    _Change("the apostrophe before it is removed", lambda text: text.removeprefix("'")),
    _Change('the ="…" around it is removed', _without_formula),
    _Change(
        "it is read as UTF-8 (it was read as Latin-1 or Windows-1252)",
        lambda text: text.translate(TO_LATIN).encode("latin-1").decode("utf-8"),
    ),
    _Change("it is read as UTF-8 (it was read in code page 850)", _misread("cp850")),
    _Change("it is read as UTF-8 (it was read in code page 437)", _misread("cp437")),
    _Change("it is read as UTF-8 (it was read as MacRoman)", _misread("mac_roman")),
    # Bytes that were no UTF-8 come out of the environment as surrogates.
    _Change(
        "it is given in UTF-8 (it was given in Windows-1252)",
        lambda text: text.encode("utf-8", "surrogateescape").decode("cp1252"),
    ),
    _Change("its accents are composed (Unicode NFC)", lambda text: unicodedata.normalize("NFC", text)),
    _Change("its accents are decomposed (Unicode NFD)", lambda text: unicodedata.normalize("NFD", text)),
    _Change("its HTML escapes (&…;) are undone", html.unescape),
    _Change("its URL escapes (%…) are undone", _without_percents),
    _Change("the plus signs of its URL escapes are blanks again", lambda text: text.replace("+", " ")),
    _Change("its backslash escapes are undone", lambda text: str(json.loads(f'"{text}"', strict=False))),
)


def explain_wrong_password(key: SecretBytes, password: Secret) -> Finding:
    """Say why a password does not open a key, and what would, where re-reading the password does.

    Each try costs what the key's file asks for; tries end after 32, or 3,000,000 rounds of PBKDF2 in all.
    """
    tries = min(_MAX_TRIES, _MAX_ITERATIONS // max(1, key_encryption.inspect_encryption(key).iterations))
    if (in_windows := _encode_cp1252(password)) is not None:
        tries -= 1
    for candidate in islice(_candidates(password), tries):
        if _opens(key, encode_password(candidate.text)):
            return _garbled_finding(candidate.remedies)
    if in_windows is not None and _opens(key, in_windows):
        seen = "The password opens the key in Windows-1252 only, which the API, reading it in UTF-8, cannot be sent."
        return Finding("password_unsendable", "password", seen)
    return Finding("wrong_password", "password", "The password does not open the key.")


def explain_unsendable(key: SecretBytes | None, password: Secret) -> Finding:
    """Say why a password cannot be sent, and whether that is its own fault.

    Zeros behind it change nothing in PBKDF2: the password without them opens the key as well.

    Args:
        key: an encrypted one that the password opens; None: there is none.
        password: with a character that no form carries.

    """
    bare = Secret(password.reveal().strip(_BLANKS))
    if key is not None and bare and bare != password and _opens(key, encode_password(bare)):
        return _garbled_finding((_STRIP_REMEDY,))
    seen = "The password holds a tab or another character that is none to see."
    return Finding("password_unsendable", "password", seen)


def _garbled_finding(remedies: tuple[str, ...]) -> Finding:
    seen = "The password is the right one, but was garbled on its way. It opens the key after this: "
    return Finding("password_garbled", "password", f"{seen}{'; then '.join(remedies)}.")


def _candidates(password: Secret) -> Iterator[_Candidate]:
    """Yield each text that the password may have been: before one change, then before two, and three."""
    changes = _CHANGES if len(password.reveal()) <= _MAX_LENGTH else _CHANGES[:2]
    waiting = deque([_Candidate(password)])
    seen = {password}
    while waiting:
        candidate = waiting.popleft()
        for change in changes:
            text = _undo(change, candidate.text)
            if not text or text in seen:
                continue
            seen.add(text)
            before = _Candidate(text, (*candidate.remedies, change.remedy))
            yield before
            if len(before.remedies) < _MAX_CHANGES:
                waiting.append(before)


def _undo(change: _Change, text: Secret) -> Secret | None:
    """Return the text without a change, or None where that cannot be."""
    try:
        return Secret(change.undo(text.reveal()))
    except ValueError:
        return None
    except BaseException as error:  # noqa: BLE001  # it is raised again
        raise error.with_traceback(None) from None  # the frames below hold the text


def _encode_cp1252(password: Secret) -> SecretBytes | None:
    """Return the password in Windows-1252 if that differs from UTF-8, and can be."""
    if password.reveal().isascii():
        return None
    try:
        return SecretBytes(password.reveal().encode("cp1252"))
    except UnicodeEncodeError:
        pass
    try:
        return SecretBytes(password.reveal().encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return None


def _opens(key: SecretBytes, password: SecretBytes) -> bool:
    try:
        open_private_key(key, password)
    except WrongPasswordError:
        return False
    except ValueError:  # it opens, and holds another kind of key
        return True
    return True
