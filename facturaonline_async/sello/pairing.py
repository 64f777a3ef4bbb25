"""Which key belongs to which certificate: the SAT gives the two files different names."""

from __future__ import annotations

from facturaonline_async.config import Secret, SecretBytes
from facturaonline_async.sello.certificado import PublicNumbers, read_certificado
from facturaonline_async.sello.files import What, recognise
from facturaonline_async.sello.llave import open_llave

__all__ = ["public_of_cer", "public_of_key"]


def public_of_cer(content: bytes) -> PublicNumbers | None:
    """Return the public key that a certificate states, or None for what cannot be read as one."""
    found = recognise(SecretBytes(content))
    try:
        return read_certificado(found.der)[1] if found.what is What.CERTIFICATE else None
    except ValueError:
        return None


def public_of_key(content: bytes, password: Secret) -> PublicNumbers | None:
    """Return the public half of a private key, or None for what the password does not open."""
    found = recognise(SecretBytes(content))
    try:
        if found.what is What.KEY and password:
            return open_llave(found.der, SecretBytes(password.reveal().encode("utf-8", "surrogatepass")))
        return open_llave(found.der, None) if found.what is What.PLAIN_KEY else None
    except ValueError:
        return None
