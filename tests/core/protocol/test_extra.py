"""Facts without an attribute: a read-only mapping without secrets."""

from __future__ import annotations

import copy
import pickle
import time
from typing import Any

import pytest

from facturaonline_async import Secret
from facturaonline_async._core.protocol import extra as extra_module
from facturaonline_async._core.protocol.extra import Extra, extra_text, is_secret_name, make_extra, mask_extra
from facturaonline_async._core.redaction import looks_secret, make_masker

KEY = "JDJ5JDEwJG5vbmVub25lbm9uZW5vbmU="
BCRYPT = "$2y$10$dnOV7qC7ZrD1CZitpUnTReLKtKPxG29XfwZylrEuiR0KVl18pOXXX"


def test_an_extra_is_a_read_only_mapping_that_can_be_hashed_copied_and_pickled() -> None:
    texts = {"a": "1", "b": "2"}
    extra: Any = Extra(texts)
    texts["a"] = "3"
    assert (extra["a"], list(extra), len(extra), repr(extra)) == ("1", ["a", "b"], 2, "{'a': '1', 'b': '2'}")
    assert (extra == {"b": "2", "a": "1"}, extra == Extra(), hash(extra)) == (
        True,
        False,
        hash(Extra([("b", "2"), ("a", "1")])),
    )
    with pytest.raises(TypeError):
        extra["a"] = "4"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(extra, protocol)) == extra
    assert (copy.copy(extra) is extra, copy.deepcopy(extra) is extra) == (True, True)


@pytest.mark.parametrize(
    "name",
    [
        *("acco_psswrd_cer", "acco_fiel_pwd", "acco_api_key", "acco_secret_key", "Secret", "Data", "smtpPassword"),
        *("clave_fiel", "llave", "token", "contraseña", "acco_pem", "acco_key_b64", "AUTH", "acco_private"),
        *("acco_psw", "acco_ciec", "CIEC", "nip", "acco_nip", "pin", "acco_pin_2", "userPin", "pw", "acco_pw"),
        *("smtpPw", "otp", "jwt", "acco_jwt", "bearer", "cookie", "acco_session_id", "sesion", "acco_pfx"),
        *("p12", "acco_p12"),
    ],
)
def test_names_of_keys_and_passwords_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("acco_id", "acco_user_id", "acco_pem_path", "acco_cedula_path", "acco_pdf", "acco_email_settings"),
        *("acco_apps", "acco_create", "acco_lastupdate", "acco_main", "acco_deleted", "database"),
        *("shipping", "acco_opinion", "acco_foto", "acco_pfx_path", "acco_p12_path", "acco_sp12", "especie", "cpin"),
        *("Pinta", "acco_nipon", "topwords", "acco_cp"),
    ],
)
def test_names_of_other_facts_do_not_look_secret(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (KEY, "***"),
        (f"key {BCRYPT} ends", "key *** ends"),
        ('{"password": "hola", "color": "red"}', '{"password": "***", "color": "red"}'),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "***"),
        ({"smtp": {"password": "hola", "port": 587}}, '{"smtp": {"password": "***", "port": 587}}'),
        ({"clave": 1234, "pdf": [KEY]}, '{"clave": "***", "pdf": ["***"]}'),
        ({KEY: 1}, '{"***": 1}'),
        ("https://u:hola@h/?a=1&password=hola#x", "https://u:***@h/?a=1&password=***#x"),
        ("smtp_psw=hola; color=red", "smtp_psw=***; color=red"),
        ("https://h/a:b?c=d@e", "https://h/a:b?c=d@e"),
        ([{"name": "password", "value": "hola"}], '[{"name": "password", "value": "***"}]'),
        ([{"nombre": "color", "valor": "red"}], '[{"nombre": "color", "valor": "red"}]'),
        ([["nip", "1234"], ["a", "b"]], '[["nip", "***"], ["a", "b"]]'),
        ({"key": "nip", "value": "1234"}, '{"key": "***", "value": "***"}'),
        ({"settings": '{"password": "hola"}'}, '{"settings": "{\\"password\\": \\"***\\"}"}'),
    ],
)
def test_texts_that_look_secret_are_masked_at_any_depth(value: object, text: str) -> None:
    assert extra_text(value) == text


def test_what_is_nested_too_deeply_is_masked() -> None:
    value: object = "hola"
    for _ in range(100_000):
        value = [value]
    assert extra_text(value) == "[" * 16 + '"***"' + "]" * 16


@pytest.mark.parametrize(
    "value", ["palabra " * 1_000_000, "x" * 1_000_000, [{"a": "b"}] * 1_000_000, {str(n): n for n in range(100_000)}]
)
def test_a_long_fact_is_cut_before_it_is_formatted(value: object) -> None:
    started = time.process_time()
    text = extra_text(value)
    assert time.process_time() - started < 0.1
    assert (1_000 < len(text) <= 2_001, text[-1]) == (True, "…")


def test_a_fact_is_cut_before_a_word_that_may_be_a_secret() -> None:
    assert extra_text("x " * 950 + "K" * 200) == "x " * 950 + "…"


def test_the_facts_of_a_row_are_bounded() -> None:
    row = {f"n{number}": "x" * 1_000 for number in range(1_000)}
    extra = make_extra(row, row)
    assert (list(extra)[:2], extra["…"]) == (["n0", "n1"], "…")
    assert 18_000 < sum(len(name) + len(text) for name, text in extra.items()) <= 20_002


def test_a_key_in_the_name_of_a_fact_is_masked() -> None:
    assert make_extra({KEY: "1"}, [KEY]) == {"***": "1"}


def test_only_short_names_are_cached() -> None:
    before = extra_module._is_secret_name.cache_info().currsize
    assert is_secret_name("x" * 1000 + "password")
    assert extra_module._is_secret_name.cache_info().currsize == before


def test_the_secrets_of_the_request_are_masked() -> None:
    extra = Extra({"acco_nota": "con clave-fiel y Ñandú", "acco_html": "a&amp;b-secreto", "acco_id": "12345678"})
    mask = make_masker([Secret("clave-fiel"), Secret("a&b-secreto"), Secret("12345678")])
    assert mask_extra(extra, mask) == {"acco_nota": "con *** y Ñandú", "acco_html": "***", "acco_id": "***"}
    assert mask_extra(Extra({"clave-fiel": "1"}), mask) == {"***": "1"}
