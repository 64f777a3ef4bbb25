"""Empresa as the API gives it, and what is sent to create or change one."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from attrs import Attribute, field, fields, frozen

from facturaonline_async._core.company_registry import plain_rfc
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.protocol.lazy_secrets import PLACES, KeepsSecrets
from facturaonline_async._text import compose, is_latin
from facturaonline_async._validators import count, instance_of, positive_int, required_text, text, type_name
from facturaonline_async.config import Credentials, Secret, to_secret
from facturaonline_async.errors import InvalidInputError, UnreadableAnswerError
from facturaonline_async.sat._regimenes import Regimen, find_regimen
from facturaonline_async.sello import Sello

__all__ = ["CambiosEmpresa", "CorreoSmtp", "Empresa", "NuevaEmpresa", "key_marks", "normalize_rfc"]


def normalize_rfc(rfc: str) -> str:
    """Return the RFC as companies are told apart by it: upper case, no blanks around it, composed (NFC).

    Ñ and & are legal letters of an RFC.
    """
    if not isinstance(rfc, str):
        raise InvalidInputError(f"rfc must be a text, and was {type_name(rfc)}.", field="rfc")
    return plain_rfc(rfc)


_first_kept: Final = PLACES[0].__get__


def _normalize_curp(curp: str) -> str:
    """Return the CURP in upper case and without blanks around it; what is no text is the validator's."""
    return compose(curp).strip().upper() if isinstance(curp, str) else curp


def _optional_curp(curp: str | None) -> str | None:
    return None if curp is None else _normalize_curp(curp)


@frozen(kw_only=True, slots=False)  # lists of thousands are read into the instances' dicts at once
class Empresa(KeepsSecrets):
    """A company as an answer tells it. Texts that the answer leaves out, or gives as null, are ``""``.

    Attributes:
        uid: the API's own name of the company.
        regimen_fiscal: in words, such as "General de Ley Personas Morales".
        cer, key, fielcer, fielkey: names of files on the server, not their contents.
        api_key, secret_key: the company's own keys, where the answer gives them; see `credentials`.
        keys_problem: why the keys must not be used: the answer was about another company, or its keys are another
            company's; ``""`` where nothing contradicts them. `credentials` raises it.

    All attributes behind these are told only by the answers to create and update.

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
    api_key: Secret | None = field(default=None, repr=False)
    secret_key: Secret | None = field(default=None, repr=False)
    keys_problem: str = field(default="", repr=False, eq=False)

    #: Code of the régimen fiscal, such as "601".
    regimen: str = field(default="", repr=False)
    regimen_nomina: str = field(default="", repr=False)
    delegacion: str = field(default="", repr=False)
    telefono: str = field(default="", repr=False)
    mailtomyself: str = field(default="", repr=False)
    mailtomyconta: str = field(default="", repr=False)
    mail_conta: str = field(default="", repr=False)
    cant_folios_min: str = field(default="", repr=False)
    smtp: str = field(default="", repr=False)
    id: str = field(default="", repr=False)
    user_id: str = field(default="", repr=False)
    #: Dates such as "2023-01-14".
    create: str = field(default="", repr=False)
    lastupdate: str = field(default="", repr=False)
    #: Number of the certificate.
    cer_no: str = field(default="", repr=False)
    pem_path: str = field(default="", repr=False)
    cedula_path: str = field(default="", repr=False)
    #: "1" for the account's main company.
    main: str = field(default="", repr=False)
    deleted: str = field(default="", repr=False)
    #: JSON text.
    pdf: str = field(default="", repr=False)
    email_settings: str = field(default="", repr=False)
    apps: str = field(default="", repr=False)

    @property
    def regimen_sat(self) -> Regimen | None:
        """The régimen fiscal as the SAT's catalogue has it, by its code or by its text; None: not in the catalogue."""
        return find_regimen(self.regimen) or find_regimen(self.regimen_fiscal)

    @property
    def credentials(self) -> Credentials:
        """The company's own key pair, for `FacturaOnline.for_empresa`.

        Raises:
            InvalidInputError: this value came from the answer to a create or an update, whose keys are not ready for
                use, or the answer left them out. Read the company with ``get(uid)``.
            UnreadableAnswerError: the answer was about another company, or gave another company's keys; see
                `keys_problem`.

        """
        if self.keys_problem:
            raise UnreadableAnswerError(self.keys_problem, uid=self.uid)
        if not self.api_key or not self.secret_key:
            raise InvalidInputError(
                "This Empresa carries no keys: only list(), get(), find(), current() and ensure() give them. "
                f"Read it with get({self.uid!r}).",
                field="credentials",
                uid=self.uid,
            )
        return Credentials(api_key=self.api_key, secret_key=self.secret_key)

    def key_mark(self) -> int:
        """Return a number by which the API key is known within this process; 0: the answer gave none."""
        return hash(self.api_key.reveal()) if self.api_key else 0


def key_marks(empresas: Iterable[Empresa]) -> list[int]:
    """Return the `Empresa.key_mark` of each, in a tenth of the time: no `Secret` is made of what is kept."""
    try:
        return list(map(hash, map(_first_kept, empresas)))  # of "", too, it is 0
    except AttributeError:
        return [empresa.key_mark() for empresa in empresas]


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

    email: str = field(validator=required_text)
    password: Secret = field(converter=to_secret, validator=instance_of(Secret))
    host: str = field(validator=required_text)
    port: int = field(validator=positive_int)
    encryption: str = field(default="", validator=text)


_MOST_LOGO_BYTES: Final = 1 << 20
_EXTENSIONS: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"))


def logo_extension(logo: bytes) -> str | None:
    """Return ``"png"`` or ``"jpg"`` by the picture's first bytes, or None for anything else."""
    return next((extension for magic, extension in _EXTENSIONS if logo.startswith(magic)), None)


def _check_logo(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, bytes) or logo_extension(value) is None:
        raise InvalidInputError("logo must hold the bytes of a PNG or JPEG picture.", field=attribute.name)
    if len(value) > _MOST_LOGO_BYTES:
        raise InvalidInputError(f"logo must have {_MOST_LOGO_BYTES:,} bytes at most.", field=attribute.name)


def _optional_rfc(rfc: str | None) -> str | None:
    return None if rfc is None else normalize_rfc(rfc)


def _compose_texts(empresa: NuevaEmpresa | CambiosEmpresa) -> None:
    """Compose the characters of all texts (NFC), and say so. Nearly all are composed: that takes one look at all."""
    if is_latin("".join(filter(None, _texts(empresa)))):
        return
    for name in _TEXTS:
        text = getattr(empresa, name)
        if text and (composed := compose(text)) != text:
            LOGGER.warning("%s was given with decomposed characters (NFD), and is sent composed (NFC).", name)
            object.__setattr__(empresa, name, composed)  # the value is being made, and frozen from then on


@frozen(kw_only=True)
class NuevaEmpresa:
    """What is sent to create a company. The first block is required; an optional text left ``""`` is not sent.

    Razón social, RFC and código postal must be those that the SAT has on record. Before one is sent, the forms of
    `rfc`, `curp`, `codpos`, `regimen` and `regimen_nomina` are checked, and the certificates with their keys and
    passwords; check digits, and a régimen that is not for this kind of person, only warn.

    Texts are sent with composed characters (NFC); one that was given otherwise is composed when the value is made, and
    the logger warns of it. Apart from that, and from the upper case of `rfc` and `curp`, no text is changed.

    Raises:
        InvalidInputError: a text holds a line break, a control character or an invisible one (such as a zero-width
            space), or a required one is empty.
    """

    razon_social: str = field(validator=required_text)
    rfc: str = field(converter=normalize_rfc, validator=required_text)
    codpos: str = field(validator=required_text)
    email: str = field(validator=required_text)
    #: Code of the régimen for payroll, such as "601".
    regimen_nomina: str = field(validator=required_text)
    #: Certificado de Sello Digital: what invoices are signed with.
    csd: Sello = field(validator=instance_of(Sello))

    #: Code of the régimen fiscal, such as "601".
    regimen: str = field(default="", validator=text)
    calle: str = field(default="", validator=text)
    exterior: str = field(default="", validator=text)
    interior: str = field(default="", validator=text)
    colonia: str = field(default="", validator=text)
    estado: str = field(default="", validator=text)
    ciudad: str = field(default="", validator=text)
    #: Municipio or alcaldía. (What was sent did not come back in the provider's samples.)
    delegacion: str = field(default="", validator=text)
    telefono: str = field(default="", validator=text)
    curp: str = field(default="", converter=_normalize_curp, validator=text)
    #: Send a copy of each document's mail to `email`.
    mailtomyself: bool | None = field(default=None, validator=instance_of(bool, or_none=True))
    #: Send a copy of each document's mail to `mail_conta`, the accountant's address.
    mailtomyconta: bool | None = field(default=None, validator=instance_of(bool, or_none=True))
    mail_conta: str = field(default="", validator=text)
    #: Warn when no more than so many folios are left.
    cant_folios_min: int | None = field(default=None, validator=count)
    smtp: CorreoSmtp | None = field(default=None, validator=instance_of(CorreoSmtp, or_none=True))
    #: Bytes of a PNG or JPEG picture.
    logo: bytes | None = field(default=None, validator=_check_logo, repr=False)
    #: The e.firma.
    fiel: Sello | None = field(default=None, validator=instance_of(Sello, or_none=True))

    def __attrs_post_init__(self) -> None:
        _compose_texts(self)


@frozen(kw_only=True)
class CambiosEmpresa:
    """What is sent to change a company: None is not sent, ``""`` is sent empty.

    A CSD or a FIEL travels whole: certificate, key and password. Texts are composed and checked as in `NuevaEmpresa`.
    """

    razon_social: str | None = field(default=None, validator=text)
    rfc: str | None = field(default=None, converter=_optional_rfc, validator=text)
    codpos: str | None = field(default=None, validator=text)
    email: str | None = field(default=None, validator=text)
    regimen_nomina: str | None = field(default=None, validator=text)
    csd: Sello | None = field(default=None, validator=instance_of(Sello, or_none=True))
    regimen: str | None = field(default=None, validator=text)
    calle: str | None = field(default=None, validator=text)
    exterior: str | None = field(default=None, validator=text)
    interior: str | None = field(default=None, validator=text)
    colonia: str | None = field(default=None, validator=text)
    estado: str | None = field(default=None, validator=text)
    ciudad: str | None = field(default=None, validator=text)
    delegacion: str | None = field(default=None, validator=text)
    telefono: str | None = field(default=None, validator=text)
    curp: str | None = field(default=None, converter=_optional_curp, validator=text)
    mailtomyself: bool | None = field(default=None, validator=instance_of(bool, or_none=True))
    mailtomyconta: bool | None = field(default=None, validator=instance_of(bool, or_none=True))
    mail_conta: str | None = field(default=None, validator=text)
    cant_folios_min: int | None = field(default=None, validator=count)
    smtp: CorreoSmtp | None = field(default=None, validator=instance_of(CorreoSmtp, or_none=True))
    logo: bytes | None = field(default=None, validator=_check_logo, repr=False)
    fiel: Sello | None = field(default=None, validator=instance_of(Sello, or_none=True))

    def __attrs_post_init__(self) -> None:
        _compose_texts(self)


#: Attributes that hold texts without a converter of their own.
_TEXTS: Final = tuple(
    each.name for each in fields(NuevaEmpresa) if each.converter is None and each.validator in {text, required_text}
)
_texts: Final = attrgetter(*_TEXTS)
