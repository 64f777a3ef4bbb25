"""A process with a session: ``python -m tests.postgres.session_worker JSON``.

It ensures series and companies many times each, or provisions a plan of them, or reads for a while. It prints "ready",
waits for a line, and prints one line of JSON at its end.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from attrs import asdict, define, field, frozen

from facturaonline_async import (
    Config,
    Credentials,
    FacturaOnline,
    FacturaOnlineError,
    NotSentError,
    NuevaEmpresa,
    Rate,
    RetryPolicy,
    Sello,
    SessionManager,
)
from facturaonline_async.errors import SharedUnavailableError
from facturaonline_async.postgres import Postgres, Share
from facturaonline_async.postgres._quota import OnOutage
from facturaonline_async.provision import JournalError, JournalStore, Plan, PlanSerie, provision
from facturaonline_async.sharing import Lease, SharedQuota, Store, Window

__all__ = ["ENDPOINTS", "Job", "arguments"]

ENDPOINTS = ("series.get", "empresas.get")


@frozen(kw_only=True)
class Job:
    """What a process does.

    Attributes:
        base_url: Prefix of the API.
        keys: API key and secret key.
        database: URL of the database; None: the process shares nothing.
        letras: Series of the main company to ensure.
        rfcs: Companies to ensure; if there are neither, the process reads.
        kinds: Series of each of these companies: the first letters of their letras, which end in the RFC's last three.
        times: How often each is ensured at once.
        run: Name of a run that has the companies and their series as its plan; None: they are ensured.
        seconds: How long to read, or the latest end of the ensures.
        waiters: Number of tasks that read.
        number: Number of the process, from 1; it reads a serie and a company with this number, so that the log tells
            the processes apart.
        host: Calls in a second that all processes may send together.
        total: The same for the key pair; 0: no limit of its own.
        endpoint: The same for each of two endpoints, which the tasks read by turns; 0: they read one endpoint.
        processes: Number of processes for the policy `Share`; 0: closed.
        timeout: Seconds after which a statement has failed.

    """

    base_url: str
    keys: tuple[str, str]
    database: str | None
    letras: Sequence[str] = ()
    rfcs: Sequence[str] = ()
    kinds: Sequence[str] = ()
    times: int = 8
    run: str | None = None
    seconds: float = 90.0
    waiters: int = 50
    number: int = 1
    host: int = 200
    total: int = 0
    endpoint: int = 0
    processes: int = 0
    timeout: float = 3.0

    @property
    def config(self) -> Config:
        """Settings with short times, so that a settle time passes in a test."""
        return Config(
            base_url=self.base_url,
            rates=(Rate(self.endpoint, 1),) if self.endpoint else (),
            total_rates=(Rate(self.total, 1),) if self.total else (),
            host_rates=(Rate(self.host, 1),),
            concurrency=64,
            concurrency_per_key=64,
            connect_timeout=1.0,
            read_timeout=1.5,
            total_timeout=1.5,
            upload_timeout=2.0,
            grace=2.0,
            settle=14.0,
            deadline=5.0,
            retry=RetryPolicy(transient=0.02, throttled=0.02),
            check_sello=False,
        )


def arguments(job: Job) -> list[str]:
    """Return the command of a process."""
    return [sys.executable, "-m", "tests.postgres.session_worker", json.dumps(asdict(job))]


def nueva(rfc: str) -> NuevaEmpresa:
    """Return a company; `tests.plans` would take seconds to import."""
    return NuevaEmpresa(
        rfc=rfc,
        razon_social=f"Empresa {rfc}",
        codpos="06500",
        email="a@example.com",
        regimen_nomina="601",
        csd=Sello(b"cer", b"key", "12345678a"),
    )


@define(eq=False)
class RecordedQuota:
    """Quota that records the starts of an outage, which the database does not know.

    Attributes:
        starts: Their moments.

    """

    pg: Postgres
    starts: list[float] = field(factory=list)

    async def lease(self, windows: Sequence[Window], key: str, wanted: int) -> Lease:
        """See `SharedQuota.lease`."""
        lease = await self.pg.quota.lease(windows, key, wanted)
        if self.pg._quota._problem is not None:
            self.starts += [time.monotonic() + start for start in lease.starts]
        return lease

    async def hold(self, key: str, seconds: float) -> None:
        """See `SharedQuota.hold`."""
        await self.pg.quota.hold(key, seconds)


@define(eq=False)
class Recorded:
    """Database whose quota is recorded."""

    pg: Postgres
    recorded: RecordedQuota

    @property
    def quota(self) -> SharedQuota:
        """See `Shared.quota`."""
        return self.recorded

    def creates(self, config: Config) -> Store:
        """See `Shared.creates`."""
        return self.pg.creates(config)


async def persist(attempt: Callable[[], Awaitable[object]], until: float, errors: Counter[str]) -> None:
    """Try until it succeeds."""
    while time.monotonic() < until:
        try:
            await attempt()
        except FacturaOnlineError as error:
            errors[type(error).__name__] += 1
            await asyncio.sleep(random.uniform(0.1, 0.5))
        else:
            return
    errors["never"] += 1


def series_of(job: Job, rfc: str) -> list[str]:
    """Return the letras of a company, which no other company has."""
    return [f"{kind}{rfc[-3:]}" for kind in job.kinds]


async def ensure_serie(client: FacturaOnline, letra: str) -> None:
    """Ensure a serie of the client's company."""
    await client.series.ensure(letra=letra, tipo_documento="factura")


async def ensure_empresa(client: FacturaOnline, job: Job, rfc: str) -> None:
    """Ensure a company, and then its series at once."""
    empresa = await client.empresas.ensure(nueva(rfc))
    own = client.for_empresa(empresa)
    await asyncio.gather(*(ensure_serie(own, letra) for letra in series_of(job, rfc)))


async def provision_all(client: FacturaOnline, job: Job, journal: JournalStore) -> None:
    """Provision the plan; raise an error if something of it is missing at the end."""
    series = {
        rfc: [PlanSerie(letra=letra, tipo_documento="factura") for letra in series_of(job, rfc)] for rfc in job.rfcs
    }
    plan = Plan.from_values((nueva(rfc), each) for rfc, each in series.items())
    async with provision(client, plan, journal=journal) as run:
        async for _ in run:
            pass
    if not run.report.is_complete:
        raise JournalError("not complete")


async def read(client: FacturaOnline, job: Job, until: float, errors: Counter[str]) -> int:
    """Read one object after the other, and return how many answers came."""
    done = 0
    reads: list[Callable[[int], Awaitable[object]]] = [client.series.get, client.empresas.get]
    while time.monotonic() < until:
        try:
            await reads[done % 2 if job.endpoint else 0](job.number)
        except NotSentError as error:
            errors[type(error).__name__] += 1
            await asyncio.sleep(0.1)
        except FacturaOnlineError:
            done += 1
        else:
            done += 1
    return done


async def _open(stack: AsyncExitStack, postgres: Postgres) -> Postgres:
    """Connect; a process that starts anew while the server is down waits for it."""
    while True:
        try:
            return await stack.enter_async_context(postgres)
        except SharedUnavailableError:
            await asyncio.sleep(0.2)


async def work(job: Job) -> dict[str, Any]:
    """Do the job, and return what became of it."""
    errors: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        pg, shared = None, None
        if job.database is not None:
            policy: OnOutage = Share(job.processes) if job.processes else "closed"
            pg = await _open(stack, Postgres(job.database, on_outage=policy, timeout=job.timeout))
            shared = Recorded(pg, RecordedQuota(pg))
        session = await stack.enter_async_context(SessionManager(job.config, shared=shared))
        client = FacturaOnline(session, Credentials(api_key=job.keys[0], secret_key=job.keys[1]))
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        until = time.monotonic() + job.seconds
        began = time.process_time()
        attempts: list[Callable[[], Awaitable[None]]] = []
        if job.run is not None and pg is not None:
            attempts = [partial(provision_all, client, job, pg.journal(job.run, lease=3.0))]
        elif job.letras or job.rfcs:
            attempts = [
                *(partial(ensure_serie, client, letra) for letra in job.letras),
                *(partial(ensure_empresa, client, job, rfc) for rfc in job.rfcs),
            ] * job.times
            random.shuffle(attempts)
        if attempts:
            await asyncio.gather(*(persist(attempt, until, errors) for attempt in attempts))
        else:
            await asyncio.gather(*(read(client, job, until, errors) for _ in range(job.waiters)))
        starts = [] if shared is None else shared.recorded.starts
        return {"errors": errors, "cpu": time.process_time() - began, "starts": starts}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(Job(**json.loads(sys.argv[1]))))), flush=True)  # noqa: T201
