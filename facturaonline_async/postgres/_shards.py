"""Runs whose plans are divided into shards: what all processes know of them.

Each shard has a journal of its own, which one process at a time has. The run holds what its shards have in common:
their number, account, host, hash of the plan, the list of companies with which shards begin, and whether the run was
cancelled. The tables are in ``schema/003.sql``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from attrs import field, frozen

from facturaonline_async._core.batches import in_batches
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import Message, message
from facturaonline_async.client import FacturaOnline, engine_of
from facturaonline_async.errors import InvalidInputError, NotSentError
from facturaonline_async.postgres import _schema
from facturaonline_async.postgres._connection import Database
from facturaonline_async.postgres._creates import Mark, PostgresCreates
from facturaonline_async.postgres._journal import PostgresJournal, Take, take_run
from facturaonline_async.postgres._runs import journal_name
from facturaonline_async.provision._engine.inventory import CompanyList, Inventory
from facturaonline_async.provision._engine.row_progress import RowProgress
from facturaonline_async.provision._journal.errors import InvalidJournalError, JournalError, JournalInUseError
from facturaonline_async.provision._journal.salted import account_mark, make_salt, salted_hash
from facturaonline_async.provision._plan.plan import Plan, check_shard

__all__ = ["RunState", "ShardJournal", "ShardedRun", "cancel_run", "find_run", "make_run"]

_NEEDED: Final = 3
"""Version of the schema with shards."""
_SECONDS: Final = 60.0
"""Maximum time of a statement with a whole list of companies, in seconds."""
_PAGE: Final = 20_000
"""RFCs of a shard, or companies of a list, in one statement."""

_FIND: Final = (
    "SELECT run, salt, account, host, shards, digest FROM facturaonline.find_sharded_run_v1(%s, %s, %s, %s, %s, %s)"
)
_FIND_SHARD: Final = "SELECT run, is_begun FROM facturaonline.find_shard_v1(%s, %s)"
_READ_LIST: Final = "SELECT * FROM facturaonline.read_list_v1(%s, %s, %s)"
_WRITE_LIST: Final = "SELECT facturaonline.write_list_v1(%s, %s, %s, %s, %s, %s)"
_FINISH: Final = "SELECT refusal, left_over FROM facturaonline.finish_shard_v1(%s, %s, %s)"
_RESTART: Final = "SELECT facturaonline.restart_run_v1(%s)"
_CANCEL: Final = "SELECT facturaonline.cancel_run_v1(%s)"
_STATE: Final = "SELECT is_there, is_cancelled, is_audited, left_over FROM facturaonline.state_of_run_v1(%s)"
_END_AUDIT: Final = "SELECT facturaonline.end_run_audit_v1(%s)"
_DELIVER: Final = "SELECT facturaonline.deliver_v1(%s, %s, %s, %s)"
_READ_DELIVERED: Final = "SELECT owner FROM facturaonline.read_delivered_v1(%s)"


@frozen
class RunState:
    """What all processes know of a run at a moment.

    Attributes:
        is_there: Whether the run exists; it may have been deleted.
        is_cancelled: Whether no shard may continue.
        is_audited: Whether the audit has ended.
        left: Number of shards that have rows without an outcome.

    """

    is_there: bool
    is_cancelled: bool
    is_audited: bool
    left: int


class ShardJournal(PostgresJournal):
    """Open journal of a shard, with what only shards record.

    Attributes:
        is_begun: Whether a create of the shard was ever sent.

    """

    is_begun: bool = False

    async def finish(self) -> int:
        """Record that each row has an outcome, and return how many shards are left."""
        [(_, left)] = await self._change(_FINISH)
        return int(left)

    async def deliver(self, rfc: str) -> None:
        """Record that the program of the user has got the outcome of a company.

        Args:
            rfc: RFC of the company.

        """
        await self._change(_DELIVER, rfc)

    async def delivered(self) -> set[str]:
        """Return the RFCs of the companies whose outcome the program of the user has got."""
        return {rfc for (rfc,) in await self._read(_READ_DELIVERED)}


@frozen
class ShardedRun:
    """Run whose plan is divided into shards; `find_run` and `make_run` return it.

    Attributes:
        database: The database.
        name: Name of the run.
        number: Number of the run.
        salt: Salt of its journals.
        count: Number of shards.

    """

    database: Database = field(repr=False)
    name: str
    number: int
    salt: bytes = field(repr=False)
    count: int

    async def take(self, shard: int, lease: float) -> ShardJournal:
        """Open the journal of a shard.

        If the process that has it is silent, this waits until its lease has passed.

        Args:
            shard: Number of the shard, from 0.
            lease: Seconds of silence after which another process may take it.

        Raises:
            JournalInUseError: Another process has it, and lives.
            JournalError: The run was deleted, or the database does not answer.

        """
        name = self.journal_name(shard)
        problem: Message | str = ""
        try:
            [(run, is_begun)] = await self.database.query(_FIND_SHARD, (self.number, shard))
            taken: Take | None = None if run is None else await take_run(self.database, run, lease, name)
        except JournalInUseError:
            raise
        except NotSentError as error:
            problem = error.args[0]
        else:
            if taken is None:
                raise JournalError(message("journal.missing", path=journal_name(self.name)))
            journal = ShardJournal(self.database, name, taken, salt=self.salt)
            journal.is_begun = is_begun
            return journal
        raise JournalError(message("journal.cannot_be_opened", path=name, reason=str(problem).removesuffix(".")))

    def journal_name(self, shard: int) -> str:
        """Return the name of a shard's journal, for texts."""
        return message("journal.shard", path=journal_name(self.name), number=shard, last=self.count - 1)

    async def state(self) -> RunState:
        """Return what all processes know of the run now.

        Raises:
            NotSentError: The database does not answer.

        """
        return RunState(*(await self.database.query(_STATE, (self.number,)))[0])

    async def restart(self) -> None:
        """Begin all shards again, also after `cancel_run`. What is finished stays so.

        Raises:
            NotSentError: The database does not answer.

        """
        await self.database.query(_RESTART, (self.number,))

    async def end_audit(self) -> None:
        """Record that the audit has ended.

        Raises:
            NotSentError: The database does not answer.

        """
        await self.database.query(_END_AUDIT, (self.number,))

    async def write_plan(self, plan: Plan, *, lease: float) -> None:
        """Write the steps of all shards that have none yet, so that status shows them.

        Args:
            plan: The whole plan.
            lease: Seconds of silence after which another process may take a shard.

        Raises:
            JournalError: The database does not answer.

        """
        for shard in range(self.count):
            try:
                journal = await self.take(shard, lease)
            except JournalInUseError:
                continue  # it is at work, and has its steps
            async with journal:
                if await journal.is_empty():
                    part = plan.shard(shard, self.count)
                    await journal.adjust(
                        add=(step for row in part for step in RowProgress.of(row, normalize_rfc(row.rfc)).steps)
                    )

    # ── Companies that exist ──────────────────────────────────────────────────────────────────────────────────────────

    async def list_companies(self, client: FacturaOnline, plan: Plan) -> CompanyList:
        """List the companies of the account, and let the shards begin with this list.

        Args:
            client: Client with the main keys, whose session shares its creates through this database.
            plan: The whole plan.

        Raises:
            FacturaOnlineError: A page could not be read, or the database does not answer.

        """
        rfcs = {normalize_rfc(row.rfc) for row in plan}
        inventory = Inventory(client.empresas, client.credentials.fingerprint)
        async with _marked(client, self.database) as mark:
            await inventory.read(rfcs)
        rows = [(rfc, uid) for rfc, uids in inventory.existing.items() for uid in uids]
        arguments = (self.number, mark.timeline, mark.timeline_since, mark.snapshot, mark.at, json.dumps(rows))
        await self.database.query(_WRITE_LIST, arguments, seconds=_SECONDS)
        return CompanyList(inventory.existing, mark)

    async def companies(
        self, client: FacturaOnline, plan: Plan, rfcs: Collection[str], *, seconds: float
    ) -> CompanyList:
        """Return the list of companies that all shards have in common, or read a new one.

        Args:
            client: See `list_companies`.
            plan: The whole plan.
            rfcs: RFCs of the shard.
            seconds: Maximum age of the list, in seconds.

        Raises:
            FacturaOnlineError: See `list_companies`.

        """
        found: dict[str, tuple[str, ...]] = {}
        mark: Mark | None = None
        for some in [*in_batches(rfcs, _PAGE)] or [[]]:
            [(*values, companies)] = await self.database.query(
                _READ_LIST, (self.number, seconds, some), seconds=_SECONDS
            )
            if companies is None or (mark is not None and mark.at != values[3]):  # it was replaced meanwhile
                return await self.list_companies(client, plan)
            mark = Mark(*values)
            for rfc, uid in companies:
                found[rfc] = (*found.get(rfc, ()), uid)
        return await self.list_companies(client, plan) if mark is None else CompanyList(found, mark)


async def find_run(
    database: Database, name: str, *, plan: Plan, count: int, account: str, host: str
) -> ShardedRun | None:
    """Return a run with shards, or None if there is no such run.

    Args:
        database: The database.
        name: Name of the run.
        plan: The whole plan.
        count: Number of shards.
        account: Fingerprint of the main keys.
        host: Base URL of the API.

    Raises:
        InvalidJournalError: The run has another number of shards, another plan, account or host.
        NotSentError: The database does not answer, or has an older schema.

    """
    return await _find(database, name, plan=plan, count=count, account=account, host=host, may_make=False)


async def make_run(database: Database, name: str, *, plan: Plan, count: int, account: str, host: str) -> ShardedRun:
    """Return a run with shards, and make it if there is none.

    The arguments and errors are those of `find_run`.
    """
    found = await _find(database, name, plan=plan, count=count, account=account, host=host, may_make=True)
    assert found is not None  # noqa: S101  # it was made
    return found


async def _find(
    database: Database, name: str, *, plan: Plan, count: int, account: str, host: str, may_make: bool
) -> ShardedRun | None:
    check_shard(0, count)
    await _schema.check(database, needed=_NEEDED)
    salt = make_salt()
    new = (salt, account_mark(salt, account), host, count, await _digest(salt, plan))
    [(number, *facts)] = await database.query(_FIND, (name, *(new if may_make else [None] * len(new))))
    if number is None:
        return None
    path = journal_name(name)
    salt, mark, its_host, its_count, digest = facts
    if its_count is None:
        raise InvalidJournalError(message("journal.not_divided", path=path))
    if its_host != host:
        raise InvalidJournalError(message("journal.another_host", path=path, host=its_host, used=host))
    if not hmac.compare_digest(mark, account_mark(salt, account)):
        raise InvalidJournalError(message("journal.another_account", path=path))
    if its_count != count:
        raise InvalidJournalError(message("journal.another_count", path=path, shards=its_count, used=count))
    if not hmac.compare_digest(digest, await _digest(salt, plan)):
        raise InvalidJournalError(message("journal.another_plan", path=path))
    return ShardedRun(database, name, number, salt, count)


async def cancel_run(database: Database, name: str) -> None:
    """Let no shard of a run continue.

    Args:
        database: The database.
        name: Name of the run.

    Raises:
        JournalError: There is no such run, or its plan is not divided.
        NotSentError: The database does not answer.

    """
    await _schema.check(database, needed=_NEEDED)
    [(result,)] = await database.query(_CANCEL, (name,))
    if result != "cancelled":
        raise JournalError(message(_REFUSALS[result], path=journal_name(name)))


_REFUSALS: Final[Mapping[str, str]] = {"missing": "journal.missing", "plain": "journal.not_divided"}


async def _digest(salt: bytes, plan: Plan) -> bytes:
    """Return a salted hash of what should exist: RFCs, letras and tipos de documento.

    It does not depend on the order, nor on data that may be corrected between two attempts.
    """
    keys: list[str] = []
    for rows in in_batches(plan):
        keys += (json.dumps([normalize_rfc(row.rfc), *sorted(serie.key for serie in row.series)]) for row in rows)
        await asyncio.sleep(0)
    return salted_hash(salt, _lines(sorted(keys)))


def _lines(texts: Iterable[str]) -> bytes:
    return "\n".join(texts).encode()


@asynccontextmanager
async def _marked(client: FacturaOnline, database: Database) -> AsyncIterator[Mark]:
    """Give the mark before a list that is read inside the block.

    Raises:
        InvalidInputError: The client's session does not share its creates through this database.

    """
    store = engine_of(client).shared_creates
    service = getattr(store, "service", None)
    if store is None or not isinstance(service, PostgresCreates) or service.database is not database:
        raise InvalidInputError(message("journal.session_not_shared"), field="client")
    async with store.subscribe() as mark:
        assert isinstance(mark, Mark)  # noqa: S101  # it is the subscription of PostgresCreates
        yield mark
