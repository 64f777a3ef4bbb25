"""No warning of `cryptography` reaches stderr, or changes a finding where warnings are errors."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from facturaonline_async.sello import (
    Sello,
    _cryptography_guards as cryptography_guards,
    _der as read,
    _private_key as private_key,
    check,
)
from facturaonline_async.testing import _der as der
from tests.sello.certificates import NOW, made, manifest, needs_sat, sat, whole
from tests.sello.keys import encrypted
from tests.sello.test_check import FOUND

FFDH = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D"
    "670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
    "3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)


def diffie_hellman() -> bytes:
    """Return a key whose loading warns that its kind is going to be removed."""
    algorithm = der.sequence(der.oid("1.2.840.113549.1.3.1"), der.sequence(der.integer(FFDH), der.integer(2)))
    return der.sequence(der.integer(0), algorithm, der.octets(der.integer(12345)))


def plain(key: dsa.DSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def with_number(number: bytes) -> bytes:
    """Return a certificate with another serial number, such as one below zero, of which `cryptography` warns."""
    body, algorithm, signature = read.first_element(made().cer)
    parts = list(map(whole, body))
    parts[1] = der.string(0x02, number)
    return der.sequence(der.sequence(*parts), whole(algorithm), whole(signature))


def strange() -> list[Sello]:
    keys = [
        diffie_hellman(),
        encrypted(diffie_hellman()),
        encrypted(plain(dsa.generate_private_key(1024))),  # noqa: S505  # it is there to be refused
        encrypted(plain(ec.generate_private_key(ec.SECP256R1()))),
    ]
    return [evolve(made(), key=key) for key in keys] + [
        evolve(made(), cer=with_number(number)) for number in (b"\xff" * 20, b"\0")
    ]


def of_the_sat() -> list[Sello]:
    return [
        sat(each["cer"], each["key"], each.get("password", "12345678a"))
        for part in ("pairs", "negative_cases")
        for each in manifest(part)
    ]


SCRIPT = """
import base64, json, sys
from datetime import datetime
from facturaonline_async.sello import Sello, check
now = datetime.fromisoformat(sys.argv[1])
for line in sys.stdin:
    cer, key, password = (base64.b64decode(part).decode("latin-1") for part in json.loads(line))
    sello = Sello(cer.encode("latin-1"), key.encode("latin-1"), password)
    print(json.dumps([finding.code for finding in check(sello, now=now).findings]))
"""


@needs_sat
@pytest.mark.parametrize("warning", ["error", "always"])
def test_no_warning_is_shown_or_changes_the_findings(warning: str) -> None:
    """All certificates of the SAT, their negative cases and all unusual files are checked."""
    sellos = of_the_sat() + strange() + [case() for case, *_ in FOUND.values()]
    sellos = [each for each in sellos if each.password.reveal().isascii()]
    assert len(sellos) > 60
    lines = [
        json.dumps([base64.b64encode(part).decode() for part in (each.cer, each.key, each.password.reveal().encode())])
        for each in sellos
    ]
    ran = subprocess.run(
        [sys.executable, "-W", warning, "-c", SCRIPT, NOW.isoformat()],
        input="\n".join(lines), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(map(json.loads, ran.stdout.splitlines())) == [
        [finding.code for finding in check(each, now=NOW).findings] for each in sellos
    ]


def test_a_warning_while_a_key_is_loaded_is_no_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here. Which keys are warned of depends on the version of `cryptography`."""

    def load(*arguments: Any, **how: Any) -> Any:
        warnings.warn("this kind of key is going to be removed", UserWarning, stacklevel=1)
        return load_der_private_key(*arguments, **how)

    monkeypatch.setattr(private_key, "load_der_private_key", load)
    assert check(made(), now=NOW).findings == ()
    codes = [finding.code for finding in check(evolve(made(), key=encrypted(diffie_hellman())), now=NOW).findings]
    assert codes == ["unsupported_key"]


def test_checks_in_several_threads_leave_the_filters_of_warnings_as_they_were() -> None:
    """Two that overlapped would restore them in the wrong order."""
    before = list(warnings.filters)
    entered, leaving = threading.Event(), threading.Event()

    def check_in_another_thread() -> None:
        with cryptography_guards.suppress_warnings():
            entered.set()
            leaving.wait()

    thread = threading.Thread(target=check_in_another_thread)
    with cryptography_guards.suppress_warnings():
        thread.start()
        entered.wait(0.2)  # in vain, if it waits as it has to
    leaving.set()
    thread.join()
    assert warnings.filters == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_amid_a_check_can_check() -> None:
    with cryptography_guards.suppress_warnings():
        child = os.fork()
        if child == 0:  # pragma: no cover  # another process
            signal.alarm(600)  # ends it, should it wait for ever
            os._exit(len(check(made(), now=NOW).findings))
    assert os.waitpid(child, 0)[1] == 0
