"""Request bodies are parsed as strictly as PHP does."""

from __future__ import annotations

import hashlib

import pytest

from facturaonline_async.testing._emulator.request_bodies import Body, UploadedFile, read_body

MULTIPART = "multipart/form-data; boundary=X"


def parts(*parts: str, end: str = "--X--\r\n") -> bytes:
    return ("".join(f"--X\r\n{part}\r\n" for part in parts) + end).encode()


def text(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'


def test_a_part_with_a_file_name_is_a_file() -> None:
    file = 'Content-Disposition: form-data; name="cer"; filename="a.cer"\r\nContent-Type: x/y\r\n\r\n\r\nab\r\n'
    body = read_body(MULTIPART, parts(text("rfc", "Ñ&A\r\nx"), file))

    assert {"rfc": "Ñ&A\r\nx"} == body.fields == body.form
    assert {"cer": UploadedFile("a.cer", 6, hashlib.sha256(b"\r\nab\r\n").hexdigest())} == body.files


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="X"',
        "Multipart/Form-Data; charset=utf-8; Boundary=X",
        "multipart/form-data;boundary=X",
    ],
)
def test_the_boundary_is_found_however_it_is_written(content_type: str) -> None:
    assert {"a": "1"} == read_body(content_type, parts(text("a", "1"))).form


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("content-disposition: FORM-DATA;name=a", "a"),
        ('Content-Type: text/plain\r\nContent-Disposition: form-data; name="a"', "a"),
        ('Content-Disposition: form-data; name="a\\"b"', 'a"b'),
    ],
)
def test_part_headers_are_read_in_every_form_that_clients_write(head: str, name: str) -> None:
    assert {name: "1"} == read_body(MULTIPART, parts(f"{head}\r\n\r\n1")).form


@pytest.mark.parametrize(
    "raw",
    [
        parts(text("a", "1"), end=""),
        parts(text("a", "1"), end="--X-"),
        b"--Y\r\n" + text("a", "1").encode() + b"\r\n--Y--",
        parts(text("a", "1")).replace(b"\r\n", b"\n"),
        parts(text("a", "1"), "").replace(b"--X\r\n\r\n", b"--Xtra\r\n"),
        b"razons=x",
    ],
)
def test_a_broken_form_is_not_read(raw: bytes) -> None:
    assert Body() == read_body(MULTIPART, raw)


def test_parts_without_a_name_or_a_blank_line_are_skipped() -> None:
    body = read_body(
        MULTIPART, parts("Content-Disposition: attachment\r\n\r\n1", "Content-Type: x\r\n\r\n1", "x", text("a", "1"))
    )

    assert {"a": "1"} == body.form


def test_an_empty_file_field_is_not_a_file() -> None:
    body = read_body(MULTIPART, parts('Content-Disposition: form-data; name="cer"; filename=""\r\n\r\n'))

    assert Body("form") == body


def test_a_file_name_in_the_extended_form_alone_makes_no_file() -> None:
    body = read_body(MULTIPART, parts("Content-Disposition: form-data; name=\"cer\"; filename*=utf-8''a\r\n\r\nx"))

    assert ({"cer": "x"}, {}) == (body.form, body.files)


def test_the_last_of_equal_names_counts() -> None:
    assert {"a": "2"} == read_body(MULTIPART, parts(text("a", "1"), text("a", "2"))).form
    assert {"a": "2"} == read_body("application/x-www-form-urlencoded", b"a=1&a=2").form


def test_a_field_of_valid_base64_is_a_file() -> None:
    body = read_body("application/x-www-form-urlencoded; charset=UTF-8", b"csd_cer_b64=YWI%3D&csd_key_b64=%25&x_b64=")

    assert {"csd_cer_b64": UploadedFile("", 2, hashlib.sha256(b"ab").hexdigest())} == body.files


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "multipart/mixed; boundary=X"])
def test_a_body_of_another_content_type_is_not_read(content_type: str) -> None:
    assert Body() == read_body(content_type, parts(text("a", "1")))


def test_a_json_body_has_fields_and_no_form() -> None:
    body = read_body("application/json; charset=utf-8", b'{"a": 1}')

    assert ("json", {"a": 1}, {}) == (body.kind, body.fields, body.form)
