"""Profiles: which file counts, what it may say, and to which host keys go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from facturaonline_async import Secret, _private_files, testing
from facturaonline_async._base_url import PRODUCTION, SANDBOX
from facturaonline_async._cli import settings
from facturaonline_async._cli.language import find_language
from facturaonline_async._cli.settings import Settings, current_settings, load_settings
from facturaonline_async._messages import use_language
from facturaonline_async.config import Rate
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing import Emulator
from tests.cli.test_app import Ran, run

KEY = "JDJ5JDEwJGFwaQ-not-to-be-shown"
FOREIGN = "https://api.example.com"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder of the user's file; the current folder is another one."""
    for name in list(os.environ):
        if name.startswith("FACTURAONLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "facturaonline"
    folder.mkdir(parents=True)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    yield folder
    settings._Current.found = Settings()


@pytest.fixture
def other_user() -> contextlib.AbstractContextManager[None]:
    """Give a context without the rights of root, which may open every folder."""

    @contextlib.contextmanager
    def changed() -> Iterator[None]:
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    return changed()


def written(folder: Path, *lines: str, name: str = "default") -> Path:
    path = folder / "facturaonline.toml"
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join([f"[profiles.{name}]", *lines, ""]))
    return path


def key_files(folder: Path, emulator: Emulator | None = None) -> tuple[str, str]:
    """Write private files with the keys, and return the lines of a profile that name them."""
    for name in ("api_key", "secret_key"):
        text = KEY if emulator is None else getattr(emulator.credentials, name).reveal()
        (folder / name).write_text(f"{text}\n")
        (folder / name).chmod(0o600)
    return 'api_key = "file:api_key"', 'secret_key = "file:secret_key"'


def refused(*, profile: str | None = None) -> str:
    load_settings(profile)
    with pytest.raises(InvalidInputError) as error:
        current_settings()
    return str(error.value)


async def listed(own: Path, *options: str, env: dict[str, str] | None = None) -> Ran:
    return await run(*options, "series", "list", env={"XDG_CONFIG_HOME": str(own.parent)} | (env or {}))


# ── Precedence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_file_there_is_no_setting(own: Path) -> None:
    found = load_settings(None)

    assert (found.profiles, found.find_base_url(None), found.find_database(None)) == ((), None, None)


def test_each_source_counts_before_the_next(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    for option, step in (
        (None, lambda: written(own, 'environment = "sandbox"')),
        (None, lambda: written(Path(), 'environment = "production"')),
        (None, lambda: monkeypatch.setenv("FACTURAONLINE_BASE_URL", "https://a.example.com")),
        ("https://b.example.com", lambda: None),
    ):
        step()
        seen.append(load_settings(None).find_base_url(option))

    assert seen == [SANDBOX, PRODUCTION, "https://a.example.com", "https://b.example.com"]


def test_each_setting_of_the_projects_file_counts_before_the_users(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "postgresql://ours")
    written(own, 'database = "postgresql://mine"', 'lang = "en"', 'rate = "5/1"', "concurrency = 5", "timeout = 5")
    first = load_settings(None)
    mine = first.find_database(None), first.lang, first.rate, first.concurrency, first.timeout
    written(Path(), 'database = "env:OURS"', 'lang = "es"', 'rate = "7/2"', "concurrency = 7", "timeout = 0.5")
    second = load_settings(None)
    ours = second.find_database(None), second.lang, second.rate, second.concurrency, second.timeout

    assert mine == (Secret("postgresql://mine"), "en", Rate(5, 1), 5, 5.0)
    assert ours == (Secret("postgresql://ours"), "es", Rate(7, 2), 7, 0.5)


def test_a_setting_that_the_project_lacks_is_the_users(own: Path) -> None:
    written(own, 'lang = "es"', "concurrency = 5")
    written(Path(), "concurrency = 7")
    found = load_settings(None)

    assert (found.lang, found.concurrency) == ("es", 7)


@pytest.mark.parametrize(("option", "counts"), [("acme", "profile"), (None, "environment")])
def test_a_profile_of_the_option_counts_before_the_environment_and_no_other(
    own: Path, monkeypatch: pytest.MonkeyPatch, option: str | None, counts: str
) -> None:
    lines = f'base_url = "{FOREIGN}"', 'database = "postgresql://acme"', *key_files(own)
    written(own, *lines, name="acme")
    monkeypatch.setenv("FACTURAONLINE_PROFILE", "acme")
    monkeypatch.setenv("FACTURAONLINE_BASE_URL", SANDBOX)
    monkeypatch.setenv("FACTURAONLINE_API_KEY", "beta")
    monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", "beta")
    monkeypatch.setenv("FACTURAONLINE_DATABASE_URL", "postgresql://beta")
    found = load_settings(option)
    account = found.find_account(None)
    seen = account.base_url, account.credentials.api_key, account.credentials.secret_key, found.find_database(None)

    assert (
        seen
        == {
            "profile": (FOREIGN, Secret(KEY), Secret(KEY), Secret("postgresql://acme")),
            "environment": (SANDBOX, Secret("beta"), Secret("beta"), None),
        }[counts]
    )
    assert (found.find_base_url("https://b.x"), found.find_database(Secret("x"))) == ("https://b.x", Secret("x"))


def test_what_the_profile_of_the_option_lacks_comes_from_the_environment(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(own, 'lang = "es"', name="acme")
    monkeypatch.setenv("FACTURAONLINE_BASE_URL", SANDBOX)
    monkeypatch.setenv("FACTURAONLINE_API_KEY", KEY)
    monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", KEY)
    found = load_settings("acme").find_account(None)

    assert (found.base_url, found.credentials.api_key) == (SANDBOX, Secret(KEY))


async def test_a_command_changes_the_account_of_its_profile_option(own: Path, emulator: Emulator) -> None:
    from facturaonline_async import connect  # noqa: PLC0415  # only this test needs it

    async with testing.Emulator() as beta:
        written(own, f'base_url = "{emulator.base_url}"', *key_files(own, emulator), name="acme")
        env = {
            "XDG_CONFIG_HOME": str(own.parent),
            "FACTURAONLINE_BASE_URL": beta.base_url,
            "FACTURAONLINE_API_KEY": beta.credentials.api_key.reveal(),
            "FACTURAONLINE_SECRET_KEY": beta.credentials.secret_key.reveal(),
        }
        ran = await run("--profile", "acme", "series", "ensure", "--letra", "F", "--tipo", "factura", env=env)
        counts = len(beta.requests)
    async with connect(emulator.credentials, base_url=emulator.base_url) as fo:
        created = [serie.letra for serie in await fo.series.list()]

    assert (ran.code, counts, created) == (0, 0, ["F"])


def test_the_database_of_the_environment_counts_before_a_profile(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(own, 'database = "postgresql://mine"')
    monkeypatch.setenv("FACTURAONLINE_DATABASE_URL", "postgresql://other")
    found = load_settings(None)

    assert (found.find_database(None), found.find_database(Secret("x"))) == (None, Secret("x"))


@pytest.mark.parametrize(
    ("option", "variable", "host"), [("a", "b", "https://a.x"), (None, "b", "https://b.x"), (None, "", "https://d.x")]
)
def test_a_profile_is_named_by_option_by_variable_or_not_at_all(
    own: Path, monkeypatch: pytest.MonkeyPatch, option: str | None, variable: str, host: str
) -> None:
    for name in ("a", "b"):
        written(own, f'base_url = "https://{name}.x"', name=name)
    written(own, 'base_url = "https://d.x"')
    monkeypatch.setenv("FACTURAONLINE_PROFILE", variable)

    assert load_settings(option).find_base_url(None) == host


def test_a_profile_that_no_file_has_is_refused_with_those_that_exist(own: Path) -> None:
    written(own, 'lang = "es"', name="acme")
    text = refused(profile="acmee")

    assert ("no profile acmee" in text, "The profiles are acme." in text, str(own) in text) == (True, True, True)


def test_the_users_file_in_the_current_folder_stays_the_users(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", KEY)
    written(own, f'base_url = "{FOREIGN}"', 'api_key = "env:ACME_KEY"', 'secret_key = "env:ACME_KEY"')
    monkeypatch.chdir(own)

    assert load_settings(None).find_account(None).base_url == FOREIGN


# ── Keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_read_from_variables_and_from_private_files(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", KEY)
    key_files(own)
    written(own, 'environment = "sandbox"', 'api_key = "env:ACME_KEY"', 'secret_key = "file:secret_key"')
    keys = load_settings(None).find_account(None).credentials

    assert (keys.api_key, keys.secret_key) == (Secret(KEY), Secret(KEY))


def test_keys_of_the_environment_count_as_a_pair(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(own, 'environment = "sandbox"', *key_files(own))
    monkeypatch.setenv("FACTURAONLINE_API_KEY", "other")

    with pytest.raises(InvalidInputError, match="FACTURAONLINE_SECRET_KEY is not set"):
        load_settings(None).find_account(None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("file:{path}", "{path} must hold one line"),
        ("env:EVIL", "env:EVIL must hold one line"),
        ("env:NONE", "the variable NONE is not set"),
        ("keyring:service/user", "the keyring needs an extra"),
        ("file:missing", "cannot be read: No such file"),
        ("file:fifo", "cannot be read: Invalid argument"),
        ("file:/dev/zero", "cannot be read: Invalid argument"),
    ],
)
def test_a_key_that_cannot_be_read_is_never_shown(
    own: Path, monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # the extra is not installed
    monkeypatch.setenv("EVIL", f"{KEY}\n{KEY}")
    path = own / "two_lines"
    path.write_text(f"{KEY}\n{KEY}")
    path.chmod(0o600)
    os.mkfifo(own / "fifo", 0o600)
    value = value.format(path=path)
    file = written(own, 'environment = "sandbox"', f'api_key = "{value}"', f'secret_key = "{value}"')

    with pytest.raises(InvalidInputError) as error:
        load_settings(None).find_account(None)
    shown = str(error.value)
    assert (KEY in shown, shown.startswith(f"{file}, profiles.default.api_key: ")) == (False, True)
    assert reason.format(path=path) in shown


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
def test_a_key_file_that_others_can_read_is_refused_with_the_remedy(own: Path) -> None:
    written(own, 'environment = "sandbox"', *key_files(own))
    (own / "api_key").chmod(0o640)

    with pytest.raises(InvalidInputError, match=f"chmod 600 {own / 'api_key'}"):
        load_settings(None).find_account(None)


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
def test_keys_are_read_from_the_secrets_of_a_container(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker gives them mode 0444; a file that another user may have written is refused there, too."""
    secrets = own.resolve() / "secrets"
    secrets.mkdir()
    monkeypatch.setattr(_private_files, "_SECRETS", secrets)
    for name in ("api_key", "secret_key"):
        (secrets / name).write_text(f"{KEY}\n")
        (secrets / name).chmod(0o444)
    written(
        own, 'environment = "sandbox"', 'api_key = "file:secrets/api_key"', 'secret_key = "file:secrets/secret_key"'
    )

    assert load_settings(None).find_account(None).credentials.api_key == Secret(KEY)
    (secrets / "api_key").chmod(0o464)
    with pytest.raises(InvalidInputError, match="other users of this machine can read or change"):
        load_settings(None).find_account(None)


async def test_keys_are_read_from_the_keyring_of_the_system(own: Path, emulator: Emulator) -> None:
    pytest.importorskip("keyring", reason="the extra keyring is not installed")
    entries = {f"acme/{name}": getattr(emulator.credentials, name).reveal() for name in ("api_key", "secret_key")}
    (own / "ring.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "class Ring(KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, username):\n"
        f"        return {entries!r}.get(f'{{service}}/{{username}}')\n"
        "    def set_password(self, service, username, password):\n"
        "        raise NotImplementedError\n"
    )
    lines = 'api_key = "keyring:acme/api_key"', 'secret_key = "keyring:acme/secret_key"'
    written(own, f'base_url = "{emulator.base_url}"', *lines)
    code = f"import sys; sys.path.insert(0, {str(own)!r}); from facturaonline_async._cli import main; main()"
    env = {name: value for name, value in os.environ.items() if "COV" not in name}
    env["PYTHON_KEYRING_BACKEND"] = "ring.Ring"
    called = [sys.executable, "-c", code, "series", "list", "--json"]
    ran = await asyncio.to_thread(subprocess.run, called, env=env, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_keyring_is_imported_only_when_a_profile_names_it(own: Path) -> None:
    written(own, 'environment = "sandbox"', *key_files(own))
    load_settings(None).find_account(None)
    code = (
        "import sys; from facturaonline_async._cli.settings import load_settings; "
        "load_settings(None).find_account(None); print({'keyring', 'dotenv', 'aiohttp'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "set()"


# ── Hosts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", [FOREIGN, "http://127.0.0.1:8080/api", "https://facturaonline.com.mx.example.com/api"])
@pytest.mark.parametrize("keys", ["environment", "user", "variable", "outside", "link", "inside"])
def test_a_projects_file_cannot_send_the_users_keys_to_its_host(
    own: Path, monkeypatch: pytest.MonkeyPatch, host: str, keys: str
) -> None:
    mine = key_files(own)
    lines: tuple[str, ...] = ()
    if keys == "environment":
        monkeypatch.setenv("FACTURAONLINE_API_KEY", KEY)
        monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", KEY)
    elif keys == "user":
        written(own, *mine)
    elif keys == "variable":
        monkeypatch.setenv("STRIPE_KEY", KEY)
        lines = 'api_key = "env:STRIPE_KEY"', 'secret_key = "env:STRIPE_KEY"'
    elif keys == "outside":
        lines = tuple(f'{name} = "file:../config/facturaonline/{name}"' for name in ("api_key", "secret_key"))
    elif keys == "inside":  # the user's plans would go to the host
        lines = key_files(Path())
    else:
        lines = mine
        Path("api_key").symlink_to(own / "api_key")
        Path("secret_key").symlink_to(own / "secret_key")
    file = written(Path.cwd(), f'base_url = "{host}"', *lines)

    with pytest.raises(InvalidInputError) as error:
        load_settings(None).find_account(None)
    shown = str(error.value)
    assert (str(file) in shown, f"--base-url {host}" in shown, KEY in shown) == (True, True, False)


@pytest.mark.parametrize("profile", [None, "default"])
@pytest.mark.parametrize("host", ["project", "variable"])
def test_production_keys_that_a_folder_brings_are_named_once(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str, profile: str | None
) -> None:
    if host == "variable":
        monkeypatch.setenv("FACTURAONLINE_BASE_URL", PRODUCTION)
    file = written(Path.cwd(), *(['environment = "production"'] if host == "project" else []), *key_files(Path()))
    load_settings(profile)
    current_settings().find_account(None)
    current_settings().find_account(None)

    out, error = capsys.readouterr()
    assert (out, error.count("warning: the keys of the production account come from this folder")) == ("", 1)
    assert f"{file} names {Path.cwd().resolve() / 'api_key'}." in error
    assert (str(own / "facturaonline.toml") in error, KEY in error) == (True, False)


@pytest.mark.parametrize("keys", ["sandbox", "user's file", "elsewhere", "link", "variable", "environment"])
def test_other_keys_than_those_that_a_folder_brings_for_production_are_not_named(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], keys: str
) -> None:
    lines, environment = [*key_files(own)], "sandbox" if keys == "sandbox" else "production"
    if keys in {"sandbox", "environment"}:
        lines = [*key_files(Path())]
    if keys == "environment":
        monkeypatch.setenv("FACTURAONLINE_API_KEY", KEY)
        monkeypatch.setenv("FACTURAONLINE_SECRET_KEY", KEY)
    elif keys == "elsewhere":
        lines = [f'{name} = "file:{own / name}"' for name in ("api_key", "secret_key")]
    elif keys == "link":
        for name in ("api_key", "secret_key"):
            Path(name).symlink_to(own / name)
    elif keys == "variable":
        monkeypatch.setenv("ACME_KEY", KEY)
        lines = ['api_key = "env:ACME_KEY"', 'secret_key = "env:ACME_KEY"']
    written(own if keys == "user's file" else Path(), f'environment = "{environment}"', *lines)
    load_settings(None).find_account(None)

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("environment", ["sandbox", "production"])
def test_a_projects_file_may_choose_a_host_of_the_provider(own: Path, environment: str) -> None:
    written(own, *key_files(own))
    written(Path(), f'environment = "{environment}"')

    assert load_settings(None).find_account(None).base_url in {SANDBOX, PRODUCTION}


@pytest.mark.parametrize("profile", [None, "default"])
@pytest.mark.parametrize("source", ["option", "variable", "file"])
def test_each_remedy_for_a_refused_host_helps(
    own: Path, monkeypatch: pytest.MonkeyPatch, source: str, profile: str | None
) -> None:
    file = written(own, *key_files(own))
    written(own, f'base_url = "{FOREIGN}"', *key_files(own), name="mine")
    written(Path(), f'base_url = "{FOREIGN}"')
    settings = load_settings(profile)
    with pytest.raises(InvalidInputError) as error:
        settings.find_account(None)
    text = str(error.value)
    if source == "variable":
        monkeypatch.setenv("FACTURAONLINE_BASE_URL", FOREIGN)
    elif source == "file":
        profile = "mine"
    found = load_settings(profile).find_account(FOREIGN if source == "option" else None)

    assert (f"--base-url {FOREIGN}" in text, f"FACTURAONLINE_BASE_URL={FOREIGN}" in text, str(file) in text) == (
        True,
        True,
        True,
    )
    assert found.base_url == FOREIGN


async def test_a_host_that_the_user_gives_counts_whatever_the_project_says(own: Path, emulator: Emulator) -> None:
    written(own, *key_files(own, emulator))
    written(Path(), f'base_url = "{FOREIGN}"')
    without, given = await listed(own), await listed(own, env={"FACTURAONLINE_BASE_URL": emulator.base_url})

    assert (without.code, FOREIGN in without.err, given.code) == (2, True, 0)


def test_a_projects_file_names_a_database_by_its_variable_only(own: Path) -> None:
    written(Path(), f'database = "postgresql://{KEY}.example.com/x"')
    text = refused()

    assert ("give env:VARIABLE: a project's file" in text, KEY in text) == (True, False)


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{KEY}@db.example.com/x",
        f"postgresql://db.example.com/x?pass%77ord={KEY}",
        f"host=db.example.com password = {KEY}",
        f"host=db.example.com PASSWORD={KEY}",
    ],
)
def test_a_password_in_the_users_file_needs_a_private_file(own: Path, url: str) -> None:
    file = written(own, f'database = "{url}"')
    file.chmod(0o644)
    text = refused()
    file.chmod(0o600)

    assert (f"chmod 600 {file}" in text, KEY in text) == (True, False)
    assert load_settings(None).find_database(None) == Secret(url)


async def test_doctor_uses_the_profile_and_asks_no_host_of_a_project(own: Path, emulator: Emulator) -> None:
    env = {"XDG_CONFIG_HOME": str(own.parent)}
    written(own, f'base_url = "{emulator.base_url}"', *key_files(own, emulator))
    well = await run("doctor", "--json", env=env)
    written(Path(), f'base_url = "{emulator.base_url}"')
    before = len(emulator.requests)
    ran = await run("doctor", "--json", env=env)
    checks = {check["name"]: (check["state"], check["code"]) for check in ran.json["checks"]}

    assert (well.code, ran.code, checks["api"]) == (0, 1, ("failed", "cli.profile_foreign_host"))
    assert (checks["dns"][0], checks["account"][0], len(emulator.requests)) == ("skipped", "skipped", before)


# ── Faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('enviroment = "sandbox"', "profiles.default.enviroment: there is no such setting; did you mean environment?"),
        ("colour = 1", "profiles.default.colour: there is no such setting. The settings here are environment, "),
        ('environment = "test"', "profiles.default.environment: give sandbox or production; it was 'test'."),
        ('base_url = "http://example.com"', "profiles.default.base_url: "),
        ("base_url = 1", "profiles.default.base_url: give a URL"),
        ('lang = "fr"', "profiles.default.lang: give en or es; it was 'fr'."),
        ('rate = "fast"', "profiles.default.rate: give a text of calls and seconds, such as 20/1; it was 'fast'."),
        (f'rate = "{"9" * 5000}/1"', "profiles.default.rate: give a text of calls and seconds"),
        (f'rate = "1/{"9" * 400}"', "profiles.default.rate: give a text of calls and seconds"),
        (f"timeout = 1{'0' * 400}", "profiles.default.timeout: give a number of seconds above 0"),
        (f"timeout = 0x{'f' * 5000}", "profiles.default.timeout: give a number of seconds above 0"),
        ("concurrency = 0", "profiles.default.concurrency: give a whole number from 1 to 1024; it was 0."),
        ("concurrency = true", "it was True."),
        ("timeout = inf", "profiles.default.timeout: give a number of seconds above 0; it was inf."),
        (f'api_key = "{KEY}"', "profiles.default.api_key: give env:VARIABLE, file:PATH or keyring:SERVICE/USER"),
        ('secret_key = "env:A"', "profiles.default: api_key and secret_key belong together"),
        ('base_url = "https://a.x"\nenvironment = "sandbox"', "environment and base_url exclude each other"),
        ("database = 1", "profiles.default.database: give env:VARIABLE, file:PATH"),
        ("= 1", "is not TOML: "),
        (f'api_key = "{KEY}', "is not TOML: "),
        ("[profile]", "profile: there is no such setting; did you mean profiles?"),
    ],
)
def test_a_faulty_file_gives_one_error_with_the_file_the_key_and_the_remedy(own: Path, line: str, shown: str) -> None:
    file = written(own, line)
    text = refused()

    assert (text.startswith(str(file)), shown in text, KEY in text) == (True, True, False)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[profiles]\ndefault = 1", b"profiles = 1", b"x" * 70_000])
def test_a_file_that_is_no_profile_file_is_refused(own: Path, content: bytes) -> None:
    (own / "facturaonline.toml").write_bytes(content)

    assert refused().startswith(str(own / "facturaonline.toml"))


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
def test_a_folder_that_cannot_be_searched_counts_as_no_file_if_no_profile_is_named(
    own: Path, other_user: contextlib.AbstractContextManager[None]
) -> None:
    written(own, 'lang = "es"')
    assert load_settings(None).lang == "es"
    own.chmod(0)
    with other_user:
        without = load_settings(None)
        current_settings()
        early = find_language(["facturaonline"])
        text = refused(profile="default")
    own.chmod(0o700)

    assert (without.profiles, early) == ((), "en")
    assert "facturaonline.toml cannot be read: Permission denied" in text


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
def test_a_file_that_exists_and_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, own: Path, other_user: contextlib.AbstractContextManager[None]
) -> None:
    with tempfile.TemporaryDirectory() as name:  # the parents of the usual folder are closed to other users
        folder = Path(name, "facturaonline")
        folder.mkdir()
        file = written(folder, 'lang = "es"')
        Path(name).chmod(0o755)
        folder.chmod(0o755)
        file.chmod(0)
        monkeypatch.setenv("XDG_CONFIG_HOME", name)
        with other_user:
            text = refused()

    assert text.startswith(f"{file} cannot be read: Permission denied")


@pytest.mark.skipif(os.name != "posix", reason="the system keeps the current folder")
def test_a_current_folder_that_was_deleted_has_no_file(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(own, 'lang = "es"')
    gone = own / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = load_settings(None)
    current_settings()

    assert (found.lang, find_language(["facturaonline"])) == ("es", "es")
    use_language("en")
    assert "no profile acme" in refused(profile="acme")


async def test_a_fault_ends_each_command_in_one_line_and_leaves_its_help(own: Path) -> None:
    written(Path(), "nonsense")
    env = {"XDG_CONFIG_HOME": str(own.parent)}
    ran, shown = await run("plan", "example", "demo", env=env), await run("provision", "--help", env=env)

    assert (ran.code, len(ran.err.splitlines()), "facturaonline.toml is not TOML" in ran.err) == (2, 1, True)
    assert (shown.code, shown.err) == (0, "")


# ── The command ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_profile_gives_host_keys_and_language(own: Path, emulator: Emulator) -> None:
    written(own, f'base_url = "{emulator.base_url}"', *key_files(own, emulator), 'lang = "es"', name="acme")
    ran = await listed(own, "--profile", "acme", env={"XDG_CONFIG_HOME": str(own.parent)})
    shown = await listed(own, "--profile", "acme", env={"FACTURAONLINE_LANG": "en"})
    beta = {"FACTURAONLINE_API_KEY": "a", "FACTURAONLINE_SECRET_KEY": "b"}
    wrong = await listed(own, env={"FACTURAONLINE_PROFILE": "acme"} | beta)

    assert (ran.code, "No hay" in ran.out, shown.code, "No hay" in shown.out) == (0, True, 0, False)
    assert wrong.code == 1


async def test_a_run_has_the_concurrency_of_the_profile(own: Path, emulator: Emulator, tmp_path: Path) -> None:
    from tests.cli.test_app import plan  # noqa: PLC0415  # only this test needs it

    written(own, f'base_url = "{emulator.base_url}"', *key_files(own, emulator), "concurrency = 1", 'rate = "1000/1"')
    ran = await run("provision", plan(tmp_path, 3), "--yes", env={"XDG_CONFIG_HOME": str(own.parent)})

    assert (ran.code, emulator.in_flight_max) == (0, 1)


SHOWS_VARIABLES = """
import json, os
from pathlib import Path
Path("seen.json").write_text(json.dumps({name: os.environ.get(f"FACTURAONLINE_{name}", "") for name in
    ("BASE_URL", "API_KEY", "SECRET_KEY", "DATABASE_URL")}))
worker = None
"""


def write_module() -> None:
    """Write a module of a worker that notes the variables it finds."""
    Path("batch.py").write_text(SHOWS_VARIABLES, encoding="utf-8")


def seen() -> dict[str, str]:
    """Return the variables that the module found; none if it was not imported."""
    path = Path("seen.json")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


@pytest.mark.parametrize("is_named", [False, True])
async def test_the_module_of_a_worker_reads_the_account_of_the_profile(own: Path, *, is_named: bool) -> None:
    """A profile that is named comes before the environment; the default one comes after it."""
    write_module()
    name = "acme" if is_named else "default"
    written(own, 'environment = "sandbox"', *key_files(own), 'database = "postgresql://acme@db/app"', name=name)
    (own / "facturaonline.toml").chmod(0o600)
    options = ("--profile", name) if is_named else ()
    env = {"XDG_CONFIG_HOME": str(own.parent), "FACTURAONLINE_DATABASE_URL": "postgresql://other@db/app"}
    ran = await run(*options, "worker", "batch:worker", env=env)

    database = "postgresql://acme@db/app" if is_named else "postgresql://other@db/app"
    assert seen() == {"BASE_URL": SANDBOX, "API_KEY": KEY, "SECRET_KEY": KEY, "DATABASE_URL": database}
    assert (ran.code, KEY in ran.err) == (2, False)


async def test_a_worker_without_a_profile_gets_the_environment_unchanged(own: Path) -> None:
    write_module()
    await run("worker", "batch:worker", env={"XDG_CONFIG_HOME": str(own.parent), "FACTURAONLINE_API_KEY": KEY})

    assert seen() == {"BASE_URL": "", "API_KEY": KEY, "SECRET_KEY": "", "DATABASE_URL": ""}


async def test_a_worker_imports_nothing_if_a_profile_has_a_fault(own: Path) -> None:
    write_module()
    refused = [
        await run("--profile", "acme", "worker", "batch:worker", env={"XDG_CONFIG_HOME": str(own.parent)}),
    ]
    written(Path(), f'base_url = "{FOREIGN}"')
    refused.append(await run("worker", "batch:worker", env={"XDG_CONFIG_HOME": str(own.parent)}))

    assert [(ran.code, len(ran.err.splitlines())) for ran in refused] == [(2, 1)] * 2
    assert seen() == {}
