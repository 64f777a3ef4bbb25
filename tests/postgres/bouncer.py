"""A real pgbouncer in transaction mode before a private cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from attrs import define

from tests.postgres.servers import Cluster, free_port, unprivileged

__all__ = ["Bouncer", "bouncer"]

_SETTINGS: Final = """
[databases]
* = host=127.0.0.1 port={target} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
server_login_retry = 0.1
query_wait_timeout = 20
logfile = {folder}/log
"""


@define
class Bouncer:
    """A running pgbouncer.

    Attributes:
        cluster: The server behind it.
        port: Its port.

    """

    cluster: Cluster
    port: int
    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    def url(self, name: str) -> str:
        """Return the URL of a database through pgbouncer."""
        return self.cluster.url(dbname=name, port=self.port)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        path = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        if not Path(path).is_file():
            pytest.skip("no pgbouncer: install it (apt-get install pgbouncer)")
        self._process = subprocess.Popen(unprivileged(path, "-q", str(self.folder / "ini")))
        until = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(self.url("postgres"), connect_timeout=2, prepare_threshold=None) as connection:
                    connection.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)
            self._process = None


@contextmanager
def bouncer(cluster: Cluster, *, pool: int = 2) -> Iterator[Bouncer]:
    """Run pgbouncer before a cluster, with so many connections to each database."""
    folder = Path(tempfile.mkdtemp(prefix="facturaonline-pgbouncer-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    running = Bouncer(cluster, free_port(), folder)
    settings = _SETTINGS.format(target=cluster.port, port=running.port, pool=pool, folder=folder)
    (folder / "ini").write_text(settings, encoding="utf-8")
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
