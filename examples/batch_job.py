"""A job for cron: bring a plan about, write metrics, and say by the exit code how it went.

    python batch_job.py plan.csv run.sqlite --metrics /var/lib/node_exporter/facturaonline.prom

The exit code is 0 if everything in the plan exists, 1 if something is missing, 75 ("try again later") if the job was
ended by a signal or another process uses the journal. The same command resumes it. Keys and base URL come from the
environment: FACTURAONLINE_API_KEY, FACTURAONLINE_SECRET_KEY, FACTURAONLINE_BASE_URL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from facturaonline_async import FacturaOnlineError, connect
from facturaonline_async.provision import JournalInUseError, Plan, ProgressSnapshot, Run, provision

COMPLETE, INCOMPLETE, LATER = 0, 1, 75


async def main(plan: Path, journal: Path, metrics: Path | None, settle: float | None) -> int:
    """Run the plan, and return the exit code."""
    async with connect() as client, provision(client, Plan.from_file(plan), journal=journal, settle=settle) as run:
        stopped = stop_on_signals(run)
        writing = asyncio.create_task(write_metrics(run, metrics))
        async for outcome in run:
            if not outcome.ok:
                print(f"row {outcome.number}, {outcome.rfc}: {outcome.state} {outcome.reason}", file=sys.stderr)
    await writing  # it ends with the run
    if run.report.is_complete:
        return COMPLETE
    return LATER if stopped.is_set() else INCOMPLETE


def stop_on_signals(run: Run) -> asyncio.Event:
    """Stop the run on SIGTERM and Ctrl-C: requests in flight are waited for, and their outcomes are recorded."""
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        run.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return stopped


async def write_metrics(run: Run, path: Path | None) -> None:
    """Write the figures of the run every ten seconds and at its end, for Prometheus' textfile collector."""
    async for snapshot in run.progress.follow(every=10.0):
        if path is not None:
            await asyncio.to_thread(replace_file, path, exposition(snapshot))


def exposition(snapshot: ProgressSnapshot) -> str:
    """Return the figures in Prometheus' text format."""
    lines = ["# TYPE facturaonline_rows gauge"]
    for kind, found in (("empresas", snapshot.empresas), ("series", snapshot.series)):
        lines += [f'facturaonline_rows{{kind="{kind}",state="{state}"}} {number}' for state, number in found.items()]
    lines += ["# TYPE facturaonline_complete gauge", f"facturaonline_complete {int(snapshot.is_complete)}"]
    return "\n".join(lines) + "\n"


def replace_file(path: Path, text: str) -> None:
    """Write a file so that its readers see the old text or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bring a plan about.")
    parser.add_argument("plan", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--metrics", type=Path)
    arguments = parser.parse_args()
    settle = float(os.environ["SETTLE"]) if "SETTLE" in os.environ else None  # for tests with an emulator
    try:
        code = asyncio.run(main(arguments.plan, arguments.journal, arguments.metrics, settle))
    except JournalInUseError as error:
        print(error, file=sys.stderr)
        code = LATER
    except FacturaOnlineError as error:
        print(error, file=sys.stderr)
        code = INCOMPLETE
    sys.exit(code)
