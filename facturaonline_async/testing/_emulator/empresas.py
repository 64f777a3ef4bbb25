"""Handlers of the six endpoints of companies.

``empresa_fields`` has the field names of requests and responses.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from facturaonline_async.testing._emulator.empresa_fields import FORM, format_created, format_detail, format_updated
from facturaonline_async.testing._emulator.responses import Answer, invalid, not_found, required
from facturaonline_async.testing._emulator.routes import Route

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.request_bodies import Body
    from facturaonline_async.testing._emulator.routes import Call
    from facturaonline_async.testing._emulator.state import AccountState, Row

__all__ = ["ROUTES"]

#: Files of the request, and the text field for each in base64.
_FILES: Final = {
    "cer": "csd_cer_b64",
    "key": "csd_key_b64",
    "fielcer": "fiel_cer_b64",
    "fielkey": "fiel_key_b64",
    "logo": None,
}
_REQUIRED: Final = ("razons", "rfc", "codpos", "email", "regimen_nomina", "password", "cer", "key")
_TOGETHER: Final = (("cer", "key", "password"), ("fielcer", "fielkey", "fielpassword"))


def _list(state: AccountState, call: Call) -> Answer:
    rows = state.empresas(call.behind)
    if not state.behaviour.paging:
        return Answer({"response": "success", "data": [format_detail(row) for row in rows]})
    rfc = call.query.get("rfc", "").casefold()
    razon_social = call.query.get("razon_social", "").casefold()
    found = [
        row
        for row in rows
        if rfc in {"", str(row.get("rfc", "")).casefold()}
        and razon_social in str(row.get("razon_social", "")).casefold()
    ]
    return Answer({"response": "success", **_page(found, call.query)})


def _page(rows: list[Row], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the requested page with its pagination; without a page, all rows."""
    if query.keys().isdisjoint({"page", "per_page", "perPage"}):
        return {"data": [format_detail(row) for row in rows]}
    per_page = _number(query.get("per_page") or query.get("perPage"), default=15)
    page = _number(query.get("page"), default=1)
    start = (page - 1) * per_page
    shown = rows[start : start + per_page]
    pagination = {
        "total": len(rows),
        "lastPage": max(1, -(-len(rows) // per_page)),
        "currentPage": page,
        "to": start + len(shown) if shown else None,
        "from": start + 1 if shown else None,
    }
    return {"data": [format_detail(row) for row in shown], "pagination": pagination}


def _number(text: str | None, *, default: int) -> int:
    """Parse a number from 1 to 999,999; return the default for any other text."""
    return int(text) if text is not None and re.fullmatch(r"0*[1-9][0-9]{0,5}", text) else default


def _current(state: AccountState, call: Call) -> Answer:
    row = state.empresa(call.empresa)
    return _refuse_unknown() if row is None else Answer({"status": "success", "data": format_detail(row)})


def _get(state: AccountState, call: Call) -> Answer:
    row = state.empresa(call.uid)
    if row is None or not state.is_readable(row, call.behind):
        return _refuse_unknown()
    return Answer({"status": "success", "data": format_detail(row)})


def _refuse_unknown() -> Answer:
    return not_found("La empresa no existe")


def _create(state: AccountState, call: Call) -> Answer:
    """Create a company, also with an RFC that exists, as the real API does."""
    refusal = _refuse(call.body, _REQUIRED)
    if refusal is not None:
        return refusal
    row: Row = {"created_at": time.monotonic()}
    uid = state.add_empresa(row)
    _write(row, call.body, uid)
    return Answer({"status": "create", "0": format_created(row)})


def _update(state: AccountState, call: Call) -> Answer:
    row = state.empresa(call.uid)
    if row is None:
        return _refuse_unknown()
    if not _sent_names(call.body):
        return invalid("Es necesario enviar al menos un parámetro para actualizar la empresa")
    blank = [name for name in _REQUIRED if name in FORM and not call.body.form.get(name, "sent").strip()]
    refusal = _refuse(call.body, blank)
    if refusal is not None:
        return refusal
    _write(row, call.body, call.uid)
    row["lastupdate"] = datetime.now(UTC).date().isoformat()
    return Answer({"status": "create", "0": format_updated(row)})  # the API says "create" for an update, too


def _delete(state: AccountState, call: Call) -> Answer:
    if state.empresa(call.uid) is None:
        return Answer({"status": "failed", "0": "La empresa que intentas borrar no existe"}, refusal="not_found")
    state.remove_empresa(call.uid)
    return Answer({"status": "success", "0": "La cuenta ha sido eliminada con exito"})


def _sent_names(body: Body) -> set[str]:
    """Return the names of the known fields and files in the body, also blank ones."""
    files = {name for name, as_text in _FILES.items() if name in body.files or as_text in body.form}
    return files | (body.form.keys() & FORM.keys())


def _refuse(body: Body, names: Iterable[str]) -> Answer | None:
    """Refuse a body without these fields or with an incomplete group, or return None."""
    filled = {name for name in _sent_names(body) if str(body.form.get(name, "file")).strip()}
    wanted = list(names)
    for group in _TOGETHER:
        if filled & set(group):
            wanted += [name for name in group if name not in wanted]
    missing = [name for name in wanted if name not in filled]
    if missing:
        return required(*missing)
    texts = [as_text for as_text in _FILES.values() if as_text in body.form and as_text not in body.files]
    wrong = {str(name): [f"El campo {name} no es un archivo en base64"] for name in texts}
    return invalid(wrong) if wrong else None


def _write(row: Row, body: Body, uid: str) -> None:
    """Copy the sent fields and files into the row."""
    for name, own in FORM.items():
        if name in body.form:
            value = body.form[name]
            row[own] = value.upper() if name == "razons" else value
    for name, as_text in _FILES.items():
        file = body.files.get(name) or body.files.get(str(as_text))
        if file is not None and name == "logo":
            row["logo_path"] = f"{uid}_logo{PurePosixPath(file.filename).suffix}"
        elif file is not None:
            row[name] = f"{uid}_{name}.{name[-3:]}"


ROUTES: Final = (
    Route("empresas.list", "GET", "/v1/accounts", _list),
    Route("empresas.current", "GET", "/v1/current/account", _current),
    Route("empresas.get", "GET", "/v1/account/{uid}", _get),
    Route("empresas.create", "POST", "/v4/account/create", _create),
    Route("empresas.update", "POST", "/v4/account/{uid}/update", _update),
    Route("empresas.delete", "POST", "/v4/account/{uid}/delete", _delete, form_method="delete"),
)
