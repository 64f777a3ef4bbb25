"""Profiles: what a ``facturaonline.toml`` says.

The user has one in the folder for settings, and a project may have one in its own folder. A project comes from other
people, so its file may not hold everything that the user's file may: see `_cli.settings` for hosts.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from attrs import frozen

from facturaonline_async._base_url import PRODUCTION, SANDBOX, normalize
from facturaonline_async._cli.key_references import KeyReference, parse_reference
from facturaonline_async._messages import Language, Message, message
from facturaonline_async._private_files import read_small
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable, printable_path
from facturaonline_async.config import Rate
from facturaonline_async.errors import InvalidInputError

__all__ = ["FILE_NAME", "MAX_CONCURRENCY", "Profile", "parse_rate", "read_profiles"]

FILE_NAME: Final = "facturaonline.toml"
MAX_CONCURRENCY: Final = 1024

_LARGEST: Final = 1 << 16
"""Maximum size of a file, in bytes."""
_SHOWN: Final = 40
"""Characters of a wrong value that an error shows."""
_HOSTS: Final = {"sandbox": SANDBOX, "production": PRODUCTION}


@frozen(kw_only=True)
class Profile:
    """One profile of one file; None is a setting that it does not have.

    Attributes:
        path: the file.
        is_of_project: whether the file is the project's, and not the user's.
        base_url: prefix of the API.
        keys: where the API key and the secret key are.
        database: where the URL of the database is, or the URL.
        lang: language of what is printed.
        rate: maximum rate of all calls together.
        concurrency: maximum number of companies, and of calls, at the same time.
        timeout: time-out of one attempt, in seconds.

    """

    path: Path
    is_of_project: bool
    base_url: str | None = None
    keys: tuple[KeyReference, KeyReference] | None = None
    database: KeyReference | Secret | None = None
    lang: Language | None = None
    rate: Rate | None = None
    concurrency: int | None = None
    timeout: float | None = None


def parse_rate(text: str) -> Rate | None:
    """Return the rate that a text such as ``20/1`` is, or None.

    Args:
        text: calls and seconds.

    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9}(?:\.[0-9]+)?)", text)  # longer numbers overflow
    if match is None or not int(match[1]) or not float(match[2]):
        return None
    return Rate(int(match[1]), float(match[2]))


def read_profiles(path: Path, *, is_of_project: bool) -> dict[str, Profile]:
    """Return the profiles of a file by name; there are none if there is no file.

    Args:
        path: the file.
        is_of_project: whether it is the project's.

    Raises:
        InvalidInputError: the file cannot be read, or has a fault.

    """
    try:
        content, is_private = read_small(path, limit=_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _error(message("cli.profile_file_unreadable", file=printable_path(path), reason=reason)) from None
    reader = _Reader(path, is_of_project, is_private)
    tables = reader.table("profiles", reader.top(_parse(path, content)))
    return {name: reader.profile(name, table) for name, table in tables.items()}


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  # most people have no such file

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also of the encoding, whose text shows a part of the file
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else type(error).__name__
    raise _error(message("cli.profile_file_malformed", file=printable_path(path), reason=printable(reason)))


@frozen
class _Reader:
    """Reads the values of one file.

    Attributes:
        path: the file.
        is_of_project: whether it is the project's.
        is_private: whether no other user can read it.

    """

    path: Path
    is_of_project: bool
    is_private: bool

    def top(self, values: dict[str, Any]) -> object:
        """Return what stands under the only key that a file has."""
        self._refuse_unknown("", values, ["profiles"])
        return values.get("profiles", {})

    def table(self, key: str, value: object) -> dict[str, Any]:
        """Return a value that must be a table."""
        if not isinstance(value, dict):
            raise self._wrong(key, message("cli.expected_table"), value)
        return value

    def profile(self, name: str, value: object) -> Profile:
        """Return one profile."""
        key = f"profiles.{name}"
        values = self.table(key, value)
        self._refuse_unknown(f"{key}.", values, list(_READERS))
        found = {each: _READERS[each](self, f"{key}.{each}", values[each]) for each in values}
        if {"environment", "base_url"} <= found.keys():
            raise self._fault(key, message("cli.profile_two_hosts"))
        keys = found.pop("api_key", None), found.pop("secret_key", None)
        if None in keys and any(keys):
            raise self._fault(key, message("cli.profile_one_key"))
        if host := found.pop("environment", None):
            found["base_url"] = host
        found["keys"] = keys if all(keys) else None
        return Profile(path=self.path, is_of_project=self.is_of_project, **found)

    # ── Settings ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def environment(self, key: str, value: object) -> str:
        """Return the base URL of an environment."""
        if not isinstance(value, str) or value not in _HOSTS:
            raise self._wrong(key, message("cli.expected_environment"), value)
        return _HOSTS[value]

    def base_url(self, key: str, value: object) -> str | None:
        """Return a base URL in its normal form."""
        if not isinstance(value, str):
            raise self._wrong(key, message("cli.expected_base_url"), value)
        try:
            return normalize(value)
        except InvalidInputError as error:
            reason = str(error)
        raise self._fault(key, reason)

    def key(self, key: str, value: object) -> KeyReference:
        """Return where a key is.

        A value that is no reference may be the key, and is not shown.
        """
        found = self._reference(key, value)
        if found is None:
            raise self._fault(key, message("cli.expected_key_reference"))
        return found

    def database(self, key: str, value: object) -> KeyReference | Secret:
        """Return where the URL of a database is, or the URL."""
        found = self._reference(key, value)
        if found is not None and found.kind == "env":
            return found
        if self.is_of_project:  # libpq would send the password in PGPASSWORD to its host
            raise self._fault(key, message("cli.expected_database_of_project"))
        if found is not None:
            return found
        if not isinstance(value, str) or not value:
            raise self._fault(key, message("cli.expected_database"))
        if _has_password(value) and not self.is_private:
            raise self._fault(key, message("cli.database_in_public_file", path=printable_path(self.path)))
        return Secret(value)

    def lang(self, key: str, value: object) -> Literal["en", "es"]:
        """Return a language."""
        if value == "en":
            return "en"
        if value == "es":
            return "es"
        raise self._wrong(key, message("cli.expected_language"), value)

    def rate(self, key: str, value: object) -> Rate:
        """Return a rate."""
        found = parse_rate(value) if isinstance(value, str) else None
        if found is None:
            raise self._wrong(key, message("cli.expected_rate"), value)
        return found

    def concurrency(self, key: str, value: object) -> int:
        """Return a number of companies."""
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_CONCURRENCY:
            raise self._wrong(key, message("cli.expected_concurrency", most=MAX_CONCURRENCY), value)
        return value

    def timeout(self, key: str, value: object) -> float:
        """Return a time-out in seconds."""
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= sys.float_info.max:
            raise self._wrong(key, message("cli.expected_seconds"), value)
        return float(value)

    # ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _reference(self, key: str, value: object) -> KeyReference | None:
        if not isinstance(value, str):
            return None
        return parse_reference(value, folder=self.path.parent, place=self._place(key), field=key.rpartition(".")[2])

    def _refuse_unknown(self, prefix: str, values: Mapping[str, object], known: list[str]) -> None:
        for key in values:
            if key in known:
                continue
            shown = f"{prefix}{key}"
            if near := difflib.get_close_matches(key.casefold(), known, 1):
                raise self._fault(shown, message("cli.profile_unknown_key_like", meant=near[0]))
            raise self._fault(shown, message("cli.profile_unknown_key", known=", ".join(known)))

    def _place(self, key: str) -> str:
        return f"{printable_path(self.path)}, {printable(key)}"

    def _wrong(self, key: str, expected: Message, value: object) -> InvalidInputError:
        try:
            shown = printable(repr(value))
        except ValueError:  # a whole number of thousands of digits
            shown = "…"
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return self._fault(key, message("cli.profile_value", expected=expected, value=shown))

    def _fault(self, key: str, reason: str) -> InvalidInputError:
        return InvalidInputError(
            message("cli.profile_fault", place=self._place(key), reason=reason), field=key.rpartition(".")[2]
        )


_READERS: Final[Mapping[str, Callable[[_Reader, str, object], Any]]] = {
    "environment": _Reader.environment,
    "base_url": _Reader.base_url,
    "api_key": _Reader.key,
    "secret_key": _Reader.key,
    "database": _Reader.database,
    "lang": _Reader.lang,
    "rate": _Reader.rate,
    "concurrency": _Reader.concurrency,
    "timeout": _Reader.timeout,
}
"""What reads each setting of a profile."""


def _has_password(url: str) -> bool:
    """Return whether the name of a database may hold a password.

    It is a URL, or a text of libpq such as ``host=a password = b``.
    """
    try:
        return urlsplit(url).password is not None or "password" in unquote(url).casefold()
    except ValueError:
        return True


def _error(text: Message) -> InvalidInputError:
    return InvalidInputError(text, field="profile")
