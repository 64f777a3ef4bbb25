"""Rows of a plan that was read from a file, kept small: some 80 bytes each, where a row as a value takes 2,000.

A row is checked once, while its file is read, and then kept as a record of JSON in a block of its neighbours, deflated.
So a plan is one moment of its file: whatever becomes of the file, the run sees the rows that were checked.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeAlias, TypedDict, overload

import anyio.to_thread
from attrs import field, frozen

from facturaonline_async.config import Secret, SecretBytes
from facturaonline_async.empresas._models import NuevaEmpresa
from facturaonline_async.provision.rows import Existing, PlanRow, PlanSerie
from facturaonline_async.sello import Kind, Sello, read_file
from facturaonline_async.series._tipo_documento import TipoDocumento

__all__ = ["FaultyRow", "PackedRow", "PackedRows", "Record", "SelloParts"]

_BLOCK: Final = 32
"""Records that are deflated together: more would be smaller, and slower to get one out of."""


#: Paths of a certificate and its key, the password in clear, and the environment variable that it came from, or "".
SelloParts: TypeAlias = tuple[str, str, str, str]
#: The same, as a row keeps it.
KeptParts: TypeAlias = tuple[str, str, Secret, str]


def _kept(parts: SelloParts | None) -> KeptParts | None:
    return None if parts is None else (parts[0], parts[1], Secret(parts[2]), parts[3])


class Record(TypedDict):
    """All that a row says, after the check."""

    number: int
    rfc: str
    existing: Existing | None
    series: list[str | int | None]  # letra, tipo_documento, folio, letra, …
    values: dict[str, Any]
    csd: SelloParts
    fiel: SelloParts | None
    logo: str | None


@frozen(kw_only=True)
class PackedRow:
    """A row of a file. It keeps where its record is, not what the record says: thousands of rows stay small."""

    number: int
    rfc: str
    series: tuple[PlanSerie, ...]
    existing: Existing | None
    _record: Callable[[int], Record] = field(alias="record", repr=False)
    _index: int = field(alias="index", repr=False)

    async def load(self) -> NuevaEmpresa:
        """Read the certificates, in a thread and in one go.

        Raises:
            InvalidInputError: a file cannot be read any more.

        """
        return await anyio.to_thread.run_sync(self._load)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that the row's passwords came from, by the columns of the passwords."""
        record = self._record(self._index)
        return _variables(record["csd"], record["fiel"])

    def _load(self) -> NuevaEmpresa:
        record = self._record(self._index)
        return NuevaEmpresa(
            rfc=self.rfc,
            **record["values"],
            csd=_sello("", *record["csd"]),
            fiel=_sello("fiel", *record["fiel"]) if record["fiel"] else None,
            logo=read_file("logo", record["logo"]) if record["logo"] else None,
        )


@frozen(kw_only=True)
class FaultyRow:
    """A row with a faulty cell: what is there of it to be checked all the same.

    Attributes:
        number: number of the row as a spreadsheet shows it.
        rfc: the company's RFC, or None where that is faulty.
        series_count: how many series the row has, those with a fault too.

    """

    number: int
    rfc: str | None
    _csd: KeptParts | None = field(alias="csd", repr=False, converter=_kept)
    _fiel: KeptParts | None = field(alias="fiel", repr=False, converter=_kept)
    series_count: int = 0

    @property
    def variables(self) -> dict[str, str]:
        """As of `PackedRow`."""
        return _variables(self._csd, self._fiel)

    async def load_sellos(self) -> list[tuple[Kind, Sello]]:
        """Read the certificates whose cells have no fault, in a thread.

        Raises:
            InvalidInputError: a file cannot be read any more.

        """
        return await anyio.to_thread.run_sync(self._load)

    def _load(self) -> list[tuple[Kind, Sello]]:
        found: list[tuple[Kind, Sello]] = []
        if self._csd is not None:
            found.append(("csd", _sello("", *self._csd)))
        if self._fiel is not None:
            found.append(("fiel", _sello("fiel", *self._fiel)))
        return found


class PackedRows(Sequence[PlanRow]):
    """The rows, made anew whenever they are asked for. Nothing shows what they hold, and they cannot be pickled."""

    def __init__(self) -> None:
        self._blocks: list[SecretBytes] = []
        self._loose: list[SecretBytes] = []
        self.series_count: int = 0

    def append(self, record: Record) -> tuple[PlanSerie, ...]:
        """Keep one more, and return its series."""
        series = _series(*record["series"])
        self.series_count += len(series)
        self._loose.append(SecretBytes(json.dumps(record).encode("ascii")))
        if len(self._loose) == _BLOCK:
            self._blocks.append(SecretBytes(zlib.compress(b"\n".join(self._loose), 1)))
            self._loose = []
        return series

    def record(self, index: int) -> Record:
        """Return what one row says."""
        record: Record = json.loads(self._lines(index // _BLOCK)[index % _BLOCK])
        return record

    def files(self) -> Iterator[str]:
        """Give the paths of all files that the rows name."""
        for block in range(len(self._blocks) + 1):
            for record in map(json.loads, self._lines(block)):
                for cer, key, *_ in filter(None, (record["csd"], record["fiel"])):
                    yield from (cer, key)
                if record["logo"]:
                    yield record["logo"]

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._loose)

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PlanRow]: ...

    def __getitem__(self, index: int | slice) -> PlanRow | Sequence[PlanRow]:
        place = range(len(self))[index]
        if isinstance(place, range):
            return tuple(self._row(each, self.record(each)) for each in place)
        return self._row(place, self.record(place))

    def __iter__(self) -> Iterator[PlanRow]:
        for block in range(len(self._blocks) + 1):
            for index, line in enumerate(self._lines(block), block * _BLOCK):
                yield self._row(index, json.loads(line))

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("The rows of a plan hold passwords, and cannot be pickled. Read the plan again.")

    def _lines(self, block: int) -> Sequence[bytes]:
        if block == len(self._blocks):
            return self._loose
        return zlib.decompress(self._blocks[block]).split(b"\n")

    def _row(self, index: int, record: Record) -> PackedRow:
        return PackedRow(
            number=record["number"],
            rfc=record["rfc"],
            series=_series(*record["series"]),
            existing=record["existing"],
            record=self.record,
            index=index,
        )


@lru_cache(maxsize=256)  # most companies have the same series
def _series(*flat: Any) -> tuple[PlanSerie, ...]:
    triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    return tuple(
        # Whether it is misspelt was decided when the file was read.
        PlanSerie(letra=letra, tipo_documento=TipoDocumento.other(tipo_documento), folio=folio)
        for letra, tipo_documento, folio in triples
    )


def _variables(csd: SelloParts | KeptParts | None, fiel: SelloParts | KeptParts | None) -> dict[str, str]:
    named = {"password": csd, "fielpassword": fiel}
    return {column: parts[3] for column, parts in named.items() if parts is not None and parts[3]}


def _sello(prefix: str, cer: str, key: str, password: str | Secret, _: str) -> Sello:
    return Sello(read_file(f"{prefix}cer", cer), read_file(f"{prefix}key", key), Secret(password))
