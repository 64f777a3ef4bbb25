"""Texts are printed as they are: names come from files and from answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from facturaonline_async._cli import consoles
from facturaonline_async._cli.consoles import new_console


@pytest.mark.parametrize("text", ["A:smile:pago", "[red]EKU[/red]", "[link=https://example.com]x[/link]"])
def test_a_name_that_looks_like_a_code_is_printed_unchanged(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    new_console().print(text)

    assert capsys.readouterr().out == f"{text}\n"


def test_every_console_of_the_command_is_made_alike() -> None:
    folder = Path(consoles.__file__).parent
    others = [path.name for path in folder.glob("*.py") if " Console(" in path.read_text(encoding="utf-8")]

    assert others == ["consoles.py"]
