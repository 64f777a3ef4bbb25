"""A key with any iteration count and any numbers neither blocks nor ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from attrs import evolve
from cryptography.hazmat.primitives import serialization

from facturaonline_async.sello import (
    _der as read,
    _key_encryption as key_encryption,
    _private_key as private_key,
    check,
)
from facturaonline_async.sello._der import DerError, Element, dotted_oid
from facturaonline_async.testing import _der as der
from tests.sello.certificates import NOW, made, whole
from tests.sello.keys import (
    AES,
    ARIA,
    DES3,
    PBES2,
    PBKDF2,
    PKCS12,
    RC2,
    SCRYPT,
    derived,
    encrypted_by,
    made_of,
    primes,
    wrapped,
)


def found(key: bytes) -> list[tuple[str, str]]:
    return [(each.code, each.seen) for each in check(evolve(made(), key=key), now=NOW).findings]


def simple(count: int) -> bytes:
    return wrapped(PKCS12, der.sequence(der.octets(bytes(8)), der.integer(count)))


@pytest.mark.parametrize(
    ("key", "seen"),
    [
        (lambda: derived(PBKDF2, 1_000_001), "1,000,001 iterations"),
        (lambda: derived(PBKDF2, 2**31), "2,147,483,648 iterations"),
        (lambda: derived(PBKDF2, 2**72), "encryption is not supported"),
        (lambda: derived(PBKDF2, 0), "0 iterations"),
        (lambda: derived(PBKDF2), "encryption is not supported"),
        (lambda: simple(1_000_001), "1,000,001 iterations"),
        (lambda: simple(2**31), "2,147,483,648 iterations"),
        (lambda: derived(SCRYPT, 2**17, 8, 2), "N=131072, r=8 and p=2"),
        (lambda: derived(SCRYPT, 16384, 8, 0), "N=16384, r=8 and p=0"),
        (lambda: derived(PBES2, 2048), "encryption is not supported"),
        (lambda: derived(PBKDF2, 2048, cipher=ARIA), "encryption is not supported"),
        (lambda: wrapped(PBES2), "encryption is not supported"),
        (lambda: wrapped(ARIA, der.null()), "encryption is not supported"),
    ],
)
def test_a_key_with_a_costly_or_unsupported_encryption_is_not_tried(
    key: Callable[[], bytes], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_key, "load_der_private_key", None)  # not even tried
    ((code, what),) = found(key())
    assert (code, seen in what) == ("unsupported_key", True)


@pytest.mark.parametrize(
    "key",
    [
        lambda: derived(PBKDF2, 1_000_000),
        lambda: derived(PBKDF2, 2048, 24),  # says how long a key it wants
        lambda: derived(SCRYPT, 16384, 8, 1),
        lambda: simple(2048),
    ],
)
def test_the_encryption_of_other_programs_is_tried(key: Callable[[], bytes]) -> None:
    assert [code for code, _ in found(key())] == ["wrong_password"]


def test_a_panic_in_cryptography_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's Rust code panics at a count that is too large for C, with an error that is no Exception."""
    monkeypatch.setattr(key_encryption, "_MAX_ITERATIONS", 2**40)
    key = derived(PBKDF2, 2**31)
    with pytest.raises(BaseException, match="unwrap") as panic:
        serialization.load_der_private_key(key, b"x")
    assert not isinstance(panic.value, Exception)
    assert [code for code, _ in found(key)] == ["wrong_password"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, asyncio.CancelledError])
def test_memory_errors_and_interrupts_are_raised(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(private_key, "load_der_private_key", interrupted)
    with pytest.raises(error):
        check(made(), now=NOW)


# ── Numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_was_rebuilt_from_its_primes_has_no_finding() -> None:
    assert found(made_of(*primes())) == []


MERSENNE = 2**21701 - 1
"""A prime whose proof takes minutes."""


@pytest.mark.parametrize(
    "key",
    [
        lambda p, q: made_of(p + 1, q),
        lambda p, q: made_of(1, p * q),
        lambda p, q: made_of(p, q, n=p * q + 2),
        lambda p, q: made_of(p, q, d=3, dmp1=3, dmq1=3),
        lambda p, q: made_of(p, q, d=pow(65537, -1, (p - 1) * (q - 1)) + 2 * (p - 1) * (q - 1)),
        lambda p, q: made_of(p, q, e=65537 + 2 * (p - 1) * (q - 1)),
        lambda p, q: made_of(p, q, dmp1=5),
        lambda p, q: made_of(p, q, dmq1=5),
        lambda p, q: made_of(p, q, iqmp=5),
        lambda p, q: made_of(p, q, iqmp=pow(q, -1, p) + p),
        lambda p, q: made_of(MERSENNE, q, n=p * q, d=65537, dmp1=1, dmq1=1, iqmp=1),
    ],
)
def test_inconsistent_numbers_are_damage_and_are_not_used(
    key: Callable[[int, int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        private_key, "_signs_and_verifies", None
    )  # OpenSSL may hang, or worse, where it uses such numbers
    (what,) = found(key(*primes()))
    assert what[0] == "damaged_key"


def test_a_key_with_the_numbers_of_its_certificate_needs_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modulus of a certificate has two factors; whoever has them has the key."""
    monkeypatch.setattr(private_key, "_signs_and_verifies", None)
    assert found(made().key) == []


def test_a_composite_prime_is_damage_even_if_all_else_is_consistent() -> None:
    p, q = primes()
    (what,) = found(made_of(p + 2, q))
    assert what[0] == "damaged_key"


@pytest.mark.parametrize("size", ["huge", "tiny"])
def test_a_key_of_an_unusual_size_is_not_tried(size: str) -> None:
    (what,) = found(made_of(MERSENNE if size == "huge" else 3, 5))
    assert (what[0], "bits" in what[1]) == ("unsupported_key", True)


def test_numbers_of_a_million_bits_are_refused_quickly() -> None:
    """Proving this one prime, or multiplying with it, would take for ever."""
    (what,) = found(made_of(2**1_000_000 + 1, 1, n=primes()[0] * primes()[1], d=2**1_000_000 + 1))
    assert what[0] == "damaged_key"


def test_an_unencrypted_elliptic_key_is_recognised() -> None:
    assert [code for code, _ in found(edwards())] == ["key_not_encrypted", "unsupported_key"]


def edwards() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    return ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_a_very_long_object_identifier_is_refused() -> None:
    """Reading one of a million would take minutes."""
    content = b"\xff" * 99 + b"\x01"
    with pytest.raises(DerError):
        dotted_oid(Element(content, 0x06, 0, len(content)))


# ── Encryptions ───────────────────────────────────────────────────────────────────────────────────────────────────────


HMACS = {
    "md5": 6, "sha1": 7, "sha224": 8, "sha256": 9, "sha384": 10, "sha512": 11, "sha512_224": 12, "sha512_256": 13,
}  # fmt: skip


def hmac(name: str, *parameters: bytes) -> bytes:
    return der.sequence(der.oid(f"1.2.840.113549.2.{HMACS[name]}"), *parameters)


@pytest.mark.parametrize("name", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("parameters", [(), (der.null(),)])
@pytest.mark.parametrize("length", [(), (der.integer(24),)])
def test_a_key_with_a_usual_hmac_opens_however_it_is_written(
    name: str, parameters: tuple[bytes, ...], length: tuple[bytes, ...]
) -> None:
    """Also with the default written out, which DER forbids and `cryptography` refuses."""
    key = encrypted_by(name, *length, hmac(name, *parameters))
    assert found(key) == []
    sello = evolve(made(), key=key)
    assert check(evolve(sello, password="otra"), now=NOW).findings[0].code == "wrong_password"


@pytest.mark.parametrize("name", ["md5", "sha512_224", "sha512_256"])
def test_a_key_with_another_hmac_is_not_supported_and_its_password_is_not_doubted(name: str) -> None:
    assert found(encrypted_by(name, hmac(name, der.null()))) == [("unsupported_key", UNKNOWN)]


UNKNOWN = "The file is an encrypted private key, but its encryption is not supported."


@pytest.mark.parametrize(
    "parameters",
    [
        (der.sequence(der.oid("1.2.3"), der.null()), der.integer(2048)),
        (der.octets(bytes(8)), der.integer(2048), der.sequence()),
        (der.octets(bytes(8)), der.integer(2048), der.sequence(der.null())),
        (der.octets(bytes(8)), der.octets(b"\x08")),
        (),
    ],
)
def test_a_key_with_other_parameters_is_not_supported(parameters: tuple[bytes, ...]) -> None:
    derivation = der.sequence(der.oid(PBKDF2), der.sequence(*parameters))
    cipher = der.sequence(der.oid(DES3), der.octets(bytes(8)))
    assert found(wrapped(PBES2, der.sequence(derivation, cipher))) == [("unsupported_key", UNKNOWN)]


@pytest.mark.parametrize(
    ("cipher", "codes"),
    [
        (der.sequence(der.oid(DES3), der.octets(bytes(8))), ["wrong_password"]),
        (der.sequence(der.oid(DES3), der.octets(bytes(4))), ["unsupported_key"]),
        (der.sequence(der.oid(DES3), der.null()), ["unsupported_key"]),
        (der.sequence(der.oid(DES3)), ["unsupported_key"]),
        (der.sequence(der.oid(AES), der.octets(bytes(8))), ["unsupported_key"]),
        (der.sequence(der.oid(RC2), der.sequence(der.integer(58), der.octets(bytes(8)))), ["wrong_password"]),
        (der.sequence(der.oid(RC2), der.sequence(der.integer(160), der.octets(bytes(8)))), ["unsupported_key"]),
        (der.sequence(der.oid(RC2), der.sequence(der.octets(bytes(8)))), ["unsupported_key"]),
    ],
)
def test_a_key_with_an_unknown_cipher_is_not_supported(cipher: bytes, codes: list[str]) -> None:
    derivation = der.sequence(der.oid(PBKDF2), der.sequence(der.octets(bytes(8)), der.integer(2048)))
    assert [code for code, _ in found(wrapped(PBES2, der.sequence(derivation, cipher)))] == codes


@pytest.mark.parametrize("missing", [1, 7])
def test_a_key_with_incomplete_encrypted_content_is_damaged(missing: int) -> None:
    algorithm, content = map(whole, read.first_element(made().key))
    key = der.sequence(algorithm, der.octets(read.first_element(content).content[:-missing]))
    assert found(key) == [
        ("damaged_key", "The file is an encrypted private key, but its encrypted content is incomplete.")
    ]
