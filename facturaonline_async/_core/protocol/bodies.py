"""Request bodies as bytes: built once, sent in one piece, and ready to be sent again. No I/O.

The provider's samples set ``Content-Type: application/json`` on multipart forms, which destroys the boundary; here the
body and its type are made together and never part.
"""

from __future__ import annotations

import json
import secrets as randomness
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import urlencode

from attrs import field, frozen

from facturaonline_async.config import Secret, to_secret_bytes
from facturaonline_async.errors import InvalidInputError

__all__ = ["Body", "File", "Value", "form", "json_body"]


@frozen(kw_only=True)
class File:
    """A file in a form. The name is ours and ASCII: other names are percent-encoded in ways that servers misread."""

    name: str
    content_type: str
    content: bytes = field(converter=to_secret_bytes)


Value = str | Secret | File


@frozen(kw_only=True)
class Body:
    """A body, its ``Content-Type``, and the secrets in it (for masking them in whatever comes back)."""

    content: bytes = field(converter=to_secret_bytes)
    content_type: str
    secrets: tuple[Secret, ...] = ()


def json_body(value: Mapping[str, object]) -> Body:
    """Return the value as JSON."""
    return Body(content=json.dumps(value).encode(), content_type="application/json")


def form(fields: Mapping[str, Value]) -> Body:
    """Return a form: multipart if it holds a file, urlencoded if it does not.

    Raises:
        InvalidInputError: a value cannot be sent. The error names the field, and no frame of it holds a secret.

    """
    others = [value for value in fields.values() if not isinstance(value, str)]
    secrets = tuple(value for value in others if isinstance(value, Secret))
    made = _made(_multipart if len(secrets) < len(others) else _urlencoded, fields)
    if made is None:
        name = next((name for name, value in fields.items() if _made(_multipart, {name: value}) is None), "")
        raise InvalidInputError(f"{name} is no text, or holds half a character (a lone surrogate).", field=name)
    content_type, content = made
    return Body(content=content, content_type=content_type, secrets=secrets)


def _made(
    make: Callable[[Mapping[str, Value]], tuple[str, bytes]], fields: Mapping[str, Value]
) -> tuple[str, bytes] | None:
    """Return what `make` makes, or None where it fails: its frames hold what was encoded."""
    try:
        return make(fields)
    except (UnicodeEncodeError, AttributeError, TypeError):
        return None


def _urlencoded(fields: Mapping[str, Value]) -> tuple[str, bytes]:
    pairs = [(name, _encode(value)) for name, value in fields.items() if not isinstance(value, File)]
    return "application/x-www-form-urlencoded", urlencode(pairs).encode()


def _encode(value: str | Secret) -> bytes:
    return value.encode() if isinstance(value, str) else value.reveal().encode()


def _multipart(fields: Mapping[str, Value]) -> tuple[str, bytes]:
    boundary = randomness.token_hex(16)
    between = b"\r\n--%b\r\n" % boundary.encode()
    pieces: list[bytes] = []
    for name, value in fields.items():
        if isinstance(value, str):
            pieces += (between, _head(name), value.encode())
        elif isinstance(value, File):
            pieces += (between, _file_head(name, value.name, value.content_type), value.content)
        else:
            pieces += (between, _head(name), value.reveal().encode())
    pieces[0] = between.lstrip()
    pieces.append(b"\r\n--%b--\r\n" % boundary.encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


# Names and types are ours, and few: to make each head once saves 6 % of creating a company.


@lru_cache(maxsize=256)
def _head(name: str) -> bytes:
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n' % _escape(name)


@lru_cache(maxsize=256)
def _file_head(name: str, file_name: str, content_type: str) -> bytes:
    head = b'Content-Disposition: form-data; name="%b"; filename="%b"\r\nContent-Type: %b\r\n\r\n'
    return head % (_escape(name), _escape(file_name), content_type.encode())


def _escape(name: str) -> bytes:
    """Escape a name in a part's header as browsers do (the HTML standard, multipart/form-data encoding)."""
    return name.encode().replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b'"', b"%22")
