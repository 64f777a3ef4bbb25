"""What the database granted: each start of each window, at the server's exact time."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from attrs import frozen

from tests.postgres.sql import Sql

__all__ = ["Grant", "exceeding", "granted", "most_in", "record_grants"]

_RECORDING = """
    CREATE TABLE facturaonline.grants (
        at float8, name text, calls integer, per float8, process text, is_first boolean);

    -- lease_v1 reads it once for its starts, after it has the rows.
    CREATE OR REPLACE FUNCTION facturaonline.clock() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
        now timestamptz := clock_timestamp();
    BEGIN
        PERFORM set_config('tests.now', extract(epoch FROM now)::text, true);
        RETURN now;
    END
    $$;

    ALTER FUNCTION facturaonline.lease_v1 RENAME TO lease_unrecorded;

    CREATE FUNCTION facturaonline.lease_v1(
        windows text[], calls integer[], per double precision[], burst integer[], held_key text, wanted integer,
        OUT starts integer[], OUT retry_in bigint, OUT blocked_by text
    ) LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        SELECT l.starts, l.retry_in, l.blocked_by INTO starts, retry_in, blocked_by
            FROM facturaonline.lease_unrecorded(windows, calls, per, burst, held_key, wanted) AS l;
        INSERT INTO facturaonline.grants
            SELECT current_setting('tests.now')::float8 + s.start / 1e6, w.name, w.calls, w.per,
                   current_setting('application_name'), w.number = 1
            FROM unnest(starts) AS s (start),
                 unnest(windows, calls, per) WITH ORDINALITY AS w (name, calls, per, number);
    END
    $$;
"""


@frozen
class Grant:
    """One start in one window.

    Attributes:
        at: Its moment, by the clock of `time.monotonic`.
        window: Name of the window.
        calls: How many calls the window allows.
        per: In so many seconds.
        process: Name of the process that got it.
        is_first: Whether the window is the first one of its lease, so that each start is counted once.

    """

    at: float
    window: str
    calls: int
    per: float
    process: str
    is_first: bool


def record_grants(sql: Sql) -> None:
    """Let the database record what it grants, in a table that survives a crash."""
    sql(_RECORDING)


def granted(sql: Sql) -> list[Grant]:
    """Return what the database has granted."""
    offset = time.time() - time.monotonic()
    rows = sql("SELECT at, name, calls, per, process, is_first FROM facturaonline.grants ORDER BY at")
    return [Grant(at - offset, *more) for at, *more in rows]


def most_in(moments: Iterable[float], per: float) -> int:
    """Return the largest number of moments in any interval of this length."""
    moments = sorted(moments)
    ends = (bisect_left(moments, moment + per - 1e-5) for moment in moments)
    return max((end - begin for begin, end in enumerate(ends)), default=0)


def exceeding(grants: Sequence[Grant]) -> dict[tuple[str, int], int]:
    """Return the windows that held more starts than they allow, with the largest number of starts."""
    windows = {(each.window, each.calls, each.per) for each in grants}
    most = {
        (name, calls): most_in((each.at for each in grants if each.window == name), per) for name, calls, per in windows
    }
    return {window: count for window, count in most.items() if count > window[1]}
