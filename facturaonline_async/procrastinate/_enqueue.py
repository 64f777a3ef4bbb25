"""Enqueue a run, and cancel one."""

from __future__ import annotations

import os

from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async.client import environment_credentials
from facturaonline_async.config import Config, Credentials
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.postgres import Postgres
from facturaonline_async.postgres._postgres import check_run, database_of, url_of
from facturaonline_async.postgres._shards import cancel_run, make_run
from facturaonline_async.procrastinate._app import QUEUE, cancel_jobs, enqueue_list, make_app
from facturaonline_async.procrastinate._schema import check_queue
from facturaonline_async.provision import Plan

__all__ = ["cancel", "enqueue"]

_LEASE = 30.0


async def enqueue(
    plan: Plan,
    *,
    run: str,
    shards: int,
    credentials: Credentials | None = None,
    base_url: str | None = None,
    database: str | Secret | None = None,
    queue: str = QUEUE,
) -> None:
    """Let workers create the companies and series of a plan.

    The run keeps the number of shards, the account, the host, and a hash of the plan's RFCs and series. Jobs hold the
    name of the run and numbers: each `Worker` gets the plan from its own ``plans``.

    Enqueue a run again to continue it: after it was cancelled, or after rows that failed were corrected in the plan.
    What is finished is not repeated.

    Args:
        plan: the companies and series that should exist.
        run: name of the run, at most 200 bytes.
        shards: number of parts in which workers carry it out; some for each worker, so that none waits at the end.
        credentials: the account's main keys, which are not stored; None: ``FACTURAONLINE_API_KEY`` and
            ``FACTURAONLINE_SECRET_KEY`` of the environment.
        base_url: prefix of the API; None: ``FACTURAONLINE_BASE_URL`` of the environment.
        database: URL of the database; see `Postgres`.
        queue: name of procrastinate's queue; that of the workers. Default: ``"facturaonline"``.

    Raises:
        InvalidInputError: an argument is invalid, or the database lacks tables.
        InvalidJournalError: the run has another plan, another number of shards, another account or host.
        NotSentError: the database does not answer.

    """
    database = None if database is None else Secret(database)  # no frame of a traceback holds the text
    check_run(run, _LEASE)
    credentials = environment_credentials() if credentials is None else credentials
    host = Config(base_url=base_url or os.environ.get("FACTURAONLINE_BASE_URL")).base_url
    if host is None:
        raise InvalidInputError(message("values.connect_without_base_url"), field="base_url")
    app = make_app(url_of(database))
    async with Postgres(database) as pg:
        await check_queue(database_of(pg))
        joined = await make_run(
            database_of(pg), run, plan=plan, count=shards, account=credentials.fingerprint, host=host
        )
        await joined.write_plan(plan, lease=_LEASE)
        await joined.restart()
        async with app.open_async():
            await enqueue_list(app, queue, run=run, count=shards)


async def cancel(run: str, *, database: str | Secret | None = None) -> None:
    """End a run: workers stop its shards within seconds, and begin none.

    Requests in flight are waited for. `enqueue` continues the run.

    Args:
        run: name of the run.
        database: URL of the database; see `Postgres`.

    Raises:
        JournalError: there is no such run, or its plan is not divided into shards.
        InvalidInputError: no database is named, or it lacks tables.
        NotSentError: the database does not answer.

    """
    database = None if database is None else Secret(database)  # no frame of a traceback holds the text
    app = make_app(url_of(database))
    async with Postgres(database) as pg:
        await check_queue(database_of(pg))
        await cancel_run(database_of(pg), run)
        async with app.open_async():
            await cancel_jobs(app, run=run)
