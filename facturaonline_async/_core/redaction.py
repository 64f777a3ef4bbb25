"""Masking of secrets in texts for people and logs. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote, quote_plus

from facturaonline_async._secrets import Secret
from facturaonline_async._text import plain_text

__all__ = ["looks_secret", "make_masker", "redact"]

_MASK: Final = "***"


# Each pattern is linear in its text: it uses possessive and atomic groups. All are compiled when they are used.

# The API's keys are base64 of a bcrypt string; it echoes them decoded. PHP writes "/" as "\/" in JSON.
_BCRYPT: Final = r"\$2[abxy]?\$[0-9]{2}\$[./\\A-Za-z0-9]*+|JDJ[A-Za-z0-9+/\\]{8,}+=*+"
_NAMED: Final = (
    r"""(?is)("(?:Data|Secret|(?>[^"\\]*?(?:pass|psswrd|pwd|secret|api_?key|token|contrase))[^"\\]*+)"\s*+:\s*+)"""
    r""""(?:[^"\\]++|\\.)*+(?:"|\\?\Z)"""
)
_NAME_PARTS: Final = (
    r"(?i)pass|psswrd|pswd|psw|pwd|secret|key|llave|token|contrase|clave|credencial|credential|auth|priva"
    r"|(?:pem|pfx)(?!_path)|b64|ciec|jwt|bearer|cookie|session|sesion|^data$"
    r"|(?<![a-z])(?:nip|pin|pw|otp)(?![a-z])|(?<![a-z0-9])p12(?![a-z0-9]|_path)"  # parts of other words, as in "foto"
)
_NAME_WORDS: Final = r"(?<=[a-z])(?:Nip|Pin|Pw|Otp|P12)(?![a-z])"
_ESCAPE: Final = re.compile(r"%[0-9A-F]{2}|\\u[0-9a-f]{4}")

_LONG: Final = 8
"""Minimum length of a secret that is masked within words; a shorter one occurs in words by chance."""
_ALONE: Final = r"(?<!\w)%s(?!\w)"


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return the text with every secret masked.

    Masked are the given secrets in every form in which servers are known to repeat them, texts that look like a key of
    this API, and values under names such as ``Secret`` or ``password``. A secret of fewer than 8 characters is masked
    only as a whole word, because it occurs within words by chance.

    Args:
        text: Text that may hold secrets.
        secrets: Secrets to mask.

    """
    return re.sub(_NAMED, rf'\1"{_MASK}"', re.sub(_BCRYPT, _MASK, make_masker(secrets)(text)))


def make_masker(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """Return a function that masks the given secrets in a text, as `redact` does.

    It is for many texts: the forms of the secrets are made once, and a text that holds none costs a few microseconds.

    Args:
        secrets: Secrets to mask.

    """
    long: set[str] = set()
    short: set[str] = set()
    for secret in secrets:
        (long if len(secret.reveal()) >= _LONG else short).update(_forms(secret.reveal()))
    ordered = sorted(long, key=len, reverse=True)
    folded = {form.casefold() for form in long | short}
    shortest = min(map(len, folded), default=0)

    def mask(text: str) -> str:
        """Return the text with the secrets masked."""
        candidate = text.casefold()
        if len(candidate) < shortest or not any(form in candidate for form in folded):
            return text
        for form in ordered:
            text = text.replace(form, _MASK)
        text = _replace(text, filter(_ESCAPE.search, long), "%s", re.IGNORECASE)  # hex digits are in either case
        text = _replace(text, short, _ALONE)
        return _replace(text, filter(_ESCAPE.search, short), _ALONE, re.IGNORECASE)

    return mask


def looks_secret(name: str) -> bool:
    """Return whether a field with this name may hold a key, a password or a token.

    It errs on the side of yes, because it decides which unknown fields of an answer are kept. `redact` masks the values
    of fewer names.

    Args:
        name: Name of a field.

    """
    return re.search(_NAME_PARTS, name) is not None or re.search(_NAME_WORDS, name) is not None


def _replace(text: str, forms: Iterable[str], pattern: str, flags: int = 0) -> str:
    """Mask the forms, longest first, where they match `pattern`.

    The forms replace the ``%s`` of the pattern.
    """
    any_of = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
    return re.sub(pattern % f"(?:{any_of})", _MASK, text, flags=flags) if any_of else text


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which servers repeat a secret.

    These are decoded, misdecoded, escaped and cleaned texts.
    """
    import html  # noqa: PLC0415  # a session has imported it

    texts = {secret}
    with suppress(binascii.Error, ValueError):
        texts.add(base64.b64decode(secret, validate=True).decode("ascii"))
    for encoding in ("latin-1", "cp1252"):
        with suppress(UnicodeError):
            texts.add(secret.encode().decode(encoding))
    texts |= {html.escape(text, quote=quoted) for text in texts for quoted in (True, False)}
    texts |= {text.replace("&#x27;", "&#039;") for text in texts}
    tidied = {" ".join(text.split()) for text in texts} | {plain_text(text) for text in texts}
    texts |= {text for text in tidied if len(text) > 3}  # shorter rests would mask half of any text
    for text in texts - {""}:
        escaped = json.dumps(text)[1:-1]
        yield from (text, escaped, escaped.replace("/", r"\/"), json.dumps(text, ensure_ascii=False)[1:-1])
        yield from (quote(text, safe, errors="replace") for safe in ("", "/"))
        yield quote_plus(text, errors="replace")
