"""The documented kinds of document of a serie, and the detection of misspelt ones."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from facturaonline_async._text import letters

__all__ = ["TIPOS_DOCUMENTO", "Misspelling", "TipoDocumento", "misspelling"]


class TipoDocumento(StrEnum):
    """The kinds of document that the provider documents.

    Plain texts with the same values are accepted, too.

    The set is open: other texts (``"nomina"`` exists in a real account) are sent unchanged. But the API also creates a
    serie for a misspelt kind, and no invoice ever uses it. Two checks prevent that, unless the account already has a
    serie of that kind:

    - A documented kind in another case, with accents, blanks or hyphens (``"Factura"``, ``"nota-crédito"``) is refused.
    - A text that differs from a documented kind by one or two characters (``"facturas"``) is sent, and a warning is
      logged. `TipoDocumento.other` prevents the warning.
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
        """Mark an undocumented kind as intended, so that no warning is logged for it.

        A documented kind in another case, with accents, blanks or hyphens is still refused when it is used.

        Args:
            text: the kind, sent unchanged.

        Returns:
            The same text, marked.

        """
        return _Intended(text)


class _Intended(str):
    """A tipo_documento that `TipoDocumento.other` has marked."""

    __slots__ = ()


#: The documented kinds.
TIPOS_DOCUMENTO: Final = frozenset(tipo.value for tipo in TipoDocumento)


class Misspelling(NamedTuple):
    """The documented kind that a text probably misspells.

    Attributes:
        meant: the documented kind.
        is_certain: True if only case, accents, blanks, hyphens or similar signs differ; False if one or two letters do.

    """

    meant: TipoDocumento
    is_certain: bool

    def __str__(self) -> str:
        """Return the question for an error text or a log line."""
        return f"did you mean {self.meant.value}?"


_SHORT: Final = 5
"""A kind with at most this many characters may differ by one character only: two more make another word."""


def misspelling(tipo_documento: str) -> Misspelling | None:
    """Find the documented kind that a text misspells.

    Args:
        tipo_documento: the text.

    Returns:
        None for a documented kind, for a text unlike all of them, and for a near miss that `TipoDocumento.other` marks.

    """
    if tipo_documento.strip() in TIPOS_DOCUMENTO:
        return None
    seen = letters(tipo_documento)
    if (same := _BY_LETTERS.get(seen)) is not None:
        return Misspelling(same, is_certain=True)
    if isinstance(tipo_documento, _Intended):
        return None
    nearest: TipoDocumento | None = None
    distance = 3
    for kind, tipo in _BY_LETTERS.items():
        limit = 1 if len(kind) <= _SHORT else 2
        if abs(len(seen) - len(kind)) <= limit and (found := _distance(seen, kind)) <= min(limit, distance - 1):
            nearest, distance = tipo, found
    return None if nearest is None else Misspelling(nearest, is_certain=False)


_BY_LETTERS: Final = {letters(tipo): tipo for tipo in TipoDocumento}


def _distance(one: str, other: str) -> int:
    """Return the Damerau-Levenshtein distance, in characters."""
    second_above: list[int] = []
    above = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (character != wanted))
            if row > 1 and column > 1 and character == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, second_above[column - 2] + 1)
            line.append(cost)
        second_above, above = above, line
    return above[-1]
