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
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import facturaonline_async
from facturaonline_async import (
    bulk,
    empresas,
    errors,
    fastapi,
    postgres,
    procrastinate,
    provision,
    sat,
    sello,
    series,
    testing,
)

PACKAGE = Path(facturaonline_async.__file__).parent
GUIDES = PACKAGE.parent / "docs" / "guides"

#: The contract: names that `facturaonline_async` exports.
PROMISED = {
    *("connect", "SessionManager", "FacturaOnline", "Credentials", "Config", "Rate", "Secret"),
    *("Serie", "Empresa", "NuevaEmpresa", "CambiosEmpresa", "CorreoSmtp", "Sello", "TipoDocumento"),
    *("PRODUCTION", "SANDBOX", "FACTURA_COM_PRODUCTION", "FACTURA_COM_SANDBOX"),
    *errors.__all__,
}

without_psycopg = pytest.mark.skipif(find_spec("psycopg") is None, reason="the extra postgres is not installed")
without_fastapi = pytest.mark.skipif(find_spec("fastapi") is None, reason="the extra fastapi is not installed")
without_procrastinate = pytest.mark.skipif(
    find_spec("procrastinate") is None, reason="the extra procrastinate is not installed"
)
POSTGRES = pytest.param(postgres, marks=without_psycopg)
PROCRASTINATE = pytest.param(procrastinate, marks=without_procrastinate)
FASTAPI = pytest.param(fastapi, marks=without_fastapi)
without_opentelemetry = pytest.mark.skipif(
    find_spec("opentelemetry") is None, reason="the extra opentelemetry is not installed"
)
EXTRAS = {
    ".postgres": without_psycopg,
    ".procrastinate": without_procrastinate,
    ".fastapi": without_fastapi,
    ".opentelemetry": without_opentelemetry,
}

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "facturaonline_async.")
    if "__main__" not in module.name
)


def test_the_package_exports_every_name_of_the_contract() -> None:
    assert set(facturaonline_async.__all__) >= PROMISED


@pytest.mark.parametrize(
    "module",
    [facturaonline_async, bulk, empresas, provision, sat, sello, series, testing, POSTGRES, PROCRASTINATE, FASTAPI],
)
def test_a_package_exports_exactly_the_names_that_it_imports(module: object) -> None:
    assert inspect.ismodule(module)
    exported = module.__all__
    public = {
        name
        for name in dir(module)
        if not name.startswith("_") and not inspect.ismodule(getattr(module, name)) and name != "annotations"
    }
    assert exported == sorted(exported, key=lambda name: (name != name.upper(), not name[0].isupper(), name))
    assert set(exported) == (public if module.__file__ and module.__file__.endswith("__init__.py") else set(exported))


LAZY = [facturaonline_async, empresas, provision, sat, sello, series, testing, POSTGRES, PROCRASTINATE, FASTAPI]


@pytest.mark.parametrize("package", LAZY)
def test_a_type_checker_sees_the_names_and_objects_that_a_program_gets(package: ModuleType) -> None:
    tree = ast.parse(Path(package.__file__ or "").read_text(encoding="utf-8"))
    (block,) = (each for each in tree.body if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING")
    seen = {
        alias.name: getattr(importlib.import_module(each.module or ""), alias.name)
        for each in block.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    assert sorted(seen) == sorted(package.__all__)
    assert [name for name, value in seen.items() if getattr(package, name) is not value] == []


@pytest.mark.parametrize("package", LAZY)
def test_a_wrong_name_of_a_package_is_an_attribute_error_that_names_the_package(package: ModuleType) -> None:
    with pytest.raises(AttributeError) as caught:
        package.conect  # noqa: B018
    assert str(caught.value) == f"module {package.__name__!r} has no attribute 'conect'"
    with pytest.raises(ImportError, match=f"cannot import name 'conect' from '{package.__name__}'"):
        exec(f"from {package.__name__} import conect")  # noqa: S102


@pytest.mark.parametrize("package", LAZY)
def test_a_new_process_sees_all_names_of_a_package_before_they_are_imported(package: ModuleType) -> None:
    code = (
        f"import {package.__name__} as package; print(*dir(package)); from {package.__name__} import *; print(*dir())"
    )
    before, after = python(code).splitlines()
    assert (set(package.__all__) - set(before.split()), set(package.__all__) - set(after.split())) == (set(), set())
    assert {name for name in before.split() if name[0].isupper() or name == "lazy_names"} <= set(package.__all__)


def test_the_public_modules_are_attributes_of_the_package_in_a_new_process() -> None:
    modules = ("client", "config", "empresas", "errors", "events", "sat", "sello", "series")
    code = "import facturaonline_async as package"
    assert python(f"{code}; print({', '.join(f'package.{each}.__name__' for each in modules)})").split() == [
        f"facturaonline_async.{each}" for each in modules
    ]


def test_threads_can_import_all_modules_at_once() -> None:
    """No package imports a module of its own that modules outside of it import, too.

    If one thread imported the package and another one the module, each would wait for the other's lock.
    """
    imports: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and each.module]
        if path.name == "__init__.py":
            found = [each for each in found if each in tree.body]  # without those for type checkers
        imports[name] = {f"{each.module}.{alias.name}" for each in found for alias in each.names}
    packages = {".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("__init__.py")}
    eager = {name for name in packages if any(each.startswith(f"{name}.") for each in imports[name])}
    modules = {package: {name for name in imports if name.startswith(f"{package}.")} for package in eager}

    assert "facturaonline_async._messages" in eager
    assert (
        sorted(
            f"{name}: {each}"
            for package in eager
            for name in imports
            if name != package and not name.startswith(f"{package}.")
            for each in imports[name]
            if any(each == module or each.startswith(f"{module}.") for module in modules[package])
        )
        == []
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[mark for extra, mark in EXTRAS.items() if extra in name]) for name in MODULES]
)
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


@pytest.mark.parametrize("page", ["errors.md", "errors.es.md"])
def test_the_guide_shows_every_error(page: str) -> None:
    text = (GUIDES / page).read_text(encoding="utf-8")
    assert [name for name in errors.__all__ if f"`{name}`" not in text] == []


def test_the_package_has_a_py_typed_file() -> None:
    assert (PACKAGE / "py.typed").is_file()


def python(code: str) -> str:
    """Run code in a new process, and return what it prints."""
    env = {name: value for name, value in os.environ.items() if "COV" not in name}  # coverage loads more
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout


def loaded(code: str, modules: Iterable[str]) -> set[str]:
    """Run code in a new process, and return which of some modules it has imported."""
    return set(modules) & set(python(f"{code}\nimport sys; print(chr(10), *sys.modules)").splitlines()[-1].split())


HEAVY = ("aiohttp", "anyio", "attrs", "cattrs", "cryptography", "msgspec", "rich", "sqlite3", "stdnum", "typer")


def test_importing_the_package_imports_no_dependency() -> None:
    assert loaded("import facturaonline_async", HEAVY) == set()


def test_the_client_is_imported_without_the_command_the_emulator_and_cryptography() -> None:
    unwanted = ("typer", "rich", "facturaonline_async.testing", "facturaonline_async._cli", "cryptography", "sqlite3")
    assert loaded("from facturaonline_async import connect", ("aiohttp", *unwanted)) == {"aiohttp"}


#: What one service, a check or a rare text needs. `connect` must not take much longer to import than aiohttp does.
AT_FIRST_USE = (
    *("anyio", "cattrs", "html.entities", "pydoc", "stdnum", "facturaonline_async.sello"),
    *("facturaonline_async.empresas._models", "facturaonline_async.series._models"),
)


def test_connect_is_imported_without_what_is_imported_at_its_first_use() -> None:
    assert loaded("from facturaonline_async import connect", AT_FIRST_USE) == set()


@pytest.mark.parametrize(("service", "other"), [("series", "empresas"), ("empresas", "series")])
def test_a_service_is_imported_at_its_first_use_without_the_other_one(service: str, other: str) -> None:
    code = (
        "from facturaonline_async import Config, Credentials, FacturaOnline, SANDBOX, SessionManager; "
        f"FacturaOnline(SessionManager(Config(base_url=SANDBOX)), Credentials(api_key='k', secret_key='s')).{service}"
    )
    services = [f"facturaonline_async.{each}._service" for each in (service, other)]
    assert loaded(code, [*services, "stdnum", "facturaonline_async.sello._certificate"]) == {services[0]}


@pytest.mark.parametrize(("status", "body"), [(500, "<p>caf&eacute;</p>"), (422, '{"message": "caf&eacute;"}')])
def test_the_error_of_a_call_imports_nothing(status: int, body: str) -> None:
    """An import fails in a process that can open no file, and the outcome of the call would be lost."""
    code = f"""
import sys
from facturaonline_async import Config, Credentials, FacturaOnline, FacturaOnlineError, SANDBOX, SessionManager
keys = Credentials(api_key="k" * 80, secret_key="s" * 80)
session = SessionManager(Config(base_url=SANDBOX))
FacturaOnline(session, keys).series
sys.meta_path.clear()
from facturaonline_async._core.protocol.envelope import RawResponse, parse_envelope
from facturaonline_async.series._wire import CREATE
try:
    parse_envelope(RawResponse(CREATE, {status}, {body.encode()!r}, secrets=(keys.api_key, keys.secret_key)))
except FacturaOnlineError as error:
    print(type(error).__name__)
"""
    assert python(code).strip() == {500: "ServerError", 422: "ValidationError"}[status]


def test_every_text_of_the_library_is_there_before_anything_goes_wrong() -> None:
    """A process that has become another user may not read the package any more, as one without a descriptor."""
    code = """
import sys
from facturaonline_async import connect
from facturaonline_async._messages import english
sys.meta_path.clear()
from pathlib import Path
areas = {path.stem for path in Path(english.__file__).parent.glob("[a-z]*.py")} - {"cli", "doctor", "probe", "testing"}
print(sorted(areas - {code.partition(".")[0] for code in english.TEXTS}))
"""
    assert python(code).strip() == "[]"


def test_the_emulator_is_imported_without_cryptography() -> None:
    code = "from facturaonline_async.testing import Emulator"
    assert loaded(code, ("aiohttp", "cryptography")) == {"aiohttp"}


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
