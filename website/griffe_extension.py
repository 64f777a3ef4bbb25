"""Extension of Griffe, which reads the docstrings for the site. MkDocs loads this file by its path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from griffe import Extension

sys.path.insert(0, str(Path(__file__).parents[1]))

from website.docstrings import link_names, to_markdown
from website.parts import places

__all__ = ["Markdown"]


class Markdown(Extension):
    """Docstrings in Markdown."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Change the docstring of an object.

        Args:
            obj: module, class, function or attribute of the package.

        """
        if obj.docstring is not None:
            known = {name: place for name, place in places().items() if name != obj.name}
            obj.docstring.value = link_names(to_markdown(obj.docstring.value), known)
