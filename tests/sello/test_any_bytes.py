"""A check of any bytes returns findings and raises nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from attrs import evolve
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import example, given, strategies as st

from facturaonline_async.sat._findings import FINDINGS
from facturaonline_async.sello import Sello, check
from tests.effort import examples
from tests.sello.certificates import NOW, made, needs_sat, sat


@pytest.fixture(autouse=True)
def _strange_certificates() -> Iterator[None]:
    """Ignore the warnings of `cryptography` about bytes that were damaged on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def found(sello: Sello) -> set[str]:
    codes = {finding.code for finding in check(sello, rfc="EKU9003173C9", now=NOW).findings}
    assert codes <= FINDINGS.keys()
    return codes


def with_part(sello: Sello, name: str, content: bytes) -> Sello:
    return evolve(sello, cer=content) if name == "cer" else evolve(sello, key=content)


@given(st.binary(max_size=300), st.binary(max_size=300), st.text(max_size=20))
@example(b"0", b"0\x82", "")
@example(b"0\x03\x02\x01", b"0\x80\x00\x00", "x")
@examples(300)
def test_arbitrary_bytes_are_neither_certificate_nor_key(cer: bytes, key: bytes, password: str) -> None:
    assert found(Sello(cer, key, password)) & {"not_a_certificate", "truncated"}


@given(st.data())
@examples(300)
def test_no_changed_byte_makes_the_check_raise(data: st.DataObject) -> None:
    sello = made()
    for name in ("cer", "key"):
        content = bytearray(getattr(sello, name))
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
        found(with_part(sello, name, bytes(content)))


def untold_truncations(sello: Sello) -> list[tuple[str, int]]:
    """Cut each file at every byte, and return the cuts without a finding."""
    sello = evolve(sello, password="")
    return [
        (name, end)
        for name, content in (("cer", sello.cer), ("key", sello.key))
        for end in range(1, len(content))
        if "truncated" not in found(with_part(sello, name, content[:end]))
    ]


def test_every_truncation_of_a_made_pair_is_reported() -> None:
    assert untold_truncations(made()) == []


@needs_sat
def test_every_truncation_of_a_real_pair_is_reported() -> None:
    assert untold_truncations(sat("csd-HAN930228SM9-2019.cer", "csd-HAN930228SM9-2019.key")) == []
