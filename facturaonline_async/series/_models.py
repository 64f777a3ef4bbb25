"""The model of a serie, and its natural key (letra and tipo_documento)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from attrs import frozen

from facturaonline_async._messages import message
from facturaonline_async._text import compose
from facturaonline_async._validators import one_line, type_name
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.series._tipo_documento import TIPOS_DOCUMENTO, TipoDocumento

__all__ = ["Serie", "by_key", "key_part", "normal_key", "serie_key"]


@frozen(kw_only=True, slots=False)  # the reader fills the instance's dict at once
class Serie:
    """A sequence of folios of one company, identified by letra **and** tipo_documento.

    Attributes:
        uid: the API's number of the serie.
        letra: one letter or several, such as ``"F"`` or ``"COP"``.
        tipo_documento: value of a `TipoDocumento`, or another text.
        descripcion: the tipo_documento in words; ``""`` if the response leaves it out.
        estatus: the API's own word; ``"Activa"`` is the only documented one. ``""`` if the response leaves it out.

    """

    uid: int
    letra: str
    tipo_documento: str
    descripcion: str = ""
    estatus: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the serie may be used: its estatus is "Activa" (case is ignored)."""
        return self.estatus.casefold() == "activa"

    @property
    def is_paused(self) -> bool:
        """Whether its estatus is "Pausada" or "Inactiva" (case is ignored).

        The provider documents neither word. With another estatus, a serie is not known to be active or paused.
        """
        return self.estatus.casefold() in _PAUSED

    @property
    def key(self) -> tuple[str, str]:
        """Natural key within a company: letra and tipo_documento.

        Both are trimmed, as the API does, and composed (NFC).
        """
        return normal_key(self.letra, self.tipo_documento)


_PAUSED: Final = frozenset({"pausada", "inactiva"})


def serie_key(letra: str, tipo_documento: TipoDocumento | str) -> tuple[str, str]:
    """Validate letra and tipo_documento, and return their `Serie.key`.

    Args:
        letra: the letra; blanks around it are removed.
        tipo_documento: the kind of document; blanks around it are removed.

    Raises:
        InvalidInputError: one of them is empty, or holds a line break or another control character.

    """
    for name, value in (("letra", letra), ("tipo_documento", tipo_documento)):
        if not isinstance(value, str) or not value.strip():
            seen = f"{value!r}" if isinstance(value, str) else type_name(value)
            raise InvalidInputError(message("series.key_missing", name=name, value=seen), field=name)
        one_line(name, value.strip())
    return normal_key(letra, tipo_documento)


def by_key(series: Iterable[Serie]) -> dict[tuple[str, str], list[Serie]]:
    """Group series by `Serie.key`.

    Within a group the active ones come first, otherwise in the given order.

    Args:
        series: the series of one company.

    """
    index: dict[tuple[str, str], list[Serie]] = {}
    for serie in series:
        index.setdefault(serie.key, []).append(serie)
    for same_key in index.values():
        if len(same_key) > 1:
            same_key.sort(key=lambda serie: not serie.is_active)
    return index


def key_part(text: str) -> str:
    """Trim and compose (NFC) a letra or a tipo_documento, for comparison.

    Args:
        text: the letra or the tipo_documento.

    """
    return compose(text.strip())


def normal_key(letra: str, tipo_documento: str) -> tuple[str, str]:
    """Return the `Serie.key` of a letra and a tipo_documento.

    Args:
        letra: any text.
        tipo_documento: any text.

    """
    # No other texts are kept: in a plan whose cells are shifted, they may be passwords.
    is_usual = len(letra) <= _USUAL_LETRA and tipo_documento in TIPOS_DOCUMENTO
    return (_cached_key if is_usual else _uncached_key)(letra, tipo_documento)


def _uncached_key(letra: str, tipo_documento: str) -> tuple[str, str]:
    return key_part(letra), key_part(tipo_documento)


# An account has few of them, and each row of a plan compares them a dozen times.
_cached_key: Final = lru_cache(maxsize=1024)(_uncached_key)
_USUAL_LETRA: Final = 4
