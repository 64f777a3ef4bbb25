"""Errors and warnings that faulty input provokes in `cryptography`."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["is_input_error", "suppress_warnings"]

# Warning filters are global: two threads that changed them at once would leave them changed.
_filters_lock = threading.Lock()


def _replace_lock() -> None:
    """Replace the lock in a forked child, which may lack the thread that holds it."""
    global _filters_lock  # noqa: PLW0603  # one lock for each process
    _filters_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Suppress the warnings of `cryptography` about a key's kind, size or form.

    Under ``-W error`` a warning would be raised and mistaken for a wrong password. Otherwise it would reach stderr.
    """
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_input_error(error: BaseException) -> bool:
    """Return whether the input caused an error of `cryptography`, not the process.

    A panic of its Rust code arrives as a `BaseException`; the input provoked it. Every other `BaseException` (Ctrl-C, a
    cancellation, the interpreter's exit) and `MemoryError` belong to the process.

    Args:
        error: exception that a call of `cryptography` raised.

    """
    if isinstance(error, Exception):
        return not isinstance(error, MemoryError)
    return type(error).__module__ == "pyo3_runtime"
