"""A toy resource: `clientes` with nested lists, amounts, a file, and a create with a client-chosen reference.

It is written as a resource of the package is, and shows what the next one needs. Its API runs on a loopback server.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final, Literal

from aiohttp import web
from attrs import define, field, frozen

from facturaonline_async import Credentials, OutcomeUnknownError
from facturaonline_async._core.endpoint import Endpoint, RetrySafety
from facturaonline_async._core.engine import Engine
from facturaonline_async._core.protocol.bodies import json_body
from facturaonline_async._core.protocol.structure import make_json_writer, make_reader
from facturaonline_async._core.read import read_all, read_file, read_one

__all__ = ["PDF", "Cliente", "ClientesService", "Concepto", "NuevoCliente", "ToyServer", "read_cliente", "serve_toy"]

# ── _models.py ────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen(kw_only=True, slots=False)
class Concepto:
    descripcion: str
    importe: Decimal
    cantidad: int = 1


@frozen(kw_only=True)
class NuevoCliente:
    referencia: str
    nombre: str
    conceptos: tuple[Concepto, ...] = ()


@frozen(kw_only=True, slots=False)
class Cliente:
    uid: int
    referencia: str
    nombre: str
    total: Decimal
    conceptos: tuple[Concepto, ...] = ()


# ── _wire.py ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _endpoint(verb: str, method: str, path: str, retry_safety: RetrySafety, **more: Any) -> Endpoint:
    name: Any = f"clientes.{verb}"  # the package does not know it
    return Endpoint(name=name, method=method, path=path, retry_safety=retry_safety, **more)


LIST: Final = _endpoint("list", "GET", "/clientes", RetrySafety.READ, listing=True)
GET: Final = _endpoint("get", "GET", "/clientes/{uid}", RetrySafety.READ)
PDF_OF: Final = _endpoint("pdf", "GET", "/clientes/{uid}/pdf", RetrySafety.READ, response="bytes")
CREATE: Final = _endpoint("create", "POST", "/clientes/create", RetrySafety.ONCE_PER_REFERENCE)

_CONCEPTO: Final = {"descripcion": "Descripcion", "importe": "Importe", "cantidad": "Cantidad"}
_NUEVO: Final = {"referencia": "Referencia", "nombre": "RazonSocial", "conceptos": "Conceptos"}

read_cliente: Final = make_reader(
    Cliente, {"uid": "ClienteID", "total": "Total", **_NUEVO}, nested={Concepto: _CONCEPTO}
)
write_nuevo: Final = make_json_writer(NuevoCliente, _NUEVO, nested={Concepto: _CONCEPTO})


# ── _service.py ───────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class ClientesService:
    _engine: Engine
    _credentials: Credentials

    async def list(self) -> list[Cliente]:
        return await read_all(await self._engine.send(LIST, self._credentials), read_cliente)

    async def get(self, uid: int | str) -> Cliente:
        return read_one(await self._engine.send(GET, self._credentials, uid=uid), read_cliente)

    async def pdf(self, uid: int | str) -> bytes:
        return read_file(await self._engine.send(PDF_OF, self._credentials, uid=uid))

    async def create(self, nuevo: NuevoCliente) -> Cliente:
        """Create a cliente; its reference makes it safe to send the create again."""
        try:
            reply = await self._engine.send(CREATE, self._credentials, body=json_body(write_nuevo(nuevo)))
        except OutcomeUnknownError:
            for each in await self.list():
                if each.referencia == nuevo.referencia:
                    return each
            raise
        return read_one(reply, read_cliente)


# ── The server ────────────────────────────────────────────────────────────────────────────────────────────────────────

PDF: Final = b"%PDF-1.7\n\xff\xfe{}\n%%EOF"


@define
class ToyServer:
    """API that accepts each reference once.

    Attributes:
        base_url: Its base URL.
        repeated: What a create with a known reference gets: the same object, or a refusal.
        lose: Number of creates whose answers are lost, after they were done.
        pdf: Body of each PDF.
        spoil: Text that a list has in another encoding.
        rows: Objects as the wire has them; amounts are JSON numbers.
        requests: Bodies of the creates.

    """

    base_url: str = ""
    repeated: Literal["same", "refused"] = "same"
    lose: int = 0
    pdf: bytes = PDF
    spoil: bytes = b""
    rows: list[dict[str, Any]] = field(factory=list)
    requests: list[dict[str, Any]] = field(factory=list)

    def add(self, fields: dict[str, Any]) -> dict[str, Any]:
        lines = [each | {"Importe": Decimal(each["Importe"])} for each in fields.get("Conceptos", ())]
        total = sum((each["Importe"] * each.get("Cantidad", 1) for each in lines), Decimal("0.00"))
        self.rows.append({"ClienteID": len(self.rows) + 1, **fields, "Conceptos": lines, "Total": total})
        return self.rows[-1]

    async def create(self, request: web.Request) -> web.Response:
        fields = await request.json()
        self.requests.append(fields)
        known = [row for row in self.rows if row["Referencia"] == fields["Referencia"]]
        if known and self.repeated == "refused":
            return answer({"status": "error", "message": "La referencia ya existe"})
        row = known[0] if known else self.add(fields)
        if self.lose:
            self.lose -= 1
            assert request.transport
            request.transport.close()
        return answer({"status": "success", "data": row})

    async def list(self, _: web.Request) -> web.Response:
        body = _to_json({"status": "success", "data": self.rows}).encode()
        return web.Response(body=body.replace(self.spoil, b"\xd1") if self.spoil else body)

    async def get(self, request: web.Request) -> web.Response:
        return answer({"status": "success", "data": self.rows[int(request.match_info["uid"]) - 1]})

    async def get_pdf(self, request: web.Request) -> web.Response:
        if int(request.match_info["uid"]) > len(self.rows):
            return answer({"status": "error", "message": "El cliente no existe"})
        return web.Response(body=self.pdf, content_type="application/pdf")


def answer(value: dict[str, Any]) -> web.Response:
    """Return an answer whose amounts are JSON numbers with all their digits."""
    return web.Response(body=_to_json(value).encode(), content_type="application/json")


def _to_json(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(_to_json, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_to_json(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)


@asynccontextmanager
async def serve_toy(**behaviour: Any) -> AsyncIterator[ToyServer]:
    """Run a toy server on the loopback interface."""
    server = ToyServer(**behaviour)
    app = web.Application()
    app.router.add_get("/clientes", server.list)
    app.router.add_get("/clientes/{uid}", server.get)
    app.router.add_get("/clientes/{uid}/pdf", server.get_pdf)
    app.router.add_post("/clientes/create", server.create)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
