"""Checks that several modules share."""

from __future__ import annotations

from uuid import UUID

import pytest

from facturaonline_async._validators import type_name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "an int"),
        ("x", "a str"),
        (object(), "an object"),
        (UUID(int=0), "a UUID"),
        (..., "an ellipsis"),
        (None, "None"),
    ],
)
def test_the_article_of_a_types_name_fits_its_first_letter(value: object, shown: str) -> None:
    assert type_name(value) == shown
