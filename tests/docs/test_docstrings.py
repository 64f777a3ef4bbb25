"""Docstrings on the site have no mark of reStructuredText."""

from __future__ import annotations

import importlib
import inspect

import pytest

from website.docstrings import link_names, to_markdown
from website.parts import MODULES, places


def test_a_double_colon_becomes_a_fenced_block() -> None:
    docstring = (
        "Do it.\n\nUse it so::\n\n    async with a() as b:\n        await b\n\nThen more.\n\n::\n\n    x → y\n\nEnd."
    )
    assert to_markdown(docstring) == (
        "Do it.\n\nUse it so:\n\n```python\nasync with a() as b:\n    await b\n```\n\nThen more.\n\n\n\n"
        "```text\nx → y\n```\n\nEnd."
    )


def test_a_double_colon_after_a_sentence_leaves_the_sentence() -> None:
    assert to_markdown("It needs ``x``. ::\n\n    y()") == "It needs `x`.\n\n```python\ny()\n```"


def test_a_simple_table_becomes_one_of_markdown() -> None:
    docstring = "Text.\n\n=====  ==\nerror  is\n=====  ==\n`A`    4\n`B`    5\n=====  ==\n\nEnd."
    assert to_markdown(docstring) == "Text.\n\n| error | is |\n|---|---|\n| `A` | 4 |\n| `B` | 5 |\n\nEnd."


@pytest.mark.parametrize("module", MODULES)
def test_no_mark_is_left_in_a_public_docstring(module: str) -> None:
    imported = importlib.import_module(module)
    public = [getattr(imported, name) for name in imported.__all__]
    ours = [each for each in public if str(getattr(each, "__module__", "")).startswith("facturaonline_async")]
    members = [member for each in ours if isinstance(each, type) for member in vars(each).values()]
    texts = [to_markdown(inspect.getdoc(each) or "") for each in [imported, *ours, *filter(callable, members)]]
    lines = [line for text in texts for line in text.splitlines()]
    assert [line for line in lines if line.endswith("::") or line.startswith("==")] == []


def test_names_are_links_outside_of_code() -> None:
    markdown = "Raise `A`, `A.b`, `c` and [`A`][x].\n\n```python\n`A`\n```"
    assert link_names(markdown, {"A": "m.A"}) == (
        "Raise [`A`][m.A], [`A.b`][m.A], `c` and [`A`][x].\n\n```python\n`A`\n```"
    )


def test_the_place_of_a_name_is_the_first_module_that_has_it() -> None:
    found = places()
    assert found["InvalidInputError"] == "facturaonline_async.InvalidInputError"
    assert "session" not in found
    assert (found["Sello"], found["CheckReport"]) == (
        "facturaonline_async.Sello",
        "facturaonline_async.sello.CheckReport",
    )
