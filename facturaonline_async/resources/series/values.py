"""Serie, and the kinds of document that a serie numbers."""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

from attrs import frozen

from facturaonline_async.checks import kind, one_line
from facturaonline_async.errors import InvalidInputError

__all__ = ["TIPOS_DOCUMENTO", "Serie", "TipoDocumento", "serie_key"]


class TipoDocumento:
    """The kinds of document that the provider's catalogue names, as plain texts.

    It is an open set: any other text (``"nomina"`` was seen in a real account) may be given instead, and comes back
    as it is.
    """

    FACTURA: Final = "factura"
    FACTURA_HOTEL: Final = "factura_hotel"
    HONORARIOS: Final = "honorarios"
    NOTA_CARGO: Final = "nota_cargo"
    DONATIVOS: Final = "donativos"
    ARRENDAMIENTO: Final = "arrendamiento"
    NOTA_CREDITO: Final = "nota_credito"
    NOTA_DEBITO: Final = "nota_debito"
    NOTA_DEVOLUCION: Final = "nota_devolucion"
    CARTA_PORTE: Final = "carta_porte"
    CARTA_PORTE_INGRESO: Final = "carta_porte_ingreso"
    PAGO: Final = "pago"
    RETENCION: Final = "retencion"


#: The documented kinds.
TIPOS_DOCUMENTO: Final = frozenset(value for name, value in vars(TipoDocumento).items() if name.isupper())


@frozen(kw_only=True, slots=False)  # the reader fills the instance's dict at once
class Serie:
    """A series of folios of one company, told by its letra **and** its tipo_documento.

    Attributes:
        uid: the API's number of the serie.
        letra: one letter or several, such as ``"F"`` or ``"COP"``.
        tipo_documento: one of `TipoDocumento`, or another text.
        descripcion: the tipo_documento in words.
        estatus: the API's own word; ``"Activa"`` is the only one documented.

    """

    uid: int
    letra: str
    tipo_documento: str
    descripcion: str = ""
    estatus: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the serie may be used: its estatus is "Activa", in any case of letters."""
        return self.estatus.casefold() == "activa"

    @property
    def key(self) -> tuple[str, str]:
        """What tells a company's series apart: without the blanks around it (the API trims them), composed (NFC)."""
        return _key(self.letra, self.tipo_documento)


def serie_key(letra: str, tipo_documento: str) -> tuple[str, str]:
    """Return the `Serie.key` of a serie that is asked for.

    Raises:
        InvalidInputError: one of them is empty, or holds a line break or another control character.

    """
    for name, value in (("letra", letra), ("tipo_documento", tipo_documento)):
        if not isinstance(value, str) or not value.strip():
            seen = f"{value!r}" if isinstance(value, str) else kind(value)
            raise InvalidInputError(f"{name} must be a text, and not empty; it was {seen}.", field=name)
        one_line(name, value.strip())
    return _key(letra, tipo_documento)


def _key(letra: str, tipo_documento: str) -> tuple[str, str]:
    return normalize("NFC", letra.strip()), normalize("NFC", tipo_documento.strip())
