"""References to secrets: where a key is, and how it is read.

A profile names a variable of the environment, a private file, or an entry of the keyring. The key itself is never in
the profile, because such files are copied, sent and committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import frozen

from facturaonline_async._messages import Message, message
from facturaonline_async._private_files import read_small
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable, printable_path
from facturaonline_async._validators import VISIBLE_ASCII
from facturaonline_async.errors import InvalidInputError

__all__ = ["KeyReference", "Kind", "parse_reference"]

Kind: TypeAlias = Literal["env", "file", "keyring"]

_KINDS: Final[tuple[Kind, ...]] = ("env", "file", "keyring")
_LONGEST: Final = 4096
"""Maximum size of a file with a key, in bytes."""


@frozen
class KeyReference:
    """Where a secret is.

    Attributes:
        kind: "env" for a variable, "file", or "keyring".
        name: name of the variable; path of the file, absolute; or service and user name, joined by a slash.
        place: what names it in an error: file and key of the profile.
        field: key of the profile, such as ``"api_key"``.

    """

    kind: Kind
    name: str
    place: str
    field: str

    def read(self) -> Secret:
        """Return the secret.

        Raises:
            InvalidInputError: there is none, or it cannot be read, or others can read it.

        """
        found = {"env": self._from_variable, "file": self._from_file, "keyring": self._from_keyring}[self.kind]()
        if not VISIBLE_ASCII.fullmatch(found.reveal()):
            raise self._fault(message("cli.key_malformed", source=printable(f"{self.kind}:{self.name}")))
        return found

    def _from_variable(self) -> Secret:
        if value := os.environ.get(self.name):
            return Secret(value)
        raise self._fault(message("cli.key_variable_missing", variable=printable(self.name)))

    def _from_file(self) -> Secret:
        path = Path(self.name)
        try:
            content, is_private = read_small(path, limit=_LONGEST)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise self._fault(message("cli.key_file_unreadable", path=printable_path(path), reason=reason)) from None
        if not is_private:
            raise self._fault(message("cli.key_file_not_private", path=printable_path(path)))
        return Secret(content.decode("utf-8-sig", "replace").strip())

    def _from_keyring(self) -> Secret:
        try:
            import keyring  # noqa: PLC0415  # an extra
        except ModuleNotFoundError:
            raise self._fault(message("cli.keyring_extra_missing")) from None
        service, _, user = self.name.rpartition("/")
        try:
            found: str | None = keyring.get_password(service, user)
        except Exception as error:  # noqa: BLE001  # each keyring of a system has errors of its own
            raise self._fault(message("cli.keyring_failed", error=type(error).__name__)) from None
        if not found:
            text = message("cli.keyring_entry_missing", service=printable(service), user=printable(user))
            raise self._fault(text)
        return Secret(found)

    def _fault(self, reason: Message) -> InvalidInputError:
        return InvalidInputError(message("cli.profile_fault", place=self.place, reason=reason), field=self.field)


def parse_reference(text: str, *, folder: Path, place: str, field: str) -> KeyReference | None:
    """Return the reference that a text is, or None: it may be a secret then.

    Args:
        text: ``env:NAME``, ``file:PATH`` or ``keyring:SERVICE/USER``.
        folder: where a relative path starts.
        place: what names it in an error.
        field: key of the profile.

    """
    kind, _, name = text.partition(":")
    found: Kind | None = next((each for each in _KINDS if each == kind), None)
    if found is None or not name:
        return None
    if found == "file":
        try:
            name = str(folder / Path(name).expanduser())
        except RuntimeError:  # no home folder has this name
            name = str(folder / name)
    elif found == "keyring" and not all(name.rpartition("/")[::2]):
        return None
    return KeyReference(found, name, place, field)
