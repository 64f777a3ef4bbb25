"""A company's data is checked; a wrong check digit or an unknown code is only a warning."""

from __future__ import annotations

import pytest
from stdnum.mx import curp as stdnum_curp, rfc as stdnum_rfc

from facturaonline_async import Empresa
from facturaonline_async.sat import _identifiers as identifiers
from facturaonline_async.sat._identifiers import _is_common_curp, _is_common_rfc
from facturaonline_async.sat._regimenes import REGIMENES, find_regimen


@pytest.mark.parametrize(
    ("rfc", "codes"),
    [
        ("EKU9003173C9", []),
        ("XIQB891116QE4", []),
        ("HAÑ930228SM9", []),
        ("L&O950913MSA", []),
        ("EKU9003173C8", ["rfc_check_digit"]),
        ("XAXX010101000", ["rfc_check_digit"]),
        ("EKU9013173C9", ["rfc_format"]),  # month 13
        ("EKU9002303C9", ["rfc_format"]),  # 30 February
        ("EKU900317", ["rfc_format"]),
        ("XIQB891116", ["rfc_format"]),  # no homoclave
        ("EKU-900317-3C9", ["rfc_format"]),
        ("eku9003173c9", ["rfc_format"]),
        ("EKU9003173C9 ", ["rfc_format"]),
        ("EKU\uff19\uff10\uff10\uff13\uff11\uff17\uff13C9", ["rfc_format"]),  # digits of another script
        ("FUNK123456PH7", ["rfc_format"]),  # the provider's own sample
        ("", ["rfc_format"]),
    ],
)
def test_a_wrong_rfc_is_found_and_a_right_one_passes(rfc: str, codes: list[str]) -> None:
    assert [finding.code for finding in identifiers.check_rfc(rfc)] == codes


@pytest.mark.parametrize(
    ("curp", "codes"),
    [
        ("BOXW310820HNERXN09", []),
        ("XEXX010101HNEXXXA4", []),  # the generic ones of foreigners
        ("XEXX010101MNEXXXA8", []),
        ("XEXX010101MNEXXXA9", ["curp_doubtful"]),
        ("BOXW310820HNERXN08", ["curp_doubtful"]),
        ("BOXW311320HNERXN09", ["curp_doubtful"]),
        ("BOXW310820XNERXN09", ["curp_doubtful"]),  # the third sex that newer ones may state
        ("BOXW310820HNERXN0", ["curp_format"]),
        ("boxw310820hnerxn09", ["curp_format"]),
        ("BOXW-310820-HNERXN09", ["curp_format"]),
    ],
)
def test_a_wrong_curp_is_found_and_a_right_one_passes(curp: str, codes: list[str]) -> None:
    assert [finding.code for finding in identifiers.check_curp(curp)] == codes


# ── The common forms, without the library's checks ────────────────────────────────────────────────────────────────────

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ENDINGS = [*LETTERS, *"Ñ&0123456789"]
DAYS = [f"00{month:02}{day:02}" for month in range(20) for day in range(40)]
STATES = [one + two for one in LETTERS for two in LETTERS]
RFCS = [
    *(f"{word}900317AB" for word in sorted(stdnum_rfc._name_blacklist)),
    *(f"XIQ{letter}900317AB" for letter in [*LETTERS, "Ñ", "&", "1"]),
    *(f"{letter}KU900317AB" for letter in ENDINGS),
    *(f"EKU{day}AB" for day in DAYS),
    *(f"EKU900317{ending}B" for ending in ENDINGS),
    *(f"EKU900317A{ending}" for ending in ENDINGS),
    *("", "EKU", "EK900317AB", "XIQQB900317AB", "EKU900317", "EKU900317ABC", " EKU900317AB", "eku900317ab"),
]
CURPS = [
    *(f"{word}900317HDFRXN0" for word in sorted(stdnum_curp._name_blacklist)),
    *(f"BOX{letter}900317HDFRXN0" for letter in ENDINGS),
    *(f"BOXW{day}HDFRXN{year}" for day in DAYS for year in "0A"),
    *(f"BOXW900317{sex}DFRXN0" for sex in ENDINGS),
    *(f"BOXW900317H{state}RXN0" for state in STATES),
    *(f"BOXW900317HDFRX{letter}0" for letter in ENDINGS),
    *(f"BOXW900317HDFRXN{letter}" for letter in ENDINGS),
    *("", "BOXW", "BOXW900317HDFRXN", "BOXW900317HDFRXN00", "boxw900317hdfrxn0"),
]


def with_each_digit(starts: list[str]) -> list[str]:
    return [start + digit for start in starts for digit in [*"0123456789A", "\n", ""]]


def test_every_rfc_that_the_fast_check_accepts_is_valid_for_stdnum() -> None:
    right = [rfc for rfc in with_each_digit(RFCS) if _is_common_rfc(rfc)]
    assert [rfc for rfc in right if not stdnum_rfc.is_valid(rfc, validate_check_digits=True)] == []
    assert len(right) > len(RFCS) / 3


def test_every_curp_that_the_fast_check_accepts_is_valid_for_stdnum() -> None:
    right = [curp for curp in with_each_digit(CURPS) if _is_common_curp(curp)]
    assert [curp for curp in right if not stdnum_curp.is_valid(curp)] == []
    assert {curp[11:13] for curp in right} == stdnum_curp._valid_states
    assert len(right) > len(CURPS) / 5


@pytest.mark.parametrize("rfc", ["EKU9003173C9", "XIQB891116QE4", "L&O950913MSA", "HAÑ930228SM9"])
def test_the_fast_check_accepts_usual_rfcs(rfc: str) -> None:
    assert _is_common_rfc(rfc)


@pytest.mark.parametrize("rfc", ["EKU9003173C9", "XIQB891116QE4", "L&O950913MSA", "HAÑ930228SM9", "CACX7605101P8"])
def test_the_check_digit_of_an_rfc_follows_from_its_other_characters(rfc: str) -> None:
    assert identifiers.rfc_check_digit(rfc[:-1]) == rfc[-1]


@pytest.mark.parametrize("curp", ["BOXW310820HNERXN09", "PEPJ901010HJCRRN03"])
def test_the_fast_check_accepts_usual_curps(curp: str) -> None:
    assert _is_common_curp(curp)


@pytest.mark.parametrize(
    ("codpos", "codes"),
    [
        ("06500", []),
        ("99999", []),
        ("6500", ["codpos_format"]),
        ("00000", ["codpos_format"]),
        ("0650O", ["codpos_format"]),
    ],
)
def test_a_wrong_codigo_postal_is_found_and_a_right_one_passes(codpos: str, codes: list[str]) -> None:
    assert [finding.code for finding in identifiers.check_codpos(codpos)] == codes


@pytest.mark.parametrize("value", ["a@example.com", "ñandú@empresa.mx", "a.b+c@sub.example.com"])
def test_an_email_address_passes(value: str) -> None:
    assert identifiers.check_email(value) == []


@pytest.mark.parametrize("value", ["nobody", "Ana <a@b.mx> x", "a@b@c", "a b@c.mx", "a@b.mx;c@d.mx e"])
def test_what_is_no_email_address_is_an_error(value: str) -> None:
    assert [(each.code, each.is_error) for each in identifiers.check_email(value)] == [("email_format", True)]


@pytest.mark.parametrize(
    "value", ["5512345678", "55 1234 5678", "+52 (55) 1234-5678", "01 800 123 4567", "55 1234 5678 ext. 12"]
)
def test_a_telephone_number_passes_as_people_write_it(value: str) -> None:
    assert identifiers.check_telefono(value) == []


@pytest.mark.parametrize("value", ["555", "abc", "no tiene", "55 1234 567", "5512345678 / 5587654321"])
def test_a_text_without_a_whole_telephone_number_is_a_warning(value: str) -> None:
    assert [(each.code, each.is_error) for each in identifiers.check_telefono(value)] == [("telefono_format", False)]


@pytest.mark.parametrize(
    ("regimen", "rfc", "codes"),
    [
        ("601", "EKU9003173C9", []),
        ("601", "XIQB891116QE4", ["regimen_person"]),
        ("612", "EKU9003173C9", ["regimen_person"]),
        ("626", "EKU9003173C9", []),
        ("626", "XIQB891116QE4", []),
        ("612", None, []),
        ("609", "EKU9003173C9", ["regimen_retired"]),
        ("999", "EKU9003173C9", ["regimen_unknown"]),
        ("61", "EKU9003173C9", ["regimen_format"]),
        ("General de Ley", "EKU9003173C9", ["regimen_format"]),
    ],
)
def test_a_wrong_regimen_is_found_and_a_right_one_passes(regimen: str, rfc: str | None, codes: list[str]) -> None:
    assert [finding.code for finding in identifiers.check_regimen(regimen, rfc)] == codes


def test_the_catalogue_has_19_regimenes_of_cfdi_4_and_4_older_ones() -> None:
    assert (sum(each.is_current for each in REGIMENES.values()), len(REGIMENES)) == (19, 23)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("General de Ley Personas Morales", "601"),
        ("PERSONAS FISICAS CON ACTIVIDADES EMPRESARIALES Y PROFESIONALES", "612"),
        ("  régimen simplificado   de confianza ", "626"),
        ("Re\u0301gimen Simplificado de Confianza", "626"),
        ("601", "601"),
        ("Otro", None),
        ("", None),
    ],
)
def test_find_regimen_returns_the_code_of_a_description(text: str, code: str | None) -> None:
    found = find_regimen(text)
    assert (found and found.codigo) == code


def test_find_regimen_finds_every_description_of_the_catalogue() -> None:
    assert {find_regimen(each.descripcion.upper()) for each in REGIMENES.values()} == set(REGIMENES.values())


def test_an_empresa_knows_its_regimen_by_code_or_text() -> None:
    listed = Empresa(uid="1", regimen_fiscal="Personas Físicas con Actividades Empresariales y Profesionales")
    written = Empresa(uid="1", regimen="626")
    assert [
        each and each.codigo for each in (listed.regimen_sat, written.regimen_sat, Empresa(uid="1").regimen_sat)
    ] == [
        "612",
        "626",
        None,
    ]
