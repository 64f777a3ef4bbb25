"""Models of a company: as an answer, as a new company, and as changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from operator import attrgetter
from typing import Any, Final

from attrs import Attribute, field, fields, frozen

from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.logging import LOGGER
from facturaonline_async._core.protocol.extra import NO_EXTRA, Extra
from facturaonline_async._core.protocol.lazy_secrets import SECRET_SLOTS, KeepsSecrets
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret, to_secret
from facturaonline_async._text import compose, is_latin
from facturaonline_async._validators import count, instance_of, positive_int, required_text, text
from facturaonline_async.config import Credentials
from facturaonline_async.errors import InvalidInputError, UnreadableAnswerError
from facturaonline_async.sat._regimenes import Regimen, find_regimen
from facturaonline_async.sello import Sello

__all__ = ["CambiosEmpresa", "CorreoSmtp", "Empresa", "NuevaEmpresa", "key_marks"]


_stored_api_key: Final = SECRET_SLOTS[0].__get__


def _normalize_curp(curp: str) -> str:
    """Return the CURP trimmed and in upper case; the validator refuses non-texts."""
    return compose(curp).strip().upper() if isinstance(curp, str) else curp


def _optional_curp(curp: str | None) -> str | None:
    return None if curp is None else _normalize_curp(curp)


def _to_extra(texts: Mapping[str, str]) -> Mapping[str, str]:
    return texts if isinstance(texts, Extra) else Extra(texts)


@frozen(kw_only=True, slots=False)  # lists of thousands are read into the instances' dicts at once
class Empresa(KeepsSecrets):
    """A company as a response describes it.

    A text is ``""``, and a date, flag or number is None, if the response leaves it out, or gives null or an empty text.
    The attributes from `regimen` to `is_deleted` are filled only by the responses to create and update.

    A date, flag or number that cannot be read does not make the response unreadable: the attribute is None, and `extra`
    has the API's text.

    Where the API has another name for an attribute, the name is in brackets: the one in lists and details first, then
    the one in the responses to create and update. There, all other names are the attribute's with ``acco_`` before it.

    Attributes:
        uid: the API's identifier of the company.
        razon_social: legal name, as the SAT has it on record.
        rfc: tax identifier.
        regimen_fiscal: régimen fiscal in words, such as "General de Ley Personas Morales" [``regimen_fiscal``,
            ``acco_regimen``].
        curp: CURP of a person.
        calle: street.
        exterior: number of the house [``exterior``, ``acco_numero``].
        interior: number of the flat or office.
        colonia: neighbourhood.
        codpos: postal code, five digits.
        ciudad: city.
        estado: federal state.
        email: address for mail.
        logo_name: name of the logo's file on the server [``logo_path``, ``acco_logo_path``].
        csd_cer_name: name of the CSD's certificate file on the server [``cer``, ``acco_cer_path``].
        csd_key_name: name of the CSD's key file on the server [``key``, ``acco_key_path``].
        fiel_cer_name: name of the e.firma's certificate file on the server [``fielcer``, ``acco_fiel_cer``].
        fiel_key_name: name of the e.firma's key file on the server [``fielkey``, ``acco_fiel_key``].
        api_key: the company's own API key; None if the response has none. Use `credentials`.
        secret_key: the company's own secret key; None if the response has none. Use `credentials`.
        keys_problem: the reason why the keys must not be used: the response was about another company, or its keys
            belong to another company. ``""`` if there is none. `credentials` raises it.
        regimen: code of the régimen fiscal, such as "601" [``acco_regimen_33``].
        regimen_nomina: code of the régimen for payroll, such as "601".
        delegacion: municipio or alcaldía.
        telefono: telephone number.
        mailtomyself: whether a copy of each document is mailed to `email`.
        mailtomyconta: whether a copy of each document is mailed to `mail_conta`.
        mail_conta: mail address of the accountant [``acco_email_conta``].
        cant_folios_min: number of remaining folios at which the API warns [``acco_folios_alert``].
        has_smtp: whether the company has its own mail server [``acco_smtp``].
        csd_numero: number of the CSD's certificate [``acco_cer_no``].
        created_on: date of creation [``acco_create``].
        updated_on: date of the last change [``acco_lastupdate``].
        is_main: whether it is the account's main company [``acco_main``].
        is_deleted: whether the company is deleted [``acco_deleted``].
        extra: further facts of the response as texts, by the API's names, such as ``acco_id``, ``acco_user_id``,
            ``acco_pem_path`` and ``acco_pdf``; read-only. Lists and objects are JSON text. Empty fields are left out,
            and so is every field whose name suggests a key, a password or a token. Texts that look secret are masked,
            and so are the keys and passwords of the request. A text is cut after 2,000 characters, and the facts of a
            company after 20,000; "…" shows this.

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
    logo_name: str = ""
    csd_cer_name: str = ""
    csd_key_name: str = ""
    fiel_cer_name: str = ""
    fiel_key_name: str = ""
    api_key: Secret | None = field(default=None, repr=False)
    secret_key: Secret | None = field(default=None, repr=False)
    keys_problem: str = field(default="", repr=False, eq=False)

    regimen: str = field(default="", repr=False)
    regimen_nomina: str = field(default="", repr=False)
    delegacion: str = field(default="", repr=False)
    telefono: str = field(default="", repr=False)
    mailtomyself: bool | None = field(default=None, repr=False)
    mailtomyconta: bool | None = field(default=None, repr=False)
    mail_conta: str = field(default="", repr=False)
    cant_folios_min: int | None = field(default=None, repr=False)
    has_smtp: bool | None = field(default=None, repr=False)
    csd_numero: str = field(default="", repr=False)
    created_on: date | None = field(default=None, repr=False)
    updated_on: date | None = field(default=None, repr=False)
    is_main: bool | None = field(default=None, repr=False)
    is_deleted: bool | None = field(default=None, repr=False)
    extra: Mapping[str, str] = field(default=NO_EXTRA, converter=_to_extra, repr=False)

    @property
    def regimen_sat(self) -> Regimen | None:
        """The SAT's catalogue entry of the régimen fiscal, or None.

        It is found by `regimen` or by `regimen_fiscal`.
        """
        return find_regimen(self.regimen) or find_regimen(self.regimen_fiscal)

    @property
    def credentials(self) -> Credentials:
        """The company's own key pair, for `FacturaOnline.for_empresa`.

        Raises:
            InvalidInputError: this value has no keys: it came from a create or an update, whose keys are not usable
                yet, or the response left them out. Read the company with ``get(uid)``.
            UnreadableAnswerError: the response was about another company, or gave another company's keys; see
                `keys_problem`.

        """
        if self.keys_problem:
            raise UnreadableAnswerError(self.keys_problem, uid=self.uid)
        api_key, secret_key = self.api_key, self.secret_key
        if not api_key or not secret_key:
            raise InvalidInputError(message("empresas.no_keys", uid=repr(self.uid)), field="credentials", uid=self.uid)
        return Credentials(api_key=api_key, secret_key=secret_key)

    def key_mark(self) -> int:
        """Return a hash that identifies the API key in this process; 0 without a key."""
        try:
            return hash(_stored_api_key(self))  # the hash of "" is 0, too
        except AttributeError:  # it was not read from a response
            return hash(self.api_key.reveal()) if self.api_key else 0


def key_marks(empresas: Iterable[Empresa]) -> list[int]:
    """Return `Empresa.key_mark` of many companies.

    It makes no `Secret` objects and takes a tenth of the time.

    Args:
        empresas: the companies.

    """
    try:
        return list(map(hash, map(_stored_api_key, empresas)))  # the hash of "" is 0, too
    except AttributeError:
        return [empresa.key_mark() for empresa in empresas]


@frozen(kw_only=True)
class CorreoSmtp:
    """A company's own mail server, which sends its documents.

    Attributes:
        email: address of the sender. Required.
        password: password of the mail account. Required; a text is converted to a `Secret`.
        host: name of the server, such as ``"smtp.example.mx"``. Required.
        port: TCP port, such as 587. Required.
        encryption: ``"ssl"``, ``"tls"``, ``"none"`` or ``""``, the default.

    Raises:
        InvalidInputError: a value is empty or malformed; ``field`` names the attribute.

    """

    email: str = field(validator=required_text)
    password: Secret = field(converter=to_secret, validator=instance_of(Secret))
    host: str = field(validator=required_text)
    port: int = field(validator=positive_int)
    encryption: str = field(default="", validator=text)


_MAX_LOGO_BYTES: Final = 1 << 20
_EXTENSIONS: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"))


def logo_extension(logo: bytes) -> str | None:
    """Return ``"png"``, ``"jpg"`` or None, by a picture's first bytes.

    Args:
        logo: the bytes of the picture.

    """
    return next((extension for magic, extension in _EXTENSIONS if logo.startswith(magic)), None)


def _check_logo(_: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, bytes) or logo_extension(value) is None:
        raise InvalidInputError(message("values.not_picture", name=attribute.name), field=attribute.name)
    if len(value) > _MAX_LOGO_BYTES:
        raise InvalidInputError(message("empresas.logo_too_large", limit=_MAX_LOGO_BYTES), field=attribute.name)


def _optional_rfc(rfc: str | None) -> str | None:
    return None if rfc is None else normalize_rfc(rfc)


def _compose_texts(empresa: NuevaEmpresa | CambiosEmpresa) -> None:
    """Compose the characters of all texts (NFC), and log a warning for each.

    Most companies have composed texts only: one check of all texts together suffices.
    """
    if is_latin("".join(filter(None, _texts(empresa)))):
        return
    for name in _TEXTS:
        text = getattr(empresa, name)
        if text and (composed := compose(text)) != text:
            LOGGER.warning("%s was given with decomposed characters (NFD), and is sent composed (NFC).", name)
            object.__setattr__(empresa, name, composed)  # still in the constructor: the value is frozen afterwards


@frozen(kw_only=True)
class NuevaEmpresa:
    """The data for a new company.

    Optional attributes default to ``""`` or None and are not sent then.

    Razón social, RFC and código postal must be those that the SAT has on record. Before a company is sent, the formats
    of `rfc`, `curp`, `codpos`, `email`, `mail_conta`, `telefono`, `regimen` and `regimen_nomina` are checked, and the
    certificates with their keys and passwords. A wrong check digit, a short telephone number, or a régimen for another
    kind of person, only logs a warning.

    Texts are sent with composed characters (NFC). A decomposed text is composed in the constructor, and a warning is
    logged. `rfc` and `curp` are converted to upper case. No text is changed otherwise.

    Attributes:
        razon_social: legal name. Required.
        rfc: tax identifier. Required.
        codpos: postal code, five digits. Required.
        email: address for mail. Required.
        regimen_nomina: code of the régimen for payroll, such as "601". Required.
        csd: Certificado de Sello Digital, which signs invoices. Required.
        regimen: code of the régimen fiscal, such as "601".
        calle: street.
        exterior: number of the house.
        interior: number of the flat or office.
        colonia: neighbourhood.
        estado: federal state.
        ciudad: city.
        delegacion: municipio or alcaldía. (In the provider's samples the value that was sent did not come back.)
        telefono: telephone number.
        curp: CURP of a person.
        mailtomyself: whether a copy of each document is mailed to `email`.
        mailtomyconta: whether a copy of each document is mailed to `mail_conta`.
        mail_conta: mail address of the accountant.
        cant_folios_min: number of remaining folios at which the API warns.
        smtp: the company's own mail server.
        logo: bytes of a PNG or JPEG picture, at most 1 MiB.
        fiel: e.firma.

    Raises:
        InvalidInputError: a required text is empty, or a text holds a line break, a control character or an invisible
            character (such as a zero-width space); ``field`` names the attribute.

    """

    razon_social: str = field(validator=required_text)
    rfc: str = field(converter=normalize_rfc, validator=required_text)
    codpos: str = field(validator=required_text)
    email: str = field(validator=required_text)
    regimen_nomina: str = field(validator=required_text)
    csd: Sello = field(validator=instance_of(Sello))

    regimen: str = field(default="", validator=text)
    calle: str = field(default="", validator=text)
    exterior: str = field(default="", validator=text)
    interior: str = field(default="", validator=text)
    colonia: str = field(default="", validator=text)
    estado: str = field(default="", validator=text)
    ciudad: str = field(default="", validator=text)
    delegacion: str = field(default="", validator=text)
    telefono: str = field(default="", validator=text)
    curp: str = field(default="", converter=_normalize_curp, validator=text)
    mailtomyself: bool | None = field(default=None, validator=instance_of(bool, or_none=True))
    mailtomyconta: bool | None = field(default=None, validator=instance_of(bool, or_none=True))
    mail_conta: str = field(default="", validator=text)
    cant_folios_min: int | None = field(default=None, validator=count)
    smtp: CorreoSmtp | None = field(default=None, validator=instance_of(CorreoSmtp, or_none=True))
    logo: bytes | None = field(default=None, validator=_check_logo, repr=False)
    fiel: Sello | None = field(default=None, validator=instance_of(Sello, or_none=True))

    def __attrs_post_init__(self) -> None:
        _compose_texts(self)


@frozen(kw_only=True)
class CambiosEmpresa:
    """The changes to a company.

    None, the default of every attribute, is not sent; ``""`` is sent. Texts are composed and checked as in
    `NuevaEmpresa`.

    Attributes:
        razon_social: legal name.
        rfc: tax identifier.
        codpos: postal code, five digits.
        email: address for mail.
        regimen_nomina: code of the régimen for payroll, such as "601".
        csd: Certificado de Sello Digital: certificate, key and password together.
        regimen: code of the régimen fiscal, such as "601".
        calle: street.
        exterior: number of the house.
        interior: number of the flat or office.
        colonia: neighbourhood.
        estado: federal state.
        ciudad: city.
        delegacion: municipio or alcaldía.
        telefono: telephone number.
        curp: CURP of a person.
        mailtomyself: whether a copy of each document is mailed to `email`.
        mailtomyconta: whether a copy of each document is mailed to `mail_conta`.
        mail_conta: mail address of the accountant.
        cant_folios_min: number of remaining folios at which the API warns.
        smtp: the company's own mail server.
        logo: bytes of a PNG or JPEG picture, at most 1 MiB.
        fiel: e.firma: certificate, key and password together.

    Raises:
        InvalidInputError: a value is malformed; ``field`` names the attribute.

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


#: Attributes that hold texts and have no converter of their own.
_TEXTS: Final = tuple(
    each.name for each in fields(NuevaEmpresa) if each.converter is None and each.validator in {text, required_text}
)
_texts: Final = attrgetter(*_TEXTS)
