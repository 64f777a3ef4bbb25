"""The public names: of the package with their parameters and attributes, and of the command with its options.

``python -m tests.public_api`` writes them to public_api.txt, where a review sees what a change does to them.
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from website.parts import MODULES, commands

RECORDED = Path(__file__).with_suffix(".txt")

#: Modules that are public, and whose names a module of the reference has, too.
ALSO_PUBLIC = (
    "facturaonline_async.client",
    "facturaonline_async.config",
    "facturaonline_async.empresas",
    "facturaonline_async.errors",
    "facturaonline_async.series",
)


def lines() -> list[str]:
    """Return a line for each public name, sorted."""
    return sorted({*_of_package(), *_of_command()})


def _of_package() -> Iterator[str]:
    seen: dict[int, str] = {}
    for module in (*MODULES, *ALSO_PUBLIC):
        imported = importlib.import_module(module)
        for name in imported.__all__:
            value = getattr(imported, name)
            path = f"{module}.{name}"
            is_shared = inspect.isroutine(value) or inspect.isclass(value)  # small values may be one object by chance
            if is_shared and seen.setdefault(id(value), path) != path:
                yield f"{path} is {seen[id(value)]}"
            elif inspect.isclass(value):
                yield from _of_class(path, value)
            else:
                yield path + (_parameters(value) if inspect.isfunction(value) else "")


def _of_class(path: str, cls: type) -> Iterator[str]:
    """Give the class with the parameters of its constructor, and its attributes."""
    own = [base for base in cls.__mro__ if base.__module__.startswith("facturaonline_async")]
    inits = [vars(base)["__init__"] for base in own if "__init__" in vars(base) and not _is_protocol(base)]
    yield path + (_parameters(inits[0], is_bound=True) if inits else "")
    attributes: dict[str, Any] = {}
    for base in reversed(own):
        attributes |= dict.fromkeys(inspect.get_annotations(base)) | vars(base)
    for name, value in attributes.items():
        if name.startswith("_"):
            continue
        function = getattr(value, "__func__", value)
        is_function = inspect.isfunction(function) and not issubclass(cls, enum.Enum)
        yield f"{path}.{name}" + (_parameters(function, is_bound=function is value) if is_function else "")


def _is_protocol(cls: type) -> bool:
    return bool(getattr(cls, "_is_protocol", False))


def _parameters(function: Any, *, is_bound: bool = False) -> str:
    """Return the parameters, in the order and with the marks of Python, and "=…" for a default."""
    shown: list[str] = []
    for each in list(inspect.signature(function).parameters.values())[is_bound:]:
        if each.kind is each.KEYWORD_ONLY and not any(name.startswith("*") for name in shown):
            shown.append("*")
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        shown.append(f"{stars}{each.name}{'' if each.default is each.empty else '=…'}")
        if each.kind is each.POSITIONAL_ONLY:
            shown = [*(name for name in shown if name != "/"), "/"]
    return f"({', '.join(shown)})"


def _of_command() -> Iterator[str]:
    for path, command in commands():
        yield f"$ facturaonline {path}"
        for parameter in command.params:
            for spelling in (*parameter.opts, *parameter.secondary_opts):
                yield f"$ facturaonline {path} {spelling}"


if __name__ == "__main__":
    RECORDED.write_text("\n".join(lines()) + "\n", "utf-8")
