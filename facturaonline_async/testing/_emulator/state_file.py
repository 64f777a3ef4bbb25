"""State file of the emulator: a killed process loses no confirmed change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from facturaonline_async._messages import message
from facturaonline_async._private_files import open_private
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.state import AccountState, Row

__all__ = ["StateFile"]

_FORMAT: Final = "facturaonline-emulator-1"


class StateFile:
    """Append-only file of JSON lines with the changes of the state.

    There is one line for each start, with the port, and one for each changed row. Each line is a single write, so that
    `kill -9` can damage only the last line. The file is not synced: a power failure may lose lines.
    Only its owner can read it, because rows hold keys and passwords.

    Args:
        path: path of the file, which is created if missing.

    Attributes:
        port: port of the last start, or 0.
        starts: number of earlier starts.

    Raises:
        InvalidInputError: the file is not a state file.
        OSError: the file cannot be opened.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.port: int = 0
        self.starts: int = 0
        self._tables: dict[str, dict[Any, Row]] = {}
        with open(self._path, "a+b", opener=open_private) as file:
            file.seek(0)
            self._read(file)

    def _read(self, file: BinaryIO) -> None:
        content = file.read()
        end = content.rfind(b"\n") + 1
        try:
            for number, line in enumerate(content[:end].splitlines()):
                self._apply_line(json.loads(line), is_first=number == 0)
        except (ValueError, KeyError, TypeError):
            end = 0
        if content and not end:
            raise InvalidInputError(message("testing.not_a_state_file", path=str(self._path)), field="state_file")
        file.truncate(end)  # the process was killed while it wrote the last line

    def _apply_line(self, entry: dict[str, Any], *, is_first: bool) -> None:
        if is_first and entry["format"] != _FORMAT:
            raise ValueError
        if "format" in entry:
            self.port, self.starts = int(entry["port"]), self.starts + 1
            return
        table, key, row = self._tables.setdefault(entry["table"], {}), entry["key"], entry["row"]
        if row is None:
            table.pop(key, None)
        else:
            table[key] = dict(row)

    def restore_into(self, state: AccountState) -> bool:
        """Copy the rows of the file into the state, and return whether there are any.

        The lags do not apply to these rows.
        """
        for name, table in state.tables.items():
            table.update({key: row | {"created_at": None} for key, row in self._tables.get(name, {}).items()})
        found = bool(self._tables)
        empresas = state.tables["empresas"]
        orphans = [key for key, row in state.tables["series"].items() if row.get("empresa", "") not in {"", *empresas}]
        for key in orphans:
            del state.tables["series"][key]
        self._tables = {}
        state.is_stale = True
        return found

    def record_start(self, port: int, state: AccountState) -> None:
        """Write a start, and at the first start all rows."""
        is_first = not self.starts
        self.port, self.starts = port, self.starts + 1
        self._write({"format": _FORMAT, "port": port})
        if is_first:
            for name, table in state.tables.items():
                for key in table:
                    self.record_row(state, name, key)

    def record_row(self, state: AccountState, table: str, key: object) -> None:
        """Write the current row, or its deletion.

        Before the first start it does nothing, because `record_start` writes all rows.
        """
        if not self.starts:
            return
        row = state.tables[table].get(key)
        kept = None if row is None else {name: value for name, value in row.items() if name != "created_at"}
        self._write({"table": table, "key": key, "row": kept})

    def _write(self, entry: dict[str, Any]) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write(json.dumps(entry).encode() + b"\n")
