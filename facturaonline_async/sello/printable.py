"""Texts that a stranger wrote, made fit for terminals and logs."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return the text with U+FFFD for each character that cannot be seen, or changes how the others are.

    Line breaks and escapes (which forge lines of a log, or drive a terminal), marks of direction, surrogates.
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)
