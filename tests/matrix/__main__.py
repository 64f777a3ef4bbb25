"""Plays the whole matrix, and prints it as a table: ``python -m tests.matrix``."""

from __future__ import annotations

import asyncio
import sys

from tests.matrix.play import play
from tests.matrix.stage import OPERATIONS
from tests.matrix.table import ROWS, expected


async def main() -> int:
    """Print the table and the counts; return how many cells ended otherwise than they should."""
    wrong = cells = requests = 0
    names = "".join(f"{operation.name:>16}" for operation in OPERATIONS)
    sys.stdout.write(f"{'':4}{'fault':<42}{names}\n")
    for row in ROWS:
        line = f"{row.number:>3} {row.name.encode('ascii', 'replace').decode():<42}"
        for operation, code in row.cells():
            if code == "-":
                line += f"{'':>16}"
                continue
            played = await play(row, operation)
            is_right = (
                played.ended == expected(row, operation, code)
                and (played.leaked, played.strangers, played.left) == ((), 0, "")
                and played.seconds < 4.5
            )
            cells += 1
            requests += played.ended.requests + played.ended.looks
            wrong += not is_right
            line += f"{code.split()[0]:>10} {'ok' if is_right else 'WRONG':>5}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{cells} cells, {len(ROWS)} faults, {requests} requests read, {wrong} wrong\n")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main()) else 0)
