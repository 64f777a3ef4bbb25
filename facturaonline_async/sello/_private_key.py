"""Opening a private key: what its file and its password turn out to be."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from facturaonline_async.config import Secret, SecretBytes
from facturaonline_async.sello import _key_encryption as key_encryption
from facturaonline_async.sello._certificate import PublicNumbers
from facturaonline_async.sello._crypto_errors import is_input_error, suppress_warnings

__all__ = ["DamagedKeyError", "UnsupportedKeyError", "WrongPasswordError", "encode_password", "open_private_key"]

_MIN_BITS: Final = 512
_MAX_BITS: Final = 8192
"""The SAT's have 2048. What is much larger takes for ever, and says so in its own numbers."""


class WrongPasswordError(ValueError):
    """The password does not open the key."""


class UnsupportedKeyError(ValueError):
    """It is encrypted, or made, in a way that the SAT's keys are not."""


class DamagedKeyError(ValueError):
    """The password opens it, and its numbers are no RSA key."""


def encode_password(password: Secret) -> SecretBytes:
    """Return a password's bytes as the API reads them."""
    return SecretBytes(password.reveal().encode("utf-8", "surrogatepass"))


def open_private_key(content: SecretBytes, password: SecretBytes | None) -> PublicNumbers:
    """Return the public half of a PKCS#8 (or PKCS#1) key in DER. Takes a millisecond; half a second at the very most.

    `cryptography` proves both primes when it loads a key, which takes 27 ms, and for primes that a stranger chose as
    long as he likes. A key that is used, not just looked at, has shown more: so it is loaded without the proof, its
    numbers are held against each other, and then it signs something that its public half verifies.

    Raises:
        WrongPasswordError: the password does not open it.
        DamagedKeyError: it opens, and is no valid RSA key; or its content is no whole number of its cipher's blocks.
        UnsupportedKeyError: it is encrypted, or made, in a way that the SAT's keys are not.

    """
    if password is not None:
        encryption = key_encryption.inspect_encryption(content)
        if encryption.refusal:
            raise UnsupportedKeyError(encryption.refusal)
        if not encryption.is_block_aligned:
            raise DamagedKeyError("its encrypted content is not whole")
        content = key_encryption.to_canonical(content)
    key = _load(content, password)
    if isinstance(key, ValueError):
        raise key  # out of the handler: no other library's error goes along
    public = key.public_key().public_numbers()
    if not _MIN_BITS <= public.n.bit_length() <= _MAX_BITS:
        raise UnsupportedKeyError(f"it is an RSA key of {public.n.bit_length():,} bits")
    if not (_is_consistent(key.private_numbers()) and _signs_and_verifies(key)):
        raise DamagedKeyError("its numbers are no RSA key")
    return PublicNumbers(public.n, public.e)


def _load(content: SecretBytes, password: SecretBytes | None) -> rsa.RSAPrivateKey | ValueError:
    """Return the key, its numbers not yet looked at, or what keeps it from being read.

    One wrong password in 256 decrypts to something with good padding, and the library then calls the key malformed:
    whatever it says of a key that is encrypted in a known way, the password is wrong.
    """
    try:
        with suppress_warnings():
            key = load_der_private_key(content, password, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        return UnsupportedKeyError("it is encrypted, or made, in a way that is not known here")
    except BaseException as error:
        if not is_input_error(error):
            raise
    else:
        return key if isinstance(key, rsa.RSAPrivateKey) else UnsupportedKeyError("it is no RSA key")
    if password is None:
        return DamagedKeyError("its content is no private key")
    return WrongPasswordError("the password does not open it")


def _is_consistent(key: rsa.RSAPrivateNumbers) -> bool:
    """Whether the numbers are those of one key. Sizes first: nothing is computed with a number of a million bits."""
    n, e = key.public_numbers.n, key.public_numbers.e
    return (
        1 < key.p < n
        and 1 < key.q < n
        and key.p * key.q == n
        and n % 2 == 1
        and 3 <= e < n
        and 1 < key.d < n
        and (key.d * e - 1) % (key.p - 1) == 0
        and (key.d * e - 1) % (key.q - 1) == 0
        and key.dmp1 == key.d % (key.p - 1)
        and key.dmq1 == key.d % (key.q - 1)
        and 0 < key.iqmp < key.p
        and key.iqmp * key.q % key.p == 1
    )


def _signs_and_verifies(key: rsa.RSAPrivateKey) -> bool:
    """Whether the public half verifies what the private one signs: with a prime that is none, it does not."""
    try:
        signature = key.sign(b"", padding.PKCS1v15(), SHA256())
        key.public_key().verify(signature, b"", padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    except BaseException as error:
        if not is_input_error(error):
            raise
        return False
    return True
