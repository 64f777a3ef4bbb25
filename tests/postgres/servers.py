"""A PostgreSQL server for the tests: the one of the environment, or a private cluster on loopback."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from attrs import define, field
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["Cluster", "Server", "free_port", "program", "server"]

_START_SECONDS: Final = 60.0
_VARIABLES: Final = ("DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL's newest installed version, or None."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = [path for folder in folders if (path := folder / name).is_file()]
    return str(found[0]) if found else shutil.which(name)


def unprivileged(*command: str) -> list[str]:
    """Return a command that runs as another user where the tests are root, and ends when this process ends.

    PostgreSQL and pgbouncer refuse to run as root.
    """
    user = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *user, "--pdeathsig", "QUIT", *command]


@define
class Server:
    """A server on which the tests make databases.

    Attributes:
        conninfo: How to connect to its database ``postgres``, or to another one that exists.

    """

    conninfo: str
    _number: int = 0

    def url(self, **settings: Any) -> str:
        """Return a connection string with some settings changed."""
        return make_conninfo(self.conninfo, **settings)

    def execute(self, statement: str | sql.Composed, **settings: Any) -> list[tuple[Any, ...]]:
        """Run one statement outside of a transaction."""
        with psycopg.connect(self.url(**settings), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description is not None else []

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """Make a database, and drop it at the end; its name is unique."""
        self._number += 1
        name = f"facturaonline_{os.getpid()}_{self._number}"
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        self.execute(make)
        try:
            yield name
        finally:
            self.execute(drop)


@define
class Cluster(Server):
    """A private cluster on loopback, which the tests may stop.

    Attributes:
        folder: Its folder; it is removed at the end.
        port: Its port.
        settings: Further settings of the server.

    """

    folder: Path = field(kw_only=True)
    port: int = field(kw_only=True)
    settings: dict[str, str] = field(factory=dict, kw_only=True)
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, **settings: str) -> Cluster:
        """Make a cluster, and start it."""
        cluster = cls._new(settings)
        cluster.run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "-D", "data")
        cluster.start()
        return cluster

    @classmethod
    def standby_of(cls, primary: Cluster) -> Cluster:
        """Make an asynchronous standby of a cluster, and start it."""
        standby = cls._new(primary.settings)
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        standby.run("pg_basebackup", *source, "--checkpoint=fast", "--write-recovery-conf", "-D", "data")
        standby.start()
        return standby

    @classmethod
    def _new(cls, settings: dict[str, str]) -> Cluster:
        folder = Path(tempfile.mkdtemp(prefix="facturaonline-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        port = free_port()
        conninfo = make_conninfo("", host="127.0.0.1", port=port, user="postgres", dbname="postgres")
        return cls(conninfo, folder=folder, port=port, settings=settings)

    def run(self, name: str, *arguments: str) -> None:
        """Run a program of PostgreSQL in the cluster's folder."""
        path = program(name)
        assert path is not None
        done = subprocess.run(
            unprivileged(path, *arguments), cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",  # its host does not crash
            "max_connections": "60",
            "shared_buffers": "16MB",
            "autovacuum": "off",
        } | self.settings
        path = program("postgres")
        assert path is not None
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                unprivileged(path, "-D", "data", *options), cwd=self.folder, stdout=log, stderr=log
            )
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.execute("SELECT 1", connect_timeout=2)
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server: SIGQUIT like a crash (``-m immediate``), SIGINT in good order."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    @property
    def pids(self) -> list[int]:
        """The server's processes."""
        assert self._process is not None
        found = subprocess.run(
            [shutil.which("ps") or "", "-o", "pid=", "--ppid", str(self._process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return [self._process.pid, *map(int, found.stdout.split())]

    def remove(self) -> None:
        """Stop the server, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def _server() -> Server | str:
    """Return the server of this test process, or why there is none."""
    if any(os.environ.get(name) for name in _VARIABLES):
        given = Server(make_conninfo(os.environ.get("DATABASE_URL", ""), connect_timeout=10))
        given.execute("SELECT 1")
        return given
    if program("initdb") is None or shutil.which("setpriv") is None:
        return "no PostgreSQL: install it (apt-get install postgresql), or set DATABASE_URL"
    cluster = Cluster.make()
    atexit.register(cluster.remove)
    return cluster


def server() -> Server:
    """Return the server of this test process; skip the test if there is none."""
    found = _server()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def database_of(conninfo: str) -> str:
    """Return the name of the database in a connection string."""
    return str(conninfo_to_dict(conninfo)["dbname"])
