"""Artifacts of spreadsheets in free text are recognised, and real names pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import CambiosEmpresa, InvalidInputError
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._free_text import clean_text, find_error_value, find_fault, unwrap
from facturaonline_async._text import compose, find_invisible, fold
from facturaonline_async.sat._regimenes import find_regimen
from facturaonline_async.series._models import key_part, serie_key
from tests.plans import nueva

# Excel's own, by language; most languages share some of them with English.
ERRORS = {
    "en": "#NULL! #DIV/0! #VALUE! #REF! #NAME? #NUM! #N/A #SPILL! #CALC! #FIELD! #BLOCKED! #CONNECT! #BUSY! #UNKNOWN! "
    "#PYTHON! #TIMEOUT! #EXTERNAL! #GETTING_DATA",
    "es": "#¡NULO! #¡DIV/0! #¡VALOR! #¡REF! #¿NOMBRE? #¡NUM! #N/D #N/A #¡DESBORDAMIENTO! #¡CALC! #OBTENIENDO_DATOS",
    "de": "#BEZUG! #WERT! #ZAHL! #NV #ÜBERLAUF! #KALK! #DATEN_ABRUFEN",
    "fr": "#NUL! #VALEUR! #NOM? #NOMBRE! #PROPAGATION! #DIV/0\u00a0! #OBTENTION_DONNEES",
    "pt": "#VALOR! #NOME? #NÚM! #NULO! #N/D #DESPEJAR!",
    "it": "#VALORE! #RIF! #NOME? #NULLO! #N/D",
    "nl": "#WAARDE! #VERW! #NAAM? #GETAL! #LEEG! #DEEL/0! #N/B",
    "da": "#VÆRDI! #REFERENCE! #NAVN? #DIVISION/0! #I/T",
    "sv": "#VÄRDEFEL! #REFERENS! #NAMN? #OGILTIGT! #SAKNAS! #SKÄRNING!",
    "nb": "#VERDI! #NAVN? #I/T",
    "fi": "#ARVO! #VIITTAUS! #NIMI? #LUKU! #TYHJÄ! #JAKO/0! #PUUTTUU!",
    "pl": "#ARG! #ADR! #NAZWA? #LICZBA! #ZERO! #DZIEL/0! #N/D!",
    "cs": "#HODNOTA! #ODKAZ! #NÁZEV? #ČÍSLO! #DĚLENÍ_NULOU! #NENÍ_K_DISPOZICI",
    "sk": "#NÁZOV? #DELENIENULOU! #NEDOSTUPNÝ",
    "hu": "#ÉRTÉK! #HIV! #NÉV? #SZÁM! #NULLA! #ZÉRÓOSZTÓ! #HIÁNYZIK",
    "ro": "#VALOARE! #NUME?",
    "hr": "#VRIJEDNOST! #NAZIV? #BROJ! #DIJ/0!",
    "sl": "#VREDN! #SKLIC! #IME? #ŠTEV! #DEL/0! #N/V",
    "tr": "#DEĞER! #BAŞV! #AD? #SAYI! #BOŞ! #SAYI/0! #YOK",
    "el": "#ΤΙΜΗ! #ΑΝΑΦ! #ΟΝΟΜΑ? #ΑΡΙΘ! #ΔΙΑΙΡ./0! #Δ/\u03a5",
    "ru": "#ЗНАЧ! #ССЫЛКА! #ИМЯ? #ЧИСЛО! #ПУСТО! #ДЕЛ/0! #\u041d/Д",
    "Google": "#ERROR! #n/a",
    "LibreOffice": "Err:502 Fehler:508 #ERR522!",
}


@pytest.mark.parametrize(
    "text", [each.replace("\u00a0", " ") for errors in ERRORS.values() for each in errors.split(" ")]
)
def test_an_error_value_is_recognised_in_every_language(text: str) -> None:
    assert "is the error of a spreadsheet's formula" in (find_error_value(text) or "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "placeholder for a missing value") for text in ("nan", "NaN", "None", "NaT", "<NA>", "null", "NULL")),
        ("5.51235E+09", "a long number that a spreadsheet rounded"),
        ("5,51235E+09", "a long number that a spreadsheet rounded"),
        ("1E+10", "a long number that a spreadsheet rounded"),
        ("5512345678.0", "give it without .0"),
        ("=A1", "begins with =, like a formula"),
        ("=CONCATENAR(A1;B1)", "begins with =, like a formula"),
        ("'ESCUELA KEMPER", "begins with an apostrophe"),
        ("L&amp;O", "holds &amp;, the HTML code of '&': write the character itself"),
        ("COMPA&Ntilde;IA", "holds &Ntilde;, the HTML code of 'Ñ'"),
        ("COMPA&#209;IA", "holds &#209;, the HTML code of 'Ñ'"),
        ("COMPA&#xD1;IA", "holds &#xD1;, the HTML code of 'Ñ'"),
        ("COMPA\\u00d1IA", r"holds \u00d1, a program's code for another character"),
        ("COMPA%C3%91IA", "holds %C3%91, a program's code for another character"),
        ("COMPA?IA", "holds 'A?I', a letter that was read in a wrong encoding"),
    ],
)
def test_a_faulty_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in (find_fault(text) or "")


def test_an_error_value_of_a_narrow_column_is_named() -> None:
    assert "a column that is too narrow" in (find_error_value("########") or "")


@pytest.mark.parametrize("text", ["COMPAÑÍA DE MÉXICO", "Ñandú, S.A.", "“Ánimo” – niño’s", "COMPAN\u0303I\u0301A"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac_roman", "cp850", "cp437"])
def test_utf_8_that_was_read_in_another_encoding_is_recognised(text: str, encoding: str) -> None:
    garbled = text.encode().decode(encoding, "replace").replace("\ufffd", "")
    assert find_fault(garbled) is not None


@pytest.mark.parametrize(
    "text",
    ["COMPA¥IA", "compa¤ia", "COMPAÐIA", "COMPA„IA", "MƒXICO", "M…XICO", "ma¡z", "Canc£n", "Le¢n", "AVI?N", "a†b"],
)
def test_a_symbol_between_letters_is_refused_as_a_garbled_letter(text: str) -> None:
    assert "a letter that was read in a wrong encoding" in (find_fault(text) or "")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "ESCUELA KEMPER URGATE",
            "Ñandú & Compañía, S.A.",
            "L&O; S.C.",
            "A&B;C",
            "3M DE MÉXICO",
            "O’BRIEN",
            "D'ACUÑA",
        ),
        *(
            "“EL NIÑO”",
            "CAFÉ” Y “TÉ”",
            'LA "MONTAÑA", S.P.R.',
            "¿QUÉ? ¡SÍ!",
            "SÃO PAULO",
            "IRMÃOS",
            "GRUPO É®",
            "1ª SECCIÓN",
        ),
        *(
            "#12",
            "#4B",
            "# 7",
            "#S/N",
            "S/N",
            "N/A",
            "NA",
            "Nan",
            "Nat Null",
            "100% NATURAL",
            "50% DE A",
            "ABC+",
            "E+12",
        ),
        *(
            "Müller",
            "Ångström",
            "Dvořák",
            "Østergård",
            "Æther",
            "Þór",
            "GÖTTSCHE",
            "AÇÚCAR",
            "Nº 5",
            "M²",
            "A·B",
            "A–B",
        ),
    ],
)
def test_real_names_and_addresses_pass(text: str) -> None:
    assert (find_error_value(text), find_fault(text), find_invisible(text), clean_text(text), unwrap(text)) == (
        None,
        None,
        None,
        (text, []),
        (text, []),
    )


INVISIBLE = [
    0x200B,
    0x200C,
    0x200D,
    0x2060,
    0xFEFF,
    0xAD,
    0x200E,
    0x200F,
    0x202A,
    0x202E,
    0x2066,
    0x2069,
    0x61C,
    0xFE0F,
]


@pytest.mark.parametrize("code", [*INVISIBLE, 0xFFFD, 0xE000, 0x34F, 0x3164, 0x2800])
def test_no_value_holds_an_invisible_character(code: int) -> None:
    text = f"ESCUELA{chr(code)} KEMPER"
    for make in (lambda: nueva("EKU9003173C9", razon_social=text), lambda: CambiosEmpresa(calle=text)):
        with pytest.raises(InvalidInputError, match=f"holds the invisible character U\\+{code:04X} .* at place 8"):
            make()
    with pytest.raises(InvalidInputError, match="letra holds the invisible character"):
        serie_key(text, "factura")


def test_decomposed_values_are_composed_with_a_warning_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    decomposed: dict[str, Any] = {"razon_social": "COMPAN\u0303I\u0301A", "colonia": "Me\u0301xico"}
    with caplog.at_level(logging.WARNING, "facturaonline_async"):
        for made in (nueva("EKU9003173C9", **decomposed), CambiosEmpresa(**decomposed)):
            assert (made.razon_social, made.colonia) == ("COMPAÑÍA", "México")
    assert [record.getMessage().split()[0] for record in caplog.records] == 2 * ["razon_social", "colonia"]


def test_values_that_are_composed_already_cause_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    nueva("EKU9003173C9", razon_social="COMPAÑÍA  DE\u00a0MÉXICO ")
    assert caplog.records == []


@given(st.text())
def test_a_cleaned_text_stays_unchanged_when_it_is_cleaned_again(text: str) -> None:
    mended, changes = clean_text(text)
    assert clean_text(mended) == (mended, [])
    assert bool(changes) == (mended != text)


BLANKS, QUOTES = " " * 1_000_000, '"' * 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        *(BLANKS + "x", " " + QUOTES + "x", '="' + QUOTES, "'" + "1" * 1_000_000 + "x", "x" + BLANKS + "x"),
        *("#" + "A" * 1_000_000, "&" + "a" * 1_000_000, "&" * 1_000_000, "%C3" * 300_000, "\\u00d" * 200_000),
        *("Ã" * 1_000_000, "?" * 1_000_000, "a?" * 500_000, "#A_" * 300_000, "N\u0303" * 500_000),
    ],
    ids=lambda text: text[:6].strip(),
)
def test_a_megabyte_of_adversarial_text_is_read(text: str) -> None:
    """A regular expression that takes the square of it would not end within hours."""
    inner, _ = unwrap(text)
    assert len(clean_text(inner)[0]) <= len(text)
    assert isinstance(find_fault(inner), str | None)


def test_a_long_text_is_composed_unless_more_combining_marks_follow_each_other_than_in_any_language() -> None:
    long = "compan\u0303i\u0301a " * 100
    assert compose(long) == "compañía " * 100
    assert compose(long + "n" + "\u0303" * 31) == long + "n" + "\u0303" * 31


@pytest.mark.parametrize("read", [compose, find_regimen, fold, key_part, clean_text, normalize_rfc])
def test_a_megabyte_of_combining_marks_is_read_in_linear_time(read: Callable[[str], object]) -> None:
    # Composed, it would take hours, and end with the limit that every test has.
    read("n" + "\u0303\u0316" * 250_000)
