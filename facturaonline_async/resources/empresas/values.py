"""Empresa as the API gives it, and what is sent to create or change one."""

from __future__ import annotations

import unicodedata
from typing import Final

from attrs import Attribute, field, frozen

from facturaonline_async.config import Credentials, Secret
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello import Sello

__all__ = ["CambiosEmpresa", "CorreoSmtp", "CuentaEmpresa", "Empresa", "NuevaEmpresa", "normalize_rfc"]


def normalize_rfc(rfc: str) -> str:
    """Return the RFC as companies are told apart by it: upper case, no blanks around it, composed (NFC).

    Ñ and & are legal letters of an RFC.
    """
    if not isinstance(rfc, str):
        raise InvalidInputError(f"rfc must be a text, and was a {type(rfc).__name__}.", field="rfc")
    return unicodedata.normalize("NFC", rfc).strip().upper()


@frozen(kw_only=True, slots=False)
class CuentaEmpresa:
    """What the answers to create and update tell about a company besides its data. Any text may be ``""``."""

    id: str = ""
    user_id: str = ""
    #: Code of the régimen fiscal, such as "601".
    regimen: str = ""
    regimen_nomina: str = ""
    delegacion: str = ""
    telefono: str = ""
    mailtomyself: str = ""
    mailtomyconta: str = ""
    mail_conta: str = ""
    cant_folios_min: str = ""
    smtp: str = ""
    #: Dates such as "2023-01-14".
    create: str = ""
    lastupdate: str = ""
    #: Number of the certificate.
    cer_no: str = ""
    pem_path: str = ""
    cedula_path: str = ""
    #: "1" for the account's main company.
    main: str = ""
    deleted: str = ""
    #: JSON text.
    pdf: str = ""
    email_settings: str = ""
    apps: str = ""


@frozen(kw_only=True, slots=False)  # the reader fills the instance's dict at once: half the time of a list
class Empresa:
    """A company as an answer tells it. Texts that the answer leaves out, or gives as null, are ``""``.

    Attributes:
        uid: the API's own name of the company.
        regimen_fiscal: in words, such as "General de Ley Personas Morales".
        cer, key, fielcer, fielkey: names of files on the server, not their contents.
        cuenta: further facts; only the answers to create and update give them, else None.
        api_key, secret_key: the company's own keys, where the answer gives them; see `credentials`.

    """

    uid: str
    razon_social: str = ""
    rfc: str = ""
    regimen_fiscal: str = ""
    curp: str = ""
    calle: str = ""
    exterior: str = ""
    interior: str = ""
    colonia: str = ""
    codpos: str = ""
    ciudad: str = ""
    estado: str = ""
    email: str = ""
    logo_path: str = ""
    cer: str = ""
    key: str = ""
    fielcer: str = ""
    fielkey: str = ""
    cuenta: CuentaEmpresa | None = field(default=None, repr=False)
    api_key: Secret | None = field(default=None, repr=False)
    secret_key: Secret | None = field(default=None, repr=False)

    @property
    def credentials(self) -> Credentials:
        """The company's own key pair, for `FacturaOnline.for_empresa`.

        Raises:
            InvalidInputError: this value came from the answer to a create or an update, whose keys are not ready for
                use, or the answer left them out. Read the company with ``get(uid)``.

        """
        if not self.api_key or not self.secret_key:
            raise InvalidInputError(
                "This Empresa carries no keys: only list(), get(), find(), current() and ensure() give them. "
                f"Read it with get({self.uid!r}).",
                field="credentials",
                uid=self.uid,
            )
        return Credentials(api_key=self.api_key, secret_key=self.secret_key)


@frozen(kw_only=True)
class CorreoSmtp:
    """The company's own mail server for sending its documents.

    Attributes:
        email: sender's address.
        password: kept as a `Secret`; a text is accepted.
        host: such as ``"smtp.example.mx"``.
        port: such as 587.
        encryption: ``""``, ``"ssl"``, ``"tls"`` or ``"none"``.

    """

    email: str
    password: Secret = field(converter=Secret)
    host: str
    port: int
    encryption: str = ""


_EXTENSIONS: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"))


def logo_extension(logo: bytes) -> str | None:
    """Return ``"png"`` or ``"jpg"`` by the picture's first bytes, or None for anything else."""
    return next((extension for magic, extension in _EXTENSIONS if logo.startswith(magic)), None)


def _check_logo(_: object, attribute: Attribute[bytes | None], value: bytes | None) -> None:
    if value is not None and logo_extension(value) is None:
        raise InvalidInputError("logo must hold the bytes of a PNG or JPEG picture.", field=attribute.name)


def _required(_: object, attribute: Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{attribute.name} is required, and was empty.", field=attribute.name)


def _optional_rfc(rfc: str | None) -> str | None:
    return None if rfc is None else normalize_rfc(rfc)


@frozen(kw_only=True)
class NuevaEmpresa:
    """What is sent to create a company. The first block is required; an optional text left ``""`` is not sent.

    Razón social, RFC and código postal must be those that the SAT has on record.
    """

    razon_social: str = field(validator=_required)
    rfc: str = field(converter=normalize_rfc, validator=_required)
    codpos: str = field(validator=_required)
    email: str = field(validator=_required)
    #: Code of the régimen for payroll, such as "601".
    regimen_nomina: str = field(validator=_required)
    #: Certificado de Sello Digital: what invoices are signed with.
    csd: Sello

    #: Code of the régimen fiscal, such as "601".
    regimen: str = ""
    calle: str = ""
    exterior: str = ""
    interior: str = ""
    colonia: str = ""
    estado: str = ""
    ciudad: str = ""
    #: Municipio or alcaldía. (What was sent did not come back in the provider's samples.)
    delegacion: str = ""
    telefono: str = ""
    curp: str = ""
    #: Send a copy of each document's mail to `email`.
    mailtomyself: bool | None = None
    #: Send a copy of each document's mail to `mail_conta`, the accountant's address.
    mailtomyconta: bool | None = None
    mail_conta: str = ""
    #: Warn when no more than so many folios are left.
    cant_folios_min: int | None = None
    smtp: CorreoSmtp | None = None
    #: Bytes of a PNG or JPEG picture.
    logo: bytes | None = field(default=None, validator=_check_logo, repr=False)
    #: The e.firma.
    fiel: Sello | None = None


@frozen(kw_only=True)
class CambiosEmpresa:
    """What is sent to change a company: None is not sent, ``""`` is sent empty.

    A CSD or a FIEL travels whole: certificate, key and password.
    """

    razon_social: str | None = None
    rfc: str | None = field(default=None, converter=_optional_rfc)
    codpos: str | None = None
    email: str | None = None
    regimen_nomina: str | None = None
    csd: Sello | None = None
    regimen: str | None = None
    calle: str | None = None
    exterior: str | None = None
    interior: str | None = None
    colonia: str | None = None
    estado: str | None = None
    ciudad: str | None = None
    delegacion: str | None = None
    telefono: str | None = None
    curp: str | None = None
    mailtomyself: bool | None = None
    mailtomyconta: bool | None = None
    mail_conta: str | None = None
    cant_folios_min: int | None = None
    smtp: CorreoSmtp | None = None
    logo: bytes | None = field(default=None, validator=_check_logo, repr=False)
    fiel: Sello | None = None
