"""All benchmarks, each in a process of its own: ``python -m benchmarks [--quick]``, or ``nox -s bench``.

Tables and pictures go to ``benchmarks/results``; a quick look goes to ``benchmarks/results/quick``, which is not kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import asdict

from benchmarks.figures import Figure, aligned, read, table
from benchmarks.machine import describe
from benchmarks.pictures import draw
from benchmarks.targets import judged

BENCHES: Final = ("calls", "instructions", "parts", "structure", "limiter", "bulk", "latency", "checks", "provision")
_INTRODUCTION: Final = """\
Made by `nox -s bench`. Each figure is the median of several rounds, with its quartiles in brackets; contenders take
turns in one process, and servers run in another. × is a ratio to the contender named above it."""
RESULTS: Final = Path(__file__).parent / "results"


def main() -> int:
    """Measure, write all that was found, and return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: two minutes instead of twelve")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=BENCHES, help="these benchmarks only")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where tables and pictures go")
    options = parser.parse_args()
    began = time.perf_counter()
    figures, failed = measure(options.only, ["--quick"] if options.quick else [])
    folder = options.out or RESULTS / ("quick" if options.quick else "")
    write(folder, figures, describe())
    print(f"\n{judged(figures)}\n\n{time.perf_counter() - began:.0f} s. Tables and pictures: {folder}")
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return int(bool(failed))


def measure(names: Sequence[str], options: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """Run the benchmarks one after the other; return all figures, and the names of those that failed."""
    figures: list[Figure] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in names:
            print(f"\n== {name}", flush=True)
            found = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", f"benchmarks.bench_{name}", f"--json={found}"]
            began = time.perf_counter()
            done = subprocess.run([*command, *options], cwd=Path(__file__).parents[1], check=False)
            print(f"({time.perf_counter() - began:.0f} s)", flush=True)
            if done.returncode == 0:
                figures += read(found)
            else:
                failed.append(name)
    return figures, failed


def write(folder: Path, figures: Sequence[Figure], machine: dict[str, str]) -> None:
    """Write the figures as numbers, tables and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
    (folder / "figures.json").write_text(json.dumps(numbers, ensure_ascii=False, indent=1) + "\n")
    pictures = draw(figures, folder, machine)
    parts = [
        "# What it costs",
        _INTRODUCTION,
        aligned([["", ""], *([name, text] for name, text in machine.items())]),
        "## Targets",
        judged(figures),
    ]
    for bench in dict.fromkeys(figure.bench for figure in figures):
        parts.append(f"## {bench}")
        if bench in pictures:
            parts.append(f"![{bench}]({pictures[bench].name})")
        parts.append(table(figure for figure in figures if figure.bench == bench))
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
