"""The workflows run what the project has: sessions of nox, paths of tests, interpreters; and pin what they use."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = {path.name: path.read_text("utf-8") for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
TEXT = "\n".join(WORKFLOWS.values())
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
SESSIONS = {
    node.name: ast.get_docstring(node) or ""
    for node in NOXFILE.body
    if isinstance(node, ast.FunctionDef) and any("nox.session" in ast.unparse(each) for each in node.decorator_list)
}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
[PYTHONS] = [
    ast.literal_eval(node.value)
    for node in NOXFILE.body
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PYTHONS"
]


def run_sessions() -> set[str]:
    """Return the sessions that workflows name, in a command or in a matrix."""
    named = re.findall(r"nox (?:--[\w-]+ )*-s ([\w ]+?)(?: --.*)?$", TEXT, re.MULTILINE)
    drawn = re.findall(r"session: \[(.*)\]", TEXT)
    return {name for line in named for name in line.split()} | {name for line in drawn for name in line.split(", ")}


def test_every_session_of_a_workflow_exists() -> None:
    assert (run_sessions() - SESSIONS.keys(), len(run_sessions())) == (set(), 11)


def test_workflows_run_every_session_that_full_queues() -> None:
    [queued] = [node for node in NOXFILE.body if isinstance(node, ast.FunctionDef) and node.name == "full"]
    others = {each.value for each in ast.walk(queued) if isinstance(each, ast.Constant)} & SESSIONS.keys()

    assert (others - run_sessions(), len(others)) == (set(), 5)


def test_every_session_has_a_docstring_and_a_place_in_contributing() -> None:
    without = [name for name, text in SESSIONS.items() if not text]
    unnamed = [name for name in SESSIONS if not re.search(rf"`(?:\.venv/bin/)?nox -s {name}\b|`{name}`", CONTRIBUTING)]

    assert (without, unnamed, len(SESSIONS)) == ([], [], 22)


def test_contributing_names_no_session_that_does_not_exist() -> None:
    assert set(re.findall(r"nox -s (\w+)", CONTRIBUTING)) <= SESSIONS.keys()


def test_every_tested_path_of_a_workflow_exists() -> None:
    paths = re.findall(r"(?<![\w./])(?:tests/|\.ci/)[\w/.]+", TEXT)

    assert (len(paths) > 3, [path for path in paths if not (ROOT / path).exists()]) == (True, [])


def test_the_interpreters_of_workflows_nox_and_metadata_agree() -> None:
    [matrix] = re.findall(r"python: \[(.*)\]", TEXT)
    classified = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]

    assert re.findall(r"[\d.]+", matrix) == classified == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_a_session_whose_interpreter_is_missing_fails_in_workflows() -> None:
    """Where an interpreter is missing, the noxfile skips the session, and nox succeeds."""
    with_interpreter = r"tests|bench|instructions|lowest|eager|\$"
    lines = re.findall(rf"nox .*-s \"?(?:{with_interpreter}).*", TEXT)

    assert (len(lines), [line for line in lines if "--error-on-missing-interpreters" not in line]) == (4, [])


def test_an_action_is_pinned_by_its_commit() -> None:
    actions = re.findall(r"uses: (\S+)(.*)", TEXT)
    unpinned = [
        name
        for name, comment in actions
        if not name.startswith("./")
        if not (re.search(r"@[0-9a-f]{40}$", name) and re.fullmatch(r" # v\d+\.\d+\.\d+", comment))
    ]
    commits = {tuple(name.split("@")) for name, _ in actions if "@" in name}

    assert (unpinned, len(commits)) == ([], len({name for name, _ in commits}))


def test_no_checkout_leaves_its_token_behind() -> None:
    assert TEXT.count("actions/checkout@") == TEXT.count("persist-credentials: false") > 0


def test_only_the_jobs_that_publish_may_write_or_prove_who_they_are() -> None:
    jobs = dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", WORKFLOWS["release.yml"], re.MULTILINE))
    rights = {name: re.findall(r"^      ([\w-]+): write$", text, re.MULTILINE) for name, text in jobs.items()}

    assert {name: right for name, right in rights.items() if right} == {
        "publish": ["id-token", "attestations"],
        "page": ["contents"],
    }
    assert [name for name in ("ci.yml", "nightly.yml") if ": write" in WORKFLOWS[name]] == []
    assert [name for name, text in WORKFLOWS.items() if "\npermissions:\n  contents: read\n" not in text] == []


def test_a_release_publishes_the_files_that_were_checked() -> None:
    """Nothing is built in the workflow: it takes what the session `wheel` of ci.yml has installed and tried."""
    release = WORKFLOWS["release.yml"]

    assert "needs: [checks, audit]" in release
    assert ("uses: ./.github/workflows/ci.yml" in release, "workflow_call:" in WORKFLOWS["ci.yml"]) == (True, True)
    assert re.findall(r"run: (.*(?:nox|build).*)", release) == ["python -m pip install 'nox[uv]'", "nox -s audit"]


@pytest.mark.slow
def test_the_tests_of_windows_are_collected_without_modules_of_unix() -> None:
    [paths] = re.findall(r"pytest -q -m \"not slow and not postgres\" (.*)", WORKFLOWS["ci.yml"])
    unix = ("fcntl", "grp", "pty", "pwd", "resource", "termios")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({unix})); import pytest;"
        f"sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', *{paths.split()}]))"
    )
    collected = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)

    assert (collected.returncode, re.search(r"^\d{4,} tests collected", collected.stdout, re.MULTILINE) is None) == (
        0,
        False,
    ), collected.stdout[-2000:]


@pytest.mark.slow
def test_a_runner_that_forces_colours_changes_no_verdict() -> None:
    test = "tests/cli/test_progress.py::test_warnings_are_grouped_by_their_cause_with_a_count"
    runner = {"CI": "true", "COLUMNS": "40", "FORCE_COLOR": "1", "GITHUB_ACTIONS": "true"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    played = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=os.environ | runner)

    assert (played.returncode, "1 passed" in played.stdout) == (0, True), played.stdout[-2000:]
