"""The six endpoints of companies: forms in requests, JSON in responses.

Sources: https://facturaonline.com.mx/api documentation, "Empresas"; its samples spell one password's field
``fielpasswordd``, but the table and all working code send ``fielpassword``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.protocol.bodies import Body, File, Value, form
from facturaonline_async._core.protocol.extra import NO_EXTRA, Extra, mask_extra
from facturaonline_async._core.protocol.structure import make_form_writer, make_reader
from facturaonline_async._core.redaction import make_masker
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._validators import is_one_line, one_line, type_name
from facturaonline_async.config import Upload
from facturaonline_async.empresas._models import (
    CambiosEmpresa,
    CorreoSmtp,
    Empresa,
    NuevaEmpresa,
    logo_extension,
)
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sello import Sello
from facturaonline_async.sello._models import refuse_unsendable

LIST: Final = Endpoint(
    name="empresas.list", method="GET", path="/v1/accounts", retry_safety=RetrySafety.READ, listing=True
)
CURRENT: Final = Endpoint(
    name="empresas.current", method="GET", path="/v1/current/account", retry_safety=RetrySafety.READ
)
GET: Final = Endpoint(name="empresas.get", method="GET", path="/v1/account/{uid}", retry_safety=RetrySafety.READ)
CREATE: Final = Endpoint(
    name="empresas.create", method="POST", path="/v4/account/create", retry_safety=RetrySafety.NEVER, upload=True
)
UPDATE: Final = Endpoint(
    name="empresas.update",
    method="POST",
    path="/v4/account/{uid}/update",
    retry_safety=RetrySafety.IDEMPOTENT,
    upload=True,
)
DELETE: Final = Endpoint(
    name="empresas.delete",
    method="POST",
    path="/v4/account/{uid}/delete",
    retry_safety=RetrySafety.VERIFY_FIRST,
    is_delete=True,
)

ENDPOINTS: Final = (LIST, CURRENT, GET, CREATE, UPDATE, DELETE)

# The API has three names for each attribute; "" means that it is absent there. The keys in the response to a create are
# left out on purpose, because they are not usable as headers yet. So are the passwords that the response to an update
# repeats. Other fields become `Empresa.extra`.
_FIELD_NAMES: Final = (
    # attribute         request              create and update   list and detail
    ("uid",             "",                  "acco_uid",         "uid"),
    ("razon_social",    "razons",            "acco_razon_social", "razon_social"),
    ("rfc",             "rfc",               "acco_rfc",         "rfc"),
    ("regimen_fiscal",  "",                  "acco_regimen",     "regimen_fiscal"),
    ("curp",            "curp",              "acco_curp",        "curp"),
    ("calle",           "calle",             "acco_calle",       "calle"),
    ("exterior",        "numero_exterior",   "acco_numero",      "exterior"),
    ("interior",        "numero_interior",   "acco_interior",    "interior"),
    ("colonia",         "colonia",           "acco_colonia",     "colonia"),
    ("codpos",          "codpos",            "acco_codpos",      "codpos"),
    ("ciudad",          "ciudad",            "acco_ciudad",      "ciudad"),
    ("estado",          "estado",            "acco_estado",      "estado"),
    ("email",           "email",             "acco_email",       "email"),
    ("logo_name",       "",                  "acco_logo_path",   "logo_path"),
    ("csd_cer_name",    "",                  "acco_cer_path",    "cer"),
    ("csd_key_name",    "",                  "acco_key_path",    "key"),
    ("fiel_cer_name",   "",                  "acco_fiel_cer",    "fielcer"),
    ("fiel_key_name",   "",                  "acco_fiel_key",    "fielkey"),
    ("api_key",         "",                  "",                 "api_key"),
    ("secret_key",      "",                  "",                 "secret_key"),
    ("regimen",         "regimen",           "acco_regimen_33",  ""),
    ("regimen_nomina",  "regimen_nomina",    "acco_regimen_nomina", ""),
    ("delegacion",      "delegacion",        "acco_delegacion",  ""),
    ("telefono",        "telefono",          "acco_telefono",    ""),
    ("mailtomyself",    "mailtomyself",      "acco_mailtomyself", ""),
    ("mailtomyconta",   "mailtomyconta",     "acco_mailtomyconta", ""),
    ("mail_conta",      "mail_conta",        "acco_email_conta", ""),
    ("cant_folios_min", "cant_folios_min",   "acco_folios_alert", ""),
    ("has_smtp",        "",                  "acco_smtp",        ""),
    ("csd_numero",      "",                  "acco_cer_no",      ""),
    ("created_on",      "",                  "acco_create",      ""),
    ("updated_on",      "",                  "acco_lastupdate",  ""),
    ("is_main",         "",                  "acco_main",        ""),
    ("is_deleted",      "",                  "acco_deleted",     ""),
)  # fmt: skip

_REQUEST_NAMES: Final = {attribute: name for attribute, name, _, _ in _FIELD_NAMES if name}
_WRITE_RESPONSE_NAMES: Final = {attribute: name for attribute, _, name, _ in _FIELD_NAMES if name}
_READ_RESPONSE_NAMES: Final = {attribute: name for attribute, _, _, name in _FIELD_NAMES if name}

#: Attributes that a request sets and a list or a detail shows.
READABLE: Final = frozenset(attribute for attribute, request, _, shown in _FIELD_NAMES if request and shown)

read_empresa: Final = make_reader(Empresa, _READ_RESPONSE_NAMES, extra="extra")
read_written_empresa: Final = make_reader(Empresa, _WRITE_RESPONSE_NAMES, extra="extra", is_sparse=True)

#: Fields of `Empresa.extra` with numbers, which hold no form of a secret except the secret itself. The search for the
#: other forms takes 0.1 ms.
_NUMBERS: Final = frozenset({"acco_id", "acco_user_id"})


def mask_echoes(empresas: Iterable[Empresa], secrets: Sequence[Secret]) -> None:
    """Mask the request's keys and passwords in each `Empresa.extra`, in place.

    Args:
        empresas: companies as a response describes them, before a caller has them.
        secrets: keys and passwords of the request.

    """
    mask: Callable[[str], str] | None = None
    for empresa in [each for each in empresas if each.extra is not NO_EXTRA]:
        if mask or not _are_numbers(empresa.extra, secrets):
            mask = mask or make_masker(secrets)
            vars(empresa)["extra"] = mask_extra(empresa.extra, mask)


def _are_numbers(extra: Mapping[str, str], secrets: Sequence[Secret]) -> bool:
    """Return whether the facts are numbers, and none of the secrets is one."""
    return (
        isinstance(extra, Extra)
        and extra.are_numbers(_NUMBERS)
        and not any(secret.reveal().isdigit() for secret in secrets)
    )


_SELLO_FIELDS: Final = {"csd": ("cer", "key", "password"), "fiel": ("fielcer", "fielkey", "fielpassword")}
_OCTET_STREAM: Final = "application/octet-stream"

_write_nueva: Final = make_form_writer(NuevaEmpresa, _REQUEST_NAMES)
_write_cambios: Final = make_form_writer(CambiosEmpresa, _REQUEST_NAMES)


def write_nueva(nueva: NuevaEmpresa, upload: Upload) -> Body:
    """Return the request body of a create.

    Args:
        nueva: the company.
        upload: how certificates are sent; see ``Config.upload``.

    Raises:
        InvalidInputError: a certificate, its key or its password cannot be sent.

    """
    return form({**_write_nueva(nueva), **_attachments(nueva, upload)})


def write_cambios(cambios: CambiosEmpresa, upload: Upload) -> Body:
    """Return the request body of an update.

    Args:
        cambios: the changes.
        upload: how certificates are sent; see ``Config.upload``.

    Raises:
        InvalidInputError: `cambios` is empty, or a certificate, its key or its password cannot be sent.

    """
    fields: dict[str, Value] = {**_write_cambios(cambios), **_attachments(cambios, upload)}
    if not fields:
        raise InvalidInputError(message("empresas.no_changes"), field="cambios")
    return form(fields)


def write_delete() -> Body:
    """Return the form field that names the HTTP method.

    The API reads it only in a real form.
    """
    return form({"_method": "delete"})


def list_query(*, rfc: str | None, razon_social: str | None) -> dict[str, str]:
    """Return the query of a filtered list.

    The sister product documents it; other hosts ignore it.

    Args:
        rfc: RFC to filter by, or None.
        razon_social: part of the name to filter by, or None.

    Raises:
        InvalidInputError: a filter is not a text, or holds a control character.

    """
    filters = {"rfc": rfc, "razon_social": razon_social}
    given = {name: value for name, value in filters.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, str):
            raise InvalidInputError(message("values.not_text", name=name, kind=type_name(value)), field=name)
        one_line(name, value)
    return given


def page_query(page: int, per_page: int) -> dict[str, str]:
    """Return the query of one page, in both spellings of the sister product.

    Args:
        page: number of the page, from 1.
        per_page: companies on a page.

    """
    return {"page": str(page), "per_page": str(per_page), "perPage": str(per_page)}


def _attachments(empresa: NuevaEmpresa | CambiosEmpresa, upload: Upload) -> dict[str, Value]:
    """Return the form fields of the certificates, the logo and the mail server."""
    fields: dict[str, Value] = {}
    if empresa.logo is not None:
        extension = logo_extension(empresa.logo)
        fields["logo"] = File(
            name=f"logo.{extension}",
            content_type="image/png" if extension == "png" else "image/jpeg",
            content=empresa.logo,
        )
    if empresa.csd is not None:
        fields |= _sello(empresa.csd, upload, "csd")
    if empresa.fiel is not None:
        fields |= _sello(empresa.fiel, upload, "fiel")
    if empresa.smtp is not None:
        fields |= _smtp(empresa.smtp)
    return fields


def _sello(sello: Sello, upload: Upload, name: str) -> dict[str, Value]:
    """Return the form fields of a certificate, its key and its password."""
    cer, key, password = _SELLO_FIELDS[name]
    refuse_unsendable(sello, cer, key, password)
    if upload == "base64":
        return {
            f"{name}_cer_b64": base64.b64encode(sello.cer).decode(),
            f"{name}_key_b64": Secret(base64.b64encode(sello.key).decode()),
            password: sello.password,
        }
    return {
        cer: File(name=f"{name}.cer", content_type=_OCTET_STREAM, content=sello.cer),
        key: File(name=f"{name}.key", content_type=_OCTET_STREAM, content=sello.key),
        password: sello.password,
    }


def _smtp(smtp: CorreoSmtp) -> dict[str, Value]:
    if not is_one_line(smtp.password.reveal()):
        raise InvalidInputError(message("values.password_not_one_line", name="smtp.password"), field="smtp.password")
    return {
        "smtp": "1",
        "smtp_email": smtp.email,
        "smtp_password": smtp.password,
        "smtp_port": str(smtp.port),
        "smtp_host": smtp.host,
        "smtp_encryption": smtp.encryption,
    }
