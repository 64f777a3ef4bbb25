"""The private attributes of aiohttp that are used: they are why aiohttp, and no other package, has an upper bound.

These tests fail first when a new aiohttp renames one of them. That each still does what it is used for is held by
"stale connection" of the fault matrix, by tests/core/test_fork.py, and by the tests beside this one.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from pathlib import Path
from unittest.mock import Mock

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

ROOT = Path(__file__).parents[3]
ROOM = ROOT / "facturaonline_async" / "_core" / "http"

USED = {
    "ClientSession": {"_retry_connection"},
    "Connection": {"_protocol"},
    "BytesPayload": {"_autoclose", "_size", "_value"},
    "ResponseHandler": {"_parser"},
    "TCPConnector": {"_create_connection", "_factory", "_loop"},
}

OWN = {"_headers", "_timer"}
"""Of a transport and of a deadline: objects of aiohttp have attributes of the same names."""


async def private_attributes() -> dict[str, set[str]]:
    """Return the private attributes that objects of aiohttp have."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        connector = session.connector
        protocol = ResponseHandler(loop)
        assert isinstance(connector, aiohttp.TCPConnector)
        connection = Connection(connector, Mock(), Mock(spec=ResponseHandler), loop)
        objects = (session, connector, protocol, connection, aiohttp.payload.BytesPayload(b""))
        found = {type(each).__name__: {name for name in dir(each) if name.startswith("_")} for each in objects}
        connection._protocol = None  # nothing to release
        return {of: {name for name in names if not name.startswith("__")} for of, names in found.items()}


async def test_aiohttp_has_every_private_attribute_that_is_used() -> None:
    found = await private_attributes()

    assert {of: names - found[of] for of, names in USED.items()} == {of: set() for of in USED}


async def test_no_other_private_attribute_of_aiohttp_is_used() -> None:
    of_aiohttp = set[str]().union(*(await private_attributes()).values())
    nodes = [node for path in ROOM.glob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    methods = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    variables = {node.id for node in nodes if isinstance(node, ast.Name)}

    assert (named | methods | variables) & of_aiohttp - OWN == set[str]().union(*USED.values())


async def test_a_session_of_aiohttp_repeats_by_itself_unless_its_attribute_says_no() -> None:
    async with aiohttp.ClientSession() as session:
        assert session._retry_connection is True


async def test_a_connection_without_its_protocol_closes_nothing() -> None:
    connector = Mock(spec=aiohttp.BaseConnector)
    connection = Connection(connector, Mock(), Mock(spec=ResponseHandler), asyncio.get_running_loop())
    assert connection.protocol is not None

    connection._protocol = None
    connection.close()

    assert (connection.closed, connector._release.called) == (True, False)


def test_a_connector_opens_connections_with_the_arguments_that_ours_hands_on() -> None:
    opening = inspect.signature(aiohttp.TCPConnector._create_connection)

    assert list(opening.parameters) == ["self", "req", "traces", "timeout"]


def test_only_aiohttp_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    required = [*project["dependencies"], *(each for extra in extras for each in extra)]

    assert [each for each in required if any(mark in each for mark in ("<", "==", "~=", "!="))] == ["aiohttp>=3.14,<4"]
