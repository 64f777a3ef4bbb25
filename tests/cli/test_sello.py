"""``facturaonline sello check`` on folders, names and passwords as people have them."""

from __future__ import annotations

import asyncio
import codecs
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from facturaonline_async import InvalidInputError, NuevaEmpresa
from facturaonline_async._cli import sello as command, sello_pairs
from facturaonline_async.config import Secret
from facturaonline_async.sat._findings import Finding
from facturaonline_async.sello import Sello
from facturaonline_async.testing import make_sello
from tests.cli.test_app import COMMAND, Ran, check, environment
from tests.sello.certificates import RFC, private_key

pytestmark = pytest.mark.slow


def good(number: int = 0, **how: Any) -> Sello:
    return make_sello(RFC, private_key=private_key(number=number), **how)


def put(folder: Path, name: str, sello: Sello, *, key: str | None = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.cer").write_bytes(sello.cer)
    (folder / (f"{name}.key" if key is None else key)).write_bytes(sello.key)


def codes(ran: Ran) -> dict[str, list[str]]:
    return {each["name"]: [finding["code"] for finding in each["findings"]] for each in ran.json}


# ── Folders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_with_another_file_name_is_matched_by_its_public_key(tmp_path: Path) -> None:
    """So the SAT names them; macOS leaves notes beside each file that it copies."""
    for number in range(3):
        put(tmp_path, f"0000100000050446502{number}", good(number), key=f"CSD_EKU9003173C9_{number}.key")
        (tmp_path / f"._0000100000050446502{number}.cer").write_bytes(b"\0\5\x16\7")
    ran = await check(tmp_path, "--json")
    assert (ran.code, codes(ran)) == (0, {f"0000100000050446502{number}.cer": [] for number in range(3)})


async def test_a_pair_that_no_password_opens_is_unpaired_with_the_reason(tmp_path: Path) -> None:
    for number in range(2):
        put(tmp_path, f"a{number}", good(number, password="otra"), key=f"b{number}.key")
    ran = await check(tmp_path, "--json")
    assert (ran.code, codes(ran)) == (1, {name: ["unpaired"] for name in ("a0.cer", "a1.cer", "b0.key", "b1.key")})
    shown = await check(tmp_path)
    assert shown.code == 1
    for part in (
        "no .key in its folder has",
        "Public keys were not compared",
        "Put a .cer and its .key into one folder",
    ):
        assert part in " ".join(shown.out.replace("│", " ").split())


async def test_file_names_that_differ_only_in_case_are_a_pair(tmp_path: Path) -> None:
    put(tmp_path, "CSD", good(0, password="otra"), key="csd.KEY")
    put(tmp_path, "Fiel", good(1, password="otra"), key="FIEL.key")
    put(tmp_path, "other", good(1))
    ran = await check(tmp_path, "--json")
    expected = {"CSD.cer": ["wrong_password"], "Fiel.cer": ["wrong_password"], "other.cer": []}
    assert (ran.code, codes(ran)) == (1, expected)


async def test_several_files_with_one_name_are_reported_as_ambiguous(tmp_path: Path) -> None:
    put(tmp_path, "a", good(0))
    (tmp_path / "a.CER").write_bytes(good(1).cer)
    put(tmp_path, "b", good(2))
    for copy in ("c", "d"):
        (tmp_path / f"{copy}.cer").write_bytes(good(3).cer)
    (tmp_path / "e.key").write_bytes(good(3).key)
    ran = await check(tmp_path, "--json")
    found = {name: ["ambiguous"] for name in ("a.CER", "a.cer", "a.key", "c.cer", "d.cer", "e.key")}
    assert (ran.code, codes(ran)) == (1, found | {"b.cer": []})
    assert "Several files have the same name: a.CER, a.cer, a.key." in ran.out
    assert "Several files have the same key: c.cer, d.cer, e.key." in ran.out


async def test_an_unreadable_file_does_not_stop_the_check_of_the_others(tmp_path: Path) -> None:
    put(tmp_path, "good", good())
    put(tmp_path, "empty", evolve(good(), cer=b""))
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "a.cer").symlink_to("/nowhere")
    (tmp_path / "alone" / "b.key").write_bytes(b"x" * (2**20 + 1))
    put(tmp_path, "wrong", good(password="otra"))
    ran = await check(tmp_path, "--json")
    assert (ran.code, codes(ran)) == (
        2,
        {
            "good.cer": [],
            "empty.cer": ["unreadable_file"],
            "alone/a.cer": ["unreadable_file"],
            "alone/b.key": ["unreadable_file"],
            "wrong.cer": ["wrong_password"],
        },
    )
    assert "it is empty" in ran.out
    assert (await check(tmp_path)).code == 2


def test_a_missing_folder_is_reported_as_unreadable(tmp_path: Path) -> None:
    ((name, finding),) = [(each.name, each.content) for each in sello_pairs.find_pairs(tmp_path / "gone", Secret("x"))]
    assert isinstance(finding, Finding)
    assert (name, finding.code, "No such file" in finding.seen) == (".", "unreadable_file", True)


class Row:
    number, rfc, series, existing = 7, RFC, (), None

    async def load(self) -> NuevaEmpresa:
        raise InvalidInputError("key: gone.key cannot be read.", field="key")


async def test_a_row_whose_files_are_gone_is_reported_once() -> None:
    pairs = [command._Pair("row 7", RFC, kind, Row()) for kind in ("csd", "fiel")]
    ((pair, report),) = await command._check(pairs, production=False, quiet=True)
    assert (pair.kind, [(each.code, each.field) for each in report.findings]) == ("csd", [("unreadable_file", "key")])


# ── Names and terminals ───────────────────────────────────────────────────────────────────────────────────────────────

STRANGE = os.fsdecode(b"\xff\xe9 \x1b[31m\n")


async def test_a_file_name_of_any_bytes_is_shown_without_control_characters(tmp_path: Path) -> None:
    put(tmp_path, STRANGE, good())
    (tmp_path / STRANGE).mkdir()
    (tmp_path / STRANGE / f"{STRANGE}.key").write_bytes(b"x")
    name = "\ufffd\ufffd \ufffd[31m "
    ran = await check(tmp_path, "--json")
    assert (ran.code, codes(ran)) == (1, {f"{name}.cer": [], f"{name}/{name}.key": ["unpaired"]})
    for arguments in ((tmp_path,), (tmp_path / f"{STRANGE}.cer", tmp_path / f"{STRANGE}.key")):
        shown = await check(*arguments)
        assert (shown.err.strip(), "\x1b" in shown.out) == ("", False)
    gone = await check(tmp_path / f"{STRANGE}.no", tmp_path / f"{STRANGE}.key")
    assert (gone.code, "\x1b" in gone.err, gone.err.count("\n")) == (2, False, 1)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
async def test_output_works_in_every_encoding_of_a_terminal(encoding: str, tmp_path: Path) -> None:
    put(tmp_path, "Ω漢", good(razon_social="ÑANDÚ Ω漢"))
    put(tmp_path, "b", good(password="otra"))
    env = {"FACTURAONLINE_SELLO_PASSWORD": "12345678a", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments in ((tmp_path,), (tmp_path, "--json"), (tmp_path / "Ω漢.cer", tmp_path / "Ω漢.key")):
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "sello", "check", *map(str, arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment() | env,
        )  # fmt: skip
        out, err = await process.communicate()
        assert (process.returncode, b"Traceback" in err) == (int(arguments[0] == tmp_path), False)
        text = out.decode(encoding)
        if "--json" in arguments:
            ran = Ran(0, text, "")
            assert {each["name"] for each in ran.json} == {"Ω漢.cer", "b.cer"}
            assert {each["certificado"]["nombre"] for each in ran.json} >= {"ÑANDÚ Ω漢"}


# ── Passwords ─────────────────────────────────────────────────────────────────────────────────────────────────────────

WORD = "contraseña"


@pytest.mark.parametrize(
    "given",
    [
        WORD.encode() + b"\n",
        WORD.encode() + b"\r\n",
        WORD.encode(),
        WORD.encode("cp1252") + b"\r\n",
        codecs.BOM_UTF8 + WORD.encode() + b"\r\n",
        f"{WORD}\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + f"{WORD}\r\n".encode("utf-16-be"),
    ],
)
async def test_a_password_on_standard_input_is_read_in_any_encoding(given: bytes, tmp_path: Path) -> None:
    put(tmp_path, "a", good(password=WORD))
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "sello", "check", str(tmp_path / "a.cer"), str(tmp_path / "a.key"), "--password-stdin",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    _, err = await process.communicate(given)
    assert (process.returncode, err) == (0, b"")


async def test_a_password_from_the_environment_in_another_encoding_is_reported(tmp_path: Path) -> None:
    put(tmp_path, "a", good(password=WORD))
    env = {"FACTURAONLINE_SELLO_PASSWORD": os.fsdecode(WORD.encode("cp1252"))}
    ran = await check(tmp_path / "a.cer", tmp_path / "a.key", env=env)
    assert (ran.code, "it was given in Windows-1252" in ran.out, "contrase" in ran.err) == (1, True, False)


AT_A_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a program in the background is started without it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "facturaonline_async", *sys.argv[1:]])
"""


def test_ctrl_c_at_the_password_prompt_has_exit_code_130(tmp_path: Path) -> None:
    put(tmp_path, "a", good())
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL, "sello", "check", str(tmp_path / "a.cer"), str(tmp_path / "a.key")],
        stdin=slave, stdout=slave, stderr=slave, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        seen = b""
        while b"privada" not in seen:
            seen += os.read(master, 1000)
        os.write(master, b"\x03")
        assert process.wait() == 130
    finally:
        process.kill()
        process.wait()
        os.close(master)
