"""Request bodies as bytes, built once and reusable for retries. No I/O.

The provider's samples set ``Content-Type: application/json`` on multipart forms, which loses the boundary. Here a body
and its content type are made together.
"""

from __future__ import annotations

import json
import secrets as randomness
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import urlencode

from attrs import field, frozen

from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret, to_secret_bytes
from facturaonline_async.errors import InvalidInputError

__all__ = ["Body", "File", "Value", "form", "json_body"]


@frozen(kw_only=True)
class File:
    """File in a form.

    Attributes:
        name: File name, chosen by this package and ASCII: servers misread other names.
        content_type: MIME type.
        content: Bytes of the file.

    """

    name: str
    content_type: str
    content: bytes = field(converter=to_secret_bytes)


Value = str | Secret | File


@frozen(kw_only=True)
class Body:
    """Request body.

    Attributes:
        content: Bytes of the body.
        content_type: Value of the ``Content-Type`` header.
        secrets: Secrets in the body, to be masked in answers.

    """

    content: bytes = field(converter=to_secret_bytes)
    content_type: str
    secrets: tuple[Secret, ...] = ()


def json_body(value: Mapping[str, object]) -> Body:
    """Return a JSON body."""
    return Body(content=json.dumps(value).encode(), content_type="application/json")


def form(fields: Mapping[str, Value]) -> Body:
    """Return a form body: multipart if a field is a file, otherwise urlencoded.

    Args:
        fields: Values by field name.

    Raises:
        InvalidInputError: A value cannot be encoded. The error names the field, and its frames hold no secret.

    """
    others = [value for value in fields.values() if not isinstance(value, str)]
    secrets = tuple(value for value in others if isinstance(value, Secret))
    made = _made(_multipart if len(secrets) < len(others) else _urlencoded, fields)
    if made is None:
        name = next((name for name, value in fields.items() if _made(_multipart, {name: value}) is None), "")
        raise InvalidInputError(message("values.not_encodable", name=name), field=name)
    content_type, content = made
    return Body(content=content, content_type=content_type, secrets=secrets)


def _made(
    make: Callable[[Mapping[str, Value]], tuple[str, bytes]], fields: Mapping[str, Value]
) -> tuple[str, bytes] | None:
    """Return the result of `make`, or None instead of an exception.

    The exception's frames would hold the values.
    """
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


# There are few names and types: caching the part headers saves 6 % of creating a company.


@lru_cache(maxsize=256)
def _head(name: str) -> bytes:
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n' % _escape(name)


@lru_cache(maxsize=256)
def _file_head(name: str, file_name: str, content_type: str) -> bytes:
    head = b'Content-Disposition: form-data; name="%b"; filename="%b"\r\nContent-Type: %b\r\n\r\n'
    return head % (_escape(name), _escape(file_name), content_type.encode())


def _escape(name: str) -> bytes:
    """Escape a name in a part header, as the HTML standard says for forms."""
    return name.encode().replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b'"', b"%22")
