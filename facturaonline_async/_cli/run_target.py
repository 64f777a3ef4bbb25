"""Target of a run: the API or an emulator, the database, and the journal."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field
from typer import BadParameter

from facturaonline_async._cli.database import open_shared
from facturaonline_async._cli.journals import journal_place
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable, printable_path
from facturaonline_async.config import Config
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._journal.completeness import side_file

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline
    from facturaonline_async.postgres import Postgres
    from facturaonline_async.provision import JournalStore
    from facturaonline_async.provision._journal.protocol import ReadableJournal
    from facturaonline_async.testing import Emulator

__all__ = ["RunTarget"]


@define
class RunTarget:
    """Where a run takes place.

    Attributes:
        config: settings; ``base_url`` is that of --base-url, or None.
        use_emulator: whether an emulator in this process takes the place of the API.
        journal: file of the journal, or None.
        run_name: name of the run in the database that has its journal, or None.
        database: value of --database.
        as_json: whether the command prints JSON, so that no other text is wanted.
        is_read_only: whether the emulator gets a copy of its state, on another port, so that nothing is written.
        address: address of the database, once it is open; None: there is none.
        journal_host: base URL of the journal's emulator, of which the client has a copy; None: that of the client.

    """

    config: Config
    use_emulator: bool = False
    journal: Path | None = None
    run_name: str | None = None
    database: Secret | None = None
    as_json: bool = False
    is_read_only: bool = False
    address: str | None = field(default=None, init=False)
    journal_host: str | None = field(default=None, init=False)

    @classmethod
    def of(
        cls,
        config: Config,
        *,
        journal: Path | None,
        database: Secret | None,
        use_emulator: bool = False,
        as_json: bool = False,
        is_read_only: bool = False,
    ) -> RunTarget:
        """Return the target that a command's options name.

        Args:
            config: settings; its ``base_url`` is that of --base-url, or None.
            journal: value of --journal: a file, ``pg:RUN``, or None.
            database: value of --database.
            use_emulator: value of --emulator.
            as_json: value of --json.
            is_read_only: see the class.

        Raises:
            BadParameter: --emulator was given with a host or a database.

        """
        file, run = journal_place(journal)
        if use_emulator and config.base_url:
            raise BadParameter(message("cli.emulator_and_base_url"))
        if use_emulator and (database is not None or run is not None):
            raise BadParameter(message("cli.emulator_and_database"))
        return cls(config, use_emulator, file, run, database, as_json, is_read_only)

    @property
    def journal_name(self) -> str:
        """The value of --journal, for texts; ``""``: there is none."""
        if self.journal is not None:
            return printable_path(self.journal)
        return "" if self.run_name is None else f"pg:{printable(self.run_name)}"

    @asynccontextmanager
    async def open_shared(self) -> AsyncIterator[Postgres | None]:
        """Open the database of the run, if it has one, and say where it is."""
        if self.use_emulator:  # no other process has it
            yield None
            return
        async with open_shared(self.database, is_needed=self.run_name is not None) as pg:
            if pg is not None and self.address is None:
                self.address = pg.address
                if not self.as_json:
                    text = message("cli.shared", address=pg.address)
                    if self.run_name is not None:
                        text = message("cli.shared_with_journal", address=pg.address, run=self.run_name)
                    sys.stderr.write(f"{printable(text)}\n")
            yield pg

    @asynccontextmanager
    async def open_client(self, shared: Postgres | None) -> AsyncIterator[FacturaOnline]:
        """Give a client with the main keys.

        Args:
            shared: the open database, or None.

        """
        from facturaonline_async.client import connect  # noqa: PLC0415  # imports aiohttp

        if not self.use_emulator:
            account = current_settings().find_account(self.config.base_url)
            keys, url = account.credentials, account.base_url
            async with connect(keys, base_url=url, config=self.config, shared=shared) as client:
                yield client
            return
        with self._prepare_emulator() as prepared:
            async with (
                prepared as emulator,
                connect(emulator.credentials, base_url=emulator.base_url, config=self.config) as client,
            ):
                yield client

    @contextmanager
    def _prepare_emulator(self) -> Iterator[Emulator]:
        """Give the emulator, with the state of the journal."""
        import shutil  # noqa: PLC0415  # only the emulator needs them
        from tempfile import TemporaryDirectory  # noqa: PLC0415  # as above

        from facturaonline_async.testing import Emulator  # noqa: PLC0415  # imports the server of aiohttp

        state_file = None if self.journal is None else _state_file(self.journal)
        if state_file is None or not self.is_read_only:
            yield Emulator(log_limit=0, state_file=state_file)
        elif not state_file.exists():
            yield Emulator(log_limit=0)
        else:
            with TemporaryDirectory(prefix="facturaonline-") as folder:
                copy = Path(shutil.copy(state_file, folder))
                self.journal_host = Emulator(state_file=copy).base_url
                # A run may be using the journal's emulator, and its port.
                yield Emulator(log_limit=0, state_file=copy, port=_free_port())

    def find_journal(self, pg: Postgres | None) -> Path | JournalStore | None:
        """Return the journal of the run, or None.

        Args:
            pg: the open database, or None.

        """
        return self.journal if pg is None or self.run_name is None else pg.journal(self.run_name)

    @asynccontextmanager
    async def open_view(self, pg: Postgres | None, client: FacturaOnline) -> AsyncIterator[ReadableJournal | None]:
        """Give the journal of the run, only to be read; None if there is none yet.

        Args:
            pg: the open database, or None.
            client: client with the main keys.

        Raises:
            InvalidJournalError: it belongs to another account or host, or is damaged.
            JournalError: it cannot be read.

        """
        from facturaonline_async.client import engine_of  # noqa: PLC0415  # imports aiohttp
        from facturaonline_async.provision._journal.view import open_view  # noqa: PLC0415  # as above

        account = client.credentials.fingerprint
        host = self.journal_host or engine_of(client).config.base_url or ""
        if pg is not None and self.run_name is not None:
            from facturaonline_async.postgres._journal_reads import view_run  # noqa: PLC0415  # the driver is an extra
            from facturaonline_async.postgres._postgres import database_of  # noqa: PLC0415  # as above

            yield await view_run(database_of(pg), self.run_name, account=account, host=host)
        elif self.journal is not None:
            async with open_view(self.journal, account=account, host=host) as view:
                yield view
        else:
            yield None


def _free_port() -> int:
    """Return a port of the loopback address that no process uses."""
    import socket  # noqa: PLC0415  # only the emulator needs it

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _state_file(journal: Path) -> Path:
    """Return the file with the emulator's state of this journal.

    Raises:
        InvalidInputError: an earlier run of the journal did not use the emulator.

    """
    journal = journal.resolve()
    file = side_file(journal, ".emulator")
    if not file.exists() and journal.exists() and journal.stat().st_size:
        raise InvalidInputError(
            message("cli.journal_without_emulator", journal=printable_path(journal), file=printable(file.name)),
            field="journal",
        )
    return file
