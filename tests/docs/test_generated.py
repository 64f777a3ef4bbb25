"""The reference names everything that the package has."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import facturaonline_async
from facturaonline_async._cli.spanish_help import read_catalogue
from facturaonline_async._endpoints import ENDPOINTS
from facturaonline_async.empresas import _wire as empresas_wire
from tests.docs.pages import DOCS, ROOT
from website.parts import MODULES, commands, generate

REFERENCE = DOCS / "reference"
PACKAGE = ROOT / "facturaonline_async"


def test_every_public_module_has_a_page() -> None:
    # What these export, the package exports, too.
    shown_by_the_package = {"client", "config", "empresas", "errors", "series"}
    modules = {module.name for module in pkgutil.iter_modules([str(PACKAGE)]) if not module.name.startswith("_")}
    assert {f"facturaonline_async.{name}" for name in modules - shown_by_the_package} == {*MODULES[1:]}
    assert [module for module in MODULES if not (REFERENCE / f"{module.rpartition('.')[2]}.md").exists()] == []


def test_the_names_that_have_no_page_of_their_own_are_names_of_the_package_or_of_sello() -> None:
    known = {*facturaonline_async.__all__, "SecretBytes", "OutageEvent"}
    for name in ("config", "empresas", "errors", "series"):
        assert {*importlib.import_module(f"facturaonline_async.{name}").__all__} <= known


@pytest.mark.parametrize("module", MODULES)
def test_a_page_has_every_name_of_its_module(module: str) -> None:
    path = REFERENCE / f"{module.rpartition('.')[2]}.md"
    page = generate(path.read_text(encoding="utf-8"), f"reference/{path.name}")
    assert [name for name in importlib.import_module(module).__all__ if not re.search(rf"\b{name}\b", page)] == []


@pytest.mark.parametrize("name", ["command.md", "command.es.md"])
def test_the_page_of_the_command_has_every_option(name: str) -> None:
    page = generate((REFERENCE / name).read_text(encoding="utf-8"), f"reference/{name}")
    found = list(commands())
    assert len(found) > 25
    for path, command in found:
        section = page.partition(f"## facturaonline {path}\n")[2].partition("\n## ")[0]
        options = [
            option for each in command.params for option in (*each.opts, *each.secondary_opts) if option[0] == "-"
        ]
        assert [option for option in options if option not in section] == [], path


def test_the_page_of_the_command_in_spanish_is_spanish() -> None:
    page = generate((REFERENCE / "command.es.md").read_text(encoding="utf-8"), "reference/command.es.md")
    english = generate((REFERENCE / "command.md").read_text(encoding="utf-8"), "reference/command.md")
    catalogue = read_catalogue()
    assert [text for text in catalogue.texts if text != catalogue.texts[text] and f"\n{text}\n" in page] == []
    assert [mark for mark in ("required]", "[default:", "Examples:", "[OPTIONS]") if mark in page] == []
    assert all(mark in english for mark in ("required]", "[default:", "Examples:", "[OPTIONS]"))


def test_the_page_of_endpoints_has_every_endpoint() -> None:
    page = generate((REFERENCE / "endpoints.md").read_text(encoding="utf-8"), "reference/endpoints.md")
    assert [
        name for name, each in ENDPOINTS.items() if f"| `client.{name}` | `{each.method} {each.path}` |" not in page
    ] == []


def test_the_page_of_endpoints_has_every_name_of_a_companys_data() -> None:
    page = generate((REFERENCE / "endpoints.md").read_text(encoding="utf-8"), "reference/endpoints.md")
    names = {name for row in empresas_wire._FIELD_NAMES for name in row if name}
    assert "acco_regimen_33" in names
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_the_page_of_endpoints_says_something_of_each_endpoint() -> None:
    page = (REFERENCE / "endpoints.md").read_text(encoding="utf-8")
    assert [name for name in ENDPOINTS if f"| `{name}` |" not in page] == []


def test_the_page_of_the_environment_has_every_variable_and_no_other() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    variables = r"\bFACTURAONLINE_[A-Z_]*[A-Z]\b"
    assert {*re.findall(variables, page)} == {*re.findall(variables, source)}


def test_the_page_of_the_journal_has_every_column() -> None:
    page = (REFERENCE / "journal.md").read_text(encoding="utf-8")
    schema = generate("<!-- generate: journal -->", "reference/journal.md")
    steps = re.findall(r"^    (\w+) [A-Z]+", schema.partition("CREATE TABLE steps")[2].partition(";")[0], re.MULTILINE)
    assert "digest" in steps
    assert [column for column in steps if column not in page] == []
