"""Draw what a terminal shows of a real run against the emulator: ``python -m website.terminal``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = (
    "facturaonline plan example demo --empresas 200",
    "facturaonline provision demo/plan.csv --emulator --journal run.sqlite",
    "facturaonline provision demo/plan.csv --emulator --journal run.sqlite",
)
WIDTH = 84
ASSETS = Path(__file__).parents[1] / "docs" / "assets"
PICTURES = {"en": ASSETS / "terminal.svg", "es": ASSETS / "terminal.es.svg"}


def main() -> None:
    """Run the commands in an empty folder, and write the picture, once in each language."""
    for language, picture in PICTURES.items():
        console = Console(record=True, width=WIDTH, file=io.StringIO())
        with tempfile.TemporaryDirectory() as folder:
            for command in COMMANDS:
                console.print(Text(f"$ {command}", "bold"))
                console.print(Text.from_ansi(shown(command, folder, language)))
        svg = console.export_svg(title="facturaonline")
        picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def shown(command: str, folder: str, language: str) -> str:
    """Return what a command writes to a terminal in a language, its bars as they are at the end."""
    environment = os.environ | {
        "COLUMNS": str(WIDTH),
        "FACTURAONLINE_LANG": language,
        "TERM": "xterm-256color",
        "TTY_COMPATIBLE": "1",
        "TTY_INTERACTIVE": "0",
    }
    arguments = [sys.executable, "-m", "facturaonline_async", *command.split()[1:]]
    ran = subprocess.run(arguments, cwd=folder, env=environment, text=True, capture_output=True, check=True)  # noqa: S603
    return re.sub(r"\x1b\[\?25[hl]", "", ran.stderr + ran.stdout).strip("\n")


if __name__ == "__main__":
    main()
