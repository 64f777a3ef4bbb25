"""Texts about runs as jobs of a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    "queue.extra_missing": "this needs the extra procrastinate: pip install 'facturaonline-async[procrastinate]'",
    "queue.schema_missing": (
        "the database {database} has no tables of procrastinate: run facturaonline postgres install --database URL, "
        "with the extra procrastinate installed."
    ),
    "queue.schema_old": (
        "the tables of procrastinate in the database {database} are too old: carry out procrastinate's migrations."
    ),
    "queue.no_plan": "the plan of the run {run} is not in the folder {folder}.",
    # The worker.
    "queue.invalid_plans": "plans must be a coroutine function that takes the name of a run, and was {kind}.",
    "queue.invalid_on_row": "on_row must be a coroutine function that takes an outcome, and was {kind}.",
    "queue.invalid_credentials": "credentials must be Credentials, or a function that returns them, and were {kind}.",
    "queue.stalled_below_heartbeat": (
        "stalled_after must be at least twice heartbeat ({heartbeat:g} seconds), and was {stalled_after:g}."
    ),
    "queue.forked": (
        "this Worker was started before the process was forked: make a new one in each child, after the fork"
    ),
    "queue.running": "this Worker is at work already",
    "queue.stopping": "stopping: requests in flight are waited for, for at most {seconds:g} s",
    "queue.begins": "the {kind} of the run {run} begins",
    "queue.ends": "the {kind} of the run {run} has ended",
    "queue.job_failed": "the job ended with {type}: its text is not repeated here, because it may hold keys",
    "queue.kind_list": "list of companies",
    "queue.kind_shard": "shard {number} (of 0 to {last})",
    "queue.kind_audit": "audit",
    "queue.run_is_gone": "the run {run} was deleted, or never made: its job does nothing",
    "queue.run_is_cancelled": "the run {run} was cancelled",
    "queue.differences": Plural(
        "the audit of the run {run} found {count} difference: see facturaonline report --run",
        "the audit of the run {run} found {count} differences: see facturaonline report --run",
    ),
    "queue.waits": "the worker waits for the database: {reason}",
    "queue.lost": "procrastinate stopped, and is started again: {reason}",
    "queue.ended_by_itself": "its connection ended",
    "queue.rescued": "a job whose worker is silent is put back into the queue: {job}",
}
