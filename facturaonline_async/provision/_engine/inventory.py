"""What the account holds: which companies there are."""

from __future__ import annotations

from collections.abc import Container

from attrs import define, field, frozen

from facturaonline_async._core.once.pending import Key
from facturaonline_async.client import FacturaOnline
from facturaonline_async.empresas._models import normalize_rfc
from facturaonline_async.errors import NotFoundError, PermissionDeniedError

__all__ = ["Duplicate", "Inventory", "list_companies"]

_PER_PAGE = 500


async def list_companies(client: FacturaOnline, rfcs: Container[str]) -> dict[str, list[str]]:
    """Return the uids of all companies with one of these RFCs, some pages at a time.

    Raises:
        FacturaOnlineError: a page could not be read.

    """
    found: dict[str, list[str]] = {}
    async for empresa in client.empresas.iterate(per_page=_PER_PAGE):
        if (rfc := normalize_rfc(empresa.rfc)) in rfcs:
            found.setdefault(rfc, []).append(empresa.uid)
    return found


@frozen
class Duplicate:
    """What the list of companies says against the run.

    Attributes:
        rfc: the company's.
        text: in words.
        is_several: whether there are several companies with this RFC.

    """

    rfc: str
    text: str
    is_several: bool = False


@define
class Inventory:
    """The account as it was when the run began, and what the run has learnt since.

    Attributes:
        client: with the main keys.
        existing: uids of the plan's companies that were there at the beginning, by RFC.
        done: uids of the plan's companies that are there now, by RFC.
        key_marks: of the keys that the run uses, by RFC: the list at the end must give the same ones.
        shows_at: seconds of the wall clock when the list must show all that were created; 0: none was.

    """

    client: FacturaOnline
    existing: dict[str, list[str]] = field(factory=dict)
    done: dict[str, str] = field(factory=dict)
    key_marks: dict[str, int] = field(factory=dict, init=False)
    shows_at: float = field(default=0.0, init=False)
    _unlisted: str = field(default="", init=False)  # uid of the main company, where lists leave it out

    def key(self, rfc: str) -> Key:
        """Return what tells the create of a company from all others of the session."""
        return "empresas.create", self.client.credentials.fingerprint, rfc

    async def read(self, rfcs: Container[str]) -> None:
        """Look at what is there.

        Raises:
            FacturaOnlineError: it could not be listed.

        """
        async for empresa in self.client.empresas.iterate(per_page=_PER_PAGE):
            if (rfc := normalize_rfc(empresa.rfc)) in rfcs:
                self.existing.setdefault(rfc, []).append(empresa.uid)
        await self._add_main(rfcs)

    async def _add_main(self, rfcs: Container[str]) -> None:
        """Know the main company, also where lists leave it out: it must not be created a second time."""
        try:
            main = await self.client.empresas.current()
        except (NotFoundError, PermissionDeniedError):
            return
        if (rfc := normalize_rfc(main.rfc)) in rfcs and main.uid not in self.existing.get(rfc, ()):
            self.existing.setdefault(rfc, []).append(main.uid)
            self._unlisted = main.uid

    async def audit(self) -> list[Duplicate]:
        """Compare the API's list with what the run says is there, and return what does not agree.

        Raises:
            FacturaOnlineError: it could not be listed.

        """
        # Of the list itself no more is kept than what does not agree.
        unlisted = {rfc for rfc, uid in self.done.items() if uid != self._unlisted}
        others: dict[str, list[str]] = {}
        with_other_keys: list[str] = []
        async for empresa in self.client.empresas.iterate(per_page=_PER_PAGE):
            if (rfc := normalize_rfc(empresa.rfc)) not in self.done:
                continue
            if empresa.uid == self.done[rfc]:
                unlisted.discard(rfc)
                if (mark := empresa.key_mark()) and mark != self.key_marks.get(rfc, mark):
                    with_other_keys.append(rfc)
            else:
                others.setdefault(rfc, []).append(empresa.uid)
        found = [
            Duplicate(
                rfc,
                f"{rfc}: the list gives its company {self.done[rfc]} other keys than those that the run used: its "
                "series may have been created in another company",
            )
            for rfc in with_other_keys
        ]
        for rfc, uid in self.done.items():
            uids = [*([] if rfc in unlisted else [uid]), *others.get(rfc, ())]
            if rfc in unlisted:
                found.append(Duplicate(rfc, f"{rfc}: the list does not show its company {uid}"))
            if len(uids) > 1:
                text = f"{rfc}: there are {len(uids)} companies with this RFC: {', '.join(uids)}"
                found.append(Duplicate(rfc, text, is_several=True))
        return found
