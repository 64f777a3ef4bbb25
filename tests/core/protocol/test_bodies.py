"""Request bodies, and how a server reads them."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, strategies as st

from facturaonline_async import InvalidInputError, Secret
from facturaonline_async._core.protocol.bodies import Body, File, Value, form, json_body


async def read_by_a_server(body: Body) -> list[tuple[str, object]]:
    """Return what aiohttp's own server reads from the body."""
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    stream.feed_data(bytes(body.content))
    stream.feed_eof()
    request = make_mocked_request(
        "POST",
        "/",
        headers={"Content-Type": body.content_type, "Content-Length": str(len(body.content))},
        payload=stream,
        client_max_size=2**24,
    )
    read: list[tuple[str, object]] = []
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            read.append((name, (value.filename, value.content_type, value.file.read())))
            value.file.close()
        else:
            read.append((name, value))
    return read


FILE = File(name="csd.cer", content_type="application/octet-stream", content=b"\r\n--\x00\xff\r\n")


async def test_a_form_with_a_file_is_multipart_and_readable() -> None:
    body = form({"razons": 'Ñandú & Cía "SA"\r\nde CV', "password": Secret("clave+&="), "cer": FILE})
    assert await read_by_a_server(body) == [
        ("razons", 'Ñandú & Cía "SA"\r\nde CV'),
        ("password", "clave+&="),
        ("cer", ("csd.cer", "application/octet-stream", b"\r\n--\x00\xff\r\n")),
    ]


async def test_a_form_without_files_is_urlencoded() -> None:
    body = form({"razons": "Ñandú & Cía", "b64": "ab+/=", "password": Secret("a=b&c")})
    assert body.content_type == "application/x-www-form-urlencoded"
    assert await read_by_a_server(body) == [("razons", "Ñandú & Cía"), ("b64", "ab+/="), ("password", "a=b&c")]


def test_the_method_override_is_one_plain_form_field() -> None:
    body = form({"_method": "delete"})
    assert (bytes(body.content), body.content_type) == (b"_method=delete", "application/x-www-form-urlencoded")


def test_the_boundary_is_in_the_content_type_and_in_no_value() -> None:
    body = form({"a": "b", "cer": FILE})
    kind, _, boundary = body.content_type.partition("; boundary=")
    assert kind == "multipart/form-data"
    assert bytes(body.content).startswith(b"--" + boundary.encode() + b"\r\n")
    assert bytes(body.content).endswith(b"\r\n--" + boundary.encode() + b"--\r\n")
    assert bytes(body.content).count(boundary.encode()) == 3


def test_no_two_forms_share_a_boundary() -> None:
    assert len({form({"cer": FILE}).content_type for _ in range(20)}) == 20


def test_field_names_are_escaped_in_their_header() -> None:
    body = bytes(form({'a"\r\nX: y': FILE}).content)
    assert b'name="a%22%0D%0AX: y"; filename="csd.cer"\r\nContent-Type' in body


@pytest.mark.parametrize("more", [{}, {"cer": FILE}])
@pytest.mark.parametrize("half", ["\ud800", Secret("\ud800"), None, 7])
def test_an_unencodable_value_is_refused_by_field_without_secrets(more: dict[str, Value], half: Any) -> None:
    with pytest.raises(InvalidInputError, match="razons is not a text, or holds half a character") as refused:
        form({"password": Secret("clave-secreta"), **more, "razons": half})
    inside = [frame.f_locals for frame, _ in traceback.walk_tb(refused.tb.tb_next)]
    assert (refused.value.field, refused.value.__context__) == ("razons", None)
    assert ("clave-secreta" in repr(inside), len(inside)) == (False, 1)


class Vaulted(Secret):
    __slots__ = ()


class Masked(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "***"


@pytest.mark.parametrize("more", [{}, {"zz": FILE}])
async def test_subclasses_of_str_and_secret_are_encoded_by_their_content(more: dict[str, Value]) -> None:
    body = form({"regimen": Masked("601"), "password": Vaulted("clave-secreta"), **more})
    assert (await read_by_a_server(body))[:2] == [("regimen", "601"), ("password", "clave-secreta")]
    assert body.secrets == (Secret("clave-secreta"),)


def test_a_json_body_is_json() -> None:
    body = json_body({"letra": "Ñ", "folio": 1})
    assert (json.loads(body.content), body.content_type) == ({"letra": "Ñ", "folio": 1}, "application/json")


@pytest.mark.parametrize(
    "fields", [{"password": Secret("clave-secreta")}, {"password": Secret("clave-secreta"), "cer": FILE}]
)
def test_a_body_knows_its_secrets_and_does_not_show_them(fields: dict[str, Value]) -> None:
    body = form(fields)
    assert body.secrets == (Secret("clave-secreta"),)
    assert ("clave-secreta" in repr(body), b"clave-secreta" in body.content) == (False, True)


names = st.text(st.characters(codec="ascii", categories=["L", "Nd"]), min_size=1, max_size=8)


@given(st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=5))
def test_any_texts_survive_urlencoding(fields: dict[str, str]) -> None:
    body = form(dict(fields))
    assert parse_qsl(body.content.decode(), keep_blank_values=True) == list(fields.items())


@given(
    st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=30), max_size=5),
    st.binary(max_size=200),
)
def test_any_texts_and_bytes_survive_multipart(fields: dict[str, str], content: bytes) -> None:
    file = File(name="csd.key", content_type="application/octet-stream", content=content)
    body = form({**fields, "zz-file": file})
    expected: list[tuple[str, object]] = [
        *fields.items(),
        ("zz-file", ("csd.key", "application/octet-stream", content)),
    ]
    assert asyncio.run(read_by_a_server(body)) == expected
