"""Public names of a package that are imported when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType

__all__ = ["lazy_names"]


def lazy_names(
    package: str, modules: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    A package that imports nothing of its own can be imported in several threads at once. Otherwise one thread may
    import the package while another one imports a module of it, and Python raises ``_DeadlockError`` in one of them.

    A type checker must not see them: it would accept every name. The package imports the same names below
    ``if TYPE_CHECKING:``, and assigns the two functions below ``else:``.

    Args:
        package: name of the package.
        modules: names, by the module of the package that has them; a dot before it stands for the package around this
            one. Each public module is a name of the package, too.

    """
    sources = {name: module for module, names in modules.items() for name in names}
    public = {module.partition(".")[0] for module in modules if not module.startswith(("_", "."))}

    def __getattr__(name: str) -> object:  # noqa: N807  # the function of a module
        """Import a name, and keep it in the package."""
        if name in sources:
            value = getattr(import_module(f".{sources[name]}", package), name)
            setattr(sys.modules[package], name, value)
            return value
        if name in public:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:  # noqa: N807  # the function of a module
        """Return the names of the package, also those that are not imported yet."""
        found = vars(sys.modules[package]).items()
        others = {name for name, value in found if name.startswith("_") or isinstance(value, ModuleType)}
        return sorted(others | sources.keys() | public)

    return __getattr__, __dir__
