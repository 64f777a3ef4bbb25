"""Sello (CSD or FIEL): a certificate of the SAT, its private key and its password."""

from __future__ import annotations

import os
import stat
from typing import Final

from attrs import field, frozen

from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret, SecretBytes, to_secret, to_secret_bytes
from facturaonline_async._text import printable_path
from facturaonline_async._validators import instance_of, is_one_line, type_name
from facturaonline_async.errors import InvalidInputError

__all__ = ["Sello", "read_file", "refuse_unsendable"]

_MAX_FILE_BYTES: Final = 1 << 20
"""A file of the SAT has about 1.5 kB; a much larger one is some other file."""
_CHUNK: Final = 1 << 16


def read_file(field_name: str, path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a certificate's or key's file. Blocking.

    Args:
        field_name: name of the field, for the error; ``""`` for a cell of a plan. Of a cell, which may hold a password
            if cells are shifted, the error shows no path.
        path: path of the file.

    Raises:
        InvalidInputError: the file is missing, unreadable, empty or larger than 1 MiB.

    """
    shown = printable_path(path) if field_name else ""
    try:
        location = os.fspath(path)  # a `Path` would take as long as the reading, twice for each row of a plan
        if not stat.S_ISREG(os.stat(location).st_mode):  # noqa: PTH116  # to open a pipe could block for ever
            fault = message("sello.not_a_file", name=field_name, path=shown)
        else:
            content = _read_bounded(location)
            if 0 < len(content) <= _MAX_FILE_BYTES:
                return content
            if content:
                fault = message("sello.file_too_large", name=field_name, path=shown, limit=_MAX_FILE_BYTES)
            else:
                fault = message("sello.file_empty", name=field_name, path=shown)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        reason = getattr(problem, "strerror", None) or type(problem).__name__
        fault = message("sello.file_unreadable", name=field_name, path=shown, reason=reason)
    raise InvalidInputError(fault, field=field_name)


def _read_bounded(path: str) -> bytes:
    """Return the bytes of a file, or the first ones if it is larger than 1 MiB."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # see `read_file`
        content = file.read(_CHUNK)
        while len(content) <= _MAX_FILE_BYTES and (more := file.read(_CHUNK)):
            content += more
    return content


def refuse_unsendable(sello: Sello, cer: str, key: str, password: str) -> None:
    """Refuse contents that cannot be sent, without checking the certificate.

    Args:
        sello: certificate, key and password.
        cer: name of the certificate's field, for the error.
        key: name of the key's field, for the error.
        password: name of the password's field, for the error.

    Raises:
        InvalidInputError: a file is empty or larger than 1 MiB, or the password is empty or holds a control
            character.

    """
    for name, content in ((cer, sello.cer), (key, sello.key)):
        if not 0 < len(content) <= _MAX_FILE_BYTES:
            fault = message("sello.wrong_size", name=name, size=len(content), limit=_MAX_FILE_BYTES)
            raise InvalidInputError(fault, field=name)
    if not is_one_line(sello.password.reveal()):
        raise InvalidInputError(message("values.password_not_one_line", name=password), field=password)


def _decode_text(field_name: str, text: str | bytes | Secret) -> SecretBytes:
    """Decode a base64 text; return PEM text unchanged.

    Raises:
        InvalidInputError: the text is neither, or is incomplete.

    """
    from facturaonline_async.sello._file_kind import decode_base64_text  # noqa: PLC0415
    from facturaonline_async.sello._text_decoding import decode_text  # noqa: PLC0415

    if isinstance(text, bytes):
        given = decode_text(SecretBytes(text))
    elif isinstance(text, (str, Secret)):
        given = Secret(Secret(text).reveal().removeprefix("\ufeff"))
    else:
        raise InvalidInputError(message("sello.not_text", name=field_name, kind=type_name(text)), field=field_name)
    content = None if given is None else decode_base64_text(given)
    del text
    if not content:
        raise InvalidInputError(message("sello.not_base64", name=field_name), field=field_name)
    return content


@frozen
class Sello:
    """A certificate (``.cer``), its encrypted key (``.key``) and the key's password.

    The constructor does not validate the contents; `facturaonline_async.sello.check` does. ``repr`` hides the key and
    the password, and they cannot be pickled.

    Attributes:
        cer: bytes of the certificate; the SAT issues DER.
        key: bytes of the encrypted private key; the SAT's are PKCS#8 in DER.
        password: password of the key, a `Secret`; a text is converted.

    Raises:
        InvalidInputError: `cer` or `key` is not bytes, or `password` is not a text.

    """

    cer: bytes = field(repr=lambda value: f"<{len(value)} bytes>", validator=instance_of(bytes))
    key: bytes = field(converter=to_secret_bytes, validator=instance_of(bytes))
    password: Secret = field(converter=to_secret, validator=instance_of(Secret))

    @classmethod
    async def from_files(
        cls, cer: str | os.PathLike[str], key: str | os.PathLike[str], *, password: str | Secret
    ) -> Sello:
        """Read both files in a worker thread.

        Args:
            cer: path of the certificate, a ``.cer`` file.
            key: path of the encrypted private key, a ``.key`` file.
            password: password of the key.

        Raises:
            InvalidInputError: a file is missing, unreadable, empty or larger than 1 MiB.

        """
        import anyio.to_thread  # noqa: PLC0415  # as in the other methods: most programs never call it

        return await anyio.to_thread.run_sync(lambda: cls(read_file("cer", cer), read_file("key", key), password))

    def to_der(self) -> Sello:
        """Return the same Sello with both files in plain DER, as the SAT issues them.

        It decodes PEM and base64 text, removes extra bytes after the content, and undoes a transfer in text mode where
        that is possible. Among several PEM blocks it takes the private key, and the certificate that is not a CA's.
        Among several of these it takes the certificate of the key, and opens the key for that, which may take half a
        second. One file may hold both. An unknown content stays unchanged.
        """
        from facturaonline_async.sello._certificate_key_selection import select  # noqa: PLC0415

        chosen = select(SecretBytes(self.cer), SecretBytes(self.key), self.password)
        cer, key = (chosen.key, chosen.cer) if chosen.is_swapped else (chosen.cer, chosen.key)
        return Sello(bytes(cer.der or self.cer), SecretBytes(key.der or self.key), self.password)

    @classmethod
    def from_base64(cls, cer: str | bytes, key: str | bytes, *, password: str | Secret) -> Sello:
        """Decode both texts from base64 or PEM.

        Both base64 alphabets (``+/`` and ``-_``) are accepted, with or without padding, blanks, line breaks, a byte
        order mark, quotes, a ``data:`` prefix or URL escapes, and with blanks that a web form put in place of plus
        signs. PEM text is read as by `to_der`.

        Args:
            cer: text of the certificate.
            key: text of the encrypted private key.
            password: password of the key.

        Raises:
            InvalidInputError: a text is not base64, or is empty or incomplete.

        """
        sello = cls(bytes(_decode_text("cer", cer)), _decode_text("key", key), password)
        is_text = any(b"-----BEGIN " in content for content in (sello.cer, sello.key))
        return sello.to_der() if is_text else sello
