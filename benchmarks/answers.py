"""What the servers answer, and what is sent to them: the provider's own answers, real-sized keys and certificates."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any, Final

from facturaonline_async import NuevaEmpresa, Sello
from facturaonline_async.config import DEFAULT_PLUGIN

__all__ = ["API_KEY", "HEADERS", "RFC", "SECRET_KEY", "UIDS", "answers", "company_fields", "nueva_empresa", "sello"]

API_KEY: Final = "JDJ5JDEwJ" + "x" * 71
SECRET_KEY: Final = "JDJ5JDEwJ" + "y" * 71
HEADERS: Final = {"F-PLUGIN": DEFAULT_PLUGIN, "F-Api-Key": API_KEY, "F-Secret-Key": SECRET_KEY}
RFC: Final = "EKU9003173C9"
#: The uids of series that can be read, all of one length; a server answers with the uid that was asked for.
UIDS: Final = range(10_000, 100_000)

_PAGES: Final = Path(__file__).parents[1] / "tests" / "wire"


def _page(name: str) -> Any:
    """Return an answer as the provider's documentation prints it."""
    return json.loads((_PAGES / f"{name}.json").read_text())


def rows(number: int) -> list[dict[str, str]]:
    """Return companies as a list gives them: the page's own row, told apart by uid, RFC and keys."""
    row = {**_page("empresas/list")["data"][0], "colonia": "Peñón de los Baños"}
    return [
        {
            **row,
            "uid": f"607a{each:09d}",
            "rfc": f"EKU{each:06d}3C9",
            "api_key": f"{API_KEY[:-9]}{each:09d}",
            "secret_key": f"{SECRET_KEY[:-9]}{each:09d}",
        }
        for each in range(number)
    ]


def answers(companies: int) -> dict[str, bytes]:
    """Return the bodies that a server gives, by the route that asks for them; a read serie has the uid `UIDS[0]`."""
    series = {**_page("series/get")}
    series["data"] = series["data"][0] if isinstance(series["data"], list) else series["data"]
    series["data"]["SerieID"] = UIDS[0]
    created = _page("empresas/create")
    created["0"]["acco_rfc"] = RFC  # the one that is sent
    found = {
        "GET /api/v4/series/": series,
        "POST /api/v4/account/create": created,
        "GET /api/v1/accounts": {"response": "success", "data": rows(companies)},
    }
    return {route: json.dumps(answer, separators=(",", ":")).encode() for route, answer in found.items()}


@functools.cache
def sello() -> Sello:
    """Return a certificate and a key of the size that the SAT's have. Nobody here looks inside."""
    chance = random.Random(1)
    return Sello(chance.randbytes(1_460), chance.randbytes(1_298), "12345678a")


#: A company as a create asks for it: attribute, name on the wire and value; the page's sample without mail and FIEL.
_COMPANY: Final = (
    ("rfc", "rfc", RFC),
    ("codpos", "codpos", "42501"),
    ("email", "email", "empresa@example.com"),
    ("regimen", "regimen", "601"),
    ("regimen_nomina", "regimen_nomina", "601"),
    ("calle", "calle", "Avenida Connecticut"),
    ("exterior", "numero_exterior", "1989"),
    ("interior", "numero_interior", "32"),
    ("colonia", "colonia", "Peñón de los Baños"),
    ("ciudad", "ciudad", "Paracho"),
    ("delegacion", "delegacion", "Arandas"),
    ("estado", "estado", "Michoacán"),
    ("telefono", "telefono", "3344556677"),
    ("curp", "curp", "PEPJ901010HJCRRN03"),
    ("mail_conta", "mail_conta", "contador@example.com"),
)


def company_fields(number: int) -> dict[str, str]:
    """Return a company by the names on the wire."""
    return {wire: value for _, wire, value in _COMPANY} | {
        "razons": f"ESCUELA KEMPER URGATE {number}",
        "mailtomyself": "1",
        "mailtomyconta": "1",
        "cant_folios_min": "66",
        "password": sello().password.reveal(),
    }


def nueva_empresa(number: int) -> NuevaEmpresa:
    """Return the same company as a value of the library."""
    texts: dict[str, Any] = {attribute: value for attribute, _, value in _COMPANY}
    return NuevaEmpresa(
        razon_social=f"ESCUELA KEMPER URGATE {number}",
        mailtomyself=True,
        mailtomyconta=True,
        cant_folios_min=66,
        csd=Sello(sello().cer, sello().key, sello().password),
        **texts,
    )
