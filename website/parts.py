"""Parts of pages that are made from the code, so that they cannot be out of date.

A page has a mark such as ``<!-- generate: commands -->`` or ``<!-- generate: names facturaonline_async.sello -->``.
"""

from __future__ import annotations

import importlib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from facturaonline_async._cli import spanish_help
from facturaonline_async._cli.app import _MODULES
from facturaonline_async._core.endpoint import RetrySafety
from facturaonline_async._endpoints import ENDPOINTS
from facturaonline_async.empresas import _wire as empresas_wire
from facturaonline_async.provision._journal import schema
from facturaonline_async.provision._plan.column_names import ALIASES
from website.docstrings import to_markdown

__all__ = ["MODULES", "PICTURES", "ROOT", "commands", "generate", "places"]

ROOT: Final = Path(__file__).parents[1]

#: Folder of the site with the pictures of benchmarks.
PICTURES: Final = "assets/results"

#: Modules with public names, in the order in which they are documented. A name that an earlier one has is not repeated.
MODULES: Final = (
    "facturaonline_async",
    "facturaonline_async.provision",
    "facturaonline_async.sello",
    "facturaonline_async.sat",
    "facturaonline_async.bulk",
    "facturaonline_async.testing",
    "facturaonline_async.events",
    "facturaonline_async.sharing",
    "facturaonline_async.postgres",
    "facturaonline_async.procrastinate",
    "facturaonline_async.fastapi",
    "facturaonline_async.opentelemetry",
)

_RETRY: Final = {
    RetrySafety.READ: "yes, it only reads",
    RetrySafety.NEVER: "never",
    RetrySafety.IDEMPOTENT: "yes, one at a time for each company",
    RetrySafety.VERIFY_FIRST: "after a read shows that it did not take effect",
}


def generate(markdown: str, page: str) -> str:
    """Replace the marks of a page, and the links to files that are not part of the site.

    Args:
        markdown: text of the page.
        page: its path below ``docs``, to which links of included files become relative.

    """

    def replace(found: re.Match[str]) -> str:
        name, *arguments = found[1].split()
        return _PARTS[name](page, *arguments)

    # A repository on the disk has these files, the site has not; no address of the repository is known yet.
    markdown = re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:benchmarks|examples|tests)/[^)]*\)", r"`\1`", markdown)
    return re.sub(r"<!-- generate: (.+?) -->", replace, markdown)


def _names(_: str, module: str) -> str:
    """Return the reference of a module: a heading for each of its public names that no earlier module has."""
    others: dict[int, str] = {}
    for earlier in MODULES[: MODULES.index(module)]:
        found = importlib.import_module(earlier)
        others |= {id(getattr(found, name)): f"{earlier}.{name}" for name in found.__all__}
    imported = importlib.import_module(module)
    own: list[str] = []
    elsewhere: list[str] = []
    for name in imported.__all__:
        place = others.get(id(getattr(imported, name)))
        (elsewhere if place else own).append(f"[`{name}`][{place}]" if place else name)
    parts = [to_markdown(imported.__doc__ or "")]
    if elsewhere:
        parts.append(f"Documented elsewhere: {', '.join(elsewhere)}.")
    parts.extend(f"::: {module}.{name}" for name in own)
    return "\n\n".join(parts)


@cache
def places() -> Mapping[str, str]:
    """Return the full name under which the reference has each public class, by its own name.

    Functions are left out: `session` and `check` are names of arguments and attributes, too.
    """
    found: dict[str, str] = {}
    for module in reversed(MODULES):  # a name of an earlier module is documented there
        imported = importlib.import_module(module)
        public = {name: getattr(imported, name) for name in imported.__all__}
        found |= {name: f"{module}.{name}" for name, each in public.items() if isinstance(each, type)}
    return found


def _commands(_: str, language: str = "en") -> str:
    """Return every command: what it does, its arguments and options."""
    return "\n\n".join(_command(f"facturaonline {path}", command, language) for path, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Give each command with the words that call it, groups resolved."""
    for name, module in sorted(_MODULES.items()):
        command = get_command(importlib.import_module(f"facturaonline_async._cli.{module}").app)
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {each}", inner[each]) for each in inner)


def _command(path: str, command: Any, language: str) -> str:
    context = command.context_class(command, info_name=path)
    word = spanish_help.word if language == "es" else str
    if language == "es":
        spanish_help.translate_command(command, context)  # it is made anew for each page
    usage = " ".join([path, *map(word, command.collect_usage_pieces(context))])
    records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    marks = {"[default: ": f"[{word('default')}: ", "required]": f"{word('required')}]"}
    for english, spoken in marks.items():
        records = [(option, text.replace(english, spoken)) for option, text in records]
    rows = [f"| `{_cell(option)}` | {_cell(_escape(text))} |" for option, text in records]
    table = ["| | |", "|---|---|", *rows] if rows else []
    title = word("Examples:")
    text, _, examples = (command.help or "").partition(f"{title}\n")
    parts = [f"## {path}", _escape(text.strip()), f"```text\n{usage}\n```", "\n".join(table)]
    if examples:
        parts.append(f"{title}\n\n```text\n{examples.strip()}\n```")
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escape(text: str) -> str:
    """Return a text in which no character means anything to Markdown."""
    return re.sub(r"([*_<\[])", r"\\\1", text)


def _endpoints(_: str) -> str:
    rows = ["| our call | its call | sent again after an unknown outcome? |", "|---|---|---|"]
    for name, endpoint in ENDPOINTS.items():
        again = _RETRY[endpoint.retry_safety]
        rows.append(f"| `client.{name}` | `{endpoint.method} {endpoint.path}` | {again} |")
    return "\n".join(rows)


def _field_names(_: str) -> str:
    """Return the names of a company's data: ours, and the three of the API."""
    rows = ["| attribute | request | answer to create and update | list and detail |", "|---|---|---|---|"]
    rows += [f"| {' | '.join(f'`{name}`' if name else '' for name in names)} |" for names in empresas_wire._FIELD_NAMES]
    return "\n".join(rows)


def _aliases(_: str) -> str:
    rows = [f"| `{column}` | {', '.join(names)} |" for column, names in ALIASES.items()]
    return "\n".join(["| columna | también se puede llamar |", "|---|---|", *rows])


def _journal(_: str) -> str:
    return f"```sql\n{schema._SCHEMA.strip()}\n```"  # the page shows it as it is


def _file(page: str, name: str) -> str:
    """Return a Markdown file of the repository, without its title, with links that work from the page."""
    text = re.sub(r"\A# .*\n", "", (ROOT / name).read_text(encoding="utf-8"))
    text = re.sub(r"<!-- .*? -->\n?", "", text)

    def replace(found: re.Match[str]) -> str:
        bang, words, target, anchor = found.groups()
        folder = "" if name.startswith("changelog.d/") else posixpath.dirname(name)
        if link := _link(page, folder, target):
            return f"{bang}[{words}]({link}{anchor or ''})"
        return words

    return re.sub(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)]*)?\)", replace, text)


def _source(_: str, name: str) -> str:
    """Return a program of the repository as a block."""
    return f'```python title="{name}"\n{(ROOT / name).read_text(encoding="utf-8").strip()}\n```'


def _link(page: str, folder: str, target: str) -> str:
    """Return a link of a file of the repository, as the page must write it; "" if the site has no such page."""
    known = {
        "CHANGELOG.md": "changelog.md",
        "CONTRIBUTING.md": "contributing.md",
        "README.md": "index.md",
        "SECURITY.md": "guides/security.md",
    }
    path = posixpath.normpath(posixpath.join(folder, target))
    if path.startswith("docs/"):
        inside = path.removeprefix("docs/")
    elif path.endswith(".svg"):
        inside = f"{PICTURES}/{posixpath.basename(path)}"
    elif path in known:
        inside = known[path]
    else:
        return ""
    return posixpath.relpath(inside, posixpath.dirname(page) or ".")


def _changelog(page: str) -> str:
    """Return the changelog, and before it the fragments of the next release."""
    kinds = {"added": "Added", "changed": "Changed", "removed": "Removed", "fixed": "Fixed", "security": "Security"}
    parts = ["## Next release"]
    for kind, title in kinds.items():
        fragments = sorted((ROOT / "changelog.d").glob(f"*.{kind}.md"))
        lines = [f"- {_file(page, str(path.relative_to(ROOT))).strip()}" for path in fragments]
        parts.extend([f"### {title}", "\n".join(lines)] if lines else [])
    return "\n\n".join([*parts, _file(page, "CHANGELOG.md")])


_PARTS: Final[dict[str, Callable[..., str]]] = {
    "aliases": _aliases,
    "changelog": _changelog,
    "commands": _commands,
    "endpoints": _endpoints,
    "field_names": _field_names,
    "file": _file,
    "journal": _journal,
    "names": _names,
    "source": _source,
}
