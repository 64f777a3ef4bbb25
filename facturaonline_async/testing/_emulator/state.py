"""State of the emulator: plain tables that tests may change, with indexes."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from attrs import frozen

__all__ = ["ACTIVE", "PAUSED", "AccountState", "Behaviour", "Row", "Tables"]

Row: TypeAlias = dict[str, Any]
Tables: TypeAlias = dict[str, dict[Any, Row]]

ACTIVE: Final = "Activa"
PAUSED: Final = "Pausada"
"""A guess: only "Activa" is documented. Clients may rely only on another value than "Activa"."""

_BCRYPT_ALPHABET: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FIRST_UID: Final = 0x64EFDCDCE7927
_FIRST_SERIE: Final = 19846
_FIRST_ID: Final = 1521
_REQUIRED_KEYS: Final = frozenset({"id", "api_key", "secret_key", "create"})


@frozen(kw_only=True)
class Behaviour:
    """Settings of the emulator that the handlers need; see `Emulator`.

    Attributes:
        list_lag: seconds until lists include a new row.
        read_lag: seconds until a new company can be read.
        paging: whether the list of companies obeys its query.
        active: word for the state of an active serie.
        paused: word for that of a paused one.
        accepted: wrong creates of series that are accepted, such as ``"duplicate"``.

    """

    list_lag: float
    read_lag: float
    paging: bool
    active: str = ACTIVE
    paused: str = PAUSED
    accepted: frozenset[str] = frozenset({"duplicate"})


class AccountState:
    """Tables of all resources, with the queries of the handlers.

    A row of every table except ``"empresas"`` belongs to the company in its key ``empresa``.

    Tests may change the tables at any time, so the indexes may be outdated. They are rebuilt when `is_stale` is set,
    when the snapshot of a table has changed, and when a lookup fails.

    Args:
        seed: seed of the generated keys and uids.
        behaviour: settings of the emulator.
        resources: names of the tables.

    Attributes:
        behaviour: settings of the emulator.
        tables: the rows of each resource by their ids.
        is_stale: whether a test may have changed the tables, so that the indexes must be rebuilt.

    """

    def __init__(self, seed: float | str, behaviour: Behaviour, resources: Iterable[str]) -> None:
        self.behaviour = behaviour
        self.tables: Tables = {resource: {} for resource in sorted(resources)}
        self.is_stale: bool = True
        self._random = random.Random(f"keys {seed}")
        self._next_uid = _FIRST_UID
        self._next_serie = _FIRST_SERIE
        self._next_id = _FIRST_ID
        self._uid_of_key: dict[str, str] = {}
        self._series_of: dict[str | None, dict[Any, Row]] = {}
        self._last_snapshot: tuple[object, ...] = ()

    # Empresas

    def add_empresa(self, row: Row) -> str:
        """Add a company, complete its row, and return its uid; a missing uid is generated."""
        self._sync()
        uid = str(row.get("uid") or self._new_uid())
        self.tables["empresas"][uid] = row
        self._uid_of_key[self._complete(uid, row)["api_key"]] = uid
        self._last_snapshot = self._take_snapshot()
        return uid

    def empresa(self, uid: str) -> Row | None:
        """Return the company's row, or None."""
        self._sync()
        row = self.tables["empresas"].get(uid)
        return None if row is None else self._complete(uid, row)

    def empresas(self, behind: float = 0.0) -> Iterator[Row]:
        """Yield the companies that lists include now, or included so many seconds ago."""
        self._sync()
        rows = self.tables["empresas"].items()
        return (self._complete(uid, row) for uid, row in rows if self._is_listed(row, behind))

    def remove_empresa(self, uid: str) -> None:
        """Remove the company and all of its rows."""
        self._sync()
        del self.tables["empresas"][uid]
        for serie_id in self._series_of.pop(uid, {}):
            self.tables["series"].pop(serie_id, None)
        for table in self.tables.values():
            if table is not self.tables["series"]:
                for key in [key for key, row in table.items() if row.get("empresa") == uid]:
                    del table[key]
        self._last_snapshot = self._take_snapshot()

    def main_uid(self) -> str | None:
        """Return the uid of the main company, or None if it was deleted."""
        return next((uid for uid, row in self.tables["empresas"].items() if row.get("main")), None)

    def uid_of_keys(self, api_key: str, secret_key: str) -> str | None:
        """Return the uid of the company with this key pair, or None."""
        self._sync()
        uid = self._uid_of_known_keys(api_key, secret_key)
        if uid is None:
            self._index()
            uid = self._uid_of_known_keys(api_key, secret_key)
        return uid

    def _uid_of_known_keys(self, api_key: str, secret_key: str) -> str | None:
        uid = self._uid_of_key.get(api_key)
        row = None if uid is None else self.tables["empresas"].get(uid)
        if row is None or (row.get("api_key"), row.get("secret_key")) != (api_key, secret_key):
            return None
        return uid

    def is_readable(self, row: Row, behind: float = 0.0) -> bool:
        """Return whether a company can be read now, or could be `behind` seconds ago."""
        return self._age(row) >= self.behaviour.read_lag + behind

    # Series

    def add_serie(self, row: Row) -> int:
        """Add a serie to the company in its row, and return its id."""
        self._sync()
        while self._next_serie in self.tables["series"]:
            self._next_serie += 1
        serie_id = self._next_serie
        self.tables["series"][serie_id] = row
        self._series_of.setdefault(row["empresa"], {})[serie_id] = row
        self._last_snapshot = self._take_snapshot()
        return serie_id

    def series(self, empresa: str, behind: float = 0.0) -> list[tuple[Any, Row]]:
        """Return the ids and rows of a company's listed series, newest first.

        These are the series that lists include now, or included so many seconds ago.
        """
        self._sync()
        found = self._series_of.get(empresa, {})
        if any(row.get("empresa") != empresa for row in found.values()):
            self._index()
            found = self._series_of.get(empresa, {})
        return [(serie_id, row) for serie_id, row in reversed(found.items()) if self._is_listed(row, behind)]

    def serie(self, empresa: str, uid: str, behind: float = 0.0) -> tuple[Any, Row] | None:
        """Return the id and the row of a company's serie, or None if it does not exist.

        With `behind`, a serie must have existed so many seconds ago.
        """
        self._sync()
        table = self.tables["series"]
        serie_id: Any = int(uid) if uid.isascii() and uid.isdigit() and len(uid) < 20 else uid
        if serie_id not in table:
            serie_id = uid
        row = table.get(serie_id)
        if row is None or row.get("empresa") != empresa or self._age(row) < behind:
            return None
        return serie_id, row

    def has_serie(self, empresa: str, letra: str, tipo_documento: str) -> bool:
        """Return whether a company has a serie with this letra and tipo_documento."""
        self._sync()
        rows = self._series_of.get(empresa, {}).values()
        return any((row.get("letra"), row.get("tipo_documento")) == (letra, tipo_documento) for row in rows)

    def remove_serie(self, serie_id: Any) -> None:
        """Remove a serie."""
        self._sync()
        row = self.tables["series"].pop(serie_id)
        self._series_of.get(row["empresa"], {}).pop(serie_id, None)
        self._last_snapshot = self._take_snapshot()

    # Time

    def _is_listed(self, row: Row, behind: float) -> bool:
        return self._age(row) >= self.behaviour.list_lag + behind

    @staticmethod
    def _age(row: Row) -> float:
        created_at = row.get("created_at")
        return float("inf") if created_at is None else time.monotonic() - created_at

    # Indexes

    def _take_snapshot(self) -> tuple[object, ...]:
        """Return a cheap snapshot that differs after almost every change of the tables."""
        empresas, series = self.tables["empresas"], self.tables["series"]
        return (
            id(empresas),
            len(empresas),
            next(reversed(empresas), None),
            id(series),
            len(series),
            next(reversed(series), None),
        )

    def _sync(self) -> None:
        if self.is_stale or self._take_snapshot() != self._last_snapshot:
            self._index()

    def _index(self) -> None:
        """Complete the companies and rebuild the indexes."""
        empresas = self.tables["empresas"]
        self._uid_of_key = {self._complete(uid, row)["api_key"]: uid for uid, row in empresas.items()}
        self._series_of = {}
        main_uid = self.main_uid()
        for serie_id, row in self.tables["series"].items():
            owner = row.setdefault("empresa", main_uid)
            self._series_of.setdefault(owner, {})[serie_id] = row
            if isinstance(serie_id, int):
                self._next_serie = max(self._next_serie, serie_id + 1)
        self._last_snapshot = self._take_snapshot()
        self.is_stale = False

    def _complete(self, uid: str, row: Row) -> Row:
        """Add the missing uid, keys, date and id to a company's row, and return the row."""
        row["uid"] = uid
        if row.keys() >= _REQUIRED_KEYS:
            return row
        for name in ("api_key", "secret_key"):
            row.setdefault(name, self._new_key())
        row.setdefault("create", datetime.now(UTC).date().isoformat())
        if "id" not in row:
            self._next_id += 1
            row["id"] = self._next_id
        return row

    def _new_uid(self) -> str:
        """Return a uid like PHP's uniqid: microseconds in 13 hexadecimal digits."""
        while True:
            self._next_uid += self._random.randrange(1, 50_000)
            uid = f"{self._next_uid:013x}"
            if uid not in self.tables["empresas"]:
                return uid

    def _new_key(self) -> str:
        """Return a key as headers carry it: base64 of a text like a bcrypt hash."""
        raw = "$2y$10$" + "".join(self._random.choices(_BCRYPT_ALPHABET, k=53))
        return base64.b64encode(raw.encode()).decode()
