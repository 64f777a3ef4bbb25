"""Texts from the API are cleaned for people, and their secrets are masked."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import Secret
from facturaonline_async._core.redaction import redact
from facturaonline_async._text import fold, plain_text

BCRYPT = "$2y$10$8a9S8o8WeiRhPh1YT6bnXun6uPs1ZdiZBUHjGwSqn3X44mbYSmY4."


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Serie creada correctamente", "Serie creada correctamente"),
        ("<b>Error</b>:<br/>el campo <i>letra</i>", "Error : el campo letra"),
        ("error en la facturaciÃ³n", "error en la facturación"),
        ("error en la facturaciÃƒÂ³n", "error en la facturación"),  # read wrongly twice
        ("NÃºmero de Â¿folio?", "Número de ¿folio?"),
        ("ya est\u00e1 bien: Número", "ya está bien: Número"),
        ("Ã\x81rea", "Área"),
        ("r&eacute;gimen &amp; m\u00e1s", "régimen & más"),
        ("  muchos \r\n\t blancos  ", "muchos blancos"),
        ("\x1b[31mrojo\x07", "[31mrojo"),
        ("a \ud800 b", "a ? b"),
        ("", ""),
    ],
)
def test_texts_are_cleaned_for_people(raw: str, cleaned: str) -> None:
    assert plain_text(raw) == cleaned


def test_mixed_texts_without_mojibake_are_unchanged() -> None:
    assert plain_text("Ã y ñ y €") == "Ã y ñ y €"


def test_folding_drops_case_and_accents() -> None:
    assert fold("No SE Encontró la Ñ") == "no se encontro la n"


@given(st.text(max_size=200))
def test_cleaning_never_fails_and_leaves_only_printable_text(text: str) -> None:
    cleaned = plain_text(text)
    assert cleaned.encode().decode() == cleaned
    assert all(character.isprintable() for character in cleaned)


def forms(secret: str) -> list[str]:
    """Return all forms in which a server may repeat a secret."""
    return [
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        html.escape(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    ]


@given(
    st.text(min_size=8, max_size=40).filter(lambda text: text.strip("*") == text and len(set(text)) > 3),
    st.integers(0, 6),
    st.text(alphabet="abc {}:,\n", max_size=20),
)
def test_a_secret_is_masked_in_every_form_that_servers_repeat(secret: str, form: int, around: str) -> None:
    sent = forms(secret.encode("utf-8", "replace").decode())[form]
    assert sent not in redact(f"{around}<{sent}>{around}", [Secret(secret.encode("utf-8", "replace").decode())])


def test_a_key_is_masked_also_as_the_bcrypt_that_it_encodes() -> None:
    key = base64.b64encode(BCRYPT.encode()).decode()
    for text in (key, BCRYPT, BCRYPT.replace("/", "\\/")):
        assert BCRYPT[10:20] not in redact(f'{{"x": "{text}"}}', [Secret(key)])


@pytest.mark.parametrize(
    "text",
    [
        f'{{"Data": "{BCRYPT}", "Secret": "x"}}',
        f"key {BCRYPT}",
        "key " + base64.b64encode(BCRYPT.encode()).decode(),
        '{"acco_psswrd_cer": "8a9S8o8WeiRhPh"}',
        '{"acco_fiel_pwd" : "8a9S8o8WeiRhPh"}',
        '{"api_key":"8a9S8o8WeiRhPh"}',
        '{"password":"8a9S8o8WeiRhPh\\"1YT6bnX',
        '{"Secret": "8a9S8o8WeiRhPh',
        '{"Secret": "8a9S8o8WeiRhPh\\',
    ],
)
def test_a_text_that_looks_like_a_secret_is_masked(text: str) -> None:
    masked = redact(text)
    assert ("8a9S8o8WeiRhPh" in masked, "1YT6bnX" in masked, "***" in masked) == (False, False, True)


@pytest.mark.parametrize(
    ("text", "secret", "masked"),
    [
        ("La cuenta no existe", "a", "La cuenta no existe"),
        ("La cuenta no existe", "cu", "La cuenta no existe"),
        ("La cuenta: a, (a) y a.", "a", "La cuenta: ***, (***) y ***."),
        ("contra 1234567 y 12345678", "1234567", "contra *** y 12345678"),
        ("contra 12345678 y x12345678x", "12345678", "contra *** y x***x"),
        ('{"x": "a\\/b"}', "a/b", '{"x": "***"}'),
        ("a%2fb&c", "a/b", "***&c"),
    ],
)
def test_a_short_secret_is_masked_only_as_a_whole_word(text: str, secret: str, masked: str) -> None:
    assert redact(text, [Secret(secret)]) == masked


def test_a_longer_secret_is_masked_before_a_shorter_one_within_it() -> None:
    assert redact("abcdef abc", [Secret("abc"), Secret("abcdef")]) == "*** ***"


def test_text_without_secrets_is_unchanged() -> None:
    text = '{"status": "error", "message": "La serie no existe", "data": {"key": "file_name.key"}}'
    assert redact(text, [Secret("JDJ5JDEwJDEyMzQ1Njc4OTA")]) == text
