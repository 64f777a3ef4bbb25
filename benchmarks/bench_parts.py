"""Where a call's instructions go, part by part: ``python -m benchmarks.bench_parts [--quick]``.

Each part is counted by itself, against the whole call as `bench_instructions` counts it. What is left is aiohttp's and
asyncio's, with the few coroutines that lead there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from benchmarks.answers import API_KEY, SECRET_KEY, answers
from benchmarks.bench_calls import WORKS
from benchmarks.bench_instructions import COMPANIES, count
from benchmarks.command import Scale, run
from benchmarks.contenders.library import Library, nueva_empresa
from benchmarks.counting import counted, in_children, is_counting_possible
from benchmarks.figures import Figure, summary
from benchmarks.server import serve
from facturaonline_async import Config, Credentials, Rate
from facturaonline_async._core.endpoint import Endpoint
from facturaonline_async._core.http.deadlines import DeadlineTimer
from facturaonline_async._core.protocol import envelope
from facturaonline_async._core.protocol.bodies import Body
from facturaonline_async._core.protocol.envelope import RawResponse, parse_envelope
from facturaonline_async._core.protocol.json import Rows
from facturaonline_async.client import SessionManager
from facturaonline_async.empresas import _wire as empresas
from facturaonline_async.empresas._validation import validate_empresa
from facturaonline_async.series import _wire as series

__all__ = ["measure"]

#: By work: its parts, as `_parts` names them.
PARTS: Final = {
    "get_serie": ("start", "request", "deadline", "answer", "serie"),
    "create_empresa": ("values", "review", "form", "start", "upload", "deadline", "created", "empresa"),
    "list_empresas": ("start", "request", "deadline", "long answer", "empresas"),
}
NAMES: Final = {
    "values": "NuevaEmpresa and Sello",
    "review": "review of the data",
    "form": "form",
    "start": "a start and a slot, and back",
    "request": "URL, headers, Call",
    "upload": "URL, headers, Call",
    "deadline": "deadline",
    "answer": "JSON and its verdict",
    "created": "JSON and its verdict",
    "long answer": "JSON and its verdict",
    "serie": "value",
    "empresa": "value",
    "empresas": "values",
}
REST: Final = "aiohttp, asyncio, coroutines"
_MANY: Final = (20, 220)
_FEW: Final = (1, 5)
_LONG: Final = frozenset({"long answer", "empresas"})


async def measure(scale: Scale) -> list[Figure]:
    if not is_counting_possible():
        return []
    works = [work for work in PARTS if work in scale.works]
    with serve(companies=COMPANIES, nginx=False) as site:
        whole = (await count(site, {Library: works}))[Library]
    wanted = ["nothing", *dict.fromkeys(part for work in works for part in PARTS[work])]
    jobs = {part: _FEW if part in _LONG else _MANY for part in wanted}
    taken = await counted("benchmarks.bench_parts", [], jobs)
    return [figure for work in works for figure in _shares(work, whole[work], taken)]


def _shares(work: str, whole: float, taken: dict[str, float]) -> list[Figure]:
    """Return each part's share of a work, in percent."""
    parts = {NAMES[part]: taken[part] - taken["nothing"] for part in PARTS[work]}
    parts[REST] = whole - sum(parts.values())
    return [
        summary(
            [100 * its / whole],
            bench="bench_parts",
            case=WORKS[work].format(companies=COMPANIES),
            contender=part,
            measure="of the call's instructions",
            unit="%",
        )
        for part, its in parts.items()
    ]


def _count(*jobs: str) -> None:
    async def do(part: str, times: int) -> None:
        do_it = _parts()[part]
        for _ in range(times):
            do_it()

    in_children(jobs, do)


def _parts() -> dict[str, Callable[[], object]]:
    """Return what each part does, ready to be done in the running loop."""
    loop = asyncio.get_running_loop()
    keys = Credentials(api_key=API_KEY, secret_key=SECRET_KEY)
    session = SessionManager(Config(base_url="http://127.0.0.1:1/api", rates=Rate(100_000, 1)))
    watch, gate = DeadlineTimer(), session._engine._scheduler  # noqa: SLF001
    headers = envelope.headers(keys, session.config.plugin)
    bodies = answers(COMPANIES)
    nueva = nueva_empresa(1)
    body = empresas.write_nueva(nueva, "multipart")

    def answer(endpoint: Endpoint, route: str) -> RawResponse:
        return RawResponse(endpoint, 200, bodies[route], 1, None, (keys.api_key, keys.secret_key))

    def batches(answer: RawResponse) -> list[Iterable[dict[str, str]]]:
        payload = parse_envelope(answer).payload
        assert isinstance(payload, Rows)
        return list(payload)

    def call(endpoint: Endpoint, body: Body | None = None) -> object:
        return session._engine._requests.prepare(endpoint, keys, 1, None, body)  # noqa: SLF001

    def start() -> None:
        gate.try_acquire(series.GET.name, keys.fingerprint, loop)
        gate.release(keys.fingerprint)

    serie = answer(series.GET, "GET /api/v4/series/")
    created = answer(empresas.CREATE, "POST /api/v4/account/create")
    listed = answer(empresas.LIST, "GET /api/v1/accounts")
    one, new = (parse_envelope(each).payload for each in (serie, created))
    rows = [row for batch in batches(listed) for row in batch]
    return {
        "nothing": lambda: None,
        "values": lambda: nueva_empresa(1),
        "review": lambda: _at_once(validate_empresa(nueva, None, production=False)),
        "form": lambda: empresas.write_nueva(nueva, "multipart"),
        "start": start,
        "request": lambda: call(series.GET),
        "upload": lambda: call(empresas.CREATE, body),
        "deadline": lambda: watch.finish(watch.start(loop, loop.time() + 20, headers)),
        "answer": lambda: parse_envelope(serie),
        "created": lambda: parse_envelope(created),
        "long answer": lambda: batches(listed),
        "serie": lambda: series.read_serie(one),
        "empresa": lambda: empresas.read_written_empresa(new),
        "empresas": lambda: [empresas.read_empresa({**row}) for row in rows],
    }


def _at_once(coroutine: Any) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("it waits for something")


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        _count(*sys.argv[2:])
    else:
        run(__doc__, measure)
