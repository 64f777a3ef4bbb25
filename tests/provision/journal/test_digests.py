"""A digest shows which data of a company have changed, and does not reveal them."""

from __future__ import annotations

import hmac
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve, fields

from facturaonline_async import CorreoSmtp, NuevaEmpresa, Secret, Sello
from facturaonline_async.provision._journal.digests import _name_tag, changed_columns, empresa_digest
from tests.plans import nueva

RFC = "EKU9003173C9"
JOURNAL: Any = SimpleNamespace(digest=lambda payload: hmac.digest(b"salt", payload, "sha256")[:16])
SMTP = CorreoSmtp(email="a@b.mx", password=Secret("uno"), host="smtp.b.mx", port=587)
FIEL = Sello(b"fielcer", b"fielkey", "clave")


def digest(**more: Any) -> bytes:
    return empresa_digest(JOURNAL, nueva(RFC, **more))


@pytest.mark.parametrize(
    ("before", "now", "columns"),
    [
        ({}, {}, []),
        ({}, {"codpos": "01000"}, ["codpos"]),
        ({}, {"calle": "Centro", "email": "b@b.mx"}, ["email", "calle"]),
        ({"calle": "Centro"}, {}, ["calle"]),
        ({}, {"csd": Sello(b"cer", b"key", "otra")}, ["password"]),
        ({}, {"csd": Sello(b"another", b"key", "12345678a")}, ["cer/key"]),
        ({"fiel": FIEL}, {"fiel": evolve(FIEL, key=b"another")}, ["fielcer/fielkey"]),
        ({"fiel": FIEL}, {"fiel": evolve(FIEL, password="otra")}, ["password"]),
        ({"smtp": SMTP}, {"smtp": evolve(SMTP, host="mail.b.mx")}, ["smtp"]),
        ({"smtp": SMTP}, {"smtp": evolve(SMTP, password=Secret("dos"))}, ["password"]),
        ({"mailtomyself": True}, {"mailtomyself": False}, ["mailtomyself"]),
    ],
)
def test_changed_columns_are_named(before: dict[str, Any], now: dict[str, Any], columns: list[str]) -> None:
    assert changed_columns(digest(**before), digest(**now)) == columns


def test_the_digest_of_an_attribute_does_not_depend_on_a_password() -> None:
    one, other = digest(csd=Sello(b"cer", b"key", "12345678a")), digest(csd=Sello(b"cer", b"key", "otra"))
    assert (one[:16] == other[:16], one[16:] == other[16:]) == (False, True)


def test_an_attribute_takes_four_bytes_and_its_hashed_name_is_unique() -> None:
    names = [each.name for each in fields(NuevaEmpresa)]
    assert len({_name_tag(name) for name in names}) == len(names)
    assert len(digest(calle="Centro")) == len(digest()) + 4
