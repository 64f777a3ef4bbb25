"""Empresa says what each fact of the provider's documented responses is."""

from __future__ import annotations

import inspect
import json
import pickle
import re
from datetime import date
from typing import Any

import pytest
from attrs import evolve, fields

from facturaonline_async import Empresa, Secret
from facturaonline_async.empresas import _wire as wire
from tests.replay import recorded

SECRETS = ("Tu API key", "Tu Secret key", "apikey", "secretkey", "password")


def documented(verb: str) -> Any:
    """Return the payload of a response on the provider's page."""
    envelope = json.loads(recorded("empresas", verb))
    return envelope.get("data", envelope.get("0"))


def test_a_documented_update_is_read_completely() -> None:
    updated = wire.read_written_empresa(documented("update"))
    assert updated == Empresa(
        uid="61e20b1903bad",
        razon_social="TU RAZON SOCIAL",
        rfc="FUNK123456PH7",
        regimen_fiscal="Personas Físicas con Actividades Empresariales y Profesionales",
        regimen="612",
        regimen_nomina="612",
        calle="Ramon corona",
        exterior="123",
        interior="4",
        colonia="Centro",
        codpos="44444",
        estado="Jalisco",
        delegacion="Arandas",
        ciudad="Arandas",
        telefono="3344556677",
        email="[email\xa0protected]",
        curp="FUNK123456PH7PD89",
        logo_name="file_name.jpg",
        csd_cer_name="file_name.cer",
        csd_key_name="file_name.key",
        fiel_cer_name="file_name.cer",
        fiel_key_name="file_name.key",
        csd_numero="no_cer",
        mailtomyself=True,
        mailtomyconta=True,
        mail_conta="[email\xa0protected]",
        cant_folios_min=66,
        has_smtp=True,
        created_on=date(2023, 1, 14),
        updated_on=date(2023, 5, 16),
        is_main=False,
        is_deleted=False,
        extra={
            "acco_id": "1954",
            "acco_user_id": "1765",
            "acco_pem_path": "file_name.pem",
            "acco_pdf": '{"background":"#20436F","color":"#ffffff"}',
        },
    )


@pytest.mark.parametrize("verb", ["create", "update"])
def test_every_field_of_a_documented_write_is_an_attribute_an_extra_or_a_secret(verb: str) -> None:
    row = documented(verb)
    read = wire.read_written_empresa(row)
    named = {api for _, _, api, _ in wire._FIELD_NAMES if api}
    empty = {name for name, value in row.items() if value in {"", None}}
    secret = {"acco_api_key", "acco_secret_key", "acco_psswrd_cer", "acco_fiel_pwd"}
    assert row.keys() - named - empty - secret == read.extra.keys()


def test_every_field_of_a_documented_list_is_an_attribute() -> None:
    assert [wire.read_empresa(dict(row)).extra for row in documented("list")] == [{}, {}]


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_documented_write_can_be_pickled_and_hashed_and_holds_no_secret(verb: str) -> None:
    read = wire.read_written_empresa(documented(verb))
    stored = pickle.dumps(read)
    copy = pickle.loads(stored)
    assert (copy, hash(copy), vars(copy) == vars(evolve(read))) == (read, hash(read), True)
    shown = f"{read!r}{vars(read)}{read.extra}{stored!r}"
    assert [secret for secret in SECRETS if re.search(rf"\b{secret}\b", shown)] == []


def test_a_listed_company_has_its_file_names_and_not_the_apis_names() -> None:
    first: Any = wire.read_empresa(dict(documented("get")))
    names = ("logo_name", "csd_cer_name", "csd_key_name", "fiel_cer_name", "fiel_key_name")
    assert [getattr(first, name) for name in names] == [
        *("file_name.png", "file_name.cer", "file_name.key", "file_name.cer", "file_name.key"),
    ]
    assert not any(hasattr(first, name) for name in ("logo_path", "cer", "key", "fielcer", "fielkey"))
    assert first == evolve(first)


def test_a_listed_company_keeps_unknown_fields_but_no_secret_ones() -> None:
    row = documented("get") | {"nuevo": "x", "clave_csd": "hola", "notas": ["JDJ5JDEwJG5vbmVub25lbm9uZQ=="]}
    read = wire.read_empresa(dict(row))
    assert read.extra == {"nuevo": "x", "notas": '["***"]'}
    assert evolve(read, extra={}) == wire.read_empresa(documented("get"))


def test_the_extra_of_a_constructed_company_is_read_only() -> None:
    given = {"acco_id": "1"}
    empresa: Any = Empresa(uid="1", api_key=Secret("a"), secret_key=Secret("b"), extra=given)
    given["acco_id"] = "2"
    with pytest.raises(TypeError):
        empresa.extra["acco_id"] = "3"
    assert (empresa.extra, hash(empresa) == hash(evolve(empresa)), Empresa(uid="1").extra) == (
        {"acco_id": "1"},
        True,
        {},
    )


def test_the_docstring_names_the_apis_name_where_it_differs() -> None:
    docstring = inspect.getdoc(Empresa) or ""  # Python 3.13 removes the indentation itself
    entries = dict(re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", docstring, re.MULTILINE | re.DOTALL))
    for attribute, _, written, read in wire._FIELD_NAMES:
        other = {name for name in (read, written) if name not in {"", attribute, f"acco_{attribute}"}}
        assert {name for name in other if f"``{name}``" not in entries[attribute]} == set(), attribute
    assert entries.keys() >= {each.name for each in fields(Empresa)}
