"""Parser of request bodies, as strict as PHP.

A body that does not match its Content-Type is **not parsed**: all of its fields are missing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Any, Final, Literal, NoReturn, cast
from urllib.parse import parse_qsl

from attrs import field, frozen

__all__ = ["Body", "UploadedFile", "read_body"]

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_NAME: Final = re.compile(r';\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_FILENAME: Final = re.compile(r';\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_DISPOSITION: Final = re.compile(r"^content-disposition:\s*form-data\s*(;.*)$", re.IGNORECASE | re.MULTILINE)


@frozen
class UploadedFile:
    """Fingerprint of an uploaded file, which shows whether it arrived intact.

    Attributes:
        filename: name given by the client; ``""`` for a file sent as base64 text.
        size: size in bytes.
        sha256: SHA-256 of the bytes, in hexadecimal.

    """

    filename: str
    size: int
    sha256: str


@frozen
class Body:
    """A body as the API parses it.

    Attributes:
        kind: ``"json"``, ``"form"`` (multipart or urlencoded), or ``"unread"`` if the Content-Type does not match.
        fields: texts by name; values of any JSON type for ``"json"``. For a repeated name, the last value.
        files: files by name; files sent as base64 text by the name of their text field.

    """

    kind: Literal["json", "form", "unread"] = "unread"
    fields: dict[str, Any] = field(factory=dict, repr=False)
    files: dict[str, UploadedFile] = field(factory=dict)

    @property
    def form(self) -> dict[str, Any]:
        """Fields of a form; empty for any other body."""
        return self.fields if self.kind == "form" else {}


def read_body(content_type: str, raw: bytes) -> Body:
    """Parse a body by its Content-Type."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not raw:
        return Body()
    if media_type == "application/json":
        return _read_json(raw)
    if media_type == "application/x-www-form-urlencoded":
        return _with_base64(dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True)), {})
    boundary = _BOUNDARY.search(content_type) if media_type == "multipart/form-data" else None
    return _read_multipart(raw, boundary[1] or boundary[2]) if boundary else Body()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _read_json(raw: bytes) -> Body:
    try:
        content: object = json.loads(raw.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return Body()
    return Body("json", cast("dict[str, Any]", content)) if isinstance(content, dict) else Body()


def _read_multipart(raw: bytes, boundary: str) -> Body:
    """Parse a multipart form; a form without its closing delimiter is unread."""
    _preamble, *parts = (b"\r\n" + raw).split(b"\r\n--" + boundary.encode())
    if not parts or not parts[-1].startswith(b"--") or not all(part.startswith(b"\r\n") for part in parts[:-1]):
        return Body()
    fields: dict[str, Any] = {}
    files: dict[str, UploadedFile] = {}
    for part in parts[:-1]:
        head, blank_line, content = part.partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head.decode(errors="replace").replace("\r", ""))
        name = _parameter(_NAME, disposition[1]) if disposition else None
        if not blank_line or disposition is None or name is None:
            continue
        filename = _parameter(_FILENAME, disposition[1])
        if filename is None:
            fields[name] = content.decode(errors="replace")
        elif filename:  # an empty name is a file field without a file
            files[name] = _fingerprint(filename, content)
    return _with_base64(fields, files)


def _parameter(pattern: re.Pattern[str], disposition: str) -> str | None:
    found = pattern.search(disposition)
    if found is None:
        return None
    quoted, bare = found.groups()
    return bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def _with_base64(fields: dict[str, Any], files: dict[str, UploadedFile]) -> Body:
    """Return a form's body, with the files that were sent as base64 text."""
    for name, text in fields.items():
        if name.endswith("_b64"):
            try:
                content = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
            if content:
                files[name] = _fingerprint("", content)
    return Body("form", fields, files)


def _fingerprint(filename: str, content: bytes) -> UploadedFile:
    return UploadedFile(filename, len(content), hashlib.sha256(content).hexdigest())
