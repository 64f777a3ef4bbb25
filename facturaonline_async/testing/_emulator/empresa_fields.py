"""Field names of a company in requests, in responses and in a row of the state.

A row of the state mostly has the names of the detail.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from facturaonline_async.testing._emulator.regimen_catalogue import REGIMENES

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.state import Row

__all__ = ["FORM", "format_created", "format_detail", "format_updated"]

#: Text fields of the request, and the key of each in a row.
FORM: Final = {
    "razons": "razon_social",
    "rfc": "rfc",
    "codpos": "codpos",
    "calle": "calle",
    "numero_exterior": "exterior",
    "numero_interior": "interior",
    "colonia": "colonia",
    "estado": "estado",
    "ciudad": "ciudad",
    "delegacion": "delegacion",
    "email": "email",
    "regimen": "regimen",
    "mailtomyconta": "mailtomyconta",
    "mail_conta": "email_conta",
    "mailtomyself": "mailtomyself",
    "regimen_nomina": "regimen_nomina",
    "cant_folios_min": "folios_alert",
    "smtp": "smtp",
    "smtp_email": "smtp_email",
    "smtp_password": "smtp_password",
    "smtp_port": "smtp_port",
    "smtp_host": "smtp_host",
    "smtp_encryption": "smtp_encryption",
    "telefono": "telefono",
    "curp": "curp",
    "password": "password",
    "fielpassword": "fielpassword",
}

#: Keys of the response to create, in the order of the documented sample.
_CREATED: Final = (
    *("acco_uid", "acco_create", "acco_user_id", "acco_api_key", "acco_secret_key", "acco_regimen", "acco_regimen_33"),
    *("acco_razon_social", "acco_rfc", "acco_calle", "acco_numero", "acco_interior", "acco_colonia", "acco_codpos"),
    *("acco_estado", "acco_delegacion", "acco_ciudad", "acco_telefono", "acco_email", "acco_smtp", "acco_curp"),
    *("acco_regimen_nomina", "acco_mailtomyconta", "acco_email_conta", "acco_mailtomyself", "acco_folios_alert"),
    *("acco_id", "acco_fiel_key", "acco_fiel_cer", "acco_cer_path", "acco_key_path"),
)

#: Keys of the response to update, in the order of the documented sample.
_UPDATED: Final = (
    *("acco_id", "acco_uid", "acco_razon_social", "acco_rfc", "acco_regimen", "acco_regimen_33", "acco_calle"),
    *("acco_numero", "acco_interior", "acco_colonia", "acco_codpos", "acco_estado", "acco_delegacion", "acco_ciudad"),
    *("acco_telefono", "acco_create", "acco_lastupdate", "acco_cer_path", "acco_key_path", "acco_pem_path"),
    *("acco_psswrd_cer", "acco_cer_no", "acco_logo_path", "acco_cedula_path", "acco_main", "acco_deleted"),
    *("acco_user_id", "acco_email", "acco_api_key", "acco_secret_key", "acco_smtp", "acco_pdf", "acco_email_settings"),
    *("acco_mailtomyself", "acco_mailtomyconta", "acco_email_conta", "acco_curp", "acco_regimen_nomina"),
    *("acco_fiel_cer", "acco_fiel_key", "acco_fiel_pwd", "acco_apps", "acco_folios_alert"),
)

#: Keys of list and detail with the same name in a row; `regimen_fiscal` comes before them.
_DETAIL: Final = (
    *("curp", "calle", "exterior", "interior", "colonia", "codpos", "ciudad", "estado", "email", "logo_path"),
    *("api_key", "secret_key", "cer", "key", "fielcer", "fielkey"),
)

#: ``acco_`` keys, and the key of each in a row.
_ACCO: Final = {
    "acco_uid": "uid",
    "acco_id": "id",
    "acco_create": "create",
    "acco_lastupdate": "lastupdate",
    "acco_razon_social": "razon_social",
    "acco_rfc": "rfc",
    "acco_regimen_33": "regimen",
    "acco_calle": "calle",
    "acco_numero": "exterior",
    "acco_interior": "interior",
    "acco_colonia": "colonia",
    "acco_codpos": "codpos",
    "acco_estado": "estado",
    "acco_delegacion": "ciudad",  # the samples show the city here, not the delegacion that was sent
    "acco_ciudad": "ciudad",
    "acco_telefono": "telefono",
    "acco_email": "email",
    "acco_smtp": "smtp",
    "acco_curp": "curp",
    "acco_regimen_nomina": "regimen_nomina",
    "acco_mailtomyconta": "mailtomyconta",
    "acco_email_conta": "email_conta",
    "acco_mailtomyself": "mailtomyself",
    "acco_folios_alert": "folios_alert",
    "acco_cer_path": "cer",
    "acco_key_path": "key",
    "acco_fiel_cer": "fielcer",
    "acco_fiel_key": "fielkey",
    "acco_logo_path": "logo_path",
    "acco_psswrd_cer": "password",
    "acco_fiel_pwd": "fielpassword",
}


def format_detail(row: Row) -> dict[str, Any]:
    """Return a company as in lists and details: régimen as text, usable keys."""
    first = {"uid": row["uid"], "razon_social": row.get("razon_social", ""), "rfc": row.get("rfc", "")}
    regimen = REGIMENES.get(str(row.get("regimen", "")), "")
    return {**first, "regimen_fiscal": regimen, **{name: row.get(name, "") for name in _DETAIL}}


def format_created(row: Row) -> dict[str, Any]:
    """Return a company as in the response to create."""
    return _format_acco(row, _CREATED)


def format_updated(row: Row) -> dict[str, Any]:
    """Return a company as in the response to update, including passwords."""
    return _format_acco(row, _UPDATED)


def _format_acco(row: Row, names: Iterable[str]) -> dict[str, Any]:
    """Return a company with ``acco_`` names and raw keys.

    Raw keys do not work in headers.
    """
    fields = {name: row.get(own, "") for name, own in _ACCO.items()} | {
        "acco_user_id": 1364,
        "acco_api_key": _raw_key(row["api_key"]),
        "acco_secret_key": _raw_key(row["secret_key"]),
        "acco_regimen": REGIMENES.get(str(row.get("regimen", "")), ""),
        "acco_pem_path": f"{row['uid']}.pem" if row.get("cer") else "",
        "acco_cer_no": "",
        "acco_cedula_path": "",
        "acco_main": int(bool(row.get("main"))),
        "acco_deleted": 0,
        "acco_pdf": '{"background":"#20436F","color":"#ffffff"}',
        "acco_email_settings": None,
        "acco_apps": None,
    }
    return {name: fields[name] for name in names}


def _raw_key(key: str) -> str:
    try:
        return base64.b64decode(key, validate=True).decode()
    except ValueError:
        return key
