"""Private key: decrypt it with its password and prove that it works."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret, SecretBytes
from facturaonline_async.sello import _key_encryption as key_encryption
from facturaonline_async.sello._certificate import PublicNumbers
from facturaonline_async.sello._cryptography_guards import is_input_error, suppress_warnings

__all__ = ["DamagedKeyError", "UnsupportedKeyError", "WrongPasswordError", "encode_password", "open_private_key"]

_MIN_BITS: Final = 512
_MAX_BITS: Final = 8192
"""The SAT's keys have 2048. A much larger key would take too long."""


class WrongPasswordError(ValueError):
    """The password does not open the key."""


class UnusableKeyError(ValueError):
    """The key cannot be used, with any password.

    Args:
        fault: clause about the key, which completes "the file is an encrypted private key, but …".

    """

    def __init__(self, fault: Message) -> None:
        super().__init__(fault)
        self.fault = fault


class UnsupportedKeyError(UnusableKeyError):
    """The key has another kind, size or encryption than the SAT's keys."""


class DamagedKeyError(UnusableKeyError):
    """The key or its encrypted content is not intact."""


def encode_password(password: Secret) -> SecretBytes:
    """Encode a password in UTF-8, as the API does.

    Args:
        password: password of a private key.

    """
    return SecretBytes(password.reveal().encode("utf-8", "surrogatepass"))


def open_private_key(
    content: SecretBytes, password: SecretBytes | None, certified: PublicNumbers | None = None
) -> PublicNumbers:
    """Decrypt a private key, prove that it works, and return its public half.

    It takes about 1 ms, and at most half a second.

    When `cryptography` loads a key, it proves that both primes are prime. That takes 27 ms, and for crafted numbers as
    long as their author likes. So the key is loaded without this proof; instead its numbers are compared. If they are
    those of the certificate, its primes are the only two factors. If not, its public half must verify a signature,
    which takes half of the time.

    Args:
        content: the key in DER, PKCS#8 or PKCS#1.
        password: its password; None if the key is not encrypted.
        certified: public key of the certificate that belongs to it, or None.

    Raises:
        WrongPasswordError: the password does not open the key.
        DamagedKeyError: the key is not a valid RSA key, or its encrypted content is not a whole number of blocks.
        UnsupportedKeyError: the key has another kind, size or encryption than the SAT's keys.

    """
    if password is not None:
        encryption = key_encryption.inspect_encryption(content)
        if encryption.refusal:
            raise UnsupportedKeyError(encryption.refusal)
        if not encryption.is_block_aligned:
            raise DamagedKeyError(message("findings.encrypted_content_incomplete"))
        content = key_encryption.to_canonical(content)
    key = _load(content, password)
    if isinstance(key, ValueError):
        raise key  # outside the handler: without the context of the library's error
    numbers = key.public_key().public_numbers()
    public = PublicNumbers(numbers.n, numbers.e)
    if not _MIN_BITS <= public.n.bit_length() <= _MAX_BITS:
        raise UnsupportedKeyError(message("findings.unusual_key_size", bits=public.n.bit_length()))
    if not (_is_consistent(key.private_numbers()) and (public == certified or _signs_and_verifies(key))):
        raise DamagedKeyError(message("findings.invalid_rsa_numbers"))
    return public


def _load(content: SecretBytes, password: SecretBytes | None) -> rsa.RSAPrivateKey | ValueError:
    """Load the key without checking its numbers, or return the error.

    One wrong password in 256 decrypts to valid padding, and the library then calls the key malformed. So every error
    about a key with a supported encryption means a wrong password.
    """
    try:
        with suppress_warnings():
            key = load_der_private_key(content, password, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        return UnsupportedKeyError(message("findings.unknown_key_kind"))
    except BaseException as error:
        if not is_input_error(error):
            raise
    else:
        return key if isinstance(key, rsa.RSAPrivateKey) else UnsupportedKeyError(message("findings.not_rsa"))
    if password is None:
        return DamagedKeyError(message("findings.no_private_key"))
    return WrongPasswordError("the password does not open the key")


def _is_consistent(key: rsa.RSAPrivateNumbers) -> bool:
    """Return whether the numbers belong to one key.

    Sizes are compared first, so that nothing is computed with a number of a million bits.
    """
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
    """Return whether the public half verifies a signature of the private half.

    It does not if one of the primes is not prime.
    """
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
