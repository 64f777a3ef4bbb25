"""Settings of the command: which value applies, and where it comes from.

There is one order for all of them: the option, the environment (``--env-file`` adds to it), the profile in the
project's ``facturaonline.toml``, the one in the user's, the default. A profile that ``--profile`` names is an option,
too: its host, keys and database come before the environment, which may hold those of another account.

A project's file comes with a folder that another person may have made. It must not send the user's keys and plans to
a host of that person, so only the provider's hosts count there. If the folder also has the keys of a production
account, the command says so: plans with certificates and passwords would go to the account of that person.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from attrs import define, field, frozen

from facturaonline_async._cli.settings_files import is_reachable, project_file, user_file
from facturaonline_async._messages import Language, message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable, printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.postgres._environment import VARIABLE as DATABASE

if TYPE_CHECKING:
    from facturaonline_async._cli.profiles import Profile
    from facturaonline_async.config import Credentials, Rate

__all__ = ["INSIDE_EMULATOR", "Account", "Settings", "current_settings", "load_settings"]

#: Variable of the environment of a command that ``facturaonline emulator`` runs.
INSIDE_EMULATOR: Final = "FACTURAONLINE_INSIDE_EMULATOR"

_VARIABLE: Final = "FACTURAONLINE_PROFILE"
_BASE_URL: Final = "FACTURAONLINE_BASE_URL"
_KEYS: Final = ("api_key", "secret_key")
_DEFAULT: Final = "default"
"""Name of the profile that applies if none is named."""


@frozen
class Account:
    """Host and keys of a command's calls.

    Attributes:
        base_url: prefix of the API.
        credentials: key pair of the main company.

    """

    base_url: str
    credentials: Credentials


@define
class Settings:
    """Settings of this process.

    Attributes:
        profiles: the chosen profile of the project's file, then that of the user's; files without it are left out.
        is_option: whether --profile names it. Then it comes before the environment.

    """

    profiles: tuple[Profile, ...] = ()
    is_option: bool = False
    _credentials: Credentials | None = field(default=None, init=False, repr=False)
    _is_warned: bool = field(default=False, init=False)

    @property
    def lang(self) -> Language | None:
        """Language of what is printed, or None."""
        return next((each.lang for each in self.profiles if each.lang is not None), None)

    @property
    def rate(self) -> Rate | None:
        """Maximum rate of all calls together, or None."""
        return next((each.rate for each in self.profiles if each.rate is not None), None)

    @property
    def concurrency(self) -> int | None:
        """Maximum number of companies, and of calls, at the same time, or None."""
        return next((each.concurrency for each in self.profiles if each.concurrency is not None), None)

    @property
    def timeout(self) -> float | None:
        """Time-out of one attempt in seconds, or None."""
        return next((each.timeout for each in self.profiles if each.timeout is not None), None)

    def find_base_url(self, option: str | None) -> str | None:
        """Return the base URL, or None if there is none.

        Args:
            option: value of --base-url.

        """
        profile = self._profile_with_host(option)
        return (option or os.environ.get(_BASE_URL) or None) if profile is None else profile.base_url

    def find_database(self, option: Secret | None) -> Secret | None:
        """Return the URL of the shared database, or None.

        None leaves it to the library, which reads the environment.

        Args:
            option: value of --database.

        Raises:
            InvalidInputError: a profile names a variable that is not set, or a file that cannot be read.

        """
        if option is not None or self._is_overridden(DATABASE):
            return option
        found = next((each.database for each in self.profiles if each.database is not None), None)
        return found if found is None or isinstance(found, Secret) else found.read()

    @property
    def has_database(self) -> bool:
        """Whether a profile names a database."""
        return any(each.database is not None for each in self.profiles)

    def find_account(self, base_url: str | None, *, or_emulator: bool = False) -> Account:
        """Return the host and the keys of a command's calls.

        Args:
            base_url: value of --base-url.
            or_emulator: name the option --emulator in the message.

        Raises:
            InvalidInputError: the base URL or a key is missing, or cannot be read; or a project's file names a host
                to which the user's keys must not go.

        """
        url = self.find_base_url(base_url)
        if not url:
            text = message("cli.base_url_missing_or_emulator" if or_emulator else "cli.base_url_missing")
            raise InvalidInputError(text, field="base_url")
        self.check_host(base_url)
        self._warn_of_brought_keys(url)
        return Account(url, self.read_profile_keys() or _environment_keys(or_emulator=or_emulator))

    def _is_overridden(self, *variables: str) -> bool:
        """Return whether one of these variables comes before the profile."""
        return not self.is_option and any(map(os.environ.get, variables))

    def _profile_with_host(self, option: str | None) -> Profile | None:
        """Return the profile whose host applies; None: another source counts."""
        if option or self._is_overridden(_BASE_URL):
            return None
        return next((each for each in self.profiles if each.base_url is not None), None)

    def _profile_with_keys(self) -> Profile | None:
        """Return the profile whose keys apply; None: those of the environment."""
        if self._is_overridden(*map(_variable, _KEYS)):
            return None
        return next((each for each in self.profiles if each.keys is not None), None)

    def check_host(self, base_url: str | None) -> None:
        """Refuse a host that only a project's file names.

        The provider's hosts are accepted, and the host that the environment has, too.

        Args:
            base_url: value of --base-url.

        Raises:
            InvalidInputError: only the project's file names the host.

        """
        from facturaonline_async._base_url import environment_of  # noqa: PLC0415  # help needs it not

        host = self._profile_with_host(base_url)
        if host is None or not host.is_of_project:
            return
        url = host.base_url or ""
        if environment_of(url) in {"production", "sandbox"} or url == os.environ.get(_BASE_URL):
            return
        raise InvalidInputError(
            message(
                "cli.profile_foreign_host",
                file=printable_path(host.path),
                host=printable(url),
                own=printable_path(user_file()),
            ),
            field="base_url",
        )

    def export(self) -> None:
        """Set the variables of host, keys and database to the values that apply.

        Code that the command imports, and that knows only the environment, then has the same account as the command.
        What neither has stays unset.

        Raises:
            InvalidInputError: a key or the database cannot be read; or a project's file names a host to which the
                user's keys must not go.

        """
        self.check_host(None)
        url, keys, database = self.find_base_url(None), self.read_profile_keys(), self.find_database(None)
        self._warn_of_brought_keys(url or "")
        if url is not None:
            os.environ[_BASE_URL] = url
        if keys is not None:
            os.environ.update({_variable(name): getattr(keys, name).reveal() for name in _KEYS})
        if database is not None:
            os.environ[DATABASE] = database.reveal()

    def _warn_of_brought_keys(self, url: str) -> None:
        """Warn once of keys of a production account that lie in the project's folder.

        Args:
            url: base URL that applies.

        """
        from facturaonline_async._base_url import environment_of  # noqa: PLC0415  # help needs it not

        profile = self._profile_with_keys()
        if self._is_warned or profile is None or not profile.is_of_project or environment_of(url) != "production":
            return
        folder = profile.path.parent.resolve()
        paths = [Path(key.name).resolve() for key in profile.keys or () if key.kind == "file"]
        brought = next((path for path in paths if folder in path.parents), None)
        if brought is None:
            return
        self._is_warned = True
        text = message(
            "cli.profile_brought_keys",
            file=printable_path(profile.path),
            path=printable_path(brought),
            own=printable_path(user_file()),
        )
        sys.stderr.write(f"{message('cli.warning', text=text)}\n")

    def read_profile_keys(self) -> Credentials | None:
        """Return the keys of the profile, or None if those of the environment apply.

        They are read once: a keyring may ask for a password each time.

        Raises:
            InvalidInputError: they cannot be read.

        """
        from facturaonline_async.config import Credentials  # noqa: PLC0415  # help needs none

        profile = self._profile_with_keys()
        if profile is None or profile.keys is None:
            return None
        if self._credentials is None:
            api_key, secret_key = (key.read() for key in profile.keys)
            self._credentials = Credentials(api_key=api_key, secret_key=secret_key)
        return self._credentials


def _environment_keys(*, or_emulator: bool) -> Credentials:
    """Return the keys of the environment.

    Raises:
        InvalidInputError: one of them is missing or malformed.

    """
    from facturaonline_async.config import Credentials  # noqa: PLC0415  # help needs none

    for name in _KEYS:
        if not os.environ.get(variable := _variable(name)):
            text = message("cli.key_missing_or_emulator" if or_emulator else "cli.key_missing", variable=variable)
            raise InvalidInputError(text, field=name)
    return Credentials(**{name: Secret(os.environ[_variable(name)]) for name in _KEYS})


class _Current:
    """Settings of this process, or the fault of a file.

    A command reports the fault when it begins.
    """

    found: ClassVar[Settings | InvalidInputError] = Settings()


def load_settings(profile: str | None) -> Settings:
    """Read the profile from both files; a fault is raised by `current_settings`.

    So the help of a command can be read while a file has a fault.

    Args:
        profile: value of --profile.

    Returns:
        The settings; none after a fault.

    """
    try:
        profiles = _chosen(profile or os.environ.get(_VARIABLE) or None)
        # "facturaonline emulator -- COMMAND" reaches no other host, also if the command names a profile.
        is_option = bool(profile) and INSIDE_EMULATOR not in os.environ
        found = _Current.found = Settings(profiles, is_option=is_option)
    except InvalidInputError as error:
        _Current.found, found = error, Settings()
    return found


def current_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        InvalidInputError: a file has a fault, or there is no such profile.

    """
    if isinstance(_Current.found, InvalidInputError):
        raise _Current.found
    return _Current.found


def _chosen(name: str | None) -> tuple[Profile, ...]:
    """Return the profiles with a name: the project's, then the user's.

    Raises:
        InvalidInputError: a file has a fault, or neither has the profile.

    """
    own, project = user_file(), project_file()
    paths = [path for path in (project, own) if name is not None or is_reachable(path)]
    if not paths:
        return ()
    from facturaonline_async._cli.profiles import read_profiles  # noqa: PLC0415  # most people have no file

    if is_reachable(own) and is_reachable(project) and own.samefile(project):
        paths = [own]
    files = [read_profiles(path, is_of_project=path is project) for path in paths]
    found = tuple(each[name or _DEFAULT] for each in files if (name or _DEFAULT) in each)
    if name is not None and not found:
        known = sorted({printable(each) for profiles in files for each in profiles})
        shown, here, there = printable(name), printable_path(project), printable_path(own)
        text = message("cli.profile_unknown_without_any", name=shown, file=here, own=there)
        if known:
            text = message("cli.profile_unknown", name=shown, file=here, own=there, known=", ".join(known))
        raise InvalidInputError(text, field="profile")
    return found


def _variable(name: str) -> str:
    return f"FACTURAONLINE_{name.upper()}"
