"""Pages of the documentation, and their code, run as a reader would run it: one page from top to bottom.

A page is a Markdown file. Its blocks run in order, in one folder, against an emulator of the API:

- ``console``: the lines are a shell script;
- ``python``: runs as in a notebook, with the names of the blocks before it; with ``title="x.py"`` it is written to that
  file instead, which a later block must name;
- ``text`` behind one of these: what it prints. ``…`` stands for anything within a line, a line ``…`` for any lines;
- ``toml`` and ``csv`` with a title are files, too; ``sql``, ``yaml`` without a title and others are not run.

A comment before a block changes that: ``<!-- test: exit 1 -->`` (the exit code), ``<!-- test: type s -->`` (standard
input), ``<!-- test: by tests/x.py -->`` (another test runs it; it must name the page).
"""

from __future__ import annotations

import ast
import asyncio
import io
import os
import re
import sys
import textwrap
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from facturaonline_async.testing import Emulator, make_sello

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

#: Their blocks are run by tests of their own.
ELSEWHERE: Final = {
    "docs/examples.md": "tests/test_examples_page.py",
    "docs/performance.md": "tests/test_benchmarks.py",
    "docs/processes.md": "tests/postgres/test_page.py",
}

_BLOCK: Final = re.compile(
    r"(?P<marks>(?:^ *<!-- test: .+? -->\n)*)^(?P<indent> *)```(?P<language>\w*)(?P<attributes>.*)\n"
    r"(?P<source>(?:.*\n)*?)^(?P=indent)```$",
    re.MULTILINE,
)
_FILES: Final = {"python", "toml", "csv", "text", "yaml"}

RFC: Final = "EKU9003173C9"
PASSWORD: Final = "12345678a"


@frozen
class Block:
    """A block of code.

    Attributes:
        line: number of its first line.
        language: word behind the fence.
        title: name of the file, or "".
        marks: what the comments before it say.
        source: its lines, without indentation.
        output: what it prints, or None if the page does not say.

    """

    line: int
    language: str
    title: str
    marks: tuple[tuple[str, str], ...]
    source: str
    output: str | None = None

    def mark(self, name: str) -> str:
        return dict(self.marks).get(name, "")


def pages() -> list[str]:
    """Return the paths of all pages, below the root of the repository."""
    return sorted(str(path.relative_to(ROOT)) for path in [*DOCS.rglob("*.md"), *ROOT.glob("README*.md")])


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page; the outputs are attributes of what prints them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        title = re.search(r'title="([^"]+)"', match["attributes"])
        marks = tuple(
            (name, rest)
            for name, _, rest in (mark.partition(" ") for mark in re.findall(r"test: (.+?) -->", match["marks"]))
        )
        source = textwrap.dedent(match["source"])
        block = Block(
            line=text.count("\n", 0, match.start("language")) + 1,
            language=match["language"],
            title=title[1] if title else "",
            marks=marks,
            source=source,
        )
        is_output = block.language == "text" and not block.title and not text[end : match.start()].strip()
        if is_output and found and found[-1].output is None:
            last = found[-1]
            found[-1] = Block(last.line, last.language, last.title, last.marks, last.source, source)
        else:
            found.append(block)
        end = match.end()
    return found


def matches(expected: str, printed: str) -> bool:
    """Return whether an output is the one that a page shows."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r".*?".join(map(re.escape, line.rstrip().split("…"))) + r" *\n"
    lines = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, lines) is not None


@define
class Reader:
    """A reader of a page, with a folder, an account and a shell.

    Attributes:
        page: path of the page.
        folder: where files are written and commands run.
        emulator: the API.
        variables: environment of the commands.

    """

    page: str
    folder: Path
    emulator: Emulator
    variables: dict[str, str] = field(factory=dict)
    _names: dict[str, Any] = field(factory=dict, init=False)

    def prepare(self) -> None:
        """Write the files that every page may use: a CSD, and a place for the command."""
        sello = make_sello(rfc=RFC, password=PASSWORD)
        (self.folder / "csd.cer").write_bytes(sello.cer)
        (self.folder / "csd.key").write_bytes(sello.key)
        keys = self.emulator.credentials
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FACTURAONLINE_", "PG"))}
        self.variables = inherited | {
            "FACTURAONLINE_BASE_URL": self.emulator.base_url,
            "FACTURAONLINE_API_KEY": keys.api_key.reveal(),
            "FACTURAONLINE_SECRET_KEY": keys.secret_key.reveal(),
            "FACTURAONLINE_SELLO_PASSWORD": PASSWORD,
            "FACTURAONLINE_LANG": "es" if self.page.endswith(".es.md") else "en",
            "COLUMNS": "100",
            "TERM": "dumb",
            "XDG_CONFIG_HOME": str(self.folder / ".config"),
            "PATH": f"{self._commands()}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "PYTHONWARNINGS": "ignore",
        }

    def _commands(self) -> Path:
        """Make a folder with the command, which waits shortly where people wait for the settle time."""
        folder = self.folder / ".bin"
        folder.mkdir()
        script = folder / "facturaonline"
        script.write_text(
            "#!/bin/bash\n"
            'if [[ " $* " == *" provision "* && " $* " != *" --settle "* && " $* " != *" --help "* ]]; then\n'
            f'    exec {sys.executable} -m facturaonline_async "$@" --settle 0.5\n'
            "fi\n"
            f'exec {sys.executable} -m facturaonline_async "$@"\n'
        )
        script.chmod(0o755)
        return folder

    async def read(self) -> list[str]:
        """Run all blocks, and return what is wrong with each."""
        return [problem for block in blocks(self.page) if (problem := await self._run(block))]

    async def _run(self, block: Block) -> str:
        if block.mark("by"):
            return ""
        source = self._filled(block)
        where = f"{self.page}:{block.line}"
        if block.title and block.language in _FILES:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
            return ""
        if block.language == "console":
            code, printed, error = await self._shell(source, block.mark("type"))
            if code != int(block.mark("exit") or 0):
                return f"{where}: exit code {code}:\n{printed}{error}"
            printed = printed or error
        elif block.language == "python":
            printed = await self._python(source, where)
        else:
            return ""
        if block.output is not None and not matches(block.output, printed):
            return f"{where}: expected\n{block.output}\nprinted\n{printed}"
        return ""

    def _filled(self, block: Block) -> str:
        """Return the source with what a reader puts in: keys, URL, passwords; and without the settle time."""
        keys = self.emulator.credentials
        given: Mapping[str, str] = {
            "base_url=SANDBOX": f"base_url={self.emulator.base_url!r}",
            'api_key="…"': f"api_key={keys.api_key.reveal()!r}",
            'secret_key="…"': f"secret_key={keys.secret_key.reveal()!r}",
            'password="…"': f"password={PASSWORD!r}",
            "FACTURAONLINE_API_KEY=…": f"FACTURAONLINE_API_KEY='{keys.api_key.reveal()}'",
            "FACTURAONLINE_SECRET_KEY=…": f"FACTURAONLINE_SECRET_KEY='{keys.secret_key.reveal()}'",
            "https://sandbox.facturaonline.com.mx/api": self.emulator.base_url,
            'journal="run.sqlite"': 'journal="run.sqlite", settle=0.5',
            "python3 -m venv .venv && .venv/bin/python -m pip install -q '.[cli]' && ": "",
            ".venv/bin/": "",
        }
        source = block.source
        for left_out, value in given.items():
            source = source.replace(left_out, value)
        return source

    async def _shell(self, source: str, typed: str) -> tuple[int, str, str]:
        """Run a script in the page's folder; what it exports counts for the next one."""
        kept = self.folder / ".variables"
        lines = [line for line in source.splitlines() if not self._installs(line)]
        script = "\n".join(["set -e -o pipefail", *lines, f"env -0 >{kept}"])
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            cwd=self.folder,
            env=self.variables,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate(f"{typed}\n".encode())
        if process.returncode == 0:
            parts = (part.partition("=") for part in kept.read_text(encoding="utf-8").split("\0") if part)
            self.variables = {name: value for name, _, value in parts}
        return process.returncode or 0, out.decode(), error.decode()

    def _installs(self, line: str) -> bool:
        """Return whether a line makes an environment or installs the package; its extras must exist."""
        if line.strip() == "python3 -m venv .venv && . .venv/bin/activate":
            return True
        found = re.fullmatch(r"(?:python -m )?pip install '?facturaonline-async(?:\[([\w,]+)\])?'?", line.strip())
        if found is None:
            return False
        extras = set(re.findall(r"^(\w+) = \[", _section("project.optional-dependencies"), re.MULTILINE))
        assert {name for name in (found[1] or "").split(",") if name} <= extras, line
        return True

    async def _python(self, source: str, where: str) -> str:
        """Run a block as a notebook does, and return what it prints."""
        printed = io.StringIO()
        code = compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        self._names.setdefault("__name__", "page")
        with redirect_stdout(printed):
            pending = eval(code, self._names)  # noqa: S307  # the page is ours
            if pending is not None:
                await pending
        return printed.getvalue()


def _section(name: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.partition(f"[{name}]\n")[2].partition("\n[")[0]
