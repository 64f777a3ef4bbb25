"""What a stranger's bytes make `cryptography` raise, and say."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["is_input_error", "suppress_warnings"]

# Filters of warnings are the process's: two threads that changed them at once would leave them changed.
_filters_lock = threading.Lock()


def _replace_lock() -> None:
    """Make the lock anew in a child process, where a thread that holds it may not exist any more."""
    global _filters_lock  # noqa: PLW0603  # it is the process's
    _filters_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Keep `cryptography` from warning of what a key's file holds: its kind of key, its size, its form.

    Under ``-W error`` a warning would be raised, and taken for a wrong password; else it would reach stderr.
    """
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_input_error(error: BaseException) -> bool:
    """Whether an error that a call of `cryptography` ended with says something about the bytes that it was given.

    Where its Rust code panics, that arrives as an error that is no `Exception`; it is one of its bugs, and the bytes
    brought it out. Whatever else is no `Exception` (Ctrl-C, a cancellation, the interpreter's end) is about this
    process, as is a lack of memory.
    """
    if isinstance(error, Exception):
        return not isinstance(error, MemoryError)
    return type(error).__module__ == "pyo3_runtime"
