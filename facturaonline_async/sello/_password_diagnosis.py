"""Diagnosis of a password that does not open its key: wrong, or garbled."""

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

from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret, SecretBytes
from facturaonline_async._text import TO_LATIN
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import _key_encryption as key_encryption
from facturaonline_async.sello._private_key import WrongPasswordError, encode_password, open_private_key

__all__ = ["explain_unsendable", "explain_wrong_password"]

_MAX_TRIES: Final = 32
_MAX_ITERATIONS: Final = 3_000_000
"""PBKDF2 iterations of all tries together: one and a half seconds. A key of the SAT takes 2048 for each."""
_MAX_CHANGES: Final = 3
"""Changes that are undone in sequence. Each number has a text of its own."""
_MAX_LENGTH: Final = 1000
"""Characters. Unicode normalization may take quadratic time."""

_BLANKS: Final = (
    "\0\t\n\v\f\r\x1c\x1d\x1e\x1f \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Invisible characters that are copied along with a password: blanks and zero-width marks."""
_LATIN_BLANKS: Final = _BLANKS + "\x85\xa0\xad"
"""Plus the bytes of UTF-8 letters that are blanks in Latin-1."""
_QUOTES: Final = ('""', "''", "``", "\xb4\xb4", "\u201c\u201d", "\u2018\u2019", "«»", "\u201e\u201c", "\u201a\u2018")


@frozen
class _Change:
    """A way in which texts get garbled.

    Attributes:
        remedy: how to undo the change, a clause that completes "it opens the key after this: …".
        undo: returns the original text; raises `ValueError` or returns the same text if the change did not happen.

    """

    remedy: Message
    undo: Callable[[str], str] = field(repr=False)


@frozen
class _Candidate:
    """A possible original of the given password.

    Attributes:
        text: the possible password.
        remedies: changes that turn the given password into it, in order.

    """

    text: Secret
    remedies: tuple[Message, ...] = ()


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


_STRIP_REMEDY: Final = message("findings.undo_blanks")
_CHANGES: Final = (
    _Change(_STRIP_REMEDY, lambda text: text.strip(_BLANKS)),
    _Change(_STRIP_REMEDY, lambda text: text.strip(_LATIN_BLANKS)),
    _Change(message("findings.undo_quotes"), _without_quotes),
    _Change(message("findings.undo_apostrophe"), lambda text: text.removeprefix("'")),
    _Change(message("findings.undo_formula"), _without_formula),
    _Change(
        message("findings.undo_latin"),
        lambda text: text.translate(TO_LATIN).encode("latin-1").decode("utf-8"),
    ),
    _Change(message("findings.undo_code_page", page=850), _misread("cp850")),
    _Change(message("findings.undo_code_page", page=437), _misread("cp437")),
    _Change(message("findings.undo_mac_roman"), _misread("mac_roman")),
    # Environment variables hold bytes that are not UTF-8 as surrogates.
    _Change(
        message("findings.undo_windows_1252"),
        lambda text: text.encode("utf-8", "surrogateescape").decode("cp1252"),
    ),
    _Change(message("findings.undo_decomposition"), lambda text: unicodedata.normalize("NFC", text)),
    _Change(message("findings.undo_composition"), lambda text: unicodedata.normalize("NFD", text)),
    _Change(message("findings.undo_html"), html.unescape),
    _Change(message("findings.undo_url"), _without_percents),
    _Change(message("findings.undo_plus_signs"), lambda text: text.replace("+", " ")),
    _Change(message("findings.undo_backslashes"), lambda text: str(json.loads(f'"{text}"', strict=False))),
)


def explain_wrong_password(key: SecretBytes, password: Secret) -> Finding:
    """Explain why a password does not open a key, and find the change that would.

    Each try costs the iterations that the file of the key demands. The limit is 32 tries, or 3,000,000 PBKDF2
    iterations in all.

    Args:
        key: the encrypted private key.
        password: the given password, which does not open it.

    """
    tries = min(_MAX_TRIES, _MAX_ITERATIONS // max(1, key_encryption.inspect_encryption(key).iterations))
    if (in_cp1252 := _encode_cp1252(password)) is not None:
        tries -= 1
    for candidate in islice(_candidates(password), tries):
        if _opens(key, encode_password(candidate.text)):
            return _garbled_finding(candidate.remedies)
    if in_cp1252 is not None and _opens(key, in_cp1252):
        return Finding("password_unsendable", "password", message("findings.password_in_windows_1252"))
    return Finding("wrong_password", "password", message("findings.wrong_password"))


def explain_unsendable(key: SecretBytes | None, password: Secret) -> Finding:
    """Explain why a password cannot be sent, and whether stripping it would help.

    PBKDF2 ignores trailing NUL characters: the password without them opens the key as well.

    Args:
        key: the encrypted private key, which the password opens; None if the key is not encrypted.
        password: a password with a control character.

    """
    bare = Secret(password.reveal().strip(_BLANKS))
    if key is not None and bare and bare != password and _opens(key, encode_password(bare)):
        return _garbled_finding((_STRIP_REMEDY,))
    return Finding("password_unsendable", "password", message("findings.password_with_control_character"))


def _garbled_finding(remedies: tuple[Message, ...]) -> Finding:
    match remedies:
        case (first,):
            seen = message("findings.garbled_once", first=first)
        case (first, second):
            seen = message("findings.garbled_twice", first=first, second=second)
        case _:
            first, second, third = remedies
            seen = message("findings.garbled_thrice", first=first, second=second, third=third)
    return Finding("password_garbled", "password", seen)


def _candidates(password: Secret) -> Iterator[_Candidate]:
    """Yield the possible originals of a password: up to three changes are undone."""
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
            original = _Candidate(text, (*candidate.remedies, change.remedy))
            yield original
            if len(original.remedies) < _MAX_CHANGES:
                waiting.append(original)


def _undo(change: _Change, text: Secret) -> Secret | None:
    """Undo a change in a text; return None if that is impossible."""
    try:
        return Secret(change.undo(text.reveal()))
    except ValueError:
        return None
    except BaseException as error:  # noqa: BLE001  # raised again
        raise error.with_traceback(None) from None  # the frames below hold the text


def _encode_cp1252(password: Secret) -> SecretBytes | None:
    """Return the password in Windows-1252; None if impossible or the same as UTF-8."""
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
    except ValueError:  # the password is right, and the key is of another kind
        return True
    return True
