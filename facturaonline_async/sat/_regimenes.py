"""Catalogue of the SAT's regímenes fiscales (c_RegimenFiscal).

Source: the catalogues of CFDI 4.0 and, for codes that 4.0 does not list, of CFDI 3.3, from
phpcfdi/resources-sat-catalogs (public domain; commit 675be01).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from attrs import frozen

from facturaonline_async._text import letters

__all__ = ["REGIMENES", "Regimen", "find_regimen"]


@frozen
class Regimen:
    """A régimen fiscal.

    Attributes:
        codigo: code of three digits, such as ``"601"``.
        descripcion: description by the SAT.
        fisica: whether a person (persona física) may have it.
        moral: whether a company (persona moral) may have it.
        is_current: whether CFDI 4.0 lists it.

    """

    codigo: str
    descripcion: str
    fisica: bool
    moral: bool
    is_current: bool = True

    def fits(self, rfc: str) -> bool:
        """Return whether the holder of an RFC may have this régimen.

        Args:
            rfc: RFC of a company (12 characters) or a person (13 characters).

        """
        return self.moral if len(rfc) == 12 else self.fisica


_ALL: Final = (
    Regimen("601", "General de Ley Personas Morales", fisica=False, moral=True),
    Regimen("603", "Personas Morales con Fines no Lucrativos", fisica=False, moral=True),
    Regimen("605", "Sueldos y Salarios e Ingresos Asimilados a Salarios", fisica=True, moral=False),
    Regimen("606", "Arrendamiento", fisica=True, moral=False),
    Regimen("607", "Régimen de Enajenación o Adquisición de Bienes", fisica=True, moral=False),
    Regimen("608", "Demás ingresos", fisica=True, moral=False),
    Regimen("609", "Consolidación", fisica=False, moral=True, is_current=False),
    Regimen("610", "Residentes en el Extranjero sin Establecimiento Permanente en México", fisica=True, moral=True),
    Regimen("611", "Ingresos por Dividendos (socios y accionistas)", fisica=True, moral=False),
    Regimen("612", "Personas Físicas con Actividades Empresariales y Profesionales", fisica=True, moral=False),
    Regimen("614", "Ingresos por intereses", fisica=True, moral=False),
    Regimen("615", "Régimen de los ingresos por obtención de premios", fisica=True, moral=False),
    Regimen("616", "Sin obligaciones fiscales", fisica=True, moral=False),
    Regimen(
        "620", "Sociedades Cooperativas de Producción que optan por diferir sus ingresos", fisica=False, moral=True
    ),
    Regimen("621", "Incorporación Fiscal", fisica=True, moral=False),
    Regimen("622", "Actividades Agrícolas, Ganaderas, Silvícolas y Pesqueras", fisica=False, moral=True),
    Regimen("623", "Opcional para Grupos de Sociedades", fisica=False, moral=True),
    Regimen("624", "Coordinados", fisica=False, moral=True),
    Regimen(
        "625",
        "Régimen de las Actividades Empresariales con ingresos a través de Plataformas Tecnológicas",
        fisica=True,
        moral=False,
    ),
    Regimen("626", "Régimen Simplificado de Confianza", fisica=True, moral=True),
    Regimen("628", "Hidrocarburos", fisica=False, moral=True, is_current=False),
    Regimen(
        "629",
        "De los Regímenes Fiscales Preferentes y de las Empresas Multinacionales",
        fisica=True,
        moral=False,
        is_current=False,
    ),
    Regimen("630", "Enajenación de acciones en bolsa de valores", fisica=True, moral=False, is_current=False),
)

#: Every régimen by its code.
REGIMENES: Final = MappingProxyType({regimen.codigo: regimen for regimen in _ALL})


_BY_TEXT: Final = {letters(regimen.descripcion): regimen for regimen in _ALL}


def find_regimen(text: str) -> Regimen | None:
    """Return the régimen with a code or a description; None if there is none.

    Args:
        text: code such as ``"601"``, or description; case, accents and blanks are ignored.

    """
    return REGIMENES.get(text.strip()) or _BY_TEXT.get(letters(text))
