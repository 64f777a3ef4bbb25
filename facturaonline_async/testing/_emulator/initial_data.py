"""Initial company of an account, and default values of a company added by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing._emulator.empresa_fields import FORM

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.state import Row

__all__ = ["empresa_row", "main_row"]

#: Keys of a company's row besides the fields of a request.
_ROW_KEYS: Final = frozenset(
    {
        *("uid", "id", "main", "api_key", "secret_key", "api_access", "created_at", "create", "lastupdate"),
        *("cer", "key", "fielcer", "fielkey", "logo_path"),
    }
)


def main_row() -> Row:
    """Return the initial company of an account; no test is likely to use its RFC."""
    return empresa_row(
        "EMU200101PP5",
        "EMPRESA PRINCIPAL DEL EMULADOR",
        uid="607a062eae2bb",
        main=True,
        calle="Calle del Emulador",
        exterior="1",
        colonia="Centro",
        ciudad="Guadalajara",
        estado="Jalisco",
    )


def empresa_row(rfc: str, razon_social: str | None, **more: Any) -> Row:
    """Return a company's row with default values; see `Emulator.add_empresa`."""
    unknown = sorted(more.keys() - set(FORM.values()) - _ROW_KEYS)
    if unknown:
        raise InvalidInputError(message("testing.unknown_row_keys", keys=", ".join(unknown)), field=unknown[0])
    regimen = "601" if len(rfc) == 12 else "612"
    return {
        "razon_social": razon_social or f"EMPRESA {rfc}",
        "rfc": rfc,
        "codpos": "42501",
        "email": "pruebas@example.com",
        "regimen": regimen,
        "regimen_nomina": regimen,
        "cer": "file_name.cer",
        "key": "file_name.key",
        **more,
    }
