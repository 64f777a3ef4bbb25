"""What the next resource needs: nested JSON with amounts, a file, and a create that its reference makes repeatable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from facturaonline_async import (
    ApiError,
    Config,
    Credentials,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    SessionManager,
    UnreadableAnswerError,
)
from tests.toy import PDF, Cliente, ClientesService, Concepto, NuevoCliente, ToyServer, read_cliente, serve_toy

KEYS = Credentials(api_key="a" * 40, secret_key="b" * 40)
CONCEPTOS = (
    Concepto(descripcion="Peñón", importe=Decimal("0.10"), cantidad=3),
    Concepto(descripcion="Dos", importe=Decimal("1234567890123456.70")),
)
NUEVO = NuevoCliente(referencia="R-1", nombre="Ñandú, S.A.", conceptos=CONCEPTOS)
MADE = Cliente(uid=1, referencia="R-1", nombre="Ñandú, S.A.", total=Decimal("1234567890123457.00"), conceptos=CONCEPTOS)


@asynccontextmanager
async def toy(**behaviour: Any) -> AsyncIterator[tuple[ToyServer, ClientesService]]:
    async with serve_toy(**behaviour) as server:
        config = Config(base_url=server.base_url, retry=RetryPolicy(transient=0.001, throttled=0.001))
        async with SessionManager(config) as session:
            yield server, ClientesService(session._engine, KEYS)


async def test_a_create_writes_and_reads_nested_lists_with_all_digits() -> None:
    async with toy() as (server, clientes):
        made = await clientes.create(NUEVO)
        assert repr(made) == repr(MADE) == repr(await clientes.get(made.uid))
        assert server.requests[0]["Conceptos"] == [
            {"Descripcion": "Peñón", "Importe": "0.10", "Cantidad": 3},
            {"Descripcion": "Dos", "Importe": "1234567890123456.70"},
        ]


@pytest.mark.parametrize("number", [0, 3, 3000])
async def test_a_list_of_any_length_is_read_with_its_nested_lists(number: int) -> None:
    async with toy() as (server, clientes):
        for each in range(number):
            server.add(
                {
                    "Referencia": f"R-{each}",
                    "RazonSocial": "x",
                    "Conceptos": [{"Descripcion": "y", "Importe": each}] * 3,
                }
            )
        found = await clientes.list()
        assert [(each.uid, each.total, len(each.conceptos)) for each in found] == [
            (each + 1, Decimal(3 * each), 3) for each in range(number)
        ]


async def test_a_fault_in_a_nested_list_is_named_by_its_place_and_not_shown() -> None:
    async with toy() as (server, clientes):
        for each in range(3000):
            server.add({"Referencia": f"R-{each}", "RazonSocial": "x"})
        server.rows[2345]["Conceptos"] = [{"Descripcion": "y", "Importe": "private"}]
        with pytest.raises(
            UnreadableAnswerError, match="row 2345: Conceptos: row 0: Importe: expected an amount"
        ) as no:
            await clientes.list()
        assert "private" not in str(no.value)


async def test_a_row_in_another_encoding_is_named() -> None:
    async with toy(spoil=b"R-2345") as (server, clientes):
        for each in range(3000):
            server.add({"Referencia": f"R-{each}", "RazonSocial": "x"})
        with pytest.raises(UnreadableAnswerError, match="row 2345: is not strict JSON"):
            await clientes.list()
        assert len(server.rows) == 3000


async def test_other_tasks_run_while_a_long_list_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def read(row: object) -> Cliente:
        numbers.append(turns)
        return read_cliente(row)

    numbers: list[int] = []
    monkeypatch.setattr("tests.toy.read_cliente", read)
    async with toy() as (server, clientes):
        for each in range(5000):
            server.add({"Referencia": f"R-{each}", "RazonSocial": "x" * 100})
        counting = asyncio.create_task(count_turns())
        await clientes.list()
        counting.cancel()
    assert len(set(numbers)) >= 5
    assert max(map(numbers.count, set(numbers))) <= 1500


async def test_a_file_is_returned_as_its_bytes() -> None:
    async with toy() as (_, clientes):
        await clientes.create(NUEVO)
        assert await clientes.pdf(1) == PDF


async def test_a_refusal_in_place_of_a_file_is_an_error() -> None:
    async with toy() as (_, clientes):
        with pytest.raises(NotFoundError, match="El cliente no existe"):
            await clientes.pdf(7)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", OutcomeUnknownError),
        (b"\n<!DOCTYPE html><title>Login</title>", OutcomeUnknownError),
        (b"<html></html>", OutcomeUnknownError),
        (b'{"status": "success"}', UnreadableAnswerError),
        (b'{"status": "success", "data": "JVBERi0"}', UnreadableAnswerError),
        (b'{"data": []}', UnreadableAnswerError),
        (b'{"what": 1}', OutcomeUnknownError),
    ],
)
async def test_an_answer_that_is_no_file_is_an_error(body: bytes, error: type[Exception]) -> None:
    async with toy(pdf=body) as (_, clientes):
        await clientes.create(NUEVO)
        with pytest.raises(error):
            await clientes.pdf(1)


@pytest.mark.parametrize("body", [b"<?xml version='1.0'?><cfdi/>", b"PK\x03\x04", b"\x00{"])
async def test_any_other_file_is_returned(body: bytes) -> None:
    async with toy(pdf=body) as (_, clientes):
        await clientes.create(NUEVO)
        assert await clientes.pdf(1) == body


@pytest.mark.parametrize("repeated", ["same", "refused"])
async def test_a_create_whose_answer_is_lost_is_repeated_by_its_reference(repeated: str) -> None:
    async with toy(repeated=repeated, lose=1) as (server, clientes):
        assert await clientes.create(NUEVO) == MADE
        assert (len(server.requests), len(server.rows)) == (2, 1)
        assert server.requests[0] == server.requests[1]


async def test_a_reference_that_was_used_before_is_refused() -> None:
    async with toy(repeated="refused") as (server, clientes):
        await clientes.create(NUEVO)
        with pytest.raises(ApiError, match="La referencia ya existe"):
            await clientes.create(NUEVO)
        assert len(server.requests) == 2


async def test_a_create_whose_answers_are_all_lost_is_found_by_its_reference() -> None:
    async with toy(lose=3) as (server, clientes):
        assert await clientes.create(NUEVO) == MADE
        assert (len(server.requests), len(server.rows)) == (3, 1)
