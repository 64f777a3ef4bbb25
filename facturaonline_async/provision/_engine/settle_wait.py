"""Wait before the first create if the journal does not prove what was sent.

A journal without a valid mark (`completeness`) may record a step as PLANNED although its create was sent: by a run
whose -wal is lost, or by a run that continued with the original of a copied journal. The rule: no row starts before the
settle time has passed since this run opened the journal. The API's lists show every earlier create by then; they are
read again, and what they show is adopted. The journal keeps its `gap` until that list was read, so that a run that is
killed while it waits does not shorten the wait of the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

from attrs import define, field

from facturaonline_async._core.logging import LOGGER
from facturaonline_async._messages import message
from facturaonline_async.provision._engine.delay_queue import is_set_before
from facturaonline_async.provision._engine.inventory import Inventory
from facturaonline_async.provision._journal.protocol import Journal

__all__ = ["SettleWait"]


@define(eq=False)
class SettleWait:
    """Delays the first row until lists certainly show every create of earlier runs.

    Attributes:
        journal: the open journal; there is no wait if its `gap` is ``""``.
        inventory: companies of the account, listed again after the wait.
        settle: seconds to wait, from the opening of the journal.
        stopping: ends the wait when it is set.

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
        """Warning about the wait for the user, or ``""`` if there is no wait."""
        if not self.journal.gap:
            return ""
        path, gap = self.journal.name, self.journal.gap
        return message("journal.may_be_incomplete", path=path, gap=gap, settle=self.settle)

    async def wait(self, rfcs: Container[str]) -> None:
        """Wait if the journal may be incomplete, then list the companies again.

        Args:
            rfcs: RFCs of the plan.

        Raises:
            FacturaOnlineError: the companies could not be listed. Nothing was created.
            JournalError: the journal could not be written.

        """
        if not self.journal.gap:
            return
        LOGGER.warning("%s", self.caution)
        if await is_set_before(self.stopping, self._until):
            return
        await self.inventory.read(rfcs)
        await self.journal.clear_gap()
