"""What checks this project.

``nox`` answers in about six minutes, on one interpreter; ``nox -s full`` does all the rest, and ``nox -s steady`` looks
for tests that depend on the machine or on each other. ``nox -l`` lists the parts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["check"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

# pyenv hides every interpreter that PYENV_VERSION does not name, and its shims pin the variable to one version.
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
if _PYENV.is_dir():
    pinned = [name for name in os.environ.get("PYENV_VERSION", "").split(":") if name]
    found = sorted(path.name for path in _PYENV.iterdir() if re.fullmatch(r"3\.1[1-9]\.\d+", path.name))
    os.environ["PYENV_VERSION"] = ":".join(dict.fromkeys([*pinned, *found]))
PYTEST = ("pytest", "-q", "-p", "no:randomly", "-p", "tests.progress", "--numprocesses=auto", "--dist=worksteal")
QUICK = (*PYTEST, "-m", "not slow and not postgres and not integrations")
#: The quick tests whose result may differ on another interpreter, or with other versions of what the package needs.
ELSEWHERE = (*QUICK[:-1], f"{QUICK[-1]} and not one_python")
POSTGRES = (
    "facturaonline_async/postgres/*,facturaonline_async/procrastinate/*,facturaonline_async/_cli/postgres.py,"
    "facturaonline_async/_cli/worker.py,facturaonline_async/_cli/enqueue.py,facturaonline_async/_cli/cancel.py,"
    "facturaonline_async/_cli/keys.py"
)
PROJECT = nox.project.load_toml("pyproject.toml")
NAME = PROJECT["project"]["name"]

#: Licences of what the package needs.
LICENCES = ("MIT", "BSD", "Apache", "Python Software Foundation", "PSF", "ISC")
#: What has another one, the LGPL. The README names python-stdnum and psycopg.
LGPL = ("python-stdnum", "psycopg", "psycopg-binary", "psycopg-pool")


def group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def together(session: nox.Session, *commands: tuple[str, ...]) -> None:
    """Run commands of the session's environment at the same time, and show what each of them says."""
    environment = os.environ | {"PATH": f"{session.bin}{os.pathsep}{os.environ['PATH']}"}
    started = [
        subprocess.Popen(
            [str(Path(session.bin) / name), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        for name, *arguments in commands
    ]
    failed = []
    for command, process in zip(commands, started, strict=True):
        session.log(" ".join(command))
        sys.stdout.write(process.communicate()[0])
        sys.stdout.flush()
        if process.returncode:
            failed.append(" ".join(command))
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


def check_style(session: nox.Session) -> None:
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)  # refuses misnamed fragments


def check_types(session: nox.Session) -> None:
    public = ("pyright", "--ignoreexternal", "--verifytypes", "facturaonline_async")
    together(session, ("mypy",), ("pyright",), public)


@nox.session
def check(session: nox.Session) -> None:
    """Style, import contracts, types, and the tests that are not slow, on the interpreter that runs nox."""
    session.install("-e", ".[cli]", *group("lint"), *group("types"), *group("docs"), *group("test"), "nox")
    check_style(session)
    check_types(session)
    session.run(*QUICK, *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Queue what `check` leaves out: slow tests, coverage, every interpreter, eager tasks, and how it installs."""
    # On one interpreter the tests run with eager tasks only: once more without them would show little more.
    pythons = [f"eager-{each}(factory='custom')" if each == PYTHONS[2] else f"tests-{each}" for each in PYTHONS]
    for name in (*pythons, "postgres", "integrations", "lowest", "docs", "wheel"):
        session.notify(name)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, import contracts, changelog fragments, and whether uv.lock is up to date."""
    session.install("-e", ".[cli]", *group("lint"))
    check_style(session)
    # Without settings of this machine, so that the lock names no other index than PyPI.
    settings = {name: None for name in os.environ if name.startswith("UV_")}
    session.run("uv", "lock", "--check", "--offline", "--no-config", env=settings)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict and pyright: the package, its tests, and the package as users see it."""
    session.install("-e", ".[cli]", *group("types"), *group("docs"), *group("test"), "nox")
    check_types(session)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests on the first interpreter, with coverage; on every other one found, the quick ones that may differ."""
    session.install("-e", ".[cli]", *group("test"))
    if session.python == PYTHONS[0]:
        session.run("coverage", "erase")
        session.run(
            *("coverage", "run", "-m", *PYTEST, "-m", "not postgres and not integrations", *session.posargs),
            env={"HYPOTHESIS_PROFILE": "full"},
        )
        drop_torn_files(session)
        session.run("coverage", "combine", "--quiet")
        # Another session runs the tests with a server.
        enough = [] if session.posargs else ["--fail-under=95", f"--omit={POSTGRES}"]
        session.run("coverage", "report", *enough)
    else:
        session.run(*ELSEWHERE, *session.posargs)


def drop_torn_files(session: nox.Session) -> None:
    """Remove what processes left that tests killed while they wrote down their coverage."""
    for path in Path.cwd().glob(".coverage.*"):
        if not is_whole(path):
            session.log(f"{path.name} was never finished: its process was killed")
            path.unlink()


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as data:
        try:
            return data.execute("SELECT version FROM coverage_schema").fetchone() is not None
        except sqlite3.Error:
            return False


@nox.session
def postgres(session: nox.Session) -> None:
    """The tests with a server: PostgreSQL of DATABASE_URL or PG*, else a private one on loopback, and Redis."""
    session.install("-e", ".[cli,postgres,procrastinate]", *group("test"))
    data = {"COVERAGE_FILE": ".coverage-postgres"}
    session.run("coverage", "erase", env=data)
    session.run("coverage", "run", "-m", *PYTEST, "-m", "postgres and not slow", *session.posargs, env=data)
    session.run("coverage", "combine", "--quiet", env=data)
    enough = [] if session.posargs else ["--fail-under=95"]
    session.run("coverage", "report", f"--include={POSTGRES}", *enough, env=data)


@nox.session
def integrations(session: nox.Session) -> None:
    """The library with the frameworks of its users: event loops, FastAPI, plugins for tests, bots, and the examples."""
    session.install("-e", ".[cli,fastapi,opentelemetry,postgres]", *group("integrations"))
    session.run(*PYTEST, "-m", "integrations", *session.posargs)


@nox.session
def postgres_long(session: nox.Session) -> None:
    """What takes minutes with PostgreSQL: promoted standbys, killed and paused processes, a server that crashes."""
    session.install("-e", ".[cli,postgres,procrastinate]", *group("test"))
    session.run(*PYTEST, "-m", "postgres and slow", *session.posargs)


@nox.session
def postgres_figures(session: nox.Session) -> None:
    """How well processes share a quota and creates: rates, web workers, 50 rounds of a race, costs: an hour."""
    session.install("-e", ".[cli,postgres]", *group("test"))
    session.run("python", "-m", "tests.postgres.rates")
    session.run("python", "-m", "tests.postgres.web")
    session.run("python", "-m", "tests.postgres.costs")
    session.run("python", "-m", "tests.postgres.race", *session.posargs)


@nox.session
def steady(session: nox.Session) -> None:
    """The quick tests five times and the slow ones twice, beside four busy loops, once in random order: an hour."""
    session.install("-e", ".[cli]", *group("steady"))
    session.run("python", "-m", "tests.steady", *session.posargs)


@nox.session(python=PYTHONS[2])
@nox.parametrize("factory", ["custom", "late"])
def eager(session: nox.Session, factory: str) -> None:
    """The tests where every task is eager and of a class of its own, from the beginning or once a session is in use."""
    session.install("-e", ".[cli]", *group("test"))
    session.run(*ELSEWHERE, *session.posargs, env={"TESTS_TASK_FACTORY": factory})


@nox.session
def faults(session: nox.Session) -> None:
    """The fault matrix, printed as a table."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.matrix")


@nox.session
def worlds(session: nox.Session) -> None:
    """Drawn worlds: many tasks want the same objects from a faulty API, over each store of creates."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.core.once.worlds", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Thousands of mixed calls with random faults, and an oracle: ``nox -s soak -- --calls 20000 --faults 0.2``."""
    session.install("-e", ".", *group("test"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """A hundred ``kill -9`` under random faults, and an oracle: about five minutes; ``nox -s crash -- --short``."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("python", "-m", "tests.crash", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Mutants of limits, once and retry: scores and survivors; hours: ``nox -s mutation -- '*._core.retry.*'``."""
    session.install("-e", ".[cli]", *group("mutation"))
    shutil.rmtree("mutants", ignore_errors=True)  # verdicts of an earlier run stand, although the tests may be others
    session.run("mutmut", "run", *session.posargs)
    show_mutants(session, str(session.run("mutmut", "results", "--all", "true", silent=True)))


def show_mutants(session: nox.Session, results: str) -> None:
    """Show the score of each module, and the mutants that no test killed; `mutmut show NAME` shows the change."""
    verdicts = [(name, verdict) for name, verdict in re.findall(r"(\S+): (.+)", results) if verdict != "not checked"]
    modules = defaultdict[str, Counter[str]](Counter)
    for name, verdict in verdicts:
        modules[name.rpartition(".")[0]]["killed" if verdict == "timeout" else verdict] += 1
    for name, verdict in verdicts:
        if verdict not in {"killed", "timeout"}:
            session.log(f"{verdict}: {name}")
    for module, count in sorted(modules.items()):
        total = count.total()
        session.log(f"{module}: {count['killed']} of {total} killed ({count['killed'] / total:.1%})")


@nox.session(python=PYTHONS)
def bench(session: nox.Session) -> None:
    """What the library costs, on each Python: tables and pictures in benchmarks/results; ``-- --help`` says more."""
    session.install("-e", ".[cli]", *group("test"), *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[0])
def instructions(session: nox.Session) -> None:
    """Instruction counts, against the recorded ones plus 5 %: ``nox -s instructions -- --record`` records them."""
    session.install("-e", ".[cli]", *group("test"))
    session.run("python", "-m", "benchmarks.check_instructions", *session.posargs)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """The tests with the oldest dependencies that the project says it works with."""
    session.install("--resolution=lowest-direct", "-e", ".[cli,fastapi]")
    session.install(*group("test"), "httpx>=0.27")  # the TestClient of the oldest FastAPI
    session.run(*ELSEWHERE, *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Known weaknesses of what the package needs, a table of licences, and a bill of materials: `dist/sbom.json`."""
    session.install(*group("audit"))
    apart = Path(session.create_tmp()).absolute() / "package"  # without the tools of this session
    session.run_install("python", "-m", "venv", "--clear", str(apart))
    python = str(apart / "bin" / "python")
    extras = ",".join(PROJECT["project"]["optional-dependencies"])
    session.run_install(python, "-m", "pip", "install", "-q", f".[{extras}]", external=True)
    session.run_install(python, "-m", "pip", "uninstall", "-q", "-y", "setuptools", "pip", external=True)
    Path("dist").mkdir(exist_ok=True)
    bill = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", "dist/sbom.json")
    session.run("cyclonedx-py", "environment", *bill, python)
    session.run("pip-licenses", "--python", python, "--ignore-packages", NAME)
    allowed = ("--partial-match", "--allow-only", ";".join(LICENCES), "--ignore-packages", NAME, *LGPL)
    session.run("pip-licenses", "--python", python, *allowed, silent=True)
    (packages,) = apart.glob("lib/python*/site-packages")
    check_weaknesses(session, packages)


def check_weaknesses(session: nox.Session, packages: Path) -> None:
    """Fail for a known weakness. pip-audit also succeeds where its database knows no package, as a mirror does."""
    out = Path(session.create_tmp()).absolute() / "weaknesses.json"
    out.unlink(missing_ok=True)
    how = ("--progress-spinner", "off", "--format", "json", "--output", str(out))
    session.run("pip-audit", "--path", str(packages), *how, success_codes=[0, 1])
    found = json.loads(out.read_text("utf-8"))["dependencies"] if out.exists() else []
    weak = [f"{each['name']} {each['version']}: {fault['id']}" for each in found for fault in each.get("vulns", ())]
    if weak:
        session.error("; ".join(weak))
    others = [each for each in found if each["name"] != NAME]
    known = sum("skip_reason" not in each for each in others)
    if known < len(others) or not others:
        text = f"NOT CHECKED: the database of weaknesses knows {known} of {len(others)} packages"
        (session.error if "CI" in os.environ else session.warn)(text)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into `site`; a broken link, anchor or reference fails: ``nox -s docs -- --serve``."""
    session.install("-e", ".[cli,postgres,procrastinate,fastapi,opentelemetry]", *group("docs"))
    if "--serve" in session.posargs:
        session.run("mkdocs", "serve")
    else:
        # The warning is about the end of Material in May 2027. The translations are made by a plugin of MkDocs.
        session.run("mkdocs", "build", "--strict", "--site-dir", "site", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the sdist, and a wheel from it, into `dist`; the wheel installs alone, imports, and runs the command."""
    for path in Path("dist").glob("facturaonline_async-*"):
        path.unlink()
    session.install("build", "check-manifest", "twine")
    # Without git, or in a folder of somebody else, nothing says which files the repository has.
    git = shutil.which("git")
    if git and subprocess.run([git, "ls-files"], capture_output=True, check=False).returncode == 0:
        session.run("check-manifest")  # the sdist has every file of the repository
    session.run("python", "-m", "build", "--outdir", "dist", ".")
    (source,) = Path("dist").glob("*.tar.gz")
    (built,) = Path("dist").absolute().glob("*.whl")
    session.run("twine", "check", "--strict", str(source), str(built))
    out = Path(session.create_tmp()).absolute()
    session.run("python", "-m", "build", "--wheel", "--outdir", str(out / "of-the-tree"), ".")
    if (out / "of-the-tree" / built.name).read_bytes() != built.read_bytes():
        session.error("the wheel of the sdist differs from the wheel of the tree: see `include` in pyproject.toml")
    session.run_install("python", "-m", "venv", "--clear", str(out / "empty"), external=True)
    python = str(out / "empty" / "bin" / "python")
    session.run(python, "-m", "pip", "install", "-q", str(built), external=True)
    with session.chdir(out):
        session.run(python, "-c", "import facturaonline_async, facturaonline_async.testing", external=True)
        session.run(python, "-m", "pip", "install", "-q", f"{built}[cli]", external=True)
        session.run(str(out / "empty" / "bin" / "facturaonline"), "--help", silent=True, external=True)
        session.run(python, "-m", "pip", "install", "-q", f"{built}[cli,postgres,procrastinate]", external=True)
        session.run(python, "-c", "from facturaonline_async.postgres import _schema; _schema.script(0)", external=True)
        templates = "'report.html', 'report_chart.html', 'report.css', 'report.js'"
        read = f"from facturaonline_async._cli.report_html import template_text; [*map(template_text, [{templates}])]"
        session.run(python, "-c", read, external=True)
