"""Real and made-up certificates for the tests of the check."""

from __future__ import annotations

import functools
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from facturaonline_async.sello import Sello, _der as read
from facturaonline_async.testing import _der as der, make_sello

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RFC = "EKU9003173C9"
SAT = Path(os.environ.get("SAT_TEST_CERTS", "/nowhere"))

needs_sat = pytest.mark.skipif(not SAT.is_dir(), reason="SAT_TEST_CERTS names no folder of the SAT's test certificates")


def manifest(part: str) -> list[dict[str, Any]]:
    if not SAT.is_dir():
        return []
    entries: list[dict[str, Any]] = json.loads((SAT / "MANIFEST.json").read_text(encoding="utf-8"))[part]
    return entries


def sat(cer: str, key: str, password: str = "12345678a") -> Sello:
    return Sello((SAT / cer).read_bytes(), (SAT / key).read_bytes(), password)


@functools.cache
def private_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    del number  # names one of several
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def made(rfc: str = RFC, **how: Any) -> Sello:
    given: dict[str, Any] = {"now": NOW, "private_key": private_key()}
    return make_sello(rfc, **(given | how))


def attributes(cer: bytes, name: Literal["issuer", "subject"]) -> list[tuple[str, bytes]]:
    """Return each attribute of a name in its order: dotted identifier, and DER of its value."""
    body = next(iter(read.first_element(cer)))
    element = list(body)[3 if name == "issuer" else 5]
    pairs = [list(pair) for relative in element for pair in relative]
    return [(read.dotted_oid(identifier), whole(value)) for identifier, value in pairs]


def with_attributes(cer: bytes, name: Literal["issuer", "subject"], attributes: list[tuple[str, bytes]]) -> bytes:
    """Return the certificate with other attributes; its signature stays as it was."""
    body, algorithm, signature = read.first_element(cer)
    parts = list(map(whole, body))
    parts[3 if name == "issuer" else 5] = der.sequence(
        *(der.set_of(der.sequence(der.oid(identifier), value)) for identifier, value in attributes)
    )
    return der.sequence(der.sequence(*parts), whole(algorithm), whole(signature))


def whole(element: read.Element) -> bytes:
    """Return an element with its tag and length."""
    return der.string(element.tag, element.content)
