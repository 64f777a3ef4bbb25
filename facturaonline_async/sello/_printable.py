"""Texts that a stranger wrote, made fit for terminals and logs."""

from __future__ import annotations

import os

__all__ = ["printable", "printable_path"]


def printable(text: str) -> str:
    """Return the text with U+FFFD for each character that cannot be seen, or changes how the others are.

    Line breaks and escapes (which forge lines of a log, or drive a terminal), marks of direction, surrogates.
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def printable_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return a file's name likewise, with U+FFFD for bytes that are no UTF-8: on Linux a name may hold any."""
    try:
        return printable(os.fsencode(path).decode("utf-8", "replace"))
    except UnicodeEncodeError:  # no file has such a name
        return printable(str(path))
