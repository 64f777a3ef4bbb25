"""Ways of doing it that are wrong, so that it can be seen that the oracles see: they must make duplicates.

``python -m tests.provision.controls provision …`` is the command with its intent written down too late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from facturaonline_async import FacturaOnline, NuevaEmpresa, OutcomeUnknownError, bulk
from facturaonline_async._core.once.states import StepState
from facturaonline_async.errors import FacturaOnlineError
from facturaonline_async.provision import PlanSerie
from facturaonline_async.provision._engine.recorder import Recorder
from facturaonline_async.provision._steps import Step

__all__ = ["intent_after_send", "provision_naively"]

_ATTEMPTS = 3


@contextmanager
def intent_after_send() -> Iterator[None]:
    """Let nothing be written down of what is about to be sent: only of what was."""
    save = Recorder.save

    async def save_what_was(book: Recorder, *steps: Step) -> None:
        await save(book, *(step for step in steps if step.state is not StepState.INTENT))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "save", save_what_was)
        yield


async def provision_naively(
    client: FacturaOnline, plan: Iterable[tuple[NuevaEmpresa, Iterable[PlanSerie]]], *, concurrency: int = 32
) -> None:
    """Create what lists do not show, and try again what got no answer, as a naive client does."""
    there = {empresa.rfc: empresa for empresa in await client.empresas.list()}

    async def bring(row: tuple[NuevaEmpresa, Iterable[PlanSerie]]) -> None:
        nueva, series = row
        empresa = there.get(nueva.rfc)
        for _ in range(_ATTEMPTS):
            with suppress(OutcomeUnknownError):
                empresa = empresa or await client.empresas.create(nueva, validate=False)
                break
        if empresa is None:
            return
        own = client.for_empresa(await client.empresas.get(empresa.uid))
        known = {serie.key for serie in await own.series.list()}
        for serie in series:
            if serie.key not in known:
                for _ in range(_ATTEMPTS):
                    with suppress(OutcomeUnknownError):
                        await own.series.create(letra=serie.letra, tipo_documento=serie.tipo_documento)
                        break

    await bulk.run(plan, bring, concurrency=concurrency, catch=(FacturaOnlineError,))


if __name__ == "__main__":
    from facturaonline_async._cli import main

    with intent_after_send():
        main()
