"""A certificate's names are read with any string type and any bytes."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Literal

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, strategies as st

from facturaonline_async._text import repair_mojibake
from facturaonline_async.sello import Certificado, Sello, check
from facturaonline_async.sello._certificate import PublicNumbers, read_certificate
from facturaonline_async.testing import _der as der
from tests.effort import examples
from tests.sello.certificates import NOW, RFC, attributes, made, manifest, needs_sat, sat, with_attributes

ORGANIZATION, OU, RFC_ATTRIBUTE = "2.5.4.10", "2.5.4.11", "2.5.4.45"
STRINGS = {
    "UTF8String": 0x0C,
    "NumericString": 0x12,
    "PrintableString": 0x13,
    "T61String": 0x14,
    "VideotexString": 0x15,
    "IA5String": 0x16,
    "GraphicString": 0x19,
    "VisibleString": 0x1A,
    "GeneralString": 0x1B,
    "UniversalString": 0x1C,
    "BMPString": 0x1E,
}
Name = Literal["issuer", "subject"]


def renamed(sello: Sello, name: Name, identifier: str, value: bytes) -> Sello:
    """Return a Sello one of whose attributes has another value."""
    others = [(each, value if each == identifier else old) for each, old in attributes(sello.cer, name)]
    assert identifier in dict(others)
    return evolve(sello, cer=with_attributes(sello.cer, name, others))


def facts(sello: Sello) -> Certificado:
    certificado = check(sello, now=NOW).certificado
    assert certificado is not None
    return certificado


def codes(sello: Sello, **how: Any) -> list[str]:
    given: dict[str, Any] = {"now": NOW, "rfc": RFC}
    return [finding.code for finding in check(sello, **(given | how)).findings]


def certificate_codes(sello: Sello, kind: str = "csd") -> list[str]:
    """Return the findings about the certificate; not opening the key saves most of the time."""
    found = codes(evolve(sello, password=""), kind=kind)
    found.remove("no_password")
    return found


@cache
def base(kind: str = "csd") -> Sello:
    return made(kind=kind)


# ── The AC6 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["csd", "fiel"])
def test_a_certificate_of_the_ac6_is_without_findings(kind: str) -> None:
    sello = made(kind=kind, issuer="ac6")
    assert codes(sello, kind=kind, production=True) == []
    certificado = facts(sello)
    assert (certificado.kind, certificado.rfc, certificado.numero[:12]) == (kind, RFC, "000010000006")
    assert (certificado.issuer, certificado.issuer_organization) == (
        "A.C. del Servicio de Administración Tributaria",
        "Servicio de Administración Tributaria",
    )


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_the_sat_is_recognised_if_its_name_was_encoded_several_times(encoding: str, times: int) -> None:
    name = "SERVICIO DE ADMINISTRACIÓN TRIBUTARIA"
    for _ in range(times):
        name = name.encode().decode(encoding)
    assert codes(renamed(made(), "issuer", ORGANIZATION, der.utf8(name))) == []


def test_an_rfc_that_was_encoded_twice_is_recognised() -> None:
    rfc = "HAÑ930228SM9"
    sello = renamed(made(rfc), "subject", RFC_ATTRIBUTE, der.utf8(rfc.encode().decode("latin-1")))
    assert (codes(sello, rfc=rfc), facts(sello).rfc) == ([], rfc)


@given(st.text(max_size=30))
def test_a_garbled_text_is_repaired(text: str) -> None:
    for encoding in ("latin-1", "cp1252"):
        try:
            garbled = text.encode().decode(encoding)
        except UnicodeDecodeError:
            continue
        assert repair_mojibake(garbled) == repair_mojibake(text)


@pytest.mark.parametrize("text", ["", "ACME", "PEÑA & HIJOS, Nº 5", "CAFÉ “LA ESTRELLA” — 3½ €", "ÃÃ", "漢字"])
def test_a_correct_text_stays_unchanged(text: str) -> None:
    assert repair_mojibake(text) == text


# ── Any string type, any bytes ────────────────────────────────────────────────────────────────────────────────────────

NAMES: list[tuple[Name, str]] = [("issuer", each) for each, _ in attributes(made().cer, "issuer")] + [
    ("subject", each) for each, _ in attributes(made().cer, "subject") if each != RFC_ATTRIBUTE
]


@given(st.sampled_from(NAMES), st.sampled_from(list(STRINGS.values())), st.binary(max_size=60))
@examples(1000)
def test_no_bytes_of_a_name_cause_more_than_a_warning(where: tuple[Name, str], tag: int, content: bytes) -> None:
    for kind in ("csd", "fiel"):
        name, identifier = where
        if kind == "fiel" and (name, identifier) == ("subject", OU):
            continue
        sello = renamed(base(kind), name, identifier, der.string(tag, content))
        assert set(certificate_codes(sello, kind)) <= {"unknown_issuer"}
        certificado, _ = read_certificate(sello.cer)
        assert (certificado.rfc, certificado.kind) == (RFC, kind)


@given(st.sampled_from(list(STRINGS.values())), st.binary(max_size=60))
@examples(500)
def test_a_certificate_with_any_bytes_as_rfc_is_recognised(tag: int, content: bytes) -> None:
    sello = renamed(base(), "subject", RFC_ATTRIBUTE, der.string(tag, content))
    assert set(certificate_codes(sello)) <= {"rfc_mismatch", "rfc_format", "unknown_kind"}


@pytest.mark.parametrize("string", STRINGS)
@pytest.mark.parametrize("rfc", [RFC, "HAÑ930228SM9"])
def test_an_rfc_is_read_out_of_any_string_type(string: str, rfc: str) -> None:
    tag = STRINGS[string]
    encodings = {0x1C: ["utf-32-be"], 0x1E: ["utf-16-be"]}.get(tag, ["utf-8", "latin-1"])
    for encoding in encodings:
        sello = renamed(made(rfc), "subject", RFC_ATTRIBUTE, der.string(tag, f"{rfc} / VADA800927DJ3".encode(encoding)))
        certificado = facts(sello)
        assert (certificado.rfc, certificado.rfc_representante, codes(sello, rfc=rfc)) == (rfc, "VADA800927DJ3", [])


def test_a_name_with_a_value_of_another_type_is_read_as_empty() -> None:
    sello = renamed(made(), "issuer", ORGANIZATION, der.sequence(der.integer(1)))
    assert (codes(sello), facts(sello).issuer_organization) == (["unknown_issuer"], "")


def test_a_text_of_a_million_characters_is_cut() -> None:
    sello = renamed(made(), "issuer", ORGANIZATION, der.utf8("Á" * 500_000))
    assert (codes(sello), facts(sello).issuer_organization) == (["unknown_issuer"], "Á" * 1000)


# ── A second witness ──────────────────────────────────────────────────────────────────────────────────────────────────


def numbers(certificado: Certificado, key: PublicNumbers | None) -> dict[str, object]:
    """Return the facts that two libraries state alike."""
    return {
        "numero": certificado.numero,
        "period": (certificado.not_before, certificado.not_after),
        "usage": certificado.key_usage,
        "hash": certificado.signature_hash,
        "key": key,
    }


USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign",
)  # fmt: skip


def numbers_by_cryptography(content: bytes) -> dict[str, object]:
    read = x509.load_der_x509_certificate(content)
    key, serial = read.public_key(), read.serial_number
    try:
        usage = read.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    digits = serial.to_bytes(20, "big") if 0 < serial.bit_length() <= 160 and serial > 0 else b""
    public = key.public_numbers() if isinstance(key, rsa.RSAPublicKey) else None
    period: tuple[datetime, datetime] = (read.not_valid_before_utc, read.not_valid_after_utc)
    return {
        "numero": digits.decode() if digits.isdigit() else "",
        "period": period,
        "usage": tuple(name for name in USAGES if usage is not None and getattr(usage, name)),
        "hash": read.signature_hash_algorithm.name if read.signature_hash_algorithm else "",
        "key": public and PublicNumbers(public.n, public.e),
    }


def certificates() -> list[bytes]:
    own = [made(), made(kind="fiel"), made("HAÑ930228SM9"), made(now=datetime.fromisoformat("2048-01-01T00:00:00Z"))]
    real = [sat(pair["cer"], pair["key"]) for pair in manifest("pairs")]
    return [sello.cer for sello in own + real]


@needs_sat
def test_the_reader_and_cryptography_agree_on_every_certificate() -> None:
    contents = certificates()
    assert len(contents) == 17
    assert [numbers(*read_certificate(each)) for each in contents] == list(map(numbers_by_cryptography, contents))


@given(st.data())
@examples(1000)
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_the_reader_and_cryptography_agree_on_changed_bytes_that_both_can_read(data: st.DataObject) -> None:
    content = bytearray(base(data.draw(st.sampled_from(["csd", "fiel"]))).cer)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        expected = numbers_by_cryptography(bytes(content))
        actual = numbers(*read_certificate(bytes(content)))
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension):
        return
    assert expected == actual
