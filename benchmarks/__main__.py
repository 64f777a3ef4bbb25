"""All benchmarks, each in a process of its own: ``python -m benchmarks [--quick]``, or ``nox -s bench``.

Tables and pictures go to ``benchmarks/results``; those of a quick look go to ``benchmarks/results/quick``, which is not
kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import asdict

from benchmarks.command import add_options
from benchmarks.figures import Figure, aligned, read, table
from benchmarks.machine import describe
from benchmarks.pictures import draw
from benchmarks.targets import judged

_HERE: Final = Path(__file__).parent
BENCHES: Final = sorted(path.stem.removeprefix("bench_") for path in _HERE.glob("bench_*.py"))
RESULTS: Final = _HERE / "results"
_FIRST_PYTHON: Final = "3.11"
_INTRODUCTION: Final = """\
Made by `nox -s bench`. A figure of several rounds is their median, with quartiles in brackets. Contenders take turns in
one process, and servers run in another. × is a ratio to the base that the column names."""


def main() -> int:
    """Measure, write the results, and return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_options(parser)
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=BENCHES, help="these benchmarks only")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where tables and pictures go")
    options = parser.parse_args()
    if options.uvloop:
        os.environ["BENCH_LOOP"] = "uvloop"
    figures, failed = measure(options.only, ["--quick"] if options.quick else [])
    folder = options.out or _folder(is_quick=options.quick, is_uvloop=options.uvloop)
    write(folder, figures, describe())
    print(f"\n{judged(figures)}\n\nTables and pictures: {folder}")
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return int(bool(failed))


def _folder(*, is_quick: bool, is_uvloop: bool) -> Path:
    """Return where results go: those of another Python than the first one, and of uvloop, have folders of their own."""
    python = ".".join(map(str, sys.version_info[:2]))
    apart = [*([] if python == _FIRST_PYTHON else [python]), *(["uvloop"] if is_uvloop else [])]
    return RESULTS / ("quick" if is_quick else "") / "-".join(apart)


def measure(names: Sequence[str], options: Sequence[str] = ()) -> tuple[list[Figure], list[str]]:
    """Run the benchmarks one after the other; return all figures, and the names of those that failed."""
    figures: list[Figure] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in names:
            print(f"\n== {name}", flush=True)
            found = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", f"benchmarks.bench_{name}", f"--json={found}", *options]
            if subprocess.run(command, cwd=_HERE.parent, check=False).returncode == 0:
                figures += read(found)
            else:
                failed.append(name)
    return figures, failed


def write(folder: Path, figures: Sequence[Figure], machine: dict[str, str]) -> None:
    """Write the figures as numbers, tables and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
    (folder / "figures.json").write_text(json.dumps(numbers, ensure_ascii=False, indent=1) + "\n")
    parts = ["# What it costs", _INTRODUCTION, aligned([["", ""], *machine.items()]), "## Targets", judged(figures)]
    parts += [f"![{name}]({name}.svg)" for name in draw(figures, folder)]
    for bench in dict.fromkeys(figure.bench for figure in figures):
        parts += [f"## {bench}", table(figure for figure in figures if figure.bench == bench)]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
