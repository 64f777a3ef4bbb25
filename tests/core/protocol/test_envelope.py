"""The envelope in all its variants: from an answer's bytes to a reply or an error."""

from __future__ import annotations

import html
import json
import pickle
import traceback
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from facturaonline_async import (
    ApiError,
    AuthenticationError,
    Credentials,
    FacturaOnlineError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    Secret,
    ServerError,
    ValidationError,
)
from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.protocol.envelope import RawResponse, Reply, headers, parse_envelope
from facturaonline_async._text import plain_text
from tests.replay import recorded

LIST = Endpoint(name="series.list", method="GET", path="/v4/series", retry_safety=RetrySafety.READ)
GET = Endpoint(name="series.get", method="GET", path="/v4/series/{uid}", retry_safety=RetrySafety.READ)
CREATE = Endpoint(name="series.create", method="POST", path="/v4/series/create", retry_safety=RetrySafety.NEVER)
DELETE = Endpoint(
    name="empresas.delete", method="POST", path="/v4/account/{uid}/delete", retry_safety=RetrySafety.NEVER
)

HTML = b"<html><body><h1>404</h1></body></html>"


def opened(body: Any, *, endpoint: Endpoint = LIST, status: int = 200, **more: Any) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_envelope(RawResponse(endpoint=endpoint, status=status, body=content, **more))


def refused(body: Any, *, endpoint: Endpoint = LIST, status: int = 200, **more: Any) -> FacturaOnlineError:
    with pytest.raises(FacturaOnlineError) as caught:
        opened(body, endpoint=endpoint, status=status, **more)
    return caught.value


# ── Success ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["status", "response"])
@pytest.mark.parametrize("word", ["success", "create", "Success", " CREATE "])
def test_success_is_recognised_under_each_name_and_word(key: str, word: str) -> None:
    assert opened({key: word, "data": [1]}).payload == [1]


@pytest.mark.parametrize(
    ("envelope", "payload"),
    [
        ({"status": "success", "data": {"a": 1}}, {"a": 1}),
        ({"status": "success", "Data": {"a": 1}}, {"a": 1}),
        ({"status": "create", "0": {"acco_uid": "x"}}, {"acco_uid": "x"}),
        ({"status": "success", "0": "La cuenta ha sido eliminada con exito"}, None),
        ({"status": "success", "data": None}, None),
        ({"response": "success", "message": "Serie creada correctamente"}, None),
        ({"status": "success", "data": []}, []),
    ],
)
def test_the_payload_is_found_under_each_name(envelope: dict[str, object], payload: object) -> None:
    assert opened(envelope).payload == payload


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        ({"message": "Serie creada correctamente"}, "Serie creada correctamente"),
        ({"messsage": "La serie se pausó correctamente"}, "La serie se pausó correctamente"),
        ({"0": "La cuenta ha sido eliminada con exito"}, "La cuenta ha sido eliminada con exito"),
        ({"message": {"message": "Uno", "messageDetail": "<b>Dos</b>"}}, "Uno Dos"),
        ({"message": ["uno", "dos", 3]}, "uno dos"),
        ({"message": {"letra": ["Ya existe.", "Otra."]}}, "letra: Ya existe. Otra."),
        ({"message": None}, ""),
        ({}, ""),
    ],
)
def test_the_message_is_found_under_each_name(envelope: dict[str, object], text: str) -> None:
    error = refused({"status": "error", **envelope})
    assert str(error) == f"series.list: the API refused: {text or 'it gave no reason'} (HTTP 200)"


def test_a_one_element_array_around_the_envelope_is_unwrapped() -> None:
    assert opened([{"status": "success", "data": [1, 2]}]).payload == [1, 2]
    assert type(refused([{"status": "error", "message": "x"}])) is ApiError


def test_a_byte_order_mark_is_skipped() -> None:
    assert opened(b'\xef\xbb\xbf{"status": "success", "data": 1}').payload == 1


@pytest.mark.parametrize("status", [200, 201, 202, 400, 401, 404, 422, 499])
def test_the_verdict_decides_on_2xx_and_on_4xx(status: int) -> None:
    assert opened({"status": "success", "data": 1}, status=status).payload == 1
    assert isinstance(refused({"status": "error", "message": "no"}, status=status), ApiError)


def test_bare_data_is_the_reply_to_a_read() -> None:
    assert opened([{"SerieID": 1}]).payload == [{"SerieID": 1}]
    assert opened({"data": [1]}).payload == [1]


@pytest.mark.parametrize(
    ("pagination", "last"),
    [
        *[
            ({"lastPage": 7}, 7),
            ({"lastPage": "7"}, 7),
            ({"lastPage": "x"}, None),
            ({}, None),
            (None, None),
            ([1], None),
        ],
        *[({"lastPage": odd}, None) for odd in (True, 0, "0", -1, 10**9, 10**20, str(10**9), 1.5)],
    ],
)
def test_the_last_page_is_read_from_the_pagination(pagination: object, last: int | None) -> None:
    assert opened({"response": "success", "data": [], "pagination": pagination}).last_page == last


@pytest.mark.parametrize(
    "body",
    [
        {"status": "fail", "data": []},
        {"status": 500, "data": []},
        {"status": False, "data": []},
        {"status": "success", "response": "error", "data": []},
        {"error": "Too many connections", "data": []},
        {"message": "base de datos ocupada", "data": []},
        {"errors": {}, "data": []},
    ],
)
def test_data_beside_an_unreadable_verdict_are_not_accepted(body: object) -> None:
    """An empty list accepted by mistake would make `ensure` create a duplicate."""
    assert type(refused(body)) is OutcomeUnknownError


# ── Refusals ──────────────────────────────────────────────────────────────────────────────────────────────────────────

WRONG_KEYS = "La cuenta que intenta autenticarse no existe"
NO_PLAN = "Para usar la API necesitas adquirir un plan Empresa"


@pytest.mark.parametrize("word", ["error", "failed", "Error", "FAILED"])
@pytest.mark.parametrize("key", ["status", "response"])
def test_refusal_is_recognised_under_each_name_and_word(key: str, word: str) -> None:
    assert type(refused({key: word, "message": "no se pudo"})) is ApiError


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422])
@pytest.mark.parametrize(
    ("endpoint", "text", "kind"),
    [
        (LIST, WRONG_KEYS, AuthenticationError),
        (GET, WRONG_KEYS.upper(), AuthenticationError),
        (LIST, NO_PLAN, PermissionDeniedError),
    ],
)
def test_unambiguous_texts_override_the_status(
    endpoint: Endpoint, text: str, kind: type[ApiError], status: int
) -> None:
    assert type(refused({"status": "error", "message": text}, endpoint=endpoint, status=status)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (402, PermissionDeniedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (422, ValidationError),
        (400, ValidationError),
        (409, ApiError),
        (413, ApiError),
    ],
)
@pytest.mark.parametrize("body", [{"status": "error", "message": "no"}, {"message": "no"}, {}])
def test_refusals_are_classified_by_status(status: int, kind: type[ApiError], body: object) -> None:
    assert type(refused(body, status=status)) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("La empresa que intentas borrar no existe", NotFoundError),
        ("El cliente no existe", NotFoundError),
        ("No se encontró la serie", NotFoundError),
        ("Serie no encontrada", NotFoundError),
        ("El campo letra es requerido", ValidationError),
        ("El dato es obligatorio", ValidationError),
        ("El folio no es válido", ValidationError),
        ("Ya existe", ApiError),
        ("", ApiError),
    ],
)
@pytest.mark.parametrize("status", [200, 409])
def test_refusals_with_a_general_status_are_classified_by_text(text: str, kind: type[ApiError], status: int) -> None:
    assert type(refused({"status": "failed", "0": text}, endpoint=DELETE, status=status)) is kind


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "calls.wrong_key_pair"),
        (403, "calls.not_permitted"),
        (404, "calls.not_found"),
        (422, "calls.invalid_data"),
        (409, "calls.refused"),
    ],
)
def test_the_code_of_a_refusal_says_which_one_and_its_parameter_is_the_apis_text(status: int, code: str) -> None:
    text, bare = (refused(body, status=status).args[0] for body in ({"message": "Ya <b>existe</b>"}, {}))
    assert (text.code, text.parameters) == (code, {"text": "Ya existe"})
    assert (bare.code, bare.parameters["text"].code) == (code, "calls.no_reason")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (299, b"<html>", "calls.not_json"),
        (200, {"status": "?"}, "calls.no_verdict"),
        (302, {}, "calls.redirected"),
        (408, {}, "calls.request_too_slow"),
        (429, {}, "calls.throttled"),
        (503, {}, "calls.server_error"),
        (600, {}, "calls.invalid_status"),
    ],
)
def test_an_answer_without_a_verdict_has_a_code(status: int, body: object, code: str) -> None:
    assert refused(body, status=status).code == code


def test_a_create_never_raises_not_found() -> None:
    error = refused({"status": "error", "message": "El régimen no existe"}, endpoint=CREATE)
    assert type(error) is ApiError


def test_field_errors_are_given_by_name() -> None:
    error = refused(
        {"status": "error", "message": {"razons": ["El campo <b>razons</b> es requerido"], "rfc": ["a", "b"]}}
    )
    assert isinstance(error, ValidationError)
    assert error.fields == {"razons": ("El campo razons es requerido",), "rfc": ("a", "b")}
    assert str(error) == "series.list: the API refused: razons: El campo razons es requerido; rfc: a b (HTTP 200)"


def test_laravels_validation_answer_is_read() -> None:
    error = refused({"message": "The given data was invalid.", "errors": {"rfc": ["requerido"]}}, status=422)
    assert isinstance(error, ValidationError)
    assert error.fields == {"rfc": ("requerido",)}


def test_a_404_page_asks_whether_the_base_url_is_right() -> None:
    error = refused(HTML, status=404, endpoint=GET)
    assert (type(error), "base URL" in str(error)) == (ApiError, True)


def test_data_and_secret_of_a_refusal_are_masked() -> None:
    body = recorded("series", "list.refused")
    echoed = json.loads(body)
    error = refused(body.encode(), uid=7)
    shown = str(error) + repr(error) + repr(vars(error)) + str(pickle.dumps(error))
    shown += "".join(traceback.format_exception(error))
    assert [echoed[key] in shown for key in ("Data", "Secret")] == [False, False]
    assert (error.endpoint, error.status, error.uid) == ("series.list", 200, 7)
    assert "La cuenta que intenta autenticarse no existe" in error.snippet


def test_a_secret_that_was_sent_is_masked_in_the_message_and_the_fields() -> None:
    secrets = (Secret("12345678a"),)
    error = refused({"status": "error", "message": "la clave 12345678a no sirve"}, secrets=secrets)
    fields = refused({"status": "error", "message": {"password": ["12345678a es corta"]}}, secrets=secrets)
    assert isinstance(fields, ValidationError)
    assert "12345678a" not in f"{error}{error.snippet}{fields}{fields.fields}{fields.snippet}"
    assert "la clave *** no sirve" in str(error)


@pytest.mark.parametrize(
    "secret",
    [
        "clave  2024  sat",
        "Ma<ria>2024",
        "X&lt;9zz",
        "contraseña24",
        "Pa'ss1234",
        'Pa"ss/1234',
        "ñandú%2f+=&",
        "a" * 1500,
    ],
)
def test_every_known_form_of_a_secret_is_masked(secret: str) -> None:
    """Collapsed blanks, stripped tags, entities, mojibake, escapes and truncation, as PHP produces them."""
    misread = secret.encode().decode("latin-1")
    escaped = html.escape(secret).replace("&#x27;", "&#039;")
    for text in (
        secret,
        misread,
        escaped,
        html.escape(misread),
        quote(secret),
        quote(secret).lower(),
        f"{'x' * 990}{secret}",
    ):
        for body in (
            {"status": "error", "message": f"pista {text} mala"},
            {"status": "error", "message": {"password": [text]}},
        ):
            error = refused(body, secrets=(Secret(secret),))
            shown = f"{error}{error.snippet}{getattr(error, 'fields', '')}"
            for form in (
                secret,
                text,
                plain_text(secret),
                plain_text(text),
                secret[:5] if len(secret) < 1000 else secret[:9],
            ):
                assert form not in shown


def test_a_snippet_is_short() -> None:
    assert len(refused(b"<html>" + b"x" * 10**6, status=502).snippet) == 500


# ── Unknown outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 599])
@pytest.mark.parametrize("body", [{"status": "success", "data": 1}, {"status": "error"}, HTML, b""])
def test_a_5xx_is_a_server_error_with_any_body(status: int, body: object) -> None:
    error = refused(body, status=status)
    assert (type(error), error.is_transient) == (ServerError, True)


def test_a_408_is_a_timeout_with_any_body() -> None:
    assert type(refused({"status": "success"}, status=408)) is RequestTimeoutError


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitError), (503, ServerError)])
@pytest.mark.parametrize("seconds", [None, 3.0])
def test_a_throttling_status_overrides_the_body(
    status: int, kind: type[RateLimitError | ServerError], seconds: float | None
) -> None:
    error = refused({"status": "success"}, status=status, retry_after=seconds)
    assert isinstance(error, kind)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("body", "may_differ"),
    [
        (b"<html>", True),
        (b'{"status":"succ', True),
        (b"[" * 100_000, True),
        (b"", False),
        (b"\xff\xfe", False),
        (b'{"status":"success","data":NaN}', False),
        (b'{"data":1,"message":"x"}', False),
    ],
)
def test_only_a_body_that_looks_truncated_is_worth_a_retry(body: bytes, may_differ: bool) -> None:  # noqa: FBT001
    error = refused(body)
    assert (type(error), error.is_transient) == (OutcomeUnknownError, may_differ)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("endpoint", [LIST, CREATE])
def test_a_redirect_asks_whether_the_base_url_is_right(status: int, endpoint: Endpoint) -> None:
    error = refused(HTML, status=status, endpoint=endpoint)
    assert (type(error), "base URL" in str(error)) == (OutcomeUnknownError, True)


@pytest.mark.parametrize(
    "body",
    [
        HTML,
        b"",
        b"null",
        b"[]",
        b"7",
        b'"success"',
        b"{}",
        b'{"status": "Activa"}',
        b'{"status": true}',
        b'{"status": ["success"]}',
        b'{"status": "success"} trailing',
        b'{"status": "success", "data": NaN}',
        b'{"status": "success", "data": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        '{"status": "success", "message": "ó"}'.encode("latin-1"),
        b'{"status": "success"',
        b'{"status": "success", "response": "error"}',
    ],
)
def test_a_write_without_a_verdict_has_an_unknown_outcome(body: bytes) -> None:
    assert type(refused(body, endpoint=CREATE)) is OutcomeUnknownError


@pytest.mark.parametrize("odd", [b"1E99999999999999999999", b'"\\ud800"'])
@pytest.mark.parametrize("padding", [b"", b" " * 200_000], ids=["short", "long"])
def test_an_odd_value_in_an_unknown_field_hides_no_verdict(odd: bytes, padding: bytes) -> None:
    body = b'{"status": "%s", "data": {"acco_uid": "1"}, "message": "no", "x": ' + odd + b"}" + padding
    assert opened(body % b"success", endpoint=CREATE).payload == {"acco_uid": "1"}
    assert str(refused(body % b"error", endpoint=CREATE).code) == "calls.refused"


def test_the_last_of_duplicate_keys_wins() -> None:
    assert opened(b'{"status": "error", "status": "success", "data": 1}').payload == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["status", "response", "message", "messsage", "0", "data", "Data", "Secret", "errors", "x"]
            ),
            inner | st.sampled_from(["success", "error", "failed", "create"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    json_values, st.sampled_from([200, 201, 204, 302, 400, 404, 408, 422, 429, 500]), st.sampled_from([LIST, CREATE])
)
def test_any_json_gives_a_reply_or_a_package_error(value: object, status: int, endpoint: Endpoint) -> None:
    try:
        reply = opened(value, status=status, endpoint=endpoint)
    except FacturaOnlineError as error:
        assert pickle.loads(pickle.dumps(error)).snippet == error.snippet
    else:
        assert reply.last_page is None


@given(st.binary(max_size=60), st.sampled_from([LIST, CREATE]))
def test_any_bytes_give_a_reply_or_a_package_error(body: bytes, endpoint: Endpoint) -> None:
    try:
        reply = opened(body, endpoint=endpoint)
    except FacturaOnlineError as error:
        assert error.endpoint == endpoint.name
    else:
        assert endpoint is LIST
        assert reply.payload is not None


# ── Headers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_headers_hold_the_key_pair_and_hide_it_in_their_repr() -> None:
    made = headers(Credentials(api_key="key-a", secret_key="key-b"), "plugin")
    assert made == {"F-PLUGIN": "plugin", "F-Api-Key": "key-a", "F-Secret-Key": "key-b"}
    assert "key-" not in f"{made}{made!r}".replace("F-Api-Key", "").replace("F-Secret-Key", "")


def test_the_repr_of_an_answer_hides_its_body() -> None:
    answer = RawResponse(endpoint=GET, status=200, body=b'{"x": "private"}', secrets=(Secret("private"),))
    assert "private" not in repr(answer)
