"""Progress of a run: what its figures are now, for any number of followers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Literal

from attrs import evolve, frozen

from facturaonline_async._validators import check_seconds
from facturaonline_async.provision._journal.progress import Reason, Throughput, alike
from facturaonline_async.provision._journal.reader import safe
from facturaonline_async.provision._report import RowOutcome, RunReport
from facturaonline_async.provision._steps import State

__all__ = ["Phase", "Progress", "ProgressSnapshot"]

Phase = Literal["running", "auditing", "stopping", "ended"]

_WINDOW: Final = 60.0
"""Length of the time whose throughput is shown, in seconds."""

_SAMPLE: Final = 1.0
"""Minimum distance of two samples of the throughput, in seconds."""

_GROUPS: Final = 100
"""Maximum number of groups of reasons that are remembered."""

_SHOWN: Final = 5
"""Maximum number of groups of reasons in a snapshot."""


@frozen(kw_only=True)
class ProgressSnapshot:
    """Figures of a run at one moment.

    A resumed run also counts what earlier runs finished.

    Attributes:
        phase: "running"; "auditing": all rows are finished, and the audit is waited for; "stopping": nothing more is
            sent; "ended": this is the last snapshot.
        planned_empresas: number of companies in the plan.
        planned_series: number of series in the plan.
        empresas: number of companies per `State`, with an entry for every state.
        series: number of series per `State`, likewise.
        seconds: duration of the run so far, in seconds.
        rate: companies and series finished per second in the last minute, or since the begin of the run; None before
            the first.
        eta: estimated seconds until the last row is finished; 0 if it is, None if nothing is known of it or the run
            has ended early. The audit is not included.
        audit_wait: seconds until the audit can end; 0 if there is nothing to audit, or the run has ended.
        reasons: why companies and series do not exist, or were not read back, in groups that differ in RFCs and numbers
            only; the last 5 groups, latest first.
        is_complete: whether everything in the plan exists, exactly once if it was audited; see
            `RunReport.is_complete`.

    """

    phase: Phase
    planned_empresas: int
    planned_series: int
    empresas: Mapping[State, int]
    series: Mapping[State, int]
    seconds: float
    rate: Throughput | None
    eta: float | None
    audit_wait: float
    reasons: tuple[Reason, ...]
    is_complete: bool

    @property
    def is_last(self) -> bool:
        """Whether the run has ended, so that no other snapshot follows."""
        return self.phase == "ended"

    @property
    def existing_empresas(self) -> int:
        """Number of companies that certainly exist."""
        return _existing(self.empresas)

    @property
    def existing_series(self) -> int:
        """Number of series that certainly exist."""
        return _existing(self.series)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, with the names of ``status --json``.

        Durations are in seconds, rates per second. There is no key, password or certificate in it.
        """
        return {
            "phase": self.phase,
            "complete": self.is_complete,
            "seconds": round(self.seconds, 3),
            "empresas": _numbers(self.planned_empresas, self.empresas),
            "series": _numbers(self.planned_series, self.series),
            "rate": None if self.rate is None else self.rate.to_dict(),
            "eta": None if self.eta is None else round(self.eta, 3),
            "audit_wait": round(self.audit_wait, 3),
            "reasons": [reason.to_dict() for reason in self.reasons],
        }


class Progress:
    """Progress of a run, for any number of followers; `Run.progress` is one.

    ::

        async for snapshot in run.progress.follow(every=0.5):
            await send(snapshot.to_dict())

    A follower gets the figures of now at once, also if it comes late, and then newer ones whenever they change. A slow
    follower misses those between, and never the last. The run waits for no follower. It advances only while a task
    iterates over it, so that followers are tasks of their own, in the same event loop.

    Args:
        report: totals of the run, to which each row is added.
        clock: returns the time of the event loop, in seconds.
        audit_wait: returns the seconds until the audit can end.

    """

    def __init__(self, report: RunReport, clock: Callable[[], float], audit_wait: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock
        self._audit_wait = audit_wait
        self._began = clock()
        self._phase: Phase = "running"
        self._version = 0
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._last: ProgressSnapshot | None = None
        self._groups: dict[tuple[str, bool, str], Reason] = {}
        # The first sample holds what earlier runs finished: it is no work of this run.
        self._samples = deque([(self._began, *self._finished())])

    @property
    def snapshot(self) -> ProgressSnapshot:
        """The figures of this moment; after the end of the run, its last ones."""
        return self._last or self._read()

    def _read(self) -> ProgressSnapshot:
        report, now = self._report, self._clock()
        rate = self._rate(now)
        return ProgressSnapshot(
            phase=self._phase,
            planned_empresas=report.planned_empresas,
            planned_series=report.planned_series,
            empresas=dict(report.empresas),
            series=dict(report.series),
            seconds=report.seconds if self._phase == "ended" else now - self._began,
            rate=rate,
            eta=self._eta(rate),
            audit_wait=0.0 if self._phase in {"stopping", "ended"} else self._audit_wait(),
            reasons=tuple(reversed(self._groups.values()))[:_SHOWN],
            is_complete=report.is_complete,
        )

    async def follow(self, *, every: float = 0.0) -> AsyncIterator[ProgressSnapshot]:
        """Yield the figures of now, and newer ones until the run has ended.

        The last snapshot comes at once when the run ends, and is the only one if it has ended already. Cancelling a
        follower does not affect the run or other followers.

        Args:
            every: minimum time between two snapshots, in seconds, except for the last one. Default: 0, as often as the
                follower asks.

        Raises:
            InvalidInputError: `every` is negative or not a number.

        """
        check_seconds("every", every)
        while True:
            version, snapshot = self._version, self.snapshot
            yield snapshot
            if snapshot.is_last:
                return
            if every:
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await self._ended.wait()
            while version == self._version:
                await self._changed.wait()

    def __aiter__(self) -> AsyncIterator[ProgressSnapshot]:
        return self.follow()

    # ── Called by the run ─────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, outcome: RowOutcome) -> None:
        """Add the result of a row to the report, and let followers know.

        Args:
            outcome: the row's result.

        """
        self._report.add(outcome)
        if not outcome.ok:
            self._add_reasons(outcome)
        if (now := self._clock()) - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, *self._finished()))
            while self._samples[1][0] <= now - _WINDOW:
                self._samples.popleft()
        self._notify()

    def enter(self, phase: Phase) -> None:
        """Let a phase begin, unless a later one has begun.

        Args:
            phase: the phase.

        """
        if self._phase == "ended" or (self._phase == "stopping" and phase != "ended"):
            return
        self._phase = phase
        if phase == "ended":
            self._last = self._read()
            self._ended.set()
        self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed.clear()

    def _add_reasons(self, outcome: RowOutcome) -> None:
        for found in _reasons(outcome):
            if (before := self._groups.pop(found.group, None)) is not None:
                found = evolve(before, count=before.count + 1)  # noqa: PLW2901
            self._groups[found.group] = found
        while len(self._groups) > _GROUPS:
            del self._groups[next(iter(self._groups))]

    def _finished(self) -> tuple[int, int]:
        """Return the number of companies and of series that have a result."""
        return sum(self._report.empresas.values()), sum(self._report.series.values())

    def _rate(self, now: float) -> Throughput | None:
        began, empresas, series = self._samples[0]
        seconds = now - began
        done = [found - before for found, before in zip(self._finished(), (empresas, series), strict=True)]
        if seconds <= 0 or not any(done):
            return None
        return Throughput(seconds=seconds, empresas=done[0] / seconds, series=done[1] / seconds)

    def _eta(self, rate: Throughput | None) -> float | None:
        left = self._report.planned_empresas + self._report.planned_series - sum(self._finished())
        if self._phase in {"stopping", "ended"}:
            return None if left else 0.0
        if not left:
            return 0.0
        return None if rate is None else left / (rate.empresas + rate.series)


def _existing(found: Mapping[State, int]) -> int:
    return sum(number for state, number in found.items() if state.is_there)


def _numbers(planned: int, found: Mapping[State, int]) -> dict[str, int]:
    return {"planned": planned, "there": _existing(found)} | {state.value: found[state] for state in State}


def _reasons(outcome: RowOutcome) -> Iterator[Reason]:
    """Yield the reasons of a row, each as a group of one.

    The series of a company that does not exist have no reason of their own.
    """
    parts: list[tuple[State, str, str, str]] = [(outcome.state, outcome.reason, "", "")]
    if outcome.state.is_there:
        parts += [(serie.state, serie.reason, serie.letra, serie.tipo_documento) for serie in outcome.series]
    for state, reason, letra, tipo_documento in parts:
        if reason:
            text = safe(reason)
            yield Reason(
                state=state.value,
                is_empresa=not letra,
                count=1,
                number=outcome.number,
                rfc=outcome.rfc,
                letra=letra,
                tipo_documento=tipo_documento,
                text=text,
                group=(state.value, not letra, alike(text, outcome.rfc)),
            )
