"""Which of the library's functions a call or a plan row passes: ``python -m tests.trace_row [--stack]``.

Each work runs once untraced and once traced, in this process, against the emulator. Counted are frames of the package
in the work and in the tasks and threads that it starts, without those of ``testing``: distinct functions, their files,
and the deepest stack. The numbers in brackets count coroutines only: the path of the work, without the small functions
beside it. A stack ends where a task or a thread begins. ``--stack`` also prints both deepest stacks.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, TypeVar
from unittest.mock import patch

from attrs import Factory, define

import facturaonline_async
from facturaonline_async import FacturaOnline, connect
from facturaonline_async.provision import Plan, RowOutcome, Run, provision
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.testing import Emulator
from tests.plans import ROW, certify, written

__all__ = ["Trace", "trace"]

_PACKAGE: Final = str(Path(facturaonline_async.__file__).parent) + "/"
_process: Final = Run._process  # the work on one row


@define
class Trace:
    """Functions of the package that a work calls, and the deepest stacks of them.

    Attributes:
        functions: their code objects.
        deepest: the deepest stack, innermost function first.
        path: the coroutines of the stack with the most coroutines.

    """

    functions: set[CodeType] = Factory(set)
    deepest: Sequence[CodeType] = ()
    path: Sequence[CodeType] = ()

    def see(self, frame: FrameType | None) -> None:
        """Count the function that begins in this frame, and its stack."""
        stack = []
        while frame is not None and frame.f_code is not _traced.__code__:
            if frame.f_code.co_filename.startswith(_PACKAGE):
                stack.append(frame.f_code)
            frame = frame.f_back
        self.functions.add(stack[0])
        self.deepest = max(self.deepest, stack, key=len)
        self.path = max(self.path, [code for code in stack if _is_coroutine(code)], key=len)

    def __str__(self) -> str:
        coroutines = {code for code in self.functions if _is_coroutine(code)}
        files, coroutine_files = ({code.co_filename for code in each} for each in (self.functions, coroutines))
        return (
            f"{len(self.functions):3} ({len(coroutines):2}) functions {len(files):2} ({len(coroutine_files):2}) files "
            f"{len(self.deepest):2} ({len(self.path):2}) frames deep"
        )


T = TypeVar("T")
_trace: Final[ContextVar[Trace | None]] = ContextVar("trace", default=None)


def _is_coroutine(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _profile(frame: FrameType, event: str, _: object) -> None:
    if event == "call" and (trace := _trace.get()) is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        trace.see(frame)


async def _traced(work: Callable[..., Awaitable[T]], trace: Trace | None, *given: object) -> T:
    token = _trace.set(trace)
    try:
        return await work(*given)
    finally:
        _trace.reset(token)


async def trace(folder: Path) -> dict[str, Trace]:
    """Return the traces of two calls, and of a plan row with three series and a journal."""
    threading.setprofile(_profile)  # first: it concerns only threads that begin afterwards
    sys.setprofile(_profile)
    try:
        return await _traces(folder)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def _traces(folder: Path) -> dict[str, Trace]:
    certify(folder, [ROW["rfc"]])
    files = {"cer": f"c/{ROW['rfc']}.cer", "key": f"c/{ROW['rfc']}.key"}
    plan = Plan.from_csv(written(folder, [{**ROW, **files, "series": "F:factura:1;P:pago;N:nota_credito"}]))
    empresa = await plan.rows[0].load()
    traces: dict[str, Trace] = {}

    async def ensure_serie(client: FacturaOnline, trace: Trace | None) -> None:
        await _traced(lambda: client.series.ensure(letra="F", tipo_documento="factura"), trace)

    async def create_empresa(client: FacturaOnline, trace: Trace | None) -> None:
        await _traced(client.empresas.create, trace, empresa)

    async def run_row(client: FacturaOnline, trace: Trace | None) -> None:
        async def process(run: Run, progress: RowProgress) -> RowOutcome | None:
            return await _traced(_process, trace, run, progress)

        with patch.object(Run, "_process", process):
            journal = folder / f"{trace is not None}.sqlite"
            async with provision(client, plan, journal=journal, audit=False) as run:
                async for _ in run:
                    pass
        if not run.report.is_complete:
            raise RuntimeError(f"the row failed: {run.report}")

    for work in (ensure_serie, create_empresa, run_row):
        for trace in (None, traces.setdefault(work.__name__, Trace())):  # the first run imports the late modules
            async with Emulator() as emulator, connect(emulator.credentials, base_url=emulator.base_url) as client:
                await client.series.list()
                await work(client, trace)
    return traces


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(trace(Path(name)))
    for work, each in found.items():
        sys.stdout.write(f"{work:15} {each}\n")
        for stack in (each.deepest, each.path) if "--stack" in sys.argv else ():
            for code in reversed(stack):
                sys.stdout.write(
                    f"    {code.co_filename.removeprefix(_PACKAGE)}:{code.co_firstlineno} {code.co_qualname}\n"
                )
            sys.stdout.write("\n")
