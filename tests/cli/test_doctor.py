"""``facturaonline doctor``: what it finds well, and which remedy it names for what is not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from facturaonline_async._cli import doctor_checks
from facturaonline_async._messages.english.doctor import TEXTS
from facturaonline_async.testing import Emulator, Fault
from tests.cli.test_app import COMMAND, Ran, environment, interrupted, run, started
from tests.raw import Exchange, http, raw_server

pytestmark = pytest.mark.slow

NAMES = [
    *("versions", "api", "keys", "proxy", "dns", "connection", "tls", "answer", "clock", "database", "account"),
    "lists",
]
PASSWORD = "proxy-password-1"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


def states(ran: Ran) -> dict[str, list[str]]:
    """Return the names of the checks in each state."""
    found: dict[str, list[str]] = {}
    for check in ran.json["checks"]:
        found.setdefault(check["state"], []).append(check["name"])
    assert ran.json["is_well"] is ("failed" not in found)
    assert ran.code == (0 if ran.json["is_well"] else 1)
    return found


def check(ran: Ran, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [each for each in ran.json["checks"] if each["name"] == name]
    assert len(found) == 1
    return found[0]


async def examine(base_url: str, *arguments: object, env: dict[str, str] | None = None) -> Ran:
    keys = {"FACTURAONLINE_API_KEY": "a", "FACTURAONLINE_SECRET_KEY": "b", "FACTURAONLINE_BASE_URL": base_url}
    return await run("doctor", "--json", *arguments, env=keys | (env or {}))


# ── Well ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_all_is_well_with_an_emulator(emulator: Emulator) -> None:
    emulator.add_serie("607a062eae2bb", letra="F", tipo_documento="factura")
    ran = await run("doctor", emulator=emulator)
    lines = ran.out.splitlines()

    assert (ran.code, ran.err, len(lines)) == (0, "", len(NAMES))
    assert {line.split()[0] for line in lines} == {"ok"}
    assert "the keys are those of EMU200101PP5 EMPRESA PRINCIPAL DEL EMULADOR in LOCAL" in ran.out
    assert "1 empresa, and 1 serie of the company of the keys" in ran.out


async def test_it_only_reads(emulator: Emulator) -> None:
    await run("doctor", emulator=emulator)

    assert [(each.method, each.endpoint) for each in emulator.requests] == [
        ("HEAD", ""),
        ("GET", "empresas.current"),
        ("GET", "empresas.list"),
        ("GET", "series.list"),
    ]


async def test_the_request_of_the_connection_carries_no_keys() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.write(http(b"", headers=b"Connection: close\r\n"))
        exchange.writer.close()

    async with raw_server(answer) as server:
        await examine(server.base_url)

    assert (server.requests[0].split(b" ")[0], b"Key" in server.requests[0]) == (b"HEAD", False)


async def test_json_has_every_check_with_its_facts(emulator: Emulator) -> None:
    ran = await run("doctor", "--json", emulator=emulator)

    assert states(ran) == {"ok": NAMES}
    assert check(ran, "account")["facts"]["rfc"] == "EMU200101PP5"
    assert check(ran, "api")["facts"] == {"base_url": emulator.base_url, "environment": "local"}
    assert check(ran, "lists") == {
        "name": "lists",
        "state": "ok",
        "code": "doctor.lists",
        "text": "1 empresa, and 0 series of the company of the keys",
        "remedy": None,
        "facts": {"empresas": 1, "series": 0},
    }


@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_line_fits_into_40_columns(language: str) -> None:
    env = {"COLUMNS": "40", "FACTURAONLINE_LANG": language, "FACTURAONLINE_BASE_URL": "http://127.0.0.1:9/api"}
    ran = await run("doctor", env=env)

    assert (ran.code, max(map(len, ran.out.splitlines())) <= 40) == (1, True)
    assert ("no se revisó" in ran.out, "not checked" in ran.out) == (language == "es", language == "en")


# ── The environment ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_empty_environment_fails_twice_and_says_what_to_set() -> None:
    ran = await run("doctor", "--json")

    assert states(ran)["failed"] == ["api", "keys"]
    assert "https://sandbox.facturaonline.com.mx/api" in check(ran, "api")["remedy"]
    assert check(ran, "keys")["text"] == "FACTURAONLINE_API_KEY is not set"


@pytest.mark.parametrize("url", ["http://sandbox.facturaonline.com.mx/api", "ftp://x", "https://user@x/api"])
async def test_a_wrong_address_is_refused_before_anything_is_sent(url: str) -> None:
    ran = await examine(url)

    assert states(ran)["failed"] == ["api"]
    assert check(ran, "dns")["text"] == "not checked, because this failed: API"


async def test_a_key_with_a_line_break_is_named_and_not_shown(emulator: Emulator) -> None:
    ran = await run("doctor", "--json", emulator=emulator, env={"FACTURAONLINE_SECRET_KEY": "abcdefgh\nijkl"})

    assert states(ran) == {"ok": NAMES[:2] + NAMES[3:-2], "failed": ["keys"], "skipped": ["account", "lists"]}
    assert ("FACTURAONLINE_SECRET_KEY has" in ran.out, "abcdefgh" in ran.out) == (True, False)


async def test_proxies_of_the_environment_are_named_without_their_addresses(emulator: Emulator) -> None:
    env = {
        "HTTPS_PROXY": f"http://user:{PASSWORD}@proxy.example:3128",
        "no_proxy": "internal.example",
        "http_proxy": "",
    }
    well = await run("doctor", "--json", emulator=emulator, env=env)
    away = await examine("http://127.0.0.1:9/api", env=env)

    assert check(well, "proxy")["facts"] == {"variables": ["HTTPS_PROXY", "no_proxy"]}
    assert "HTTPS_PROXY, no_proxy" in check(away, "connection")["remedy"]
    assert [word for word in (PASSWORD, "proxy.example", "internal") if word in well.out + away.out] == []


# ── The connection ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_host_is_one_failure() -> None:
    ran = await examine("https://nothing.invalid/api")

    assert states(ran) == {
        "ok": ["versions", "api", "keys", "proxy", "database"],
        "failed": ["dns"],
        "skipped": ["connection", "tls", "answer", "clock", "account", "lists"],
    }
    assert check(ran, "api")["facts"]["environment"] == "unknown"


async def test_a_closed_port_is_one_failure_and_is_not_repeated() -> None:
    ran = await examine("http://127.0.0.1:9/api")

    assert states(ran)["failed"] == ["connection"]
    assert ran.out.count("Connection refused") == 1
    assert check(ran, "lists")["text"] == "not checked, because this failed: connection"


async def test_a_server_that_speaks_something_else_is_found() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    async with raw_server(answer) as server:
        ran = await examine(server.base_url)

    assert (states(ran)["failed"], check(ran, "answer")["code"]) == (["answer"], "doctor.not_http")


async def test_a_silent_server_ends_the_check_after_its_time() -> None:
    silence = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await silence.wait()

    async with raw_server(answer) as server:
        ran = await examine(server.base_url, "--timeout", 3)

    assert (states(ran)["failed"], check(ran, "answer")["text"]) == (["answer"], "no answer in 3 s")


async def test_ctrl_c_ends_a_check_at_once() -> None:
    asked: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def answer(exchange: Exchange) -> None:
        asked.set_result(None)
        await asyncio.Event().wait()

    async with raw_server(answer) as server, Emulator() as emulator:
        options = ("--base-url", server.base_url, "--timeout", 600)
        ran = await interrupted("doctor", *options, when=asked, emulator=emulator)

    assert (ran.code, ran.err) == (130, "Interrupted.\n")


async def test_ctrl_c_does_not_wait_for_a_name_server() -> None:
    """A look-up cannot be cancelled, so its thread must not keep the command."""
    slow = "import socket, time; socket.getaddrinfo = lambda *_, **__: (print('asked', flush=True), time.sleep(3600))"
    env = environment() | {"FACTURAONLINE_BASE_URL": "https://slow.example/api"}
    async with started("doctor", "--timeout", 600, env=env, first=slow) as process:
        assert process.stdout is not None
        while b"asked" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()

    assert (process.returncode, err.decode()) == (130, "Interrupted.\n")


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def over_tls(authority: trustme.CA, host: str, **more: Any) -> AsyncIterator[Emulator]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host, **more).configure_cert(context)
    async with Emulator(ssl_context=context) as emulator:
        yield emulator


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, dict[str, str]]:
    """Return a certificate authority, and the environment of a machine that trusts it."""
    authority, path = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return authority, {"SSL_CERT_FILE": str(path)}


async def test_tls_is_well_with_an_authority_that_the_environment_names(
    authority: tuple[trustme.CA, dict[str, str]],
) -> None:
    async with over_tls(authority[0], "127.0.0.1") as emulator:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "doctor", "--json", env=environment(emulator) | authority[1], stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    checks = {each["name"]: each for each in json.loads(out)["checks"]}

    assert [name for name, each in checks.items() if each["state"] != "ok"] == []
    assert checks["tls"]["facts"]["version"].startswith("TLSv1.")
    assert "trustme" in checks["tls"]["facts"]["issuer"]
    assert datetime.fromisoformat(checks["tls"]["facts"]["valid_until"]) > datetime.now(UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("host", "is_trusted", "days", "code"),
    [
        ("127.0.0.1", False, None, "doctor.certificate_chain"),
        ("127.0.0.2", True, None, "doctor.certificate_host"),
        ("127.0.0.1", True, (-9, -2), "doctor.certificate_dates"),
        ("127.0.0.1", True, (2, 9), "doctor.certificate_dates"),
    ],
)
async def test_the_remedy_of_a_refused_certificate_fits_its_fault(
    authority: tuple[trustme.CA, dict[str, str]],
    host: str,
    days: tuple[int, int] | None,
    code: str,
    *,
    is_trusted: bool,
) -> None:
    now = datetime.now(UTC)
    first, last = (now + timedelta(days=day) for day in days or (-1, 30))
    async with over_tls(authority[0], host, not_before=first, not_after=last) as emulator:
        ran = await run("doctor", "--json", emulator=emulator, env=authority[1] if is_trusted else {})
        requests = emulator.requests
    assert states(ran)["failed"] == ["tls"]
    assert check(ran, "tls")["remedy"] == TEXTS[code]
    assert requests == ()


async def test_a_port_without_tls_is_found(emulator: Emulator) -> None:
    ran = await examine(emulator.base_url.replace("http:", "https:"))

    assert (states(ran)["failed"], check(ran, "tls")["code"]) == (["tls"], "doctor.tls_failed")


# ── The clock ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offset", "code", "state"),
    [
        (0, "doctor.clock", "ok"),
        (-30, "doctor.clock", "ok"),
        (3600, "doctor.clock_behind", "failed"),
        (-3600, "doctor.clock_ahead", "failed"),
        (None, "doctor.no_date", "ok"),
    ],
)
async def test_the_clock_is_compared_with_the_servers_date(offset: int | None, code: str, state: str) -> None:
    async def answer(exchange: Exchange) -> None:
        date = b""
        if offset is not None:
            date = f"Date: {format_datetime(datetime.now(UTC) + timedelta(seconds=offset), usegmt=True)}\r\n".encode()
        await exchange.write(http(b"", headers=date))

    async with raw_server(answer) as server:
        ran = await examine(server.base_url)
    found = check(ran, "clock")

    assert (found["code"], found["state"]) == (code, state)
    if state == "failed":
        assert abs(abs(found["facts"]["seconds"]) - 3600) < doctor_checks._CLOCK_SECONDS
        assert "NTP" in found["remedy"]


# ── The account ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_unknown_keys_are_one_failure_and_are_not_shown(emulator: Emulator) -> None:
    emulator.add_empresa(rfc="EKU9003173C9")
    secret = emulator.credentials.secret_key.reveal()
    wrong = f"{secret[:-6]}AAAAA="
    ran = await run("doctor", "--json", emulator=emulator, env={"FACTURAONLINE_SECRET_KEY": wrong})

    assert states(ran) == {"ok": NAMES[:-2], "failed": ["account"], "skipped": ["lists"]}
    assert "FACTURAONLINE_SECRET_KEY" in check(ran, "account")["remedy"]
    assert secret[:20] not in ran.out


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (
            Fault.status(200, body={"status": "error", "message": "necesitas adquirir un plan Empresa"}),
            "ask_for_access",
        ),
        (Fault.status(404), "check_address"),
        (Fault.status(500), "try_again"),
        (Fault.garbage(), "try_again"),
    ],
)
async def test_the_remedy_of_a_refused_read_fits_its_fault(emulator: Emulator, fault: Fault, code: str) -> None:
    emulator.inject(fault, endpoint="empresas.current")
    ran = await run("doctor", "--json", emulator=emulator)
    url = "https://sandbox.facturaonline.com.mx/api"

    assert states(ran)["failed"] == ["account"]
    assert check(ran, "account")["remedy"] == TEXTS[f"doctor.{code}"].format(url=url)
    assert emulator.count("empresas.current") == 1


async def test_a_list_that_fails_is_a_check_of_its_own(emulator: Emulator) -> None:
    emulator.inject(Fault.status(500), endpoint="series.list")
    ran = await run("doctor", "--json", emulator=emulator)

    assert (states(ran)["failed"], check(ran, "account")["state"]) == (["lists"], "ok")


# ── The database ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_database_that_is_away_fails_alone_and_its_password_is_not_shown(emulator: Emulator) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    url = f"postgresql://user:{PASSWORD}@127.0.0.1:9/database"
    ran = await run("doctor", "--json", emulator=emulator, env={"FACTURAONLINE_DATABASE_URL": url})

    assert states(ran)["failed"] == ["database"]
    assert "facturaonline postgres status" in check(ran, "database")["remedy"]
    assert PASSWORD not in ran.out + ran.err
