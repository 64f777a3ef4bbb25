"""Errors for Sentry: what is sent of a failed call, and what is not.

    python with_sentry.py plan.csv

It creates the first company of a plan; an error is reported. SENTRY_DSN says where; keys and base URL come from the
environment: FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY, FACTURAONLINE_BASE_URL.

Sentry takes the local variables of all frames. Keys, passwords and the files of a sello are values of this library that
show no secret in a ``repr``, so that events hold their fingerprints and names only. Your own variables are your own
care: a password in a plain ``str`` is sent. Leave out Sentry's AsyncioIntegration: it also reports the errors of reads
that several callers share, which this library raises for each caller.
"""

from __future__ import annotations

import asyncio
import os
import sys

import sentry_sdk

from facturaonline_async import FacturaOnlineError, connect
from facturaonline_async.provision import Plan


async def main(path: str) -> int:
    """Create a company, and report an error with what is known of it."""
    sentry_sdk.init(
        dsn=os.environ["SENTRY_DSN"],
        send_default_pii=False,  # the default: no bodies and no headers of requests
        trace_propagation_targets=[],  # no sentry-trace header for the API
    )
    plan = await asyncio.to_thread(Plan.from_file, path)
    nueva = await next(iter(plan)).load()
    async with connect() as client:
        try:
            await client.empresas.ensure(nueva)
        except FacturaOnlineError as error:
            with sentry_sdk.new_scope() as scope:
                scope.set_tag("endpoint", error.endpoint)
                scope.set_tag("happened", error.happened)
                scope.fingerprint = [type(error).__name__, error.code, error.endpoint]  # one issue for one fault
                sentry_sdk.capture_exception(error)
            return 1
        finally:
            await asyncio.to_thread(sentry_sdk.flush, 5)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
