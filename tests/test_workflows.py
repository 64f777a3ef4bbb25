"""The workflows run what the project has: sessions of nox, and paths of tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")))
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
SESSIONS = {node.name for node in NOXFILE.body if isinstance(node, ast.FunctionDef) and node.decorator_list}


def test_every_session_of_a_workflow_exists() -> None:
    named = {name for line in re.findall(r"nox -s ([\w ]+)$", TEXT, re.MULTILINE) for name in line.split()}
    drawn = {name.strip() for line in re.findall(r"session: \[(.*)\]", TEXT) for name in line.split(",")}

    assert ({*named, *drawn} - SESSIONS, len(named) > 4, len(drawn)) == (set(), True, 3)


def test_every_tested_path_of_a_workflow_exists() -> None:
    paths = re.findall(r"\btests/[\w/]+", TEXT)

    assert (len(paths) > 2, [path for path in paths if not (ROOT / path).exists()]) == (True, [])


def test_every_tested_interpreter_is_one_of_nox() -> None:
    [versions] = [
        ast.literal_eval(node.value)
        for node in NOXFILE.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PYTHONS"
    ]
    [matrix] = re.findall(r"python: \[(.*)\]", TEXT)

    assert re.findall(r"[\d.]+", matrix) == versions
