"""Docstrings as the site shows them: the marks of reStructuredText in them become Markdown."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from typing import Final

__all__ = ["link_names", "to_markdown"]

_CODE: Final = re.compile(r"^(?P<words>.*?)(?P<mark> ?::)\n\n(?P<code>(?:(?: {4}.*)?\n)+)", re.MULTILINE)
_TABLE: Final = re.compile(
    r"^(?P<rule>=+(?: +=+)+)\n(?P<head>.*)\n(?P=rule)\n(?P<rows>(?:.*\n)+?)(?P=rule)$", re.MULTILINE
)


def to_markdown(docstring: str) -> str:
    """Return a docstring with Markdown's code blocks, tables and names in place of those of reStructuredText.

    Args:
        docstring: a docstring without its indentation.

    """
    text = _TABLE.sub(_table, _CODE.sub(_code, f"{docstring}\n"))
    return re.sub(r"``([^`\n]+)``", r"`\1`", text).rstrip("\n")


def link_names(markdown: str, places: Mapping[str, str]) -> str:
    """Return a text in which the names of classes and functions are links to their place in the reference.

    Args:
        markdown: the text; blocks of code stay as they are.
        places: where a name is documented, by name.

    """

    def link(found: re.Match[str]) -> str:
        place = places.get(found[1])
        return f"[`{found[1]}{found[2]}`][{place}]" if place else found[0]

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"(?<![`\[\w])`(\w+)((?:\.\w+)*)`(?![`\]])", link, part) for part in parts[::2]]
    return "".join(parts)


def _code(found: re.Match[str]) -> str:
    """Return a block that a double colon announces as a fenced one."""
    words, code = found["words"], textwrap.dedent(found["code"]).strip("\n")
    if words and found["mark"] == "::":
        words += ":"
    return f"{words}\n\n```{_language(code)}\n{code}\n```\n\n"


def _language(code: str) -> str:
    try:
        compile(code, "docstring", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    except SyntaxError:
        return "python" if re.search(r"^(?:async )?(?:with|for|def|class) .*:$", code, re.MULTILINE) else "text"
    return "python"


def _table(found: re.Match[str]) -> str:
    """Return a simple table as Markdown has it."""
    starts = [match.start() for match in re.finditer("=+", found["rule"])]
    rows = [found["head"], *found["rows"].splitlines()]
    cells = [[row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(starts) + "|", *lines[1:]])
