"""Where a secret shows: in texts, tracebacks, frames, chains and pickles of an error."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import facturaonline_async

PACKAGE = str(Path(facturaonline_async.__file__).parent)


def leaks(error: BaseException, secrets: Iterable[str]) -> list[str]:
    """Name every place of the error that shows one of the secrets."""
    secrets = list(secrets)
    return [
        f"{place}: {text[:200]}"
        for place, text in _texts(error)
        if any(secret in text or secret in _without_nuls(text) for secret in secrets)
    ]


def _without_nuls(text: str) -> str:
    """Return the text as people read it where another encoding was taken for UTF-8."""
    return text.replace("\0", "").replace("\\x00", "").replace("\\u0000", "")


def _texts(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "str", str(error)
    yield "repr", repr(error)
    yield "format", f"{error}"
    yield "attributes", repr(vars(error))
    yield "notes", repr(getattr(error, "__notes__", ()))
    yield "traceback", "".join(traceback.format_exception(error))
    yield "pickle", pickle.dumps(error).decode("latin-1")
    for name, other in (("cause", error.__cause__), ("context", error.__context__)):
        if other is not None:
            yield name, repr(other)
            yield name, "".join(traceback.format_exception(other))
            yield from _frames(other.__traceback__)
    yield from _frames(error.__traceback__)


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Give the locals of our own frames: those of the caller and of other libraries are not ours to hide."""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename.startswith(PACKAGE):
            for name, value in frame.f_locals.items():
                try:
                    shown = repr(value)
                except Exception as problem:  # noqa: BLE001  # a repr that fails shows nothing
                    shown = repr(problem)
                yield f"local {name} of {frame.f_code.co_qualname}", shown
        trace = trace.tb_next
