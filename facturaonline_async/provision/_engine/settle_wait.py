"""A wait before the first create, where a journal does not prove what was sent.

A journal without a `seal` may say PLANNED of what was sent: by the run whose -wal is lost, or by one that went on with
the journal that this one is a copy of. The rule: no row is begun before the settle time has passed since this run
opened the journal. Whatever was sent before that moment is in the API's lists by then; they are read anew, and what
they show is adopted. The journal keeps its doubt until that list was read: a run that is killed while it waits does not
shorten the wait of the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

from attrs import define, field

from facturaonline_async._core.logging import LOGGER
from facturaonline_async.provision._engine.delay_queue import is_set_before
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._journal.writer import Journal

__all__ = ["SettleWait"]


@define(eq=False)
class SettleWait:
    """Keeps rows from beginning until everything that was sent before this run must be listed.

    Attributes:
        journal: its `doubt` says why, or is ``""``: then nothing is held.
        account: read anew when the wait is over.
        settle: seconds to wait.
        stopping: ends the wait when it is set: the run begins no row.

    """

    journal: Journal
    inventory: Inventory
    settle: float
    stopping: asyncio.Event
    _until: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._until = asyncio.get_running_loop().time() + self.settle

    @property
    def caution(self) -> str:
        """What a person should know of the wait, or ``""`` where there is none."""
        if not self.journal.doubt:
            return ""
        return (
            f"the journal {self.journal.path} may be incomplete: {self.journal.doubt}. The run waits "
            f"{self.settle:g} s, lists what exists, adopts it, and then creates the rest."
        )

    async def wait(self, rfcs: Container[str]) -> None:
        """Wait if there is a doubt, and read the account again.

        Args:
            rfcs: of the plan.

        Raises:
            FacturaOnlineError: the companies could not be listed. Nothing was created.
            JournalError: it cannot be written.

        """
        if not self.journal.doubt:
            return
        LOGGER.warning("%s", self.caution)
        if await is_set_before(self.stopping, self._until):
            return
        self.inventory.existing.clear()
        await self.inventory.read(rfcs)
        await self.journal.settle_doubt()
