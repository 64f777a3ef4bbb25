"""Facts without an attribute: a read-only mapping without secrets."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from facturaonline_async import Secret
from facturaonline_async._core.protocol.extra import Extra, extra_text, mask_extra
from facturaonline_async._core.redaction import looks_secret

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
    ],
)
def test_names_of_keys_and_passwords_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("acco_id", "acco_user_id", "acco_pem_path", "acco_cedula_path", "acco_pdf", "acco_email_settings"),
        *("acco_apps", "acco_create", "acco_lastupdate", "acco_main", "acco_deleted", "database"),
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


def test_the_secrets_of_the_request_are_masked() -> None:
    extra = Extra({"acco_nota": "con clave-fiel y Ñandú", "acco_html": "a&amp;b-secreto", "acco_id": "12345678"})
    secrets = [Secret("clave-fiel"), Secret("a&b-secreto"), Secret("12345678")]
    assert mask_extra(extra, secrets) == {"acco_nota": "con *** y Ñandú", "acco_html": "***", "acco_id": "***"}
