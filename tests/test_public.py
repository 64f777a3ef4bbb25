"""The package's public names, docs and types, and the files that hold wire words."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import facturaonline_async
from facturaonline_async import bulk, errors, provision, testing

PACKAGE = Path(facturaonline_async.__file__).parent
README = PACKAGE.parent / "README.md"

#: The contract: names that `facturaonline_async` exports.
PROMISED = {
    *("connect", "SessionManager", "FacturaOnline", "Credentials", "Config", "Rate", "Secret"),
    *("Serie", "Empresa", "NuevaEmpresa", "CambiosEmpresa", "CorreoSmtp", "Sello", "TipoDocumento"),
    *("PRODUCTION", "SANDBOX", "FACTURA_COM_PRODUCTION", "FACTURA_COM_SANDBOX"),
    *errors.__all__,
}

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "facturaonline_async.")
    if "__main__" not in module.name
)


def test_the_package_exports_every_name_of_the_contract() -> None:
    assert set(facturaonline_async.__all__) >= PROMISED


@pytest.mark.parametrize("module", [facturaonline_async, bulk, provision, testing])
def test_a_package_exports_exactly_the_names_that_it_imports(module: object) -> None:
    assert inspect.ismodule(module)
    exported = module.__all__
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert exported == sorted(exported, key=lambda name: (name != name.upper(), not name[0].isupper(), name))
    assert set(exported) == (public if module.__file__ and module.__file__.endswith("__init__.py") else set(exported))


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bare = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    nested = {
        inner.name
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(outer)
        if isinstance(inner, kinds) and inner is not outer
    }
    assert set(bare) - nested == set()


def test_the_readme_shows_every_error() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in errors.__all__ if name not in text] == []


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL))
def test_python_blocks_of_the_readme_import_existing_names(block: str) -> None:
    tree = ast.parse(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facturaonline_async"):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_package_has_a_py_typed_file() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_importing_the_package_loads_neither_the_command_nor_the_emulator() -> None:
    code = "import sys, facturaonline_async; print(*sorted(sys.modules))"
    env = {name: value for name, value in os.environ.items() if "COV" not in name}  # coverage loads more
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    loaded = ran.stdout.split()
    unwanted = ("typer", "rich", "facturaonline_async.testing", "facturaonline_async._cli", "cryptography", "sqlite3")
    assert [name for name in unwanted if name in loaded] == []


WIRE_WORDS = (
    *("F-Api-Key", "F-Secret-Key", "F-PLUGIN", "messsage", "lastPage", "SerieID", "SerieName", "SerieType"),
    *("SerieDescription", "SerieStatus", "tipoDocumento", "acco_uid", "acco_numero", "acco_regimen_33"),
    *("acco_folios_alert", "razons", "numero_exterior", "numero_interior", "cant_folios_min", "_method", "perPage"),
    *("/v4/series", "/v1/accounts", "/v1/current/account", "/v4/account/create"),
)


@cache
def texts() -> dict[str, set[str]]:
    """Return all string constants by file, without the emulator, which has its own copy of the wire words."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if "testing" not in path.parts:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found[path.relative_to(PACKAGE).as_posix()] = {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    return found


@pytest.mark.parametrize("word", WIRE_WORDS)
def test_each_name_of_the_api_is_written_in_one_file_only(word: str) -> None:
    files = [
        path
        for path, found in texts().items()
        if any(word == text or (word.startswith("/") and text.startswith(word)) for text in found)
    ]
    assert len(files) == 1
    assert files[0].endswith(("_core/protocol/envelope.py", "_wire.py"))


CONTRIBUTING = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP = CONTRIBUTING.split("## Where to look")[1].split("\n## ")[0]


def test_the_question_table_of_contributing_names_existing_files() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|\.html|/))`", MAP)
    assert len(named) > 50
    assert [path for path in named if path != "facturaonline_async/" and not (PACKAGE / path).exists()] == []


def test_the_question_table_of_contributing_covers_every_folder() -> None:
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")} - {"."}
    assert {folder for folder in folders if f"**`{folder}/`**" not in MAP} == set()


def test_the_tree_of_contributing_names_every_module_and_folder_of_the_first_two_levels() -> None:
    tree = CONTRIBUTING.split("## The tree")[1].split("\n```")[1]
    words = set(re.findall(r"\w+", tree))
    modules = {path.stem for path in [*PACKAGE.glob("*.py"), *PACKAGE.glob("*/*.py")] if "_cli" not in path.parts}
    folders = {path.parent.name for path in [*PACKAGE.glob("*/__init__.py"), *PACKAGE.glob("*/*/__init__.py")]}
    assert (modules | folders) - words == set()
