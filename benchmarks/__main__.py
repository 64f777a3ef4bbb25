"""All benchmarks, each in a process of its own: ``python -m benchmarks``, or ``nox -s bench``.

Tables and pictures go to ``benchmarks/results``; those of a quick look go to ``benchmarks/results/quick``, which is not
kept.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from attrs import define, field

from benchmarks.command import add_options
from benchmarks.figures import Figure, aligned, dump, load, table
from benchmarks.machine import describe
from benchmarks.pictures import draw
from benchmarks.targets import judged

__all__ = ["BENCHES", "RESULTS", "Results", "measure"]

_HERE: Final = Path(__file__).parent
BENCHES: Final = sorted(path.stem.removeprefix("bench_") for path in _HERE.glob("bench_*.py"))
RESULTS: Final = _HERE / "results"
_FIRST_PYTHON: Final = "3.11"
_INTRODUCTION: Final = """\
Made by `nox -s bench`. A figure of several rounds is their median, with quartiles in brackets. Contenders take turns in
one process, and servers run in another. × is a ratio to the base that the column names."""


def main() -> int:
    """Measure, write the results, and return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(__doc__ or "").partition("\n")[0],
        epilog=_contents(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=BENCHES,
        metavar="NAME",
        help="measure these alone, and keep the folder's figures of the others",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where tables and pictures go")
    options = parser.parse_args()
    if options.uvloop:
        os.environ["BENCH_LOOP"] = "uvloop"
    folder = options.out or _folder(is_quick=options.quick, is_uvloop=options.uvloop)
    results = Results.read(folder) if options.only else Results(describe())
    if results.machine != describe():
        parser.error(f"{folder} was measured with another machine or other versions: give --out, or leave out --only")
    failed = []
    for name in options.only or BENCHES:
        began = time.monotonic()
        figures = measure(name, *(["--quick"] if options.quick else []))
        if figures is None:
            failed.append(name)
        else:
            results.replace(name, figures, time.monotonic() - began)
            results.write(folder)  # an interrupted run keeps what it has
    print(f"\n{judged(results.figures)}\n\nTables and pictures: {folder}")
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return int(bool(failed))


def _contents() -> str:
    """Return the names of all benchmarks, and how long each took when the committed results were made."""
    seconds = json.loads((RESULTS / "figures.json").read_text()).get("seconds", {})
    lines = ["Benchmarks, and the minutes that each took when benchmarks/results were made:"]
    for name in BENCHES:
        said = ast.get_docstring(ast.parse((_HERE / f"bench_{name}.py").read_text())) or ""
        took = f"{seconds[name] / 60:.1f}" if name in seconds else ""
        lines.append(f"  {name:<13}{took:>5}  {said.partition(chr(10))[0].partition(': ``')[0]}")
    lines.append(f"  {'all':<13}{sum(seconds.values()) / 60:>5.1f}")
    return "\n".join(lines)


def _folder(*, is_quick: bool, is_uvloop: bool) -> Path:
    """Return where results go: those of another Python than the first one, and of uvloop, have folders of their own."""
    python = ".".join(map(str, sys.version_info[:2]))
    apart = [*([] if python == _FIRST_PYTHON else [python]), *(["uvloop"] if is_uvloop else [])]
    return RESULTS / ("quick" if is_quick else "") / "-".join(apart)


def measure(name: str, *options: str) -> list[Figure] | None:
    """Run a benchmark in a process of its own, and return its figures, or None if it failed."""
    print(f"\n== {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"benchmarks.bench_{name}", f"--json={found}", *options]
        ended = subprocess.run(command, cwd=_HERE.parent, check=False)
        return load(json.loads(found.read_text())) if ended.returncode == 0 else None


@define
class Results:
    """The content of a folder of results.

    Attributes:
        machine: the machine and the versions, by name.
        seconds: how long each benchmark took, by its name.
        figures: of all benchmarks.

    """

    machine: dict[str, str] = field(factory=describe)
    seconds: dict[str, float] = field(factory=dict)
    figures: list[Figure] = field(factory=list)

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Return the results of a folder; without figures if it has none, or those of another machine."""
        path = folder / "figures.json"
        if not path.exists():
            return cls()
        numbers = json.loads(path.read_text())
        if numbers["machine"] != describe():
            return cls(numbers["machine"])
        return cls(numbers["machine"], numbers["seconds"], load(numbers["figures"]))

    def replace(self, bench: str, figures: list[Figure], seconds: float) -> None:
        """Put the figures of a benchmark in the place of its earlier ones."""
        kept = [each for each in self.figures if each.bench != bench]
        self.figures = sorted([*kept, *figures], key=lambda figure: figure.bench)
        self.seconds = dict(sorted({**self.seconds, bench: round(seconds)}.items()))

    def write(self, folder: Path) -> None:
        """Write the figures as numbers, tables and pictures."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers = {"machine": self.machine, "seconds": self.seconds, "figures": dump(self.figures)}
        (folder / "figures.json").write_text(json.dumps(numbers, ensure_ascii=False, indent=1) + "\n")
        parts = ["# What it costs", _INTRODUCTION, aligned([["", ""], *self.machine.items()])]
        parts += ["## Targets", judged(self.figures)]
        parts += [f"![{name}]({name}.svg)" for name in draw(self.figures, folder)]
        for bench in dict.fromkeys(figure.bench for figure in self.figures):
            its = [figure for figure in self.figures if figure.bench == bench]
            parts += [f"## {bench}", f"`python -m benchmarks.bench_{bench}`, {self.seconds[bench]} s", table(its)]
        (folder / "README.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
