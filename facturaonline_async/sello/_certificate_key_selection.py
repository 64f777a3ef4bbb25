"""Selection of the certificate and the key among the contents of two files.

A PEM file may hold several contents, and one file may hold both certificate and key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from facturaonline_async._secrets import Secret, SecretBytes
from facturaonline_async.sello._certificate import Certificate, PublicNumbers
from facturaonline_async.sello._file_kind import Content, FileKind, first_recognised, recognise_all

__all__ = ["Selection", "certificate_public_key", "derive_public_key", "select", "select_certificate", "select_key"]


@frozen
class Selection:
    """Certificate and key of a Sello.

    Attributes:
        cer: the certificate, or the content in its place.
        key: the private key, or the content in its place.
        is_swapped: whether each was found in the file that was given for the other.

    """

    cer: Content
    key: Content
    is_swapped: bool


def select(cer: SecretBytes, key: SecretBytes, password: Secret) -> Selection:
    """Return the certificate and the key of two files, also if they are swapped.

    Never raises.
    The key is opened only if there are certificates of several holders. CA certificates are recognised without it.

    Args:
        cer: bytes of the file given as the certificate.
        key: bytes of the file given as the key.
        password: password of the key.

    """
    cers, keys = recognise_all(cer), recognise_all(key)
    is_swapped = not _certificates(cers) and not _keys(keys) and bool(_keys(cers)) and bool(_certificates(keys))
    if is_swapped:
        cers, keys = keys, cers
    chosen = select_key(keys)
    return Selection(select_certificate(cers, lambda: derive_public_key(chosen, password)), chosen, is_swapped)


def select_key(found: Sequence[Content]) -> Content:
    """Return the key among several contents, preferably an encrypted one.

    Args:
        found: contents of a file, at least one; without a key, the first known one is returned.

    """
    keys = _keys(found)
    return next((each for each in keys if each.kind is FileKind.KEY), (*keys, first_recognised(found))[0])


def select_certificate(found: Sequence[Content], public: Callable[[], PublicNumbers | None]) -> Content:
    """Return the certificate among several contents.

    Of several certificates, the only one that is not a CA's; else the one of the key; else the first.

    Args:
        found: contents of a file, at least one; without a certificate, the first known one is returned.
        public: returns the public half of the key, or None. It is called only if several certificates remain.

    """
    certificates = _certificates(found)
    if len(certificates) < 2:
        return (*certificates, first_recognised(found))[0]
    leaves = [each for each in certificates if not _is_authority(each)] or certificates
    if len(leaves) > 1 and (wanted := public()) is not None:
        leaves.sort(key=lambda each: certificate_public_key(each) != wanted)
    return leaves[0]


def certificate_public_key(content: Content) -> PublicNumbers | None:
    """Return the public key of a certificate, or None if it cannot be read.

    Args:
        content: a content of any kind.

    """
    try:
        return Certificate.of(content.der).public_numbers if content.kind is FileKind.CERTIFICATE else None
    except ValueError:
        return None


def derive_public_key(content: Content, password: Secret) -> PublicNumbers | None:
    """Return the public half of a private key, or None if it does not open.

    Args:
        content: a content of any kind.
        password: password of the key.

    """
    # Import `cryptography` only when needed: most processes only read.
    from facturaonline_async.sello._private_key import encode_password, open_private_key  # noqa: PLC0415

    try:
        if content.kind is FileKind.KEY and password:
            return open_private_key(content.der, encode_password(password))
        return open_private_key(content.der, None) if content.kind is FileKind.PLAIN_KEY else None
    except ValueError:
        return None


def _certificates(found: Sequence[Content]) -> list[Content]:
    """Return the certificates, truncated ones last."""
    certificates = [each for each in found if each.kind is FileKind.CERTIFICATE]
    return sorted(certificates, key=lambda each: each.is_truncated)


def _keys(found: Sequence[Content]) -> list[Content]:
    return sorted((each for each in found if each.kind.is_key), key=lambda each: each.is_truncated)


def _is_authority(content: Content) -> bool:
    try:
        return Certificate.of(content.der).is_authority
    except ValueError:
        return False
