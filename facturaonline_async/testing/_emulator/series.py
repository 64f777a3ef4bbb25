"""Handlers of the six endpoints of series."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from facturaonline_async.testing._emulator.responses import Answer, invalid, not_found, required
from facturaonline_async.testing._emulator.routes import Route

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.routes import Call
    from facturaonline_async.testing._emulator.state import AccountState, Row

__all__ = ["ROUTES"]

_DESCRIPTIONS: Final = {
    "factura": "Factura",
    "factura_hotel": "Factura Hotel",
    "honorarios": "Recibo de Honorarios",
    "nota_cargo": "Nota de Cargo",
    "donativos": "Donativos",
    "arrendamiento": "Recibo de Arrendamiento",
    "nota_credito": "Nota de Crédito",
    "nota_debito": "Nota de Débito",
    "nota_devolucion": "Nota de Devolución",
    "carta_porte": "Carta Porte",
    "carta_porte_ingreso": "Carta Porte Ingreso",
    "pago": "Complemento Pago",
    "retencion": "Retención",
    "nomina": "Nómina",
}
_FOLIO: Final = re.compile(r"[0-9]{1,18}")


def _format_serie(state: AccountState, serie_id: Any, row: Row) -> dict[str, Any]:
    tipo = str(row.get("tipo_documento", "factura"))
    return {
        "SerieID": serie_id,
        "SerieName": row.get("letra", ""),
        "SerieType": tipo,
        "SerieDescription": row.get("descripcion") or _DESCRIPTIONS.get(tipo, tipo.replace("_", " ").title()),
        "SerieStatus": row.get("estatus", state.behaviour.active),
    }


def _refuse_unknown() -> Answer:
    return not_found("La serie no existe")


def _list(state: AccountState, call: Call) -> Answer:
    rows = [_format_serie(state, serie_id, row) for serie_id, row in state.series(call.empresa, call.behind)]
    return Answer({"status": "success", "data": rows})


def _get(state: AccountState, call: Call) -> Answer:
    found = state.serie(call.empresa, call.uid, call.behind)
    return _refuse_unknown() if found is None else Answer({"status": "success", "data": _format_serie(state, *found)})


def _create(state: AccountState, call: Call) -> Answer:
    """Create a serie, by default also if an equal one exists.

    Like the API, return no id.
    """
    accepted = state.behaviour.accepted
    sent = call.body.fields if call.body.kind == "json" else {}
    letra, tipo = (str(sent.get(name) or "") for name in ("letra", "tipoDocumento"))
    missing = [name for name, text in (("letra", letra), ("tipoDocumento", tipo)) if not text.strip()]
    if missing and "missing_field" not in accepted:
        return required(*missing)
    folio = sent.get("folio")
    is_number = folio is None or _FOLIO.fullmatch(str(folio)) is not None
    if not is_number and "wrong_value" not in accepted:
        return invalid({"folio": ["El campo folio debe ser numérico"]})
    if "duplicate" not in accepted and state.has_serie(call.empresa, letra, tipo):
        return invalid("La serie ya existe", "duplicate")
    row = {
        "empresa": call.empresa,
        "letra": letra,
        "tipo_documento": tipo,
        "folio": int(folio) if is_number and folio is not None else 1,
        "estatus": state.behaviour.active,
        "created_at": time.monotonic(),
    }
    state.add_serie(row)
    return Answer({"response": "success", "message": "Serie creada correctamente"})


def _set_estatus(state: AccountState, call: Call, estatus: str, text: str) -> Answer:
    found = state.serie(call.empresa, call.uid)
    if found is None:
        return _refuse_unknown()
    found[1]["estatus"] = estatus
    return Answer({"status": "success", "messsage": text})  # three s, as in the API


def _activate(state: AccountState, call: Call) -> Answer:
    return _set_estatus(state, call, state.behaviour.active, "La serie se activó correctamente")


def _deactivate(state: AccountState, call: Call) -> Answer:
    return _set_estatus(state, call, state.behaviour.paused, "La serie se pausó correctamente")


def _delete(state: AccountState, call: Call) -> Answer:
    found = state.serie(call.empresa, call.uid)
    if found is None:
        return _refuse_unknown()
    state.remove_serie(found[0])
    return Answer({"status": "success", "message": "Serie eliminada correctamente"})


ROUTES: Final = (
    Route("series.list", "GET", "/v4/series", _list),
    Route("series.get", "GET", "/v4/series/{uid}", _get),
    Route("series.create", "POST", "/v4/series/create", _create),
    Route("series.deactivate", "POST", "/v4/series/{uid}/down", _deactivate),
    Route("series.activate", "POST", "/v4/series/{uid}/up", _activate),
    Route("series.delete", "POST", "/v4/series/{uid}/drop", _delete),
)
