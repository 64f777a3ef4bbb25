"""Rows of a plan that was read from a file.

Certificates are read only when a row is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeAlias, TypeVar, overload

import anyio.to_thread
from attrs import field, frozen

from facturaonline_async._messages import message
from facturaonline_async._secrets import NotSerializable, Secret, hidden_slots, to_secret
from facturaonline_async.empresas._models import CambiosEmpresa, NuevaEmpresa
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.provision._plan.cell_values import Value
from facturaonline_async.provision._plan.models import Existing, ExistingRow, PlanRow, PlanSerie
from facturaonline_async.sello import Kind, Sello, read_file
from facturaonline_async.series._tipo_documento import TipoDocumento

__all__ = ["FaultyRow", "FileRow", "FileRows", "SelloFiles", "SerieParts", "load_data"]

T = TypeVar("T")

SerieParts: TypeAlias = tuple[tuple[str, str, int | None], ...]
"""Letra, tipo_documento and first folio of each serie of a row."""


@frozen
class SelloFiles:
    """Paths of a certificate and its key, with the password.

    Attributes:
        kind: "csd" or "fiel".
        cer: path of the certificate.
        key: path of the private key.
        password: password of the private key.
        variable: environment variable that held the password, or "".

    """

    kind: Kind
    cer: str
    key: str
    password: Secret = field(converter=to_secret)
    variable: str = ""

    @property
    def prefix(self) -> str:
        """Prefix of the columns' names: "fiel" or ""."""
        return "fiel" if self.kind == "fiel" else ""

    def read(self) -> Sello:
        """Read both files.

        Raises:
            InvalidInputError: a file can no longer be read.

        """
        cer, key = read_file(f"{self.prefix}cer", self.cer), read_file(f"{self.prefix}key", self.key)
        return Sello(cer, key, self.password)


_NUMBER, _RFC, _SERIES, _EXISTING, _LOGO, _FIEL, _UID, _NAMES, _CER, _KEY, _PASSWORD, _VARIABLE, _VALUES = range(13)
"""Places in a packed row. The values of the row's attributes follow from the last one on."""


class FileRow(NotSerializable):
    """Row of a file without a faulty cell.

    It is one tuple of texts and numbers, in a slot that no attribute shows (`hidden_slots`).

    Args:
        number: number of the row, as a spreadsheet shows it; in a TOML file, number of the table.
        rfc: the company's RFC, normalised.
        series: letra, tipo_documento and first folio of each serie.
        existing: what to do with the company if it exists; None: the default of the run.
        values: the other attributes of `NuevaEmpresa`.
        csd: files of the CSD. None only if the company must exist.
        fiel: files of the FIEL.
        logo: path of the logo.
        uid: uid that the company must have; ``""``: it must exist, with any uid; None: it need not exist.

    """

    __slots__ = ("_packed",)

    _refusal = message("values.plan_row_pickled")

    def __init__(
        self,
        *,
        number: int,
        rfc: str,
        series: SerieParts,
        existing: Existing | None = None,
        values: Mapping[str, Value],
        csd: SelloFiles | None,
        fiel: SelloFiles | None = None,
        logo: str | None = None,
        uid: str | None = None,
    ) -> None:
        packed_fiel = None if fiel is None else _pack_sello(fiel)
        packed_csd = _NO_SELLO if csd is None else _pack_sello(csd)
        first = number, rfc, _shared(series), existing, logo, packed_fiel, uid, _shared(tuple(values))
        _PACKED.__set__(self, (*first, *packed_csd, *values.values()))

    def __repr__(self) -> str:
        return f"FileRow(number={self.number}, rfc={self.rfc!r})"

    @property
    def number(self) -> int:
        """Number of the row, as a spreadsheet shows it."""
        number: int = _PACKED.__get__(self)[_NUMBER]
        return number

    @property
    def rfc(self) -> str:
        """The company's RFC, normalised."""
        rfc: str = _PACKED.__get__(self)[_RFC]
        return rfc

    @property
    def series(self) -> tuple[PlanSerie, ...]:
        """The series that the company should have."""
        return _plan_series(_PACKED.__get__(self)[_SERIES])

    @property
    def existing(self) -> Existing | None:
        """What to do with the company if it exists; None: the default of the run."""
        existing: Existing | None = _PACKED.__get__(self)[_EXISTING]
        return existing

    @property
    def uid(self) -> str | None:
        """Uid that the company must have; ``""``: any; None: it need not exist."""
        uid: str | None = _PACKED.__get__(self)[_UID]
        return uid

    @property
    def values(self) -> dict[str, Any]:
        """The other attributes of `NuevaEmpresa` that the file gives."""
        return dict(zip(_PACKED.__get__(self)[_NAMES], _PACKED.__get__(self)[_VALUES:], strict=True))

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that held the row's passwords, by the passwords' columns."""
        return _variables(self._csd, self._fiel)

    @property
    def files(self) -> Iterator[str]:
        """Paths of all files that the row names."""
        for sello in filter(None, (self._csd, self._fiel)):
            yield from (sello.cer, sello.key)
        if self._logo:
            yield self._logo

    @property
    def _csd(self) -> SelloFiles | None:
        packed = _PACKED.__get__(self)[_CER:_VALUES]
        return None if packed == _NO_SELLO else SelloFiles("csd", *packed)

    @property
    def _fiel(self) -> SelloFiles | None:
        fiel = _PACKED.__get__(self)[_FIEL]
        return None if fiel is None else SelloFiles("fiel", *fiel)

    @property
    def _logo(self) -> str | None:
        logo: str | None = _PACKED.__get__(self)[_LOGO]
        return logo

    async def load(self) -> NuevaEmpresa:
        """Read the row's files in one thread call, and return the company's data.

        Raises:
            InvalidInputError: a file can no longer be read; or the row gives no data for a new company, because it must
                exist.

        """
        data = await anyio.to_thread.run_sync(self.read)
        if isinstance(data, CambiosEmpresa):
            raise InvalidInputError(message("plan.no_new_company"), field="rfc")
        return data

    def read(self) -> NuevaEmpresa | CambiosEmpresa:
        """Read the row's files, and return the company's data. Blocking.

        They are changes if the company must exist.

        Raises:
            InvalidInputError: a file can no longer be read.

        """
        csd, fiel, logo = self._csd, self._fiel, self._logo
        read_fiel = fiel.read() if fiel else None
        read_logo = read_file("logo", logo) if logo else None
        if csd is not None and self.uid is None:
            return NuevaEmpresa(rfc=self.rfc, **self.values, csd=csd.read(), fiel=read_fiel, logo=read_logo)
        read_csd = csd.read() if csd else None
        return CambiosEmpresa(rfc=self.rfc, **self.values, csd=read_csd, fiel=read_fiel, logo=read_logo)


(_PACKED,) = hidden_slots(FileRow)


async def load_data(row: PlanRow) -> NuevaEmpresa | CambiosEmpresa:
    """Return the data of a row: those of a new company, or changes if it must exist.

    Args:
        row: the row.

    Raises:
        InvalidInputError: a file can no longer be read.

    """
    if isinstance(row, FileRow):
        return await anyio.to_thread.run_sync(row.read)
    return row.data if isinstance(row, ExistingRow) else await row.load()


class FileRows(NotSerializable, Sequence[FileRow]):
    """Rows of a file, packed: about 0.8 kB for each.

    A packed row is a tuple of texts and numbers, which the garbage collector does not visit. Objects of 100,000 rows
    would stop the process for a tenth of a second whenever it runs.

    Args:
        rows: the rows.

    """

    __slots__ = ("_packed",)

    _refusal = message("values.plan_row_pickled")

    def __init__(self, rows: Iterable[FileRow]) -> None:
        _PACKED_ROWS.__set__(self, list(map(_PACKED.__get__, rows)))

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"

    def __len__(self) -> int:
        return len(_PACKED_ROWS.__get__(self))

    def __iter__(self) -> Iterator[FileRow]:
        return map(_unpack, _PACKED_ROWS.__get__(self))

    @overload
    def __getitem__(self, index: int) -> FileRow: ...

    @overload
    def __getitem__(self, index: slice) -> FileRows: ...

    def __getitem__(self, index: int | slice) -> FileRow | FileRows:
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        return _unpack(_PACKED_ROWS.__get__(self)[index])

    def select(self, places: Iterable[int]) -> FileRows:
        """Return the rows at these places, in this order."""
        return FileRows(map(self.__getitem__, places))

    @property
    def series_count(self) -> int:
        """Number of series of all rows together."""
        return sum(map(len, map(itemgetter(_SERIES), _PACKED_ROWS.__get__(self))))


(_PACKED_ROWS,) = hidden_slots(FileRows)


def _unpack(packed: tuple[Any, ...]) -> FileRow:
    row = FileRow.__new__(FileRow)
    _PACKED.__set__(row, packed)
    return row


_NO_SELLO: Final = ("", "", "", "")


def _pack_sello(sello: SelloFiles) -> tuple[str, str, str, str]:
    return sello.cer, sello.key, sello.password.reveal(), sello.variable


# Cached: most companies have the same columns and the same series, and share them.


@lru_cache(maxsize=256)
def _shared(parts: T) -> T:
    return parts


@lru_cache(maxsize=256)
def _plan_series(parts: SerieParts) -> tuple[PlanSerie, ...]:
    return tuple(
        # `RowParser` has checked the spelling.
        PlanSerie(letra=letra, tipo_documento=TipoDocumento.other(tipo_documento), folio=folio)
        for letra, tipo_documento, folio in parts
    )


@frozen(kw_only=True, eq=False)
class FaultyRow:
    """Row with a faulty cell, reduced to what can still be checked.

    Attributes:
        number: number of the row, as a spreadsheet shows it.
        rfc: the company's RFC; None if it is faulty.
        series_count: number of series of the row, including faulty ones.

    """

    number: int
    rfc: str | None
    series_count: int = 0
    _csd: SelloFiles | None = field(alias="csd", repr=False)
    _fiel: SelloFiles | None = field(alias="fiel", repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that held the row's passwords, by the passwords' columns."""
        return _variables(self._csd, self._fiel)

    async def load_sellos(self) -> list[tuple[Kind, Sello]]:
        """Read the certificates whose cells are valid, in a thread.

        Raises:
            InvalidInputError: a file can no longer be read.

        """
        return await anyio.to_thread.run_sync(self._load)

    def _load(self) -> list[tuple[Kind, Sello]]:
        return [(sello.kind, sello.read()) for sello in (self._csd, self._fiel) if sello is not None]


def _variables(*sellos: SelloFiles | None) -> dict[str, str]:
    return {f"{sello.prefix}password": sello.variable for sello in sellos if sello is not None and sello.variable}
