"""A server that costs next to nothing, in a process of its own: nginx where it is installed, else a thin asyncio one.

``python -m benchmarks.server`` is the thin one. It says its ports, and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from attrs import field, frozen

from benchmarks.answers import UIDS, answers

__all__ = ["Site", "serve"]

#: As recorded of the API, which sets a cookie with each answer.
_HEADERS: Final = {
    "Server": "Apache",
    "Cache-Control": "no-cache, private",
    "Content-Type": "application/json",
    "Set-Cookie": "laravel_session=eyJpdiI6IkFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9PSJ9; path=/; httponly",
}


@frozen
class Site:
    """Where a server listens.

    Attributes:
        kind: ``"nginx"`` or ``"asyncio"``.
        ports: by scheme.
        authority: file with the certificate that signed the server's.

    """

    kind: str
    ports: dict[str, int] = field(hash=False)
    authority: str

    def url(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[scheme]}/api"

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


@contextmanager
def serve(*, companies: int = 10_000, delay: float = 0.0, nginx: bool = True) -> Iterator[Site]:
    """Run a server, and stop it at the end.

    Args:
        companies: in its list.
        delay: seconds before each answer; only the thin server can wait.
        nginx: use it where it is installed.

    """
    import trustme  # noqa: PLC0415  # a third of all that a child of bench_instructions would import

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        command = shutil.which("nginx") if nginx and not delay else None
        start = _nginx(command, folder, companies) if command else _thin(folder, companies, delay)
        with start as ports:
            yield Site("nginx" if command else "asyncio", ports, str(folder / "authority.pem"))


@contextmanager
def _thin(folder: Path, companies: int, delay: float) -> Iterator[dict[str, int]]:
    command = [sys.executable, "-m", "benchmarks.server", str(folder / "server.pem")]
    command += [f"--companies={companies}", f"--delay={delay}"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1], text=True
    )
    assert process.stdin
    assert process.stdout
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


# ── nginx ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_CONF: Final = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; etag off; server_tokens off; tcp_nodelay on; sendfile on; msie_padding off;
    keepalive_timeout 600s; keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        root {folder};
        default_type application/json;
        add_header Cache-Control "no-cache, private" always;
        add_header Set-Cookie "laravel_session=eyJpdiI6IkFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9PSJ9; path=/; httponly" always;
        error_page 405 =200 $uri;
{locations}
    }}
}}
"""


@contextmanager
def _nginx(command: str, folder: Path, companies: int) -> Iterator[dict[str, int]]:
    ports = {scheme: _free_port() for scheme in ("http", "https")}
    locations = []
    for number, (route, body) in enumerate(answers(companies).items()):
        path = route.split()[1]
        if path.endswith("/"):
            text = body.decode().replace(str(UIDS[0]), "$uid")
            locations.append(f"        location ~ ^{path}(?<uid>[0-9]+)$ {{ return 200 '{text}'; }}")
            continue
        (folder / f"{number}.json").write_bytes(body)
        locations.append(f"        location = {path} {{ try_files /{number}.json =404; }}")
    conf = folder / "nginx.conf"
    conf.write_text(_CONF.format(folder=folder, locations="\n".join(locations), **ports))
    process = subprocess.Popen(
        [command, "-c", str(conf), "-p", str(folder), "-e", str(folder / "error.log")], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(ports["https"], process)
        yield ports
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")


# ── The thin server ───────────────────────────────────────────────────────────────────────────────────────────────────


class _Connection(asyncio.Protocol):
    """Reads requests as far as is needed to see where they end, and answers with bytes that are ready.

    Only the uid of a serie is replaced by the one that was asked for, of the same length (`UIDS`).
    """

    _transport: asyncio.Transport

    def __init__(self, ready: dict[bytes, bytes], delay: float) -> None:
        self._ready = ready
        self._delay = delay
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(1 << 24)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            at = head.find(b"\r\ncontent-length:")
            if at >= 0:
                size = int(head[at + 17 :].split(b"\r\n", 1)[0])
            elif b"\r\ntransfer-encoding: chunked" in head:
                if not self._data.endswith(b"\r\n0\r\n\r\n"):
                    return
                size = len(self._data) - end - 4
            else:
                size = 0
            if len(self._data) < end + 4 + size:
                return
            del self._data[: end + 4 + size]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        route = head[: head.index(b" http/")]
        answer = self._ready.get(route)
        if answer is None:
            at = route.rindex(b"/") + 1
            answer = self._ready[route[:at]].replace(b"%d" % UIDS[0], route[at:])
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _ready(companies: int) -> dict[bytes, bytes]:
    """Return whole answers by route, in lower case."""
    ready = {}
    for route, body in answers(companies).items():
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in _HEADERS.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        ready[route.lower().encode()] = head + body
    return ready


async def _main(options: argparse.Namespace) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    ready = _ready(options.companies)
    loop = asyncio.get_running_loop()

    def connection() -> _Connection:
        return _Connection(ready, options.delay)

    servers = {
        "http": await loop.create_server(connection, "127.0.0.1", 0, backlog=1024),
        "https": await loop.create_server(connection, "127.0.0.1", 0, backlog=1024, ssl=context),
    }
    gc.freeze()
    print(json.dumps({scheme: server.sockets[0].getsockname()[1] for scheme, server in servers.items()}), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificate")
    parser.add_argument("--companies", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=0.0)
    asyncio.run(_main(parser.parse_args()))
