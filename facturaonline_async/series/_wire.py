"""The six endpoints of series and their wire format: JSON in both directions.

Source: https://facturaonline.com.mx/api documentation, "Series".
"""

from __future__ import annotations

from typing import Final

from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.protocol.bodies import Body, json_body
from facturaonline_async._core.protocol.structure import make_reader
from facturaonline_async._messages import message
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.series._models import Serie

LIST: Final = Endpoint(name="series.list", method="GET", path="/v4/series", retry_safety=RetrySafety.READ, listing=True)
GET: Final = Endpoint(name="series.get", method="GET", path="/v4/series/{uid}", retry_safety=RetrySafety.READ)
CREATE: Final = Endpoint(name="series.create", method="POST", path="/v4/series/create", retry_safety=RetrySafety.NEVER)
ACTIVATE: Final = Endpoint(
    name="series.activate", method="POST", path="/v4/series/{uid}/up", retry_safety=RetrySafety.VERIFY_FIRST
)
DEACTIVATE: Final = Endpoint(
    name="series.deactivate", method="POST", path="/v4/series/{uid}/down", retry_safety=RetrySafety.VERIFY_FIRST
)
DELETE: Final = Endpoint(
    name="series.delete",
    method="POST",
    path="/v4/series/{uid}/drop",
    retry_safety=RetrySafety.VERIFY_FIRST,
    is_delete=True,
)

_FOLIO_END: Final = 10**12

ENDPOINTS: Final = (LIST, GET, CREATE, ACTIVATE, DEACTIVATE, DELETE)

read_serie: Final = make_reader(
    Serie,
    {
        "uid": "SerieID",
        "letra": "SerieName",
        "tipo_documento": "SerieType",
        "descripcion": "SerieDescription",
        "estatus": "SerieStatus",
    },
)


def read_name(row: object) -> tuple[str, str] | None:
    """Return uid and letra of a row, also of one whose other fields are odd.

    Args:
        row: one JSON object of a list.

    Returns:
        Both as texts, or None if the row has none.

    """
    fields = row if isinstance(row, dict) else {}
    uid, letra = fields.get("SerieID"), fields.get("SerieName")
    return (str(uid), letra) if isinstance(uid, (int, str)) and isinstance(letra, str) else None


def write_nueva_serie(letra: str, tipo_documento: str, folio: int | None) -> Body:
    """Return the request body of a create.

    Args:
        letra: one letter or several, from `serie_key`.
        tipo_documento: the kind of document, from `serie_key`.
        folio: number of the first document; None is not sent.

    Raises:
        InvalidInputError: `folio` is not a whole number from 1 to 999,999,999,999.

    """
    if folio is not None and (isinstance(folio, bool) or not isinstance(folio, int) or not 0 < folio < _FOLIO_END):
        raise InvalidInputError(message("series.folio_out_of_range"), field="folio")
    fields: dict[str, object] = {"letra": letra, "tipoDocumento": tipo_documento}
    return json_body(fields if folio is None else {**fields, "folio": folio})


def write_wrong_serie(letra: str, tipo_documento: str | None = None, folio: object = None) -> Body:
    """Return the request body of a create that the API should refuse.

    Args:
        letra: letra of a serie that is deleted if the API accepts it.
        tipo_documento: the kind of document; None is not sent.
        folio: number of the first document, of any type; None is not sent.

    """
    fields = {"letra": letra, "tipoDocumento": tipo_documento, "folio": folio}
    return json_body({name: value for name, value in fields.items() if value is not None})
