"""Texts that come from outside: cleaned for people, and with every secret masked. No I/O."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote, quote_plus

from facturaonline_async.config import Secret

__all__ = ["clean", "fold", "redact"]

_MASK: Final = "***"


def clean(text: str) -> str:
    """Return the text as people should read it: no tags, no entities, no mojibake, nothing that cannot be printed."""
    text = _repair(text.encode("utf-8", "replace").decode())
    text = html.unescape(re.sub(r"<[^<>]*>", " ", text))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _repair(text: str) -> str:
    """Undo UTF-8 that was read as Latin-1 ("facturaciÃ³n")."""
    if "Ã" in text or "Â" in text:
        for encoding in ("latin-1", "cp1252"):
            try:
                return text.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
    return text


def fold(text: str) -> str:
    """Return the text without case and accents, for loose matches."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


# ── Redaction ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# The API's keys are base64 of a bcrypt string; it echoes them decoded. PHP writes "/" as "\/" in JSON.
_BCRYPT: Final = re.compile(r"\$2[abxy]?\$[0-9]{2}\$[./\\A-Za-z0-9]*|JDJ[A-Za-z0-9+/\\]{8,}=*")
_NAMED: Final = re.compile(
    r"""("(?:Data|Secret|[^"\\]{0,64}(?:pass|psswrd|pwd|secret|api_?key|token|contrase)[^"\\]{0,64})"\s*:\s*)"""
    r""""(?:[^"\\]|\\.)*(?:"|\Z)""",
    re.IGNORECASE | re.DOTALL,
)


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return the text with every secret masked.

    That is: the secrets given, in each form that they are known to come back in, and whatever looks like a key of this
    API or stands under a name such as ``Secret`` or ``password``.
    """
    forms = {form for secret in secrets for form in _forms(secret.reveal())}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _MASK)
    # Hex digits come in either case.
    if escaped := [re.escape(form) for form in forms if re.search(r"%[0-9A-F]{2}|\\u[0-9a-f]{4}", form)]:
        text = re.sub("|".join(sorted(escaped, key=len, reverse=True)), _MASK, text, flags=re.IGNORECASE)
    return _NAMED.sub(rf'\1"{_MASK}"', _BCRYPT.sub(_MASK, text))


def _forms(secret: str) -> Iterator[str]:
    """Give the forms in which servers repeat what they were sent: decoded, misread, escaped, tidied up."""
    texts = {secret}
    with suppress(binascii.Error, ValueError):
        texts.add(base64.b64decode(secret, validate=True).decode("ascii"))
    for encoding in ("latin-1", "cp1252"):
        with suppress(UnicodeError):
            texts.add(secret.encode().decode(encoding))
    texts |= {html.escape(text, quote=quoted) for text in texts for quoted in (True, False)}
    texts |= {text.replace("&#x27;", "&#039;") for text in texts}
    tidied = {" ".join(text.split()) for text in texts} | {clean(text) for text in texts}
    texts |= {text for text in tidied if len(text) > 3}  # what is left of odd ones would mask half of any text
    for text in texts - {""}:
        escaped = json.dumps(text)[1:-1]
        yield from (text, escaped, escaped.replace("/", r"\/"), json.dumps(text, ensure_ascii=False)[1:-1])
        yield from (quote(text, safe, errors="replace") for safe in ("", "/"))
        yield quote_plus(text, errors="replace")
