"""Request bodies as bytes: built once, sent in one piece, and ready to be sent again. No I/O.

The provider's samples set ``Content-Type: application/json`` on multipart forms, which destroys the boundary; here the
body and its type are made together and never part.
"""

from __future__ import annotations

import json
import secrets as randomness
from collections.abc import Mapping
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
    """Return a form: multipart if it holds a file, urlencoded if it does not."""
    secrets = tuple(value for value in fields.values() if type(value) is Secret)
    try:
        content_type, content = (_multipart if File in map(type, fields.values()) else _urlencoded)(fields)
    except UnicodeEncodeError:  # whose frames hold what was encoded
        content_type, content = "", b""
    if not content_type:
        name = next(name for name, value in fields.items() if not _is_sendable(value))
        raise InvalidInputError(f"{name} holds half a character (a lone surrogate), which cannot be sent.", field=name)
    return Body(content=content, content_type=content_type, secrets=secrets)


def _is_sendable(value: Value) -> bool:
    try:
        _urlencoded({"": value})
    except UnicodeEncodeError:
        return False
    return True


def _urlencoded(fields: Mapping[str, Value]) -> tuple[str, bytes]:
    pairs = [(name, value.reveal() if isinstance(value, Secret) else value) for name, value in fields.items()]
    return "application/x-www-form-urlencoded", urlencode(pairs).encode()


def _multipart(fields: Mapping[str, Value]) -> tuple[str, bytes]:
    boundary = randomness.token_hex(16)
    between = b"\r\n--%b\r\n" % boundary.encode()
    pieces: list[bytes] = []
    for name, value in fields.items():
        if isinstance(value, str):
            pieces += (between, _head(name), value.encode())
        elif isinstance(value, File):
            pieces += (between, _head(name, value.name, value.content_type), value.content)
        else:
            pieces += (between, _head(name), value.reveal().encode())
    pieces[0] = between.lstrip()
    pieces.append(b"\r\n--%b--\r\n" % boundary.encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


@lru_cache(maxsize=256)  # half of a form's cost; names and types are ours, and few
def _head(name: str, file_name: str = "", content_type: str = "") -> bytes:
    """Return the header of a part."""
    file = b'; filename="%b"\r\nContent-Type: %b' % (_escape(file_name), content_type.encode()) if file_name else b""
    return b'Content-Disposition: form-data; name="%b"%b\r\n\r\n' % (_escape(name), file)


def _escape(name: str) -> bytes:
    """Escape a name in a part's header as browsers do (the HTML standard, multipart/form-data encoding)."""
    return name.encode().replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b'"', b"%22")
