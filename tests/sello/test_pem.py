"""Of several PEM blocks the wanted one is taken; one file may serve for certificate and key."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime
from functools import cache

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from facturaonline_async.sello import Sello, _private_key as private_keys, check
from facturaonline_async.testing import _der as der
from tests.sello.certificates import NOW, RFC, made, private_key, with_attributes


def pem(label: str, content: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(content).decode()}-----END {label}-----\n".encode()


@cache
def authority(*, is_stated: bool = True) -> bytes:
    """Return an authority's certificate: stated in its constraints, or issued to itself."""
    key = private_key(number=9)
    builder = x509.CertificateBuilder(serial_number=1, public_key=key.public_key())
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("AC UAT", "RAIZ")]
    builder = builder.subject_name(names[0]).issuer_name(names[is_stated])
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
    if is_stated:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


GOOD = made()
OTHER = made("XIQB891116QE4", private_key=private_key(number=1))
BLOCKS = {
    "certificate": pem("CERTIFICATE", GOOD.cer),
    "key": pem("ENCRYPTED PRIVATE KEY", GOOD.key),
    "public key": pem("PUBLIC KEY", public(private_key())),
    "PKCS#1 public key": pem(
        "RSA PUBLIC KEY", private_key().public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    ),
    "authority": pem("CERTIFICATE", authority()),
    "authority of itself": pem("CERTIFICATE", authority(is_stated=False)),
    "another holder": pem("CERTIFICATE", OTHER.cer),
    "parameters": pem("EC PARAMETERS", der.oid("1.2.840.10045.3.1.7")),
    "attributes": b"Bag Attributes\n    friendlyName: x\nsubject=CN = x\n",
    "garbage": b"-----BEGIN CERTIFICATE-----\n*** not base64 ***\n-----END CERTIFICATE-----\n",
    "no end": pem("CERTIFICATE", authority())[:700],
    "plain key": pem(
        "PRIVATE KEY", private_key(number=1).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    ),
}


def file(*blocks: str) -> bytes:
    return b"".join(BLOCKS[block] for block in blocks)


@pytest.mark.parametrize(
    ("cer", "key"),
    [
        (file("public key", "certificate"), file("key")),
        (file("PKCS#1 public key", "certificate"), file("parameters", "key")),
        (file("attributes", "certificate", "public key"), file("attributes", "key")),
        (file("certificate", "authority"), file("key")),
        (file("authority", "certificate"), file("key")),
        (file("authority", "authority of itself", "certificate"), file("key")),
        (file("authority of itself", "certificate", "authority"), file("key")),
        (file("garbage", "certificate"), file("garbage", "key")),
        (file("no end", "certificate"), file("no end", "key")),
        (file("certificate", "no end"), file("key", "no end")),
        (file("another holder", "certificate"), file("key")),
        (file("certificate", "another holder"), file("key")),
        (file("certificate"), file("plain key", "key")),
        *((both, both) for both in (file(*order) for order in itertools.permutations(["certificate", "key"]))),
        *(
            (both, both)
            for both in (file(*order) for order in itertools.permutations(["authority", "certificate", "key"]))
        ),
        (file("key", "certificate"), bytes(GOOD.key)),
        (GOOD.cer, file("certificate", "key")),
    ],
)
def test_the_wanted_blocks_are_found_and_to_der_returns_them(cer: bytes, key: bytes) -> None:
    sello = Sello(cer, key, GOOD.password)
    found = check(sello, rfc=RFC, now=NOW).findings
    assert {each.code for each in found} == {"not_der"}
    assert sello.to_der() == GOOD
    assert check(sello.to_der(), rfc=RFC, now=NOW).findings == ()


@pytest.mark.parametrize("blocks", [("certificate", "key"), ("authority", "key", "certificate")])
def test_pem_in_one_line_of_json_and_crlf_are_read_alike(blocks: tuple[str, ...]) -> None:
    for content in (file(*blocks).replace(b"\n", b"\\n"), file(*blocks).replace(b"\n", b"\r\n")):
        assert Sello(content, content, GOOD.password).to_der() == GOOD


def test_two_files_with_swapped_contents_are_swapped_back() -> None:
    sello = Sello(file("key"), file("authority", "certificate"), GOOD.password)
    assert [each.code for each in check(sello, rfc=RFC, now=NOW).findings] == ["swapped", "not_der", "not_der"]
    assert sello.to_der() == Sello(bytes(GOOD.key), GOOD.cer, GOOD.password)


@pytest.mark.parametrize(
    ("cer", "code", "seen"),
    [
        (file("public key"), "not_a_certificate", "The file is a public key."),
        (file("parameters", "key"), "not_a_certificate", "The file is an encrypted private key."),
        (file("garbage"), "not_a_certificate", "The file is some other text."),
    ],
)
def test_a_file_without_the_wanted_block_is_reported_by_its_content(cer: bytes, code: str, seen: str) -> None:
    found = check(Sello(cer, GOOD.key, GOOD.password), rfc=RFC, now=NOW).findings
    assert (code, seen) in [(each.code, each.seen) for each in found]


def test_certificates_of_several_holders_with_a_key_that_does_not_open_give_the_first() -> None:
    sello = Sello(file("another holder", "certificate"), GOOD.key, "otra")
    report = check(sello, now=NOW)
    assert report.certificado is not None
    assert report.certificado.rfc == "XIQB891116QE4"
    assert [each.code for each in report.findings] == ["not_der", "wrong_password"]


def test_a_ca_certificate_is_recognised_without_opening_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """CA certificates are recognised by their content: opening the key may take half a second."""
    monkeypatch.setattr(private_keys, "open_private_key", None)
    assert Sello(file("authority", "certificate"), file("key"), "otra").to_der() == evolve(GOOD, password="otra")


def test_a_single_self_issued_certificate_is_taken() -> None:
    """A single certificate is taken even if it looks like a CA's."""
    cer = with_attributes(GOOD.cer, "subject", [("2.5.4.3", der.utf8("x"))])
    cer = with_attributes(cer, "issuer", [("2.5.4.3", der.utf8("x"))])
    assert Sello(pem("CERTIFICATE", cer), GOOD.key, "x").to_der().cer == cer
