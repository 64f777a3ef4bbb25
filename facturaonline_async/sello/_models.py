"""Sello: a certificate, its private key and the key's password, as the SAT gives them out (CSD or FIEL)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import anyio.to_thread
from attrs import field, frozen

from facturaonline_async._text import printable_path
from facturaonline_async._validators import instance_of, is_one_line, type_name
from facturaonline_async.config import Secret, SecretBytes, to_secret, to_secret_bytes
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello._recognise import decode_base64_text
from facturaonline_async.sello._selection import select
from facturaonline_async.sello._text_encodings import decode_text

__all__ = ["Sello", "read_file"]

_MAX_FILE_BYTES: Final = 1 << 20
"""The SAT's files have about 1.5 kB each; anything far above is another file."""


def read_file(field_name: str, path: str | os.PathLike[str]) -> bytes:
    """Return the file's bytes, or raise `InvalidInputError` with the reason."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            reason = "it is not a file"
        else:
            with Path(path).open("rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
            if 0 < len(content) <= _MAX_FILE_BYTES:
                return content
            reason = f"it is larger than {_MAX_FILE_BYTES} bytes" if content else "it is empty"
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        reason = getattr(problem, "strerror", None) or type(problem).__name__
    raise InvalidInputError(f"{field_name}: {printable_path(path)} cannot be read: {reason}.", field=field_name)


def _decode_text(field_name: str, text: str | bytes | Secret) -> SecretBytes:
    """Return the bytes of a base64 text, or PEM text as it is; or raise `InvalidInputError`."""
    if isinstance(text, bytes):
        given = decode_text(SecretBytes(text))
    elif isinstance(text, (str, Secret)):
        given = Secret(Secret(text).reveal().removeprefix("\ufeff"))
    else:
        raise InvalidInputError(f"{field_name} must be base64 text, and was {type_name(text)}.", field=field_name)
    content = None if given is None else decode_base64_text(given)
    del text
    if not content:
        raise InvalidInputError(f"{field_name} is not base64 text, or is cut off.", field=field_name)
    return content


@frozen
class Sello:
    """A certificate (``.cer``), its encrypted private key (``.key``) and the key's password.

    The bytes are taken as they are: making one never validates anything, `facturaonline_async.sello.check` does. The
    key and the password do not show in ``repr`` and cannot be pickled.

    Attributes:
        cer: the certificate's bytes; the SAT gives DER.
        key: the encrypted private key's bytes; the SAT gives PKCS#8 DER.
        password: kept as a `Secret`; a text is accepted.

    Raises:
        InvalidInputError: something else than bytes, or than a text for the password, was given.

    """

    cer: bytes = field(repr=lambda value: f"<{len(value)} bytes>", validator=instance_of(bytes))
    key: bytes = field(converter=to_secret_bytes, validator=instance_of(bytes))
    password: Secret = field(converter=to_secret, validator=instance_of(Secret))

    @classmethod
    async def from_files(
        cls, cer: str | os.PathLike[str], key: str | os.PathLike[str], *, password: str | Secret
    ) -> Sello:
        """Read both files, in a thread and in one go.

        Raises:
            InvalidInputError: a file is missing, unreadable, empty or larger than 1 MiB.

        """
        return await anyio.to_thread.run_sync(lambda: cls(read_file("cer", cer), read_file("key", key), password))

    def to_der(self) -> Sello:
        """Return the same Sello with both files as the SAT gives them: DER, and no more.

        Mended are PEM and base64 text, bytes behind the end, and a transfer as text that can be undone. Of several PEM
        blocks the one that is wanted is taken: the private key, or the certificate that is no authority's (of several
        such, the key's; the key is opened for that, which may take half a second). One file may hold both. What cannot
        be recognised stays as it is.
        """
        chosen = select(SecretBytes(self.cer), SecretBytes(self.key), self.password)
        cer, key = (chosen.key, chosen.cer) if chosen.is_swapped else (chosen.cer, chosen.key)
        return Sello(bytes(cer.der or self.cer), SecretBytes(key.der or self.key), self.password)

    def refuse_unsendable(self, cer: str, key: str, password: str) -> None:
        """Refuse what no SAT file is, before anything is sent; whether it is a good one is another question.

        Args:
            cer, key, password: names of the fields, for the error.

        Raises:
            InvalidInputError: a file is empty or larger than 1 MiB, or the password is empty or not in one line.

        """
        for name, content in ((cer, self.cer), (key, self.key)):
            if not 0 < len(content) <= _MAX_FILE_BYTES:
                raise InvalidInputError(
                    f"{name} has {len(content)} bytes, and must have 1 to {_MAX_FILE_BYTES}.", field=name
                )
        if not is_one_line(self.password.reveal()):
            raise InvalidInputError(
                f"{password} is empty, or holds a line break or another control character.", field=password
            )

    @classmethod
    def from_base64(cls, cer: str | bytes, key: str | bytes, *, password: str | Secret) -> Sello:
        """Decode both texts, in whatever form they come.

        That is: either alphabet (``+/`` or ``-_``), with or without padding, blanks, line breaks, a byte order mark,
        quotes, a ``data:`` prefix or a URI's escapes; also where a web form made blanks of the plus signs. PEM text is
        taken as `to_der` takes it.

        Raises:
            InvalidInputError: a text is not base64, or is empty, or one letter of it holds no byte: it breaks off.

        """
        sello = cls(bytes(_decode_text("cer", cer)), _decode_text("key", key), password)
        is_text = any(b"-----BEGIN " in content for content in (sello.cer, sello.key))
        return sello.to_der() if is_text else sello
