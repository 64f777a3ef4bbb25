"""Answers for the library's errors: statuses, problem documents, and their description."""

from __future__ import annotations

from typing import Annotated, Any

import aiohttp
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from facturaonline_async import Config, Credentials, FacturaOnline, SessionManager, errors
from facturaonline_async.fastapi import health, install_errors, lifespan, session
from facturaonline_async.testing import Emulator, Fault
from tests.fastapi.serving import served

pytestmark = pytest.mark.virtual_clock

STATUSES = {
    "FacturaOnlineError": 502,
    "NotSentError": 503,
    "LimiterWaitError": 503,
    "SharedUnavailableError": 503,
    "InvalidInputError": 422,
    "ApiError": 502,
    "AuthenticationError": 502,
    "PermissionDeniedError": 502,
    "NotFoundError": 404,
    "ValidationError": 422,
    "RateLimitError": 503,
    "OutcomeUnknownError": 502,
    "ServerError": 502,
    "RequestTimeoutError": 504,
    "UnreadableAnswerError": 502,
}


def raising() -> FastAPI:
    """Return an application that raises what it is asked for."""
    app = FastAPI()

    @app.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise getattr(errors, name)("text", endpoint="series.create")

    return app


async def get(url: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, response.content_type, await response.json()


async def test_every_class_of_errors_has_its_status_and_says_whether_it_happened() -> None:
    app = raising()
    install_errors(app)
    async with served(app) as url:
        answers = {name: await get(f"{url}/raise/{name}") for name in errors.__all__}
    assert {name: status for name, (status, _, _) in answers.items()} == STATUSES
    assert {kind for _, kind, _ in answers.values()} == {"application/problem+json"}
    for name, (status, _, body) in answers.items():
        assert body.pop("title")
        assert body == {
            "type": "about:blank",
            "status": status,
            "detail": str(getattr(errors, name)("text", endpoint="series.create")),
            "error": name,
            "code": "",
            "happened": getattr(errors, name).happened,
            "endpoint": "series.create",
        } | ({"detail": "series.create: text (HTTP 500)"} if name == "ServerError" else {}), name


async def test_statuses_can_be_replaced_also_for_subclasses() -> None:
    app = raising()
    install_errors(app, status={errors.NotSentError: 429, errors.LimiterWaitError: 420})
    async with served(app) as url:
        found = [
            (await get(f"{url}/raise/{name}"))[0]
            for name in ("NotSentError", "SharedUnavailableError", "LimiterWaitError", "InvalidInputError")
        ]
    assert found == [429, 429, 420, 422]


async def test_a_handler_of_the_application_takes_precedence() -> None:
    app = raising()
    install_errors(app)

    @app.exception_handler(errors.NotFoundError)
    async def gone(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({}, 410)

    async with served(app) as url:
        assert [(await get(f"{url}/raise/{name}"))[0] for name in ("NotFoundError", "ApiError")] == [410, 502]


def calling(emulator: Emulator, **config: Any) -> FastAPI:
    """Return an application that creates series with the emulator."""
    app = FastAPI(lifespan=lifespan(Config(base_url=emulator.base_url, **config)))
    install_errors(app)

    @app.post("/series/{letra}")
    async def create(letra: str, session: Annotated[SessionManager, Depends(session)]) -> int:
        client = FacturaOnline(session, emulator.credentials)
        return (await client.series.ensure(letra=letra, tipo_documento="factura")).uid

    return app


async def post(url: str) -> tuple[int, str | None, Any]:
    async with aiohttp.ClientSession() as http, http.post(url) as response:
        return response.status, response.headers.get("Retry-After"), await response.json()


async def test_refused_fields_are_named() -> None:
    async with Emulator() as emulator, served(calling(emulator)) as url:
        status, _, body = await post(f"{url}/series/%09")
        assert (status, body["happened"], list(body["fields"])) == (422, "no", ["letra"])
        refusal = {"status": "error", "message": {"letra": ["La letra ya existe."]}}
        emulator.inject(Fault.status(200, body=refusal), endpoint="series.create")
        status, _, body = await post(f"{url}/series/F")
        assert (status, body["endpoint"], body["fields"]) == (422, "series.create", {"letra": ["La letra ya existe."]})


async def test_an_error_says_when_to_come_back() -> None:
    async with Emulator() as emulator, served(calling(emulator, max_wait=5)) as url:
        emulator.inject(Fault.throttle(7200), endpoint="series.list")
        assert (503, "7200") == (await post(f"{url}/series/F"))[:2]
        assert (503, "3600") == (await post(f"{url}/series/G"))[:2]  # held, at the limiter, for an hour at most


# ── OpenAPI ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def tenant(session: Annotated[SessionManager, Depends(session)]) -> FacturaOnline:
    return FacturaOnline(session, Credentials(api_key="api-key", secret_key="secret-key"))


async def test_the_openapi_document_describes_the_answers_of_routes_added_before_and_after() -> None:
    app = FastAPI()

    @app.get("/earlier")
    async def earlier(session: Annotated[SessionManager, Depends(session)]) -> None:
        del session

    install_errors(app, status={errors.ServerError: 500})

    @app.get("/later/{number}")
    async def later(number: int, client: Annotated[FacturaOnline, Depends(tenant)]) -> int:
        del client
        return number

    operations = [answers["get"]["responses"] for answers in app.openapi()["paths"].values()]
    content = {"schema": {"$ref": "#/components/schemas/FacturaOnlineProblem"}}
    for answers in operations:
        assert problems(answers) == ["404", "422", "500", "502", "503", "504"]
        assert answers["422"]["content"]["application/problem+json"] == content
        assert "Retry-After" in answers["503"]["headers"]
    assert len(operations) == 2
    assert "application/json" in operations[1]["422"]["content"]
    assert set(app.openapi()["components"]["schemas"]["FacturaOnlineProblem"]["required"]) <= set(
        (await problem_body("ApiError")).keys()
    )


def problems(answers: dict[str, Any]) -> list[str]:
    """Return the statuses of an operation that have a problem document."""
    return sorted(each for each in answers if answers[each].get("content", {}).get("application/problem+json"))


def test_the_openapi_document_describes_no_answers_of_operations_that_make_no_call() -> None:
    app = raising()
    install_errors(app)
    app.get("/health")(health)

    @app.post("/health")
    async def call(session: Annotated[SessionManager, Depends(session)]) -> None:
        del session

    found = {
        (path, method): problems(operation["responses"])
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }
    assert found == {
        ("/raise/{name}", "get"): [],
        ("/health", "get"): [],
        ("/health", "post"): ["404", "422", "502", "503", "504"],
    }


async def problem_body(name: str) -> dict[str, Any]:
    app = raising()
    install_errors(app)
    async with served(app) as url:
        return dict((await get(f"{url}/raise/{name}"))[2])
