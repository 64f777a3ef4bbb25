"""A check returns the certificate's facts and finds every fault by its own code."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

import pytest
from attrs import asdict, evolve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs12,
)

from facturaonline_async import InvalidInputError
from facturaonline_async._messages import code_of
from facturaonline_async._messages.english import TEXTS
from facturaonline_async.sat._findings import FINDINGS, Severity
from facturaonline_async.sello import Sello, _der as sello_der, check
from facturaonline_async.sello._file_kind import FileKind
from facturaonline_async.testing import _der as der, make_sello
from tests.sello.certificates import NOW, RFC, made, manifest, needs_sat, private_key, sat, whole
from tests.sello.keys import encrypted, plain

PASSWORD = b"12345678a"


def codes(sello: Sello, **how: Any) -> list[str]:
    return [finding.code for finding in check(sello, **({"now": NOW} | how)).findings]


# ── The SAT's own ─────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_sat
@pytest.mark.parametrize("pair", manifest("pairs"), ids=lambda pair: pair["id"])
def test_every_certificate_of_the_sat_is_read_with_exactly_its_facts(pair: dict[str, Any]) -> None:
    begin, end = (datetime.fromisoformat(pair[name]) for name in ("not_before", "not_after"))
    report = check(
        sat(pair["cer"], pair["key"], pair["password"]),
        rfc=pair["rfc"],
        kind=pair["kind"],
        now=begin + timedelta(days=1),
    )
    facts = report.certificado
    assert facts is not None
    expected = {
        "kind": pair["kind"],
        "rfc": pair["rfc"],
        "persona": pair["person"],
        "rfc_representante": pair["rfc_representative"] or "",
        "curp": pair["curp"] or "",
        "curp_representante": pair["curp_representative"] or "",
        "nombre": pair["name"],
        "sucursal": pair["branch_ou"] or "",
        "numero": pair["certificate_number"],
        "not_before": begin,
        "not_after": end,
        "issuer": pair["issuer_cn"],
        "key_bits": pair["rsa_bits"],
        "key_usage": tuple(pair["key_usage"]),
        "signature_hash": "sha256",
        "is_test": True,
        "is_from_sat": True,
    }
    assert {name: getattr(facts, name) for name in expected} == expected
    assert report.findings == ()
    assert repr(report) == f"<CheckReport: {pair['rfc']}, certificate {pair['certificate_number']}: nothing found>"


NEGATIVE = {
    "key does not match": ["key_mismatch"],
    "same RFC, other branch: key does not match": ["key_mismatch"],
    "FIEL passed as CSD": ["fiel_as_csd"],
    "files swapped (as in the provider's own docs)": ["swapped"],
    "FIEL certificate with CSD key of the same RFC (python-satcfdi issue 37)": [
        "fiel_as_csd", "expired", "key_mismatch",
    ],
    "expired": ["expired"],
    "wrong password": ["wrong_password"],
}  # fmt: skip


@needs_sat
@pytest.mark.parametrize("case", manifest("negative_cases"), ids=lambda case: case["case"])
def test_each_negative_case_has_the_documented_code(case: dict[str, Any]) -> None:
    assert codes(sat(case["cer"], case["key"], case.get("password", "12345678a"))) == NEGATIVE[case["case"]]


@needs_sat
def test_each_of_1500_wrong_passwords_is_reported_as_wrong() -> None:
    """About six of them decrypt to valid padding, and fail in another way."""
    good = sat("csd-EKU9003173C9-2023.cer", "csd-EKU9003173C9-2023.key")
    found = {tuple(codes(Sello(good.cer, good.key, f"wrong {number}"))) for number in range(1500)}
    assert found == {("wrong_password",)}


def test_each_wrong_password_of_a_generated_key_is_reported_as_wrong() -> None:
    good = made()
    found = {tuple(codes(Sello(good.cer, good.key, f"wrong {number}"))) for number in range(1500)}
    assert found == {("wrong_password",)}


# ── Every finding, on made-up pairs ───────────────────────────────────────────────────────────────────────────────────


def cer(edit: Callable[[bytes], bytes]) -> Callable[[], Sello]:
    return lambda: evolve(made(), cer=edit(made().cer))


def key(content: Callable[[], bytes], password: str = "12345678a") -> Callable[[], Sello]:
    return lambda: Sello(made().cer, content(), password)


def replaced(old: bytes, new: bytes) -> Callable[[], Sello]:
    def edit(content: bytes) -> bytes:
        assert (content.count(old) > 0, len(old)) == (True, len(new))
        return content.replace(old, new)

    return cer(edit)


def elliptic() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)
    )


def damaged() -> bytes:
    """Encrypt a key whose first prime is not prime."""
    content = bytearray(plain())
    prime = private_key().private_numbers().p.to_bytes(128, "big")
    at = content.index(prime)
    content[at + 127] ^= 0x40
    return encrypted(bytes(content))


def legacy() -> bytes:
    return private_key().private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(PASSWORD)
    )


def bag() -> bytes:
    return pkcs12.serialize_key_and_certificates(b"x", private_key(), None, None, BestAvailableEncryption(PASSWORD))


T = timedelta
# ruff: noqa: E501  # a table
FOUND: dict[str, tuple[Callable[[], Sello], dict[str, Any], list[str]]] = {
    "nothing": (made, {"rfc": RFC}, []),
    "a FIEL": (lambda: made(kind="fiel"), {"kind": "fiel", "rfc": RFC}, []),
    "either kind": (lambda: made(kind="fiel"), {"kind": None}, []),
    "Ñ and &": (lambda: made("ÑAN&010101AB1", razon_social="ÑANDÚ & CÍA"), {"rfc": "ñan&010101ab1 "}, ["rfc_check_digit"]),
    "swapped": (lambda: Sello(made().key, made().cer, "12345678a"), {}, ["swapped"]),
    "two certificates": (lambda: evolve(made(), key=made().cer), {}, ["not_a_key"]),
    "two keys": (lambda: evolve(made(), cer=made().key), {}, ["not_a_certificate"]),
    "a ZIP": (cer(lambda _: b"PK\x03\x04..."), {}, ["not_a_certificate"]),
    "an XML": (cer(lambda _: b"<?xml version='1.0'?><a/>"), {}, ["not_a_certificate"]),
    "empty files": (lambda: Sello(b"", b"", "x"), {}, ["not_a_certificate", "not_a_key"]),
    "a key store": (key(bag), {}, ["not_a_key"]),
    "PEM": (cer(lambda content: b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(content) + b"-----END CERTIFICATE-----\n"), {}, ["not_der"]),
    "a byte behind the end": (cer(lambda content: content + b"\n"), {}, ["trailing_bytes"]),
    "truncated": (cer(lambda content: content[:700]), {}, ["truncated"]),
    "seven bits": (cer(lambda content: bytes(byte & 0x7F for byte in content)), {}, ["text_mode"]),
    "no password on the key": (key(plain), {}, ["key_not_encrypted"]),
    "PKCS#1": (key(lambda: plain(PrivateFormat.TraditionalOpenSSL)), {}, ["key_not_encrypted"]),
    "an elliptic key": (key(elliptic), {}, ["unsupported_key"]),
    "a traditional PEM": (key(legacy), {}, ["not_der", "unsupported_key"]),
    "a damaged key": (key(damaged), {}, ["damaged_key"]),
    "no password": (lambda: evolve(made(), password=""), {}, ["no_password"]),
    "a wrong password": (lambda: evolve(made(), password="12345678A"), {}, ["wrong_password"]),
    "a password with a tab": (lambda: made(password="a\tb"), {}, ["password_unsendable"]),
    "blanks around the password": (lambda: evolve(made(), password=" 12345678a"), {}, ["password_garbled"]),
    "a password in two lines": (lambda: made(password="a\nb"), {}, ["password_unsendable"]),
    "a password with a surrogate": (lambda: Sello(made().cer, encrypted(plain(), b"\xff"), "\udcff"), {}, ["password_unsendable"]),
    "another key": (lambda: evolve(made(), key=made(private_key=private_key(number=1)).key), {}, ["key_mismatch"]),
    "a FIEL for a CSD": (lambda: made(kind="fiel"), {}, ["fiel_as_csd"]),
    "a CSD for a FIEL": (made, {"kind": "fiel"}, ["csd_as_fiel"]),
    "no x500UniqueIdentifier": (replaced(bytes.fromhex("060355042d"), bytes.fromhex("060355042e")), {}, ["unknown_kind"]),
    "a FIEL's usage with a sucursal": (replaced(bytes.fromhex("030206c0"), bytes.fromhex("030203d8")), {}, ["unknown_kind"]),
    "a number that is none": (lambda: evolve(made(), cer=made(number="3" * 20).cer.replace(b"3" * 20, b"3" * 19 + b"x")), {}, ["unknown_kind"]),
    "a name that is longer than its place": (replaced(b"\x0c\x06AC UAT", b"\x0c\x07AC UAT"), {}, ["unreadable_subject"]),
    "an RFC that is none": (lambda: made("EKU9099173C9"), {}, ["rfc_format"]),
    "another check digit": (lambda: made("EKU9003173C8"), {}, ["rfc_check_digit"]),
    "another company's": (made, {"rfc": "XIQB891116QE4"}, ["rfc_mismatch"]),
    "expired": (lambda: made(now=NOW - T(days=5 * 365)), {}, ["expired"]),
    "not valid yet": (lambda: made(now=NOW + T(days=1)), {}, ["not_yet_valid"]),
    "29 days left": (lambda: made(now=NOW - T(days=4 * 365 - 28)), {}, ["expires_soon"]),
    "31 days left": (lambda: made(now=NOW - T(days=4 * 365 - 31)), {}, []),
    "1024 bits": (lambda: made(private_key=private_key(1024)), {}, ["weak_key"]),
    "SHA-1": (replaced(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")), {}, ["weak_signature"]),
    "another issuer": (replaced(b"SERVICIO DE ADMIN", b"SERVICIO DE ADMIX"), {}, ["unknown_issuer"]),
    "a test certificate": (made, {"production": True}, ["test_certificate"]),
    "many things": (
        lambda: evolve(made(kind="fiel", now=NOW - T(days=5 * 365), private_key=private_key(1024)), password="x"),
        {"rfc": "XIQB891116QE4", "production": True},
        ["wrong_password", "fiel_as_csd", "rfc_mismatch", "expired", "weak_key", "test_certificate"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_each_case_has_exactly_its_findings(case: str) -> None:
    sello, how, expected = FOUND[case]
    assert codes(sello(), **how) == expected


@pytest.mark.parametrize("case", FOUND)
def test_each_description_has_a_code_and_its_area_is_findings(case: str) -> None:
    sello, how, _ = FOUND[case]
    findings = check(sello(), **({"now": NOW} | how)).findings
    assert {code_of(each.seen).partition(".")[0] for each in findings} <= {"findings"}


def test_every_kind_of_file_has_a_sentence() -> None:
    described = {code.removeprefix("findings.file_is_") for code in TEXTS if code.startswith("findings.file_is_")}
    assert described == set(FileKind)


def test_one_extra_byte_and_several_are_counted() -> None:
    seen = [check(evolve(made(), cer=made().cer + b"\n" * count), now=NOW).findings[0].seen for count in (1, 2)]
    assert seen == ["The file has 1 extra byte after its content.", "The file has 2 extra bytes after its content."]


def test_every_finding_about_a_sello_has_a_case() -> None:
    made_by_cases = {code for _, _, expected in FOUND.values() for code in expected}
    of_data = {code for code in FINDINGS if code.startswith(("curp", "codpos", "regimen", "email", "telefono"))}
    of_commands = {"unreadable_file", "unpaired", "ambiguous"}
    assert made_by_cases == FINDINGS.keys() - of_data - of_commands


def test_a_finding_has_a_description_a_severity_and_a_remedy() -> None:
    (finding,) = check(made(), rfc="XIQB891116QE4", now=NOW).findings
    assert (finding.code, finding.field, finding.severity) == ("rfc_mismatch", "cer", Severity.ERROR)
    assert finding.seen == "The certificate belongs to EKU9003173C9, and the company's RFC is XIQB891116QE4."
    assert finding.remedy == "Give the certificate of this company, or correct its RFC."


def test_a_report_can_be_pickled_and_holds_no_secret() -> None:
    report = check(evolve(made(), password="contraseña muy secreta"), now=NOW)
    pickled = pickle.dumps(report)
    assert pickle.loads(pickled) == report
    for secret in ("contraseña muy secreta".encode(), "muy secreta".encode("utf-16-le")):
        assert secret not in pickled + repr(report).encode() + str(report.findings).encode()


def test_errors_come_before_warnings() -> None:
    report = check(made(private_key=private_key(1024)), rfc="XIQB891116QE4", now=NOW)
    assert ([each.code for each in report.errors], [each.code for each in report.warnings], report.ok) == (
        ["rfc_mismatch"],
        ["weak_key"],
        False,
    )


HOSTILE = "\x1b]0;x\x07\n2026 ERROR\u202e\u2028EVIL"


def test_no_text_of_a_certificate_drives_a_terminal_or_forges_a_line() -> None:
    sello = made(f"EKU{HOSTILE}", razon_social=f"ACME{HOSTILE}")
    for name in (b"SERVICIO DE ADMIN", b"AC UAT"):
        assert name in sello.cer
        sello = evolve(sello, cer=sello.cer.replace(name, b"\x1b\r\n" + name[3:]))
    report = check(sello, rfc=f"EKU\n{HOSTILE}", now=NOW, production=True)
    facts = report.certificado
    assert facts is not None
    assert (facts.nombre, facts.issuer) == (
        "ACME\ufffd]0;x\ufffd 2026 ERROR\ufffd EVIL",
        "\ufffd  UAT",
    )
    texts = [repr(report), str(facts), *map(str, asdict(facts).values()), *map(str, report.findings)]
    assert {"rfc_mismatch", "unknown_issuer", "rfc_format"} <= {each.code for each in report.findings}
    assert [text for text in texts if not text.isprintable()] == []


@pytest.mark.parametrize("how", [{"kind": "otro"}, {"now": datetime(2026, 1, 1)}])  # noqa: DTZ001  # that is what is wrong with it
def test_invalid_arguments_are_refused(how: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check(made(), **how)
    assert refused.value.field == next(iter(how))


@pytest.mark.parametrize(("microseconds", "expected"), [(0, []), (-1, ["not_yet_valid"])])
def test_validity_begins_on_the_second(microseconds: int, expected: list[str]) -> None:
    begin = NOW - timedelta(hours=1)
    assert codes(made(), now=begin + timedelta(microseconds=microseconds)) == expected


def test_the_clock_is_the_current_time_unless_one_is_given() -> None:
    assert check(make_sello(RFC, private_key=private_key())).findings == ()
    old = make_sello(RFC, private_key=private_key(), now=datetime(2015, 1, 1, tzinfo=UTC))
    assert [finding.code for finding in check(old).findings] == ["expired"]


# ── Text instead of bytes ─────────────────────────────────────────────────────────────────────────────────────────────


def _pem(content: bytes, name: str) -> bytes:
    return f"-----BEGIN {name}-----\n{base64.encodebytes(content).decode()}-----END {name}-----\n".encode()


DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "PEM": lambda content: _pem(content, "CERTIFICATE"),
    "PEM with CRLF": lambda content: _pem(content, "ENCRYPTED PRIVATE KEY").replace(b"\n", b"\r\n"),
    "PEM behind other text": lambda content: b"Bag Attributes\n  friendlyName: x\n" + _pem(content, "CERTIFICATE"),
    "PEM in one line": lambda content: _pem(content, "CERTIFICATE").replace(b"\n", b"\\n"),
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 without padding": lambda content: base64.b64encode(content).rstrip(b"="),
    "data URI": lambda content: b"data:application/x-x509-ca-cert;base64," + base64.b64encode(content),
    "byte order mark": lambda content: b"\xef\xbb\xbf" + base64.b64encode(content) + b"\n",
    "UTF-16": lambda content: base64.b64encode(content).decode().encode("utf-16"),
    "UTF-16 without a mark": lambda content: base64.b64encode(content).decode().encode("utf-16-le"),
    "UTF-16 the other way round": lambda content: base64.b64encode(content).decode().encode("utf-16-be"),
    "PEM behind a comment in UTF-8": lambda content: "Emisión: ÑANDÚ\n".encode() + _pem(content, "CERTIFICATE"),
    "PEM behind a comment in Windows-1252": lambda content: "Emisión\n".encode("cp1252") + _pem(content, "X"),
    "PEM behind a comment in UTF-16": lambda content: ("Emisión €\n" + _pem(content, "X").decode()).encode("utf-16-le"),
    "PEM in one line with CRLF": lambda content: _pem(content, "CERTIFICATE").replace(b"\n", b"\\r\\n"),
    "DATA URI": lambda content: b"DATA:application/pkix-cert;BASE64," + base64.b64encode(content),
    "data URI with escapes": lambda content: b"data:;base64," + quote(base64.b64encode(content), safe="").encode(),
    "escapes": lambda content: quote(base64.b64encode(content), safe="").encode(),
    "quotes": lambda content: b'"' + base64.b64encode(content) + b'",\n',
    "single quotes": lambda content: b"'" + base64.b64encode(content) + b"'",
    "bytes of Python": lambda content: repr(base64.b64encode(content)).encode(),
    "quotes around a data URI": lambda content: b'"data:;base64,' + base64.b64encode(content) + b'"',
    "JSON of PHP": lambda content: b'"' + base64.b64encode(content).replace(b"/", b"\\/") + b'"',
    "blanks for plus signs": lambda content: base64.b64encode(content).replace(b"+", b" "),
    "blanks for plus signs in lines": lambda content: base64.encodebytes(content).replace(b"+", b" "),
    "PEM with blanks for plus signs": lambda content: _pem(content, "CERTIFICATE").replace(b"+", b" "),
    "base64 of PEM": lambda content: base64.b64encode(_pem(content, "CERTIFICATE")),
    "base64 with escaped line ends": lambda content: base64.encodebytes(content).replace(b"\n", b"\\r\\n"),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_sello_in_pem_or_base64_is_checked_and_reported_as_not_der(dress: str) -> None:
    sello = made()
    dressed = Sello(DRESSES[dress](sello.cer), DRESSES[dress](sello.key), sello.password)
    report = check(dressed, rfc="XIQB891116QE4", now=NOW)
    assert [(each.code, each.field) for each in report.findings] == [
        ("not_der", "cer"),
        ("not_der", "key"),
        ("rfc_mismatch", "cer"),
    ]
    assert (dressed.to_der(), check(dressed.to_der(), now=NOW).findings) == (sello, ())


@pytest.mark.parametrize("dress", DRESSES)
def test_from_base64_reads_each_form_of_a_file(dress: str) -> None:
    sello = made()
    texts = [DRESSES[dress](content) for content in (sello.cer, bytes(sello.key))]
    assert Sello.from_base64(*texts, password=sello.password) == sello
    if all(map(bytes.isascii, texts)) and not any(b"\0" in text for text in texts):
        assert Sello.from_base64(*(text.decode() for text in texts), password=sello.password) == sello


@pytest.mark.parametrize("end", [b"\xff\xff>", b"\xfb\xef\xbe"])
def test_a_plus_sign_that_became_a_blank_is_found_also_at_the_end(end: bytes) -> None:
    body, algorithm, signature = map(whole, sello_der.first_element(made().cer))
    room = -len(der.sequence(body, algorithm, signature, b"")) % 3
    cer = der.sequence(body, algorithm, der.bits(bytes(256 + room - 3) + end))
    text = base64.b64encode(cer)
    assert text.endswith(b"+")
    assert Sello.from_base64(text.replace(b"+", b" "), text, password="x") == Sello(cer, cer, "x")


def test_to_der_keeps_unknown_content_unchanged() -> None:
    sello = Sello(b"something", b"else", "x")
    assert sello.to_der() == sello


# ── make_sello ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["csd", "fiel"])
@pytest.mark.parametrize("rfc", ["EKU9003173C9", "XIQB891116QE4", "HAÑ930228SM9", "L&O950913MSA"])
def test_a_sello_from_make_sello_passes(rfc: str, kind: Literal["csd", "fiel"]) -> None:
    report = check(made(rfc, kind=kind, number="30001000000500003416"), rfc=rfc, kind=kind, now=NOW)
    facts = report.certificado
    assert (report.findings, facts and facts.numero, facts and facts.kind) == ((), "30001000000500003416", kind)
