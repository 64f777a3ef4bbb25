"""Docstrings name every public field and parameter, and open with a short line."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import facturaonline_async
from facturaonline_async import FacturaOnlineError

PACKAGE = Path(facturaonline_async.__file__).parent
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Note")

#: Modules that users import. A name with an underscore is private; the command line is no library.
PUBLIC = sorted(
    {"facturaonline_async"}
    | {
        module.name
        for module in pkgutil.walk_packages([str(PACKAGE)], "facturaonline_async.")
        if not any(part.startswith("_") for part in module.name.split("."))
    }
)


def section(docstring: str, title: str) -> set[str]:
    """Return the names that a section of a docstring explains."""
    names: set[str] = set()
    is_inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            is_inside = line == f"{title}:"
        elif is_inside and (match := re.match(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): \S", line)):
            names.update(name.strip("*") for name in match[1].split(", "))
    return names


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters that a caller passes."""
    return [name for name in inspect.signature(function).parameters if name not in {"self", "cls"} and name[0] != "_"]


def methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return the public methods that a class defines itself."""
    for name, value in vars(kind).items():
        function = inspect.unwrap(value.__func__ if isinstance(value, (classmethod, staticmethod)) else value)
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


def constructor(kind: type) -> Callable[..., Any] | None:
    """Return the ``__init__`` of a class, if callers use it and it is written in this package."""
    function = inspect.getattr_static(kind, "__init__")
    if not inspect.isfunction(function) or issubclass(kind, enum.Enum) or getattr(kind, "_is_protocol", False):
        return None
    return function if function.__module__ != "logging" else None


def missing_in_class(kind: type) -> Iterator[str]:
    """Return the fields, constructor parameters and method parameters that no docstring of a class names."""
    docstring = kind.__doc__ or ""
    if attrs.has(kind):
        fields = {each.name for each in attrs.fields(kind) if not each.name.startswith("_")}
        yield from (f"{kind.__name__}.{name}" for name in sorted(fields - section(docstring, "Attributes")))
    elif init := constructor(kind):
        documented = [each.__doc__ or "" for each in kind.__mro__]  # a base class may document an argument
        named = {name for text in documented for name in section(text, "Args") | section(text, "Attributes")}
        yield from (f"{kind.__name__}({name})" for name in parameters(init) if name not in named)
    for name, function in methods(kind):
        named = section(function.__doc__ or "", "Args")
        yield from (f"{kind.__name__}.{name}({each})" for each in parameters(function) if each not in named)


def missing_in(module: ModuleType) -> Iterator[str]:
    """Return the names that no docstring of the module's public classes and functions explains."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            yield from missing_in_class(value)
        elif inspect.isfunction(function := inspect.unwrap(value) if callable(value) else value):
            named = section(function.__doc__ or "", "Args")
            yield from (f"{name}({each})" for each in parameters(function) if each not in named)


def test_the_public_modules_are_those_of_the_contract() -> None:
    names = (
        "bulk",
        "client",
        "config",
        "empresas",
        "errors",
        "events",
        "fastapi",
        "opentelemetry",
        "postgres",
        "procrastinate",
        "provision",
        "sat",
        "sello",
        "series",
        "sharing",
        "testing",
    )
    assert [name.removeprefix("facturaonline_async").lstrip(".") for name in PUBLIC] == ["", *names]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_docstring_names_every_field_and_parameter(name: str) -> None:
    extras = {
        "postgres": "psycopg",
        "procrastinate": "procrastinate",
        "fastapi": "fastapi",
        "opentelemetry": "opentelemetry",
    }
    for extra, module in extras.items():
        if name.endswith(f".{extra}"):
            pytest.importorskip(module, reason=f"the extra {extra} is not installed")
    assert sorted(missing_in(importlib.import_module(name))) == []


def test_the_first_line_of_a_docstring_has_at_most_80_characters() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first_lines = {
        (path.relative_to(PACKAGE).as_posix(), docstring.splitlines()[0])
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node))
    }
    assert len(first_lines) > 1000
    assert sorted(each for each in first_lines if len(each[1]) > 80) == []


def test_an_undocumented_field_or_parameter_is_found() -> None:
    @attrs.frozen
    class Value:
        """A value.

        Attributes:
            one, two: numbers.

        """

        one: int
        two: int
        three: int
        _hidden: int = 0

        def add(self, other: int) -> None:
            """Add another number."""

    class Service:
        """A service.

        Args:
            url: its address.

        Attributes:
            name: its name, which is an argument, too.

        """

        def __init__(self, url: str, name: str, port: int) -> None: ...

    assert list(missing_in_class(Value)) == ["Value.three", "Value.add(other)"]
    assert list(missing_in_class(Service)) == ["Service(port)"]
    assert list(missing_in_class(FacturaOnlineError)) == []
