"""The state of an emulator in a file: a process that is killed loses nothing that the API has answered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from facturaonline_async._private_files import open_private
from facturaonline_async.errors import InvalidInputError

if TYPE_CHECKING:
    from facturaonline_async.testing._emulator.state import Row, State

__all__ = ["StateFile"]

_FORMAT: Final = "facturaonline-emulator-1"


class StateFile:
    """JSON lines that are only ever added: one for each start, with the port; one for each row that changed.

    A line is written in one go, so that `kill -9` leaves all lines or all but the last. It is not synced: a power cut
    may lose some. Rows hold keys and passwords; the file is its owner's alone.

    Args:
        path: made where it is not there.

    Attributes:
        port: where the emulator listened before, or 0.
        starts: how often it was started before.

    Raises:
        InvalidInputError: the file is something else.
        OSError: it cannot be opened.

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
            raise InvalidInputError(
                f"{self._path} is there already, and is no state of an emulator: give another file.", field="state_file"
            )
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

    def restore_into(self, state: State) -> bool:
        """Give the state all rows of the file, as rows of long ago, and return whether there are any."""
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

    def record_start(self, port: int, state: State) -> None:
        """Note a start, and at the first one all rows that are there."""
        is_first = not self.starts
        self.port, self.starts = port, self.starts + 1
        self._write({"format": _FORMAT, "port": port})
        if is_first:
            for name, table in state.tables.items():
                for key in table:
                    self.record_row(state, name, key)

    def record_row(self, state: State, table: str, key: object) -> None:
        """Note how a row is now, or that it is gone. Before the first start nothing is noted: `begin` notes all."""
        if not self.starts:
            return
        row = state.tables[table].get(key)
        kept = None if row is None else {name: value for name, value in row.items() if name != "created_at"}
        self._write({"table": table, "key": key, "row": kept})

    def _write(self, entry: dict[str, Any]) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write(json.dumps(entry).encode() + b"\n")
