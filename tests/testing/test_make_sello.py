"""make_sello has the form of the SAT's test files, equal in all bytes but the holder's."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello import Sello
from facturaonline_async.testing import _sellos as sellos, make_sello

X500_UNIQUE_IDENTIFIER = x509.ObjectIdentifier("2.5.4.45")
SERIAL_NUMBER = x509.ObjectIdentifier("2.5.4.5")


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(sello: Sello) -> x509.Certificate:
    return x509.load_der_x509_certificate(sello.cer)


def value(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    (attribute,) = name.get_attributes_for_oid(oid)
    return str(attribute.value)


def tree(der: bytes) -> list[object]:
    """Return the elements of DER as nested lists of tags, and object identifiers with their bytes."""
    found: list[object] = []
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        content, at = der[at : at + length], at + length
        if tag & 0x20:
            found.append((tag, tree(content)))
        else:
            found.append((tag, content) if tag in {0x06, 0x01, 0x05} else tag)
    return found


def test_the_key_opens_with_the_password_and_fits_the_certificate() -> None:
    sello = make_sello("EKU9003173C9", password="ñandú")
    key = load_der_private_key(bytes(sello.key), "ñandú".encode())

    assert isinstance(key, rsa.RSAPrivateKey)
    assert 2048 == key.key_size
    public = [
        holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for holder in (key, certificate(sello))
    ]
    assert public[0] == public[1]
    with pytest.raises(ValueError, match=r"[Pp]assword|parse|deserialize"):
        load_der_private_key(bytes(sello.key), b"another")


def test_the_default_password_is_that_of_the_sats_test_files(private_key: rsa.RSAPrivateKey) -> None:
    assert "12345678a" == make_sello("EKU9003173C9", private_key=private_key).password.reveal()


def test_a_companys_certificate_names_its_representative(private_key: rsa.RSAPrivateKey) -> None:
    subject = certificate(make_sello("EKU9003173C9", razon_social="ESCUELA", private_key=private_key)).subject

    assert "EKU9003173C9 / VADA800927DJ3" == value(subject, X500_UNIQUE_IDENTIFIER)
    assert " / VADA800927HSRSRL05" == value(subject, SERIAL_NUMBER)
    assert "ESCUELA" == value(subject, x509.NameOID.COMMON_NAME)
    assert "ESCUELA" == value(subject, x509.ObjectIdentifier("2.5.4.41"))
    assert "ESCUELA" == value(subject, x509.NameOID.ORGANIZATION_NAME)


def test_a_persons_certificate_names_the_person_alone(private_key: rsa.RSAPrivateKey) -> None:
    subject = certificate(make_sello("CACX7605101P8", private_key=private_key)).subject

    assert "CACX7605101P8" == value(subject, X500_UNIQUE_IDENTIFIER)
    assert 18 == len(value(subject, SERIAL_NUMBER))
    assert value(subject, SERIAL_NUMBER).startswith("CACX760510")
    assert "EMPRESA CACX7605101P8" == value(subject, x509.NameOID.COMMON_NAME)


@pytest.mark.parametrize("rfc", ["Ñ&U900317AB1", "ÑUÑ&760510AB1"])
def test_enes_and_ampersands_are_written_as_the_sat_does(rfc: str, private_key: rsa.RSAPrivateKey) -> None:
    """T61String in Latin-1, of which `cryptography` cannot read the Ñ."""
    cer = make_sello(rfc, razon_social="PEÑA & HIJOS", private_key=private_key).cer

    assert b"\x14\x0cPE\xd1A & HIJOS" in cer
    assert rfc.encode("latin-1") in cer
    certificate(make_sello(rfc, private_key=private_key))


def test_names_in_other_alphabets_are_encoded_as_utf_8(private_key: rsa.RSAPrivateKey) -> None:
    name = "ŁÓDŹ"
    subject = certificate(make_sello("EKU9003173C9", razon_social=name, private_key=private_key)).subject

    assert name == value(subject, x509.NameOID.COMMON_NAME)


def test_the_number_of_a_certificate_is_its_serial_number_in_ascii(private_key: rsa.RSAPrivateKey) -> None:
    cer = certificate(make_sello("EKU9003173C9", number="30001000000500003416", private_key=private_key))

    assert b"30001000000500003416" == cer.serial_number.to_bytes(20, "big")


def test_each_call_gives_another_certificate_number(private_key: rsa.RSAPrivateKey) -> None:
    numbers = {
        certificate(make_sello("EKU9003173C9", private_key=private_key)).serial_number.to_bytes(20, "big")
        for _ in range(100)
    }

    assert 100 == len(numbers)
    assert all(number.isdigit() for number in numbers)


@pytest.mark.parametrize(
    ("now", "years", "begin", "end"),
    [
        ("2026-02-03T04:05:06+00:00", 4, "2026-02-03T03:05:06+00:00", "2030-02-03T03:05:06+00:00"),
        ("2026-02-02T22:05:06-06:00", 1, "2026-02-03T03:05:06+00:00", "2027-02-03T03:05:06+00:00"),
        ("2024-02-29T12:00:00+00:00", 1, "2024-02-29T11:00:00+00:00", "2025-02-28T11:00:00+00:00"),
        ("2048-02-03T04:05:06+00:00", 4, "2048-02-03T03:05:06+00:00", "2052-02-03T03:05:06+00:00"),
    ],
)
def test_validity_begins_an_hour_before_now(
    now: str, years: int, begin: str, end: str, private_key: rsa.RSAPrivateKey
) -> None:
    moment = dt.datetime.fromisoformat(now)
    cer = certificate(make_sello("EKU9003173C9", now=moment, years=years, private_key=private_key))

    assert (begin, end) == (cer.not_valid_before_utc.isoformat(), cer.not_valid_after_utc.isoformat())


def test_by_default_a_certificate_is_valid_now(private_key: rsa.RSAPrivateKey) -> None:
    cer = certificate(make_sello("EKU9003173C9", private_key=private_key))

    assert cer.not_valid_before_utc < dt.datetime.now(dt.UTC) < cer.not_valid_after_utc


def test_csd_and_fiel_differ_in_ou_and_key_usage(private_key: rsa.RSAPrivateKey) -> None:
    csd = certificate(make_sello("EKU9003173C9", private_key=private_key))
    fiel = certificate(make_sello("EKU9003173C9", kind="fiel", private_key=private_key))
    usages = [cer.extensions.get_extension_for_class(x509.KeyUsage).value for cer in (csd, fiel)]

    assert [1, 0] == [
        len(cer.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)) for cer in (csd, fiel)
    ]
    assert [(True, True, False, False), (True, True, True, True)] == [
        (usage.digital_signature, usage.content_commitment, usage.data_encipherment, usage.key_agreement)
        for usage in usages
    ]


def test_one_authority_signs_all_certificates(private_key: rsa.RSAPrivateKey) -> None:
    first = certificate(make_sello("EKU9003173C9", private_key=private_key))
    second = certificate(make_sello("CACX7605101P8", kind="fiel", private_key=private_key))

    assert first.issuer == second.issuer != first.subject
    assert "AC UAT" == value(first.issuer, x509.NameOID.COMMON_NAME)
    assert "SERVICIO DE ADMINISTRACION TRIBUTARIA" == value(first.issuer, x509.NameOID.ORGANIZATION_NAME)
    for cer in (first, second):
        arguments = (cer.signature, cer.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256())
        sellos._authority_key().public_key().verify(*arguments)
        with pytest.raises(InvalidSignature):
            private_key.public_key().verify(*arguments)


def test_a_certificate_of_the_ac6_has_the_invalid_encoding_of_the_real_one(private_key: rsa.RSAPrivateKey) -> None:
    """UTF-8 that was encoded twice, and a PrintableString of UTF-8."""
    cer = make_sello("EKU9003173C9", issuer="ac6", private_key=private_key).cer
    double = "Administración".encode().decode("latin-1").encode()
    single = "responsable: Administración Central de Servicios Tributarios al Contribuyente".encode()

    assert 2 == cer.count(double)
    assert bytes((0x13, len(single))) + single in cer
    assert b"\x02\x14000010000006" in cer


def test_the_repr_masks_key_and_password(private_key: rsa.RSAPrivateKey) -> None:
    assert "12345678a" not in repr(make_sello("EKU9003173C9", private_key=private_key))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"rfc": ""}, "rfc"),
        ({"kind": "CSD"}, "kind"),
        ({"now": dt.datetime(2026, 1, 1)}, "now"),  # noqa: DTZ001  # a naive one is the point
        ({"years": 0}, "years"),
        ({"number": "123"}, "number"),
        ({"number": "٣" * 20}, "number"),
        ({"issuer": "ac5"}, "issuer"),
    ],
)
def test_invalid_arguments_are_refused(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make_sello(**{"rfc": "EKU9003173C9", **arguments})  # type: ignore[arg-type]

    assert field == caught.value.field


def test_a_given_private_key_is_used(private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """To make one takes a hundred times as long as all the rest."""
    made: list[object] = []
    monkeypatch.setattr(rsa, "generate_private_key", lambda **how: made.append(how))
    make_sello("EKU9003173C9", private_key=private_key)

    assert [] == made


REAL = os.environ.get("SAT_TEST_CERTS")


@pytest.mark.skipif(REAL is None, reason="SAT_TEST_CERTS names no folder with the SAT's test files")
@pytest.mark.parametrize(
    ("file", "rfc", "kind", "name"),
    [
        ("csd-EKU9003173C9-2023", "EKU9003173C9", "csd", "ESCUELA KEMPER URGATE SA DE CV"),
        ("csd-CACX7605101P8-2023-suc1", "CACX7605101P8", "csd", "XOCHILT CASAS CHAVEZ"),
        ("fiel-EKU9003173C9-2023", "EKU9003173C9", "fiel", "ESCUELA KEMPER URGATE SA DE CV"),
        ("fiel-XIQB891116QE4-2019", "XIQB891116QE4", "fiel", "BERENICE XIMO QUEZADA"),
    ],
)
class TestAgainstTheRealFiles:
    def test_a_made_certificate_has_the_asn1_structure_of_a_real_one(
        self, file: str, rfc: str, kind: str, name: str, private_key: rsa.RSAPrivateKey
    ) -> None:
        """Every tag, every object identifier and every boolean: what differs is the holder, the times, the key."""
        real = (Path(str(REAL)) / f"{file}.cer").read_bytes()
        made = make_sello(rfc, razon_social=name, kind=kind, private_key=private_key).cer  # type: ignore[arg-type]

        assert tree(real) == tree(made)

    def test_the_extensions_of_a_made_certificate_equal_those_of_a_real_one(
        self, file: str, rfc: str, kind: str, name: str, private_key: rsa.RSAPrivateKey
    ) -> None:
        real = x509.load_der_x509_certificate((Path(str(REAL)) / f"{file}.cer").read_bytes())
        made = certificate(make_sello(rfc, razon_social=name, kind=kind, private_key=private_key))  # type: ignore[arg-type]

        for cer in (real, made):
            assert cer.signature_hash_algorithm is not None
        assert [
            (extension.oid, extension.critical, extension.value.public_bytes()) for extension in real.extensions
        ] == [(extension.oid, extension.critical, extension.value.public_bytes()) for extension in made.extensions]
        assert value(real.subject, X500_UNIQUE_IDENTIFIER) == value(made.subject, X500_UNIQUE_IDENTIFIER)
        assert [attribute.oid for attribute in real.issuer] == [attribute.oid for attribute in made.issuer]

    def test_a_made_key_is_encrypted_like_a_real_one(
        self, file: str, rfc: str, kind: str, name: str, private_key: rsa.RSAPrivateKey
    ) -> None:
        """All of the algorithm, but for its salt and its vector."""
        real = (Path(str(REAL)) / f"{file}.key").read_bytes()
        made = bytes(make_sello(rfc, razon_social=name, kind=kind, private_key=private_key).key)  # type: ignore[arg-type]

        assert tree(real) == tree(made)
        assert [real[4:36], real[44:62]] == [made[4:36], made[44:62]]
