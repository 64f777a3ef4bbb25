"""Refusals: which keys are accepted, and the text and HTTP status of each refusal."""

from __future__ import annotations

import base64

import pytest

from facturaonline_async.errors import InvalidInputError
from facturaonline_async.testing import Emulator

from . import samples
from .caller import Caller, headers, upload

pytestmark = pytest.mark.virtual_clock

MAIN = "607a062eae2bb"


@pytest.mark.parametrize("endpoint", Emulator.ENDPOINTS)
async def test_every_endpoint_refuses_unknown_keys_and_echoes_them_decoded(caller: Caller, endpoint: str) -> None:
    method, path = Emulator.ENDPOINTS[endpoint]
    sent = {
        "F-Api-Key": base64.b64encode(samples.UNKNOWN_KEYS["Data"].encode()).decode(),
        "F-Secret-Key": base64.b64encode(samples.UNKNOWN_KEYS["Secret"].encode()).decode(),
    }
    body = {"data": {"_method": "delete"}} if endpoint == "empresas.delete" else {}
    call = caller.get if method == "GET" else caller.post

    assert samples.UNKNOWN_KEYS == await call(path.replace("{uid}", MAIN), headers=sent, **body)


@pytest.mark.parametrize("key", ["", "%%%", "not base64", "/////w==", "ñ"])
async def test_a_key_that_does_not_decode_is_echoed_as_nothing(caller: Caller, key: str) -> None:
    answer = await caller.get("/v4/series", headers={"F-Api-Key": key, "F-Secret-Key": "YWJj"})

    assert {**samples.UNKNOWN_KEYS, "Data": "", "Secret": "abc"} == answer


async def test_missing_keys_are_unknown_keys(caller: Caller) -> None:
    assert {**samples.UNKNOWN_KEYS, "Data": "", "Secret": ""} == await caller.get("/v4/series", headers={})


async def test_keys_of_two_companies_are_refused_as_a_pair(emulator: Emulator, caller: Caller) -> None:
    norte = headers(emulator.credentials_of(emulator.add_empresa(rfc="XIQB891116QE4")))
    mixed = {"F-Api-Key": caller.headers["F-Api-Key"], "F-Secret-Key": norte["F-Secret-Key"]}

    assert samples.UNKNOWN_KEYS["message"] == (await caller.get("/v4/series", headers=mixed))["message"]


@pytest.mark.parametrize("plugin", [{}, {"F-PLUGIN": "x"}])
async def test_any_plugin_is_accepted(caller: Caller, plugin: dict[str, str]) -> None:
    assert "success" == (await caller.get("/v4/series", headers={**caller.headers, **plugin}))["status"]


async def test_keys_of_another_emulator_are_unknown_unless_the_seed_is_equal(emulator: Emulator) -> None:
    assert Emulator(seed=0).credentials == emulator.credentials
    assert Emulator(seed=1).credentials != emulator.credentials


async def test_an_account_without_api_access_is_refused_with_that_reason(emulator: Emulator, caller: Caller) -> None:
    emulator.state["empresas"][MAIN]["api_access"] = False
    answer = await caller.get("/v4/series")

    assert ("error", True) == (answer["status"], "necesitas adquirir un plan Empresa" in answer["message"])


STATUSES = {"authentication": 401, "permission": 403, "not_found": 404, "validation": 422}


@pytest.mark.parametrize("statuses", [None, STATUSES])
async def test_the_status_of_each_kind_of_refusal_can_be_configured(statuses: dict[str, int] | None) -> None:
    async with Emulator(refusal_statuses=statuses) as emulator, Caller(emulator) as caller:
        norte = emulator.credentials_of(emulator.add_empresa(rfc="XIQB891116QE4", api_access=False))
        seen = {
            "authentication": [await caller.status("GET", "/v4/series", headers={})],
            "permission": [await caller.status("GET", "/v4/series", headers=headers(norte))],
            "not_found": [
                await caller.status("GET", "/v4/series/1"),
                await caller.status("GET", "/v1/account/1"),
                await caller.status("POST", "/v4/account/1/delete", data={"_method": "delete"}),
            ],
            "validation": [
                await caller.status("POST", "/v4/series/create", json={}),
                await caller.status("POST", f"/v4/account/{MAIN}/update", data={"cer": "x"}),
            ],
        }

        assert {kind: {(statuses or {}).get(kind, 200)} for kind in STATUSES} == {
            kind: set(found) for kind, found in seen.items()
        }
        assert 200 == await caller.status("GET", "/v4/series")


@pytest.mark.parametrize("path", ["/", "/v4/serie", "/v4/series/", "/v4/series/1/up/x", "/v1/account", "/v9/series"])
async def test_an_unknown_path_is_answered_with_an_html_page(caller: Caller, path: str) -> None:
    response, page = await caller.raw("GET", path)

    assert (404, "text/html") == (response.status, response.content_type)
    assert page.startswith(b"<!DOCTYPE html>")


async def test_paths_outside_the_prefix_are_unknown(emulator: Emulator, caller: Caller) -> None:
    response, _ = await caller.raw("GET", "/../v4/series")

    assert 404 == response.status
    assert "/v4/series" == emulator.requests[-1].path


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v4/series"), ("PUT", "/v1/account/x"), ("DELETE", "/v1/accounts")]
)
async def test_another_method_of_a_known_path_is_405_also_with_wrong_keys(
    caller: Caller, method: str, path: str
) -> None:
    assert 405 == await caller.status(method, path, headers={})


async def test_every_answer_sets_a_new_session_cookie(emulator: Emulator, caller: Caller) -> None:
    cookies = set()
    for path, keys in (("/v4/series", caller.headers), ("/v4/series", {}), ("/nowhere", {})):
        response, _ = await caller.raw("GET", path, headers=keys)
        cookies.add(response.cookies["laravel_session"].value)

    assert 3 == len(cookies)


async def test_json_is_escaped_as_php_does(caller: Caller) -> None:
    response, body = await caller.raw("POST", f"/v4/account/{MAIN}/update", data={"calle": 'ó / "😀"'})

    assert "application/json" == response.content_type
    assert rb'"acco_calle":"\u00f3 \/ \"\ud83d\ude00\""' in body


async def test_a_form_with_a_wrong_content_type_is_not_read(caller: Caller) -> None:
    """The documented samples send this header with a multipart body."""
    body = upload()()
    answer = await caller.post(
        "/v4/account/create", data=body, headers={**caller.headers, "Content-Type": "application/json"}
    )

    assert ["razons", "rfc", "codpos", "email", "regimen_nomina", "password", "cer", "key"] == list(answer["message"])


def test_an_unknown_kind_of_refusal_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="authentication, validation, not_found, permission, and not auth"):
        Emulator(refusal_statuses={"auth": 401})
