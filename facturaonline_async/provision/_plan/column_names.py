"""Names of a plan's columns, as people write them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from facturaonline_async._free_text import find_error_value
from facturaonline_async.provision._plan.cell_values import COLUMNS

__all__ = ["ALIASES", "NUMBERED", "find_column", "is_note", "suggest_column"]

#: Other names of each column. Case, accents, blanks, punctuation, articles and text in parentheses are ignored.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "razon_social": (
        "Razón Social",
        "Nombre",
        "Nombre o Razón Social",
        "Nombre Fiscal",
        "Denominación Social",
        "Denominación o Razón Social",
        "Empresa",
        "Nombre de la Empresa",
    ),
    "rfc": ("R.F.C.", "RFC de la Empresa", "Registro Federal de Contribuyentes"),
    "codpos": ("Código Postal", "C.P.", "Cód. Postal", "Código Postal Fiscal", "C.P. Fiscal"),
    "email": ("Correo", "Correo Electrónico", "E-mail", "Mail"),
    "regimen": ("Régimen", "Régimen Fiscal", "Clave de Régimen Fiscal"),
    "regimen_nomina": ("Régimen de Nómina", "Régimen Nómina", "Régimen Fiscal de Nómina"),
    "cer": ("Certificado", "Certificado CSD", "Archivo .cer", "CSD .cer"),
    "key": ("Llave", "Llave Privada", "Llave CSD", "Llave Privada CSD", "Archivo .key", "CSD .key"),
    "password": (
        "Contraseña",
        "Contraseña CSD",
        "Contraseña de la Llave",
        "Contraseña de la Llave Privada",
        "Contraseña de Llave Privada",
    ),
    "password_env": ("Variable de la Contraseña",),
    "fielcer": ("Certificado FIEL", "Certificado e.firma", "FIEL .cer", "e.firma .cer"),
    "fielkey": ("Llave FIEL", "Llave Privada FIEL", "Llave e.firma", "FIEL .key", "e.firma .key"),
    "fielpassword": ("Contraseña FIEL", "Contraseña e.firma"),
    "fielpassword_env": ("Variable de la Contraseña FIEL",),
    "calle": ("Calle y Avenida",),
    "exterior": ("Número Exterior", "Núm. Exterior", "No. Exterior", "Núm. Ext.", "No. Ext."),
    "interior": ("Número Interior", "Núm. Interior", "No. Interior", "Núm. Int.", "No. Int."),
    "colonia": ("Col.",),
    "delegacion": ("Delegación", "Delegación o Municipio", "Municipio", "Municipio o Alcaldía", "Alcaldía"),
    "ciudad": ("Localidad", "Población"),
    "estado": ("Entidad Federativa", "Entidad"),
    "telefono": ("Teléfono", "Tel.", "Número de Teléfono"),
    "mail_conta": ("Correo del Contador", "Correo de la Contadora", "Correo Contador"),
    "mailtomyself": ("Copia a la Empresa",),
    "mailtomyconta": ("Copia al Contador",),
    "logo": ("Logotipo",),
    "series": ("Serie", "Series de la Empresa"),
    "existing": ("Si ya Existe", "Si Existe"),
    "letra": ("Letra de Serie", "Letra Serie"),
    "tipo_documento": ("Tipo de Documento", "Tipo"),
    "folio": ("Folio Inicial", "Primer Folio"),
}

#: Columns of one serie. A number behind the name distinguishes the series of a company: ``letra 2``.
NUMBERED: Final = ("letra", "tipo_documento", "folio")

_NOTES: Final = frozenset({"nota", "notas", "comentario", "comentarios", "observacion", "observaciones"})
_LONGEST_NAME: Final = 60
_DIGITS: Final = 2
"""Maximum number of digits of a numbered column."""
_ASIDE: Final = re.compile(r"\([^()]*\)")
_EXPLAINING: Final = frozenset(
    {
        "obligatorio",
        "obligatoria",
        "requerido",
        "requerida",
        "opcional",
        "digitos",
        "caracteres",
        "ejemplo",
        "ej",
        "cer",
        "key",
    }
)
"""Words of a text in parentheses that only explains a name."""
_ARTICLES: Final = frozenset({"de", "del", "al", "el", "la", "los", "las", "y", "o", "u"})


def _folded(name: str) -> str:
    """Return the letters and digits of a name that distinguish it."""
    if len(name) > _LONGEST_NAME:
        return ""
    return "".join(_words(_ASIDE.sub(_distinguishing, name)))


def _words(text: str) -> list[str]:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return [word for word in re.findall(r"[a-z0-9]+", letters) if word not in _ARTICLES]


def _distinguishing(aside: re.Match[str]) -> str:
    """Return a text in parentheses, or a blank if it only explains the name."""
    words = _words(aside[0])
    return aside[0] if words and not _EXPLAINING.intersection(words) else " "


_BY_NAME: Final = {
    _folded(name): column
    for column in (*COLUMNS, *NUMBERED)
    for name in (column.replace("_", " "), *ALIASES.get(column, ()))
}


def find_column(name: str) -> str | None:
    """Return the column that a name of a header means, or None.

    A numbered column is returned with its number, such as ``"letra_2"``; without one it is number 1.

    Args:
        name: a cell of the header.

    """
    folded = _folded(name)
    if (column := _BY_NAME.get(folded)) is not None:
        return f"{column}_1" if column in NUMBERED else column
    stem = folded.rstrip("0123456789")
    number = folded[len(stem) :]
    column = _BY_NAME.get(stem)
    if column not in (*NUMBERED, "series") or not 0 < len(number) <= _DIGITS or not int(number):
        return None
    return f"{'letra' if column == 'series' else column}_{int(number)}"


def is_note(name: str) -> bool:
    """Return whether a column holds notes, which are not read.

    Args:
        name: a cell of the header.

    """
    name = name.strip()
    if set(name) != {"#"} and find_error_value(name) is not None:
        return False
    return name.startswith(("#", "_")) or _folded(name) in _NOTES


def suggest_column(name: str) -> str:
    """Return the column that an unknown name probably means, or ``""``.

    Args:
        name: a cell of the header.

    """
    if not (folded := _folded(name)):
        return ""
    near = difflib.get_close_matches(folded, sorted(_BY_NAME), 1, 0.75)
    return _BY_NAME[near[0]] if near else ""
