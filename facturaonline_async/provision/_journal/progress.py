"""Progress of a run, read from its journal, also during the run."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import asdict, evolve, field, frozen

from facturaonline_async._core.once.states import Origin, StepState
from facturaonline_async._messages import message
from facturaonline_async._text import printable
from facturaonline_async.provision._journal.errors import JournalError
from facturaonline_async.provision._journal.filelock import is_locked
from facturaonline_async.provision._journal.reader import (
    RunInfo,
    is_without_wal,
    open_to_read,
    read_host,
    read_runs,
    safe,
)
from facturaonline_async.provision._journal.schema import reason_of
from facturaonline_async.provision._steps import State, split_key

__all__ = [
    "SHOWN_STATE",
    "STATES",
    "THERE",
    "JournalReader",
    "Reason",
    "Status",
    "Throughput",
    "alike",
    "complete_status",
    "open_snapshot",
    "read_progress",
    "read_status",
]

#: States of a company or serie, in the order in which they are displayed.
STATES: Final = tuple(
    str(state)
    for state in (
        *Origin,
        State.NOT_TRIED,
        StepState.INTENT,
        State.UNKNOWN,
        State.FAILED,
        State.CONFLICT,
        State.UNRESOLVED,
    )
)
#: The states of what exists.
THERE: Final = frozenset(map(str, Origin))

_MINUTE: Final = 60.0
#: `Step.shown_state` in SQL.
SHOWN_STATE: Final = (
    f"CASE state WHEN '{StepState.DONE}' THEN coalesce(origin, '{Origin.CREATED}') "
    f"WHEN '{StepState.PLANNED}' THEN '{State.NOT_TRIED}' ELSE state END"
)
#: By state: steps, companies, rows, the last change, and when the first and the last step are due.
_COUNTS: Final = f"""
SELECT {SHOWN_STATE}, count(*), sum(kind = 'empresas'), count(DISTINCT number), max(changed), min(due), max(due)
FROM steps GROUP BY 1
"""  # noqa: S608
_VARYING: Final = re.compile(r"\b(?:[0-9a-f]{10,}|[0-9]{4,})\b")


class JournalReader(Protocol):
    """Reads a journal that is not a file, also during a run."""

    @property
    def name(self) -> str:
        """Name of the journal, for texts."""
        ...

    def open_snapshot(self) -> AbstractContextManager[tuple[Status, sqlite3.Connection]]:
        """Read the progress, and keep a snapshot with the tables of a journal file.

        Raises:
            JournalError: There is no such journal, or it cannot be read.

        """
        ...


@frozen(kw_only=True)
class Throughput:
    """Rate at which companies and series are finished.

    Attributes:
        seconds: length of the measured time, in seconds.
        empresas: companies per second.
        series: series per second.

    """

    seconds: float
    empresas: float
    series: float

    def to_dict(self) -> dict[str, float]:
        """Return the rate for JSON, with three decimals."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@frozen(kw_only=True)
class Reason:
    """Group of companies, or of series, that have the same state for the same reason.

    Attributes:
        state: value of a `State`, or "intent" while a request is open.
        is_empresa: True if the group holds companies, False if it holds series.
        count: size of the group.
        number: row number of the first one in the plan.
        rfc: RFC of the first one.
        letra: letter of the first one; ``""`` for a company.
        tipo_documento: kind of document of the first one; ``""`` for a company.
        text: reason of the first one; the others differ in RFCs and numbers only.
        group: key of the group: state, kind, and the reason without what differs.

    """

    state: str
    is_empresa: bool
    count: int
    number: int
    rfc: str
    letra: str
    tipo_documento: str
    text: str
    group: tuple[str, bool, str] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the group for JSON, with the first one as an example."""
        return {
            "state": self.state,
            "what": "empresa" if self.is_empresa else "serie",
            "count": self.count,
            "reason": self.text,
            "example": {
                "row": self.number,
                "rfc": self.rfc,
                "letra": self.letra,
                "tipo_documento": self.tipo_documento,
            },
        }


@frozen(kw_only=True)
class Status:
    """Totals of a journal at one moment.

    Attributes:
        name: name of the journal, for texts: the path of its file, or a run in a database.
        path: the journal's file; None: it is in a database.
        host: base URL of the API.
        began: moment when the journal was created.
        last: moment of the last change of a company or serie, or None.
        now: moment when the journal was read.
        runs: the runs that used the journal, oldest first.
        is_running: whether a run is using it now.
        is_without_wal: whether the -wal of the last run is missing, as in a copy of the one file. The totals are those
            of an earlier moment then.
        empresas: number of companies per state of `STATES`, with an entry for every state.
        series: number of series per state of `STATES`, likewise.
        rows: number of rows with a company or serie in each state of `STATES`.
        unseen: number of rows with something that exists but was not read back; the next run reads it.
        unaudited: number of rows with something that was created and waits for its final audit.
        waiting: number of series that were not tried, because a person must first resolve their company.
        due: seconds until lists are reliable for the first and for the last unknown create; None if there is none.
        minute: throughput of the last minute, or of the whole run if it is shorter; None unless a run is in progress.
        overall: throughput of all runs together, or None.
        eta: estimated seconds left; None unless a run is in progress and finished something in the last minute.
        reasons: reasons of what does not exist or was not read back, most frequent first.

    """

    name: str
    path: Path | None
    host: str
    began: float
    last: float | None
    now: float
    runs: tuple[RunInfo, ...]
    is_running: bool
    is_without_wal: bool
    empresas: Mapping[str, int]
    series: Mapping[str, int]
    rows: Mapping[str, int]
    unseen: int
    unaudited: int
    waiting: int
    due: tuple[float, float] | None
    minute: Throughput | None = None
    overall: Throughput | None = None
    eta: float | None = None
    reasons: tuple[Reason, ...] = field(default=(), repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether everything in the plan exists, was read back and was audited."""
        return not (self.unseen or self.unaudited) and all(
            state in THERE or not number for of in (self.empresas, self.series) for state, number in of.items()
        )

    @property
    def left(self) -> int:
        """Number of companies and series that the run has still to finish.

        It does not retry failed ones.
        """
        open_states = ("not_tried", "intent", "unknown")
        return sum(of[state] for of in (self.empresas, self.series) for state in open_states) - self.waiting

    @property
    def is_broken_off(self) -> bool:
        """Whether the last run ended without closing the journal, as after a crash."""
        return not self.is_running and bool(self.runs) and self.runs[-1].ended is None

    @property
    def ended(self) -> float | None:
        """Moment when the last run ended; None during a run, or before the first."""
        if self.is_running or not self.runs:
            return None
        last = self.runs[-1]
        return last.ended if last.ended is not None else max(last.began, self.last or 0)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Begin and end of each run.

        An end is never before its begin, even if the clock was set back.
        """
        end = self.ended or self.now
        return [(each.began, max(each.began, each.ended or end)) for each in self.runs]

    @property
    def worked(self) -> float:
        """Total duration of all runs, in seconds."""
        return sum(end - began for began, end in self.spans)


def read_progress(journal: str | os.PathLike[str] | JournalReader) -> Status:
    """Return the progress of a run.

    Neither a run in progress nor one that starts is disturbed.

    Args:
        journal: the journal's file, or what reads a journal in a database.

    Raises:
        JournalError: the journal does not exist, is not one, has another version, is damaged, or cannot be read.

    """
    with open_snapshot(journal) as (status, _):
        return status


@contextmanager
def open_snapshot(
    journal: str | os.PathLike[str] | JournalReader,
) -> Iterator[tuple[Status, sqlite3.Connection]]:
    """Read the progress, and keep the journal open for further reads.

    All reads show the same moment. See `open_to_read`.
    """
    if not isinstance(journal, (str, os.PathLike)):
        with journal.open_snapshot() as found:
            yield found
        return
    path, seen = journal, None
    while True:
        with open_to_read(path) as connection:
            status = read_status(connection, os.fspath(path), Path(path))
            last = status.runs[-1] if status.runs else None
            is_over = last is None or last.ended is not None or last == seen
            if is_over or _is_locked(path):
                lacks = last is not None and last.ended is None and is_without_wal(path)
                status = evolve(status, is_without_wal=lacks)
                yield complete_status(status, connection, is_running=not is_over), connection
                return
        # The lock is free, so that its last holder has ended. If its end is still not recorded, it was killed.
        seen = last


def _is_locked(path: str | os.PathLike[str]) -> bool:
    try:
        return is_locked(Path(f"{Path(path).resolve()}.lock"))
    except OSError as error:
        raise JournalError(
            message("journal.lock_cannot_be_read", path=f"{os.fspath(path)}.lock", reason=reason_of(error))
        ) from None


def complete_status(status: Status, connection: sqlite3.Connection, *, is_running: bool) -> Status:
    """Add to a status whether a run is at work, its throughput, and the time left."""
    status = evolve(status, is_running=is_running)
    done = {True: _there(status.empresas), False: _there(status.series)}
    status = evolve(status, overall=_rate(done, status.worked) if status.worked else None)
    if not status.is_running or status.is_without_wal:
        return status
    began = status.runs[-1].began
    seconds = min(_MINUTE, max(status.now - began, 1.0))
    done, sent = _done(connection, since=max(began, status.now - _MINUTE))
    # Adopting is quick: once something was created, only creates count for the estimate.
    per_second = (sent or sum(done.values())) / seconds
    rest = status.left / per_second if per_second else 0.0
    eta = max(rest, status.due[1] if status.due else 0.0) if rest else None
    return evolve(status, minute=_rate(done, seconds), eta=eta)


def read_status(connection: sqlite3.Connection, name: str, path: Path | None) -> Status:
    """Return the totals of an open journal, without what `complete_status` adds.

    Args:
        connection: open for reading.
        name: name of the journal, for texts.
        path: the journal's file, or None.

    """
    now = time.time()
    host, began = read_host(connection)
    empresas, series = (Counter(dict.fromkeys(STATES, 0)) for _ in range(2))
    rows, last, due = Counter[str](), None, None
    for state, number, companies, affected, changed, first_due, last_due in connection.execute(_COUNTS):
        empresas[state], series[state], rows[state] = companies, number - companies, affected
        last = max(last or 0.0, changed or 0.0) or None
        if state == State.UNKNOWN:
            due = max(0.0, first_due - now), max(0.0, last_due - now)
    return Status(
        name=name,
        path=path,
        host=host,
        began=began,
        last=last,
        now=now,
        runs=tuple(read_runs(connection)),
        is_running=False,
        is_without_wal=False,
        empresas=empresas,
        series=series,
        rows=rows,
        unseen=_count_done_rows(connection, "reason <> ''"),
        unaudited=_count_done_rows(connection, "due > 0 AND sends > 0 AND uid IS NOT NULL"),
        waiting=_waiting(connection),
        due=due,
        reasons=_reasons(connection),
    )


def _count_done_rows(connection: sqlite3.Connection, condition: str) -> int:
    """Count the rows with a DONE step for which `condition` holds."""
    statement = f"SELECT count(DISTINCT number) FROM steps WHERE state = 'done' AND {condition}"  # noqa: S608
    return int(connection.execute(statement).fetchone()[0])


def _waiting(connection: sqlite3.Connection) -> int:
    """Count the series whose company a person must resolve first."""
    (number,) = connection.execute("""
        SELECT count(*) FROM steps AS serie
        JOIN steps AS empresa ON empresa.owner = serie.owner AND empresa.kind = 'empresas'
        WHERE serie.kind = 'series' AND serie.state = 'planned'
            AND empresa.state IN ('failed', 'conflict', 'unresolved')
    """).fetchone()
    return int(number)


def _done(connection: sqlite3.Connection, *, since: float) -> tuple[dict[bool, int], int]:
    """Count the companies (True) and series (False) done since a moment.

    Also return how many of both were sent.
    """
    rows = connection.execute(
        "SELECT kind = 'empresas', count(*), count(began) FROM steps WHERE state = 'done' AND changed >= ? GROUP BY 1",
        (since,),
    ).fetchall()
    return {bool(kind): number for kind, number, _ in rows}, sum(sent for *_, sent in rows)


def _there(counts: Mapping[str, int]) -> int:
    return sum(counts[state] for state in THERE)


def _rate(done: Mapping[bool, int], seconds: float) -> Throughput:
    return Throughput(seconds=seconds, empresas=done.get(True, 0) / seconds, series=done.get(False, 0) / seconds)


def _reasons(connection: sqlite3.Connection) -> tuple[Reason, ...]:
    """Return the reasons, grouped if they differ in RFCs and long numbers only."""
    found: dict[tuple[str, bool, str], Reason] = {}
    # With a single min(), SQLite takes the other columns from the row of the minimum.
    for state, is_empresa, count, number, rfc, natural_key, text in connection.execute(f"""
        SELECT {SHOWN_STATE} AS shown, kind = 'empresas', count(*), min(number), owner, natural_key, reason
        FROM steps WHERE reason <> ''
        GROUP BY 1, 2, replace(reason, owner, '…') ORDER BY 4, 1, 2 DESC
    """):  # noqa: S608
        letra, tipo_documento = split_key(natural_key) or ("", "")
        group = state, bool(is_empresa), alike(safe(text), rfc)
        if group in found:
            found[group] = evolve(found[group], count=found[group].count + count)
        else:
            found[group] = Reason(
                state=state,
                is_empresa=group[1],
                count=count,
                number=number,
                rfc=printable(rfc),
                letra=printable(letra),
                tipo_documento=printable(tipo_documento),
                text=safe(text),
                group=group,
            )
    return tuple(sorted(found.values(), key=lambda reason: -reason.count))


def alike(reason: str, rfc: str) -> str:
    """Return a reason without RFCs, uids and long numbers, as a key for groups."""
    return _VARYING.sub("…", reason.replace(rfc, "…"))
