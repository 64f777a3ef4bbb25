"""A Sello is read from files or texts, completely or not at all, without validation."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async import InvalidInputError, Sello

CER, KEY = b"\x30\x82 certificate", b"\x30\x82 key"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    cer, key = tmp_path / "a.cer", tmp_path / "a.key"
    cer.write_bytes(CER)
    key.write_bytes(KEY)
    return cer, key


async def test_a_sello_is_read_from_two_files(files: tuple[Path, Path]) -> None:
    assert await Sello.from_files(*files, password="x") == Sello(CER, KEY, "x")
    assert await Sello.from_files(str(files[0]), str(files[1]), password="x") == Sello(CER, KEY, "x")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cer", None, "No such file"),
        ("key", None, "No such file"),
        ("cer", b"", "it is empty"),
        ("key", b"x" * (2**20 + 1), "it is larger than 1048576 bytes"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    files: tuple[Path, Path], name: str, content: bytes | None, reason: str
) -> None:
    path = files[name == "key"]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=reason) as refused:
        await Sello.from_files(*files, password="x")
    assert (refused.value.field, str(path) in str(refused.value)) == (name, True)


@pytest.mark.parametrize(
    "dress", [lambda text: text, lambda text: text.decode(), lambda text: b"\n".join([text[:9], text[9:], b""])]
)
def test_a_sello_is_read_from_base64(dress: object) -> None:
    cer, key = (dress(base64.b64encode(content)) for content in (CER, KEY))  # type: ignore[operator]
    assert Sello.from_base64(cer, key, password="x") == Sello(CER, KEY, "x")


@pytest.mark.parametrize("text", ["", "not base64!", b"\xff\xfe", "ñ", "MIIFD"])
def test_a_text_that_is_not_base64_is_refused_by_name(text: str | bytes) -> None:
    good = base64.b64encode(CER)
    for arguments, field in (((text, good), "cer"), ((good, text), "key")):
        with pytest.raises(InvalidInputError, match="is not base64") as refused:
            Sello.from_base64(*arguments, password="x")
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("a.cer", KEY, "x"), "cer"),
        ((CER, "a.key", "x"), "key"),
        ((CER, 5, "x"), "key"),
        ((CER, KEY, None), "password"),
    ],
)
def test_arguments_of_other_types_are_refused_by_name(arguments: tuple[Any, Any, Any], field: str) -> None:
    with pytest.raises(InvalidInputError, match=field) as refused:
        Sello(*arguments)
    assert refused.value.field == field


def test_a_sello_accepts_any_bytes() -> None:
    sello = Sello(b"", b"anything", password="")
    assert (sello.cer, sello.key, sello.password.reveal()) == (b"", b"anything", "")
