"""Where a secret shows: in texts, tracebacks, frames, chains and pickles of an error."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

TESTS = str(Path(__file__).parent)


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
    for each in chain(error):
        yield "chain", repr(each)
        yield "chain", "".join(traceback.format_exception(each))
        yield from _frames(each.__traceback__)


def chain(error: BaseException) -> list[BaseException]:
    """Return the error and all causes and contexts behind it."""
    found: list[BaseException] = []
    wanted: list[BaseException | None] = [error]
    while wanted:
        each = wanted.pop()
        if each is not None and each not in found:
            found.append(each)
            wanted += (each.__cause__, each.__context__)
    return found


def is_callers(file: str) -> bool:
    """Whether code is the tests' own, which may hold what it likes."""
    return file.startswith(TESTS) or "/_pytest/" in file or "/pluggy/" in file


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Give the locals of the frames that the error went through, those of other libraries included."""
    while trace is not None:
        yield from local_variables(trace.tb_frame)
        trace = trace.tb_next


def local_variables(frame: FrameType) -> Iterator[tuple[str, str]]:
    """Give the locals of a frame, as they show themselves."""
    if is_callers(frame.f_code.co_filename):
        return
    for name, value in frame.f_locals.items():
        try:
            shown = repr(value)
        except Exception as problem:  # noqa: BLE001  # a repr that fails shows nothing
            shown = repr(problem)
        yield f"local {name} of {frame.f_code.co_qualname}", shown
