"""What a stranger's bytes make `cryptography` raise."""

from __future__ import annotations

__all__ = ["is_about_the_bytes"]


def is_about_the_bytes(error: BaseException) -> bool:
    """Whether an error that a call of `cryptography` ended with says something about the bytes that it was given.

    Where its Rust code panics, that arrives as an error that is no `Exception`; it is one of its bugs, and the bytes
    brought it out. Whatever else is no `Exception` (Ctrl-C, a cancellation, the interpreter's end) is about this
    process, as is a lack of memory.
    """
    if isinstance(error, Exception):
        return not isinstance(error, MemoryError)
    return type(error).__module__ == "pyo3_runtime"
