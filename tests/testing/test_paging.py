"""Paging: off as FacturaOnline documents, on as factura.com's newer page does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from facturaonline_async.testing import Emulator

from .caller import Caller

pytestmark = pytest.mark.virtual_clock


@pytest_asyncio.fixture
async def paged() -> AsyncIterator[Caller]:
    """Five companies, 0 the main one."""
    async with Emulator(paging=True) as emulator, Caller(emulator) as caller:
        for number in range(1, 5):
            emulator.add_empresa(rfc=f"AAA01010{number}AAA", razon_social=f"Ñandú {number}", codpos=str(number))
        yield caller


@pytest.mark.parametrize("query", ["page=2&per_page=1", "rfc=XXX", "razon_social=nothing", "perPage=1"])
async def test_without_paging_the_query_is_ignored(emulator: Emulator, caller: Caller, query: str) -> None:
    emulator.add_empresa(rfc="XIQB891116QE4")
    answer = await caller.get(f"/v1/accounts?{query}")

    assert ["response", "data"] == list(answer)
    assert 2 == len(answer["data"])


async def test_with_paging_and_without_parameters_all_rows_are_returned(paged: Caller) -> None:
    answer = await paged.get("/v1/accounts")

    assert ["response", "data"] == list(answer)
    assert 5 == len(answer["data"])


@pytest.mark.parametrize("spelling", ["per_page", "perPage"])
async def test_pages_are_selected_by_both_spellings_of_the_parameters(paged: Caller, spelling: str) -> None:
    answers = [await paged.get(f"/v1/accounts?page={page}&{spelling}=2") for page in (1, 2, 3, 4)]

    assert [["42501", "1"], ["2", "3"], ["4"], []] == [[row["codpos"] for row in answer["data"]] for answer in answers]
    assert [
        {"total": 5, "lastPage": 3, "currentPage": 1, "to": 2, "from": 1},
        {"total": 5, "lastPage": 3, "currentPage": 2, "to": 4, "from": 3},
        {"total": 5, "lastPage": 3, "currentPage": 3, "to": 5, "from": 5},
        {"total": 5, "lastPage": 3, "currentPage": 4, "to": None, "from": None},
    ] == [answer["pagination"] for answer in answers]


@pytest.mark.parametrize(
    ("query", "current"), [("page=0", 1), ("page=x", 1), ("page=-1", 1), ("per_page=", 1), (f"page={'9' * 5000}", 1)]
)
async def test_invalid_parameters_select_the_first_page_of_15_rows(paged: Caller, query: str, current: int) -> None:
    answer = await paged.get(f"/v1/accounts?{query}")

    assert (5, current, 1) == (
        len(answer["data"]),
        answer["pagination"]["currentPage"],
        answer["pagination"]["lastPage"],
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"rfc": "aaa010103AAA"}, ["3"]),
        ({"rfc": "AAA01010"}, []),
        ({"razon_social": "ÑAND"}, ["1", "2", "3", "4"]),
        ({"razon_social": "dú 2", "rfc": "AAA010102AAA"}, ["2"]),
        ({"razon_social": "dú 2", "rfc": "AAA010103AAA"}, []),
    ],
)
async def test_filters_find_an_rfc_and_a_part_of_a_name(paged: Caller, query: dict[str, str], found: list[str]) -> None:
    answer = await paged.get("/v1/accounts", params=query)

    assert ["response", "data"] == list(answer)
    assert found == [row["codpos"] for row in answer["data"]]


async def test_the_number_of_pages_counts_only_filtered_rows(paged: Caller) -> None:
    answer = await paged.get("/v1/accounts?razon_social=and&per_page=3&page=2")

    assert {"total": 4, "lastPage": 2, "currentPage": 2, "to": 4, "from": 4} == answer["pagination"]
