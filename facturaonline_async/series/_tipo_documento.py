"""TipoDocumento: the kinds of document that a serie numbers, and whether another text is one of them misspelt."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from facturaonline_async._text import letters

__all__ = ["TIPOS_DOCUMENTO", "Misspelling", "TipoDocumento", "misspelling"]


class TipoDocumento(StrEnum):
    """The kinds of document that the provider's catalogue names. A plain text means the same as a member.

    The set is open: another text (``"nomina"`` was seen in a real account) is sent as it stands, with two exceptions.
    The API would create a real serie for a misspelt kind too, which no invoice ever uses. So, unless the account has
    series of that kind already:

    - A documented kind in another case, with accents, blanks or hyphens (``"Factura"``, ``"nota-crédito"``) is refused.
    - A text that differs from a documented kind by one or two characters (``"facturas"``) is sent, and a warning is
      logged. `TipoDocumento.other` says that it is meant.
    """

    FACTURA = "factura"
    FACTURA_HOTEL = "factura_hotel"
    HONORARIOS = "honorarios"
    NOTA_CARGO = "nota_cargo"
    DONATIVOS = "donativos"
    ARRENDAMIENTO = "arrendamiento"
    NOTA_CREDITO = "nota_credito"
    NOTA_DEBITO = "nota_debito"
    NOTA_DEVOLUCION = "nota_devolucion"
    CARTA_PORTE = "carta_porte"
    CARTA_PORTE_INGRESO = "carta_porte_ingreso"
    PAGO = "pago"
    RETENCION = "retencion"

    @staticmethod
    def other(text: str) -> str:
        """Return a kind that is not documented, marked as meant: nothing warns that it may be misspelt.

        A documented kind in another case, with accents, blanks or hyphens is refused all the same when it is used.
        """
        return _Meant(text)


class _Meant(str):
    """A tipo_documento that the caller vouches for."""

    __slots__ = ()


#: The documented kinds.
TIPOS_DOCUMENTO: Final = frozenset(tipo.value for tipo in TipoDocumento)


class Misspelling(NamedTuple):
    """A text that is probably a documented kind, misspelt.

    Attributes:
        meant: the documented kind.
        is_certain: whether only case, accents, blanks, hyphens and the like differ; else one or two characters do.

    """

    meant: TipoDocumento
    is_certain: bool

    def __str__(self) -> str:
        """Return the question to ask, to follow the text that was seen."""
        return f"did you mean {self.meant.value}?"


_SHORT: Final = 5
"""Characters of a kind that is so short that two more make another word."""


def misspelling(tipo_documento: str) -> Misspelling | None:
    """Return which documented kind a text misspells.

    Returns:
        None for a documented kind, for a text unlike all of them, and for a near miss that `TipoDocumento.other` marks.

    """
    if tipo_documento.strip() in TIPOS_DOCUMENTO:
        return None
    seen = letters(tipo_documento)
    if (same := _BY_LETTERS.get(seen)) is not None:
        return Misspelling(same, is_certain=True)
    if isinstance(tipo_documento, _Meant):
        return None
    nearest: TipoDocumento | None = None
    distance = 3
    for kind, tipo in _BY_LETTERS.items():
        most = 1 if len(kind) <= _SHORT else 2
        if abs(len(seen) - len(kind)) <= most and (found := _distance(seen, kind)) <= min(most, distance - 1):
            nearest, distance = tipo, found
    return None if nearest is None else Misspelling(nearest, is_certain=False)


_BY_LETTERS: Final = {letters(tipo): tipo for tipo in TipoDocumento}


def _distance(one: str, other: str) -> int:
    """Return how many characters to insert, delete, replace or swap with their neighbour (Damerau-Levenshtein)."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (character != wanted))
            if row > 1 and column > 1 and character == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]
