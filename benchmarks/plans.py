"""What a plan costs to read, to keep and to go through: ``python -m benchmarks.plans``.

Each figure is of a process of its own, with a plan of made-up rows, whose certificates are empty words: a plan only
sees that they are there.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan

SERIES = (("F", "factura", 1), ("NC", "nota_credito", 1), ("P", "pago", 1))


def rows(folder: Path, count: int, *, files: int) -> Iterator[dict[str, str]]:
    """Give rows as those of the example, and put so many certificates into the folder."""
    (folder / "certificates").mkdir(exist_ok=True)
    for number, rfc in enumerate(islice(example_rfcs(), count)):
        paths = {kind: f"certificates/{number % files}.{kind}" for kind in ("cer", "key")}
        for path in paths.values():
            if number < files:
                (folder / path).write_bytes(b"x" * 1300)
        yield {
            "razon_social": f"Empresa de Ejemplo {number + 1}",
            "rfc": rfc,
            "codpos": "06500",
            "email": f"facturas{number + 1}@example.com",
            "regimen": "601",
            "regimen_nomina": "601",
            **paths,
            "password": f"{number * 67_867_967 % 1_000_000_007:x}",
        }


def write(folder: Path, kind: str, count: int, *, files: int) -> Path:
    path = folder / f"plan.{kind}"
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, row in enumerate(rows(folder, count, files=files)):
            if kind == "csv":
                if not number:
                    csv.writer(file).writerow([*row, "series"])
                csv.writer(file).writerow([*row.values(), ";".join(":".join(map(str, each)) for each in SERIES)])
            else:
                file.write("[[empresas]]\n" + "".join(f"{name} = {json.dumps(text)}\n" for name, text in row.items()))
                for letra, tipo_documento, folio in SERIES:
                    file.write(f'[[empresas.series]]\nletra = "{letra}"\n')
                    file.write(f'tipo_documento = "{tipo_documento}"\nfolio = {folio}\n')
    return path


def measure(path: Path, *, traced: bool) -> dict[str, float]:
    """Read a plan in this process, and return what it cost."""
    if traced:
        tracemalloc.start()
        plan = Plan.from_file(path)
        kept, most = tracemalloc.get_traced_memory()
        return {"kept": kept, "most": most, "rows": len(plan)}
    before = _resident("VmRSS")
    began = time.perf_counter()
    plan = Plan.from_file(path)
    read = time.perf_counter()
    found = sum(len(row.rfc) + len(row.series) for row in plan)
    gone = time.perf_counter()
    after = _resident("VmHWM")
    return {"read": len(plan) / (read - began), "iterate": len(plan) / (gone - read), "grown": after - before} | (
        {} if found else {"empty": 1}
    )


def _resident(name: str) -> float:
    """Return a line of the kernel's about this process, in MB; NaN where there is no such kernel."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name)), float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--traced", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, traced=given.traced)))
        return
    print("                         rows     read/s  iterate/s   kept B/row   most MB   RSS grows by MB")
    with tempfile.TemporaryDirectory() as folder:
        for kind, is_shared in (("csv", True), ("csv", False), ("toml", False)):
            for count in (given.rows // 10, given.rows):
                path = write(Path(folder), kind, count, files=16 if is_shared else count)
                timed, traced = _measured(path), _measured(path, "--traced")
                print(
                    f"{kind:<4} {'16 files' if is_shared else 'files of its own':<17}{count:8} {timed['read']:10.0f} "
                    f"{timed['iterate']:10.0f} {traced['kept'] / count:12.0f} {traced['most'] / 1e6:9.2f} "
                    f"{timed['grown']:17.1f}"
                )


def _measured(path: Path, *more: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.plans", "--measure", str(path), *more]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return measured


if __name__ == "__main__":
    main()
