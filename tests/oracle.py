"""An oracle: it knows what the server did, and says where the client's account of it is wrong."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from attrs import define, field

from facturaonline_async import (
    ApiError,
    CambiosEmpresa,
    Empresa,
    FacturaOnline,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    Serie,
)
from facturaonline_async.testing import Emulator, Fault
from tests.plans import nueva

__all__ = ["FAULTS", "OPERATIONS", "Oracle"]

FAULTS: Final = (
    Fault.drop_before_commit(),
    Fault.drop_after_commit(),
    Fault.status(500),
    Fault.status(503),
    Fault.throttle(),
    Fault.garbage(),
    Fault.garbage(commit=False),
    Fault.html_page(),
    Fault.html_page(commit=False),
)
OPERATIONS: Final = (
    *("list", "get", "create", "ensure", "activate", "deactivate", "delete"),
    *("create empresa", "ensure empresa", "update", "delete empresa"),
)


@define
class Oracle:
    """Makes one call at a time for each thing, and compares what it is told with what there is.

    Attributes:
        owner: uid of the company whose keys the client has.
        prefix: three letters that its companies' RFCs begin with, so that several oracles leave each other alone.
        wrong: every account that was wrong.
        told: how many calls ended how.

    """

    emulator: Emulator
    client: FacturaOnline
    owner: str
    prefix: str = "ORA"
    wrong: list[str] = field(factory=list)
    told: dict[str, int] = field(factory=dict)
    _number: int = 0

    async def call(self, operation: str, choice: int) -> None:
        """Make a call on something that is there, if there is anything; `choice` says on which."""
        if operation in {"list", "get"}:
            await self._read(operation, choice)
        elif operation in {"create", "ensure"}:
            await self._bring(operation, choice)
        elif operation in {"activate", "deactivate", "delete"}:
            await self._change(operation, choice)
        else:
            await self._empresa(operation, choice)

    # ── Series ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _series(self) -> dict[int, dict[str, Any]]:
        rows = self.emulator.state["series"]
        return {uid: row for uid, row in rows.items() if row["empresa"] == self.owner}

    async def _read(self, operation: str, choice: int) -> None:
        series = self._series()
        if operation == "list":
            told = await self._told(self.client.series.list())
            if isinstance(told, list) and {serie.uid for serie in told} != set(series):
                self.wrong.append(f"list: {len(told)} series of {len(series)}")
        elif series:
            uid = list(series)[choice % len(series)]
            told = await self._told(self.client.series.get(uid))
            if isinstance(told, NotFoundError):
                self.wrong.append(f"get: {uid} is there")
        else:
            await self._bring("create", choice)

    async def _bring(self, operation: str, choice: int) -> None:
        series = self._series()
        letras = sorted({row["letra"] for row in series.values()})
        if operation == "ensure" and letras and choice % 3:
            letra = letras[choice % len(letras)]
        else:
            self._number += 1
            letra = f"L{self._number}"

        def count() -> int:
            return sum(row["letra"] == letra for row in self._series().values())

        before = count()
        method = getattr(self.client.series, operation)
        told = await self._told(method(letra=letra, tipo_documento="factura"))
        created = count() - before
        may = {0, 1} if isinstance(told, OutcomeUnknownError) else {1}
        if isinstance(told, (NotSentError, ApiError)):
            may = {0}
        if operation == "ensure" and before:
            may = {0}
        if isinstance(told, Serie) and (told.letra, told.uid in self._series()) != (letra, True):
            self.wrong.append(f"ensure: gave {told}")
        self._judge(f"{operation} {letra}", told, is_right=created in may)

    async def _change(self, operation: str, choice: int) -> None:
        series = self._series()
        if not series:
            await self._bring("create", choice)
            return
        uid = list(series)[choice % len(series)]
        before = series[uid]["estatus"]
        told = await self._told(getattr(self.client.series, operation)(uid))
        now = self.emulator.state["series"].get(uid, {}).get("estatus", "")
        wanted = {"activate": "Activa", "deactivate": "Pausada", "delete": ""}[operation]
        self._judge(f"{operation} {uid}", told, is_right=now in self._may(told, before, wanted))

    # ── Empresas ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _empresa(self, operation: str, choice: int) -> None:
        rows = self.emulator.state["empresas"]
        mine = [uid for uid, row in rows.items() if row.get("rfc", "").startswith(self.prefix)]
        if operation in {"create empresa", "ensure empresa"} or not mine:
            await self._bring_empresa(operation, [rows[uid]["rfc"] for uid in mine], choice)
        elif operation == "update":
            uid = mine[choice % len(mine)]
            self._number += 1
            before, wanted = rows[uid].get("ciudad", ""), f"Ciudad {self._number}"
            told = await self._told(self.client.empresas.update(uid, CambiosEmpresa(ciudad=wanted)))
            now = self.emulator.state["empresas"][uid].get("ciudad", "")
            self._judge(f"update {uid}", told, is_right=now in self._may(told, before, wanted))
        else:
            uid = mine[choice % len(mine)]
            told = await self._told(self.client.empresas.delete(uid))
            is_there = uid in self.emulator.state["empresas"]
            self._judge(f"delete {uid}", told, is_right=is_there in self._may(told, True, False))  # noqa: FBT003

    async def _bring_empresa(self, operation: str, rfcs: list[str], choice: int) -> None:
        self._number += 1
        rfc = f"{self.prefix}{self._number:06}AA1"
        if rfcs and operation == "ensure empresa" and choice % 3:
            rfc = rfcs[choice % len(rfcs)]

        def count() -> int:
            return sum(row.get("rfc") == rfc for row in self.emulator.state["empresas"].values())

        before = count()
        method = self.client.empresas.ensure if operation == "ensure empresa" else self.client.empresas.create
        told = await self._told(method(nueva(rfc)))
        may = {0, 1} if isinstance(told, OutcomeUnknownError) else {1}
        if isinstance(told, (NotSentError, ApiError)):
            may = {0}
        if operation == "ensure empresa" and before:
            may = {0}
        if isinstance(told, Empresa) and told.uid not in self.emulator.state["empresas"]:
            self.wrong.append(f"{operation}: gave {told.uid}, which is not there")
        self._judge(f"{operation} {rfc}", told, is_right=count() - before in may)

    # ── Verdicts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def _may(told: object, before: Any, wanted: Any) -> set[Any]:
        """Return the states that there may be after such an account."""
        if isinstance(told, OutcomeUnknownError):
            return {before, wanted}
        return {before} if isinstance(told, (NotSentError, ApiError)) else {wanted}

    def _judge(self, what: str, told: object, *, is_right: bool) -> None:
        if not is_right:
            self.wrong.append(f"{what}: told {told!r}")

    async def _told(self, call: Awaitable[Any]) -> Any:
        """Return what the client says: a value, or an error of ours."""
        told: Any
        try:
            told = await call
        except FacturaOnlineError as error:
            told = error
        name = type(told).__name__ if isinstance(told, FacturaOnlineError) else "ok"
        self.told[name] = self.told.get(name, 0) + 1
        return told
