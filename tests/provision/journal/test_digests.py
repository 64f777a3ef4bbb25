"""A digest shows which data of a company have changed, and does not reveal them."""

from __future__ import annotations

import hmac
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve, fields

from facturaonline_async import CambiosEmpresa, CorreoSmtp, NuevaEmpresa, Secret, Sello
from facturaonline_async.provision._journal.digests import (
    _name_tag,
    changed_columns,
    changed_since,
    empresa_digest,
    gives_data,
    is_of_equal_data,
    payload,
)
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
    assert changed_since(JOURNAL, digest(**before), nueva(RFC, **now)) == columns


@pytest.mark.parametrize("more", [{}, {"calle": "Centro"}, {"calle": "Centro", "fiel": FIEL, "smtp": SMTP}])
def test_a_digest_says_whether_the_company_had_the_data(more: dict[str, Any]) -> None:
    sent, found = digest(**more), empresa_digest(JOURNAL, nueva(RFC, **more), is_equal=True)

    assert (is_of_equal_data(sent), is_of_equal_data(found)) == (False, True)
    assert changed_since(JOURNAL, found, nueva(RFC, **more)) == []
    assert changed_since(JOURNAL, found, nueva(RFC, **more, colonia="Sur")) == ["colonia"]


def test_a_row_that_only_gives_series_gives_no_data() -> None:
    changes = CambiosEmpresa(rfc=RFC)

    assert (gives_data(changes), changed_since(JOURNAL, digest(), changes)) == (False, [])
    assert (gives_data(evolve(changes, codpos="06500")), gives_data(nueva(RFC))) == (True, True)


def test_the_digest_of_unchanged_data_is_made_with_one_hash() -> None:
    payloads: list[bytes] = []

    def count(data: bytes) -> Any:
        payloads.append(data)
        return JOURNAL.digest(data)

    before = digest(fiel=FIEL, smtp=SMTP)
    journal: Any = SimpleNamespace(digest=count)
    assert changed_since(journal, before, nueva(RFC, fiel=FIEL, smtp=SMTP)) == []
    assert payloads == [payload(nueva(RFC, fiel=FIEL, smtp=SMTP))]


def test_the_payload_has_all_given_attributes_with_their_lengths() -> None:
    """Journals of earlier runs hold digests of these bytes: another form needs another version of the journal."""
    given = nueva(RFC, calle='Ñandú "B"', mailtomyself=False, cant_folios_min=0, smtp=SMTP, fiel=FIEL)
    assert payload(given) == (
        b'calle:11:\xc3\x91and\xc3\xba "B"cant_folios_min:1:0codpos:5:06500'
        b"csd:38:cer:3:cerkey:3:keypassword:9:12345678aemail:13:a@example.com"
        b"fiel:42:cer:7:fielcerkey:7:fielkeypassword:5:clavemailtomyself:5:False"
        b"razon_social:20:Empresa EKU9003173C9regimen_nomina:3:601rfc:12:EKU9003173C9"
        b"smtp:54:email:6:a@b.mxhost:9:smtp.b.mxpassword:3:unoport:3:587"
    )


def test_the_digest_of_an_attribute_does_not_depend_on_a_password() -> None:
    one, other = digest(csd=Sello(b"cer", b"key", "12345678a")), digest(csd=Sello(b"cer", b"key", "otra"))
    assert (one[:16] == other[:16], one[16:] == other[16:]) == (False, True)


def test_an_attribute_takes_four_bytes_and_its_hashed_name_is_unique() -> None:
    names = [each.name for each in fields(NuevaEmpresa)]
    assert len({_name_tag(name) for name in names}) == len(names)
    assert len(digest(calle="Centro")) == len(digest()) + 4
