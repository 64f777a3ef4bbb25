"""A worker for the long test, in a process of its own: ``python -m tests.postgres.batch JSON``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from facturaonline_async import Config, Credentials, Rate
from facturaonline_async.procrastinate import Worker
from facturaonline_async.provision import Plan, PlanSerie
from tests.plans import nueva

__all__ = ["batch_plan"]

SETTINGS: dict[str, Any] = {
    "rates": (),
    "host_rates": Rate(200, 1),
    "check_sello": False,
    "connect_timeout": 2,
    "read_timeout": 5,
    "total_timeout": 5,
    "upload_timeout": 5,
    "settle": 20,
    "grace": 3,
}


def batch_plan(empresas: int) -> Plan:
    """Return a plan of companies with three series each; each letra is one company's alone."""
    return Plan.from_values(
        (
            nueva(f"AAA0101{number // 1000 + 1:02}{number % 1000:03}"),
            [PlanSerie(letra=f"{kind}{number}", tipo_documento="factura", folio=1) for kind in "FPN"],
        )
        for number in range(empresas)
    )


async def main(given: dict[str, Any]) -> None:
    plan = batch_plan(given["empresas"])

    async def plans(_: str) -> Plan:
        return plan

    worker = Worker(
        Config(base_url=given["base_url"], **SETTINGS),
        plans=plans,
        database=given["database"],
        credentials=Credentials(api_key=given["api_key"], secret_key=given["secret_key"]),
        lease=6,
        heartbeat=2,
        stalled_after=8,
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
