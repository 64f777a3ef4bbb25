"""Rows of a plan that was read from a file.

Certificates are read only when a row is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import anyio.to_thread
from attrs import field, frozen

from facturaonline_async._secrets import Secret, to_secret
from facturaonline_async.empresas._models import NuevaEmpresa
from facturaonline_async.provision._plan.models import Existing, PlanSerie
from facturaonline_async.sello import Kind, Sello, read_file

__all__ = ["FaultyRow", "FileRow", "SelloFiles"]


@frozen(kw_only=True)
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


@frozen(kw_only=True, eq=False)
class FileRow:
    """Row of a file without a faulty cell. It takes about 1.2 kB.

    Attributes:
        number: number of the row, as a spreadsheet shows it; in a TOML file, number of the table.
        rfc: the company's RFC, normalised.
        series: the series that the company should have.
        existing: what to do with the company if it exists; None: the default of the run.

    """

    number: int
    rfc: str
    series: tuple[PlanSerie, ...]
    existing: Existing | None = None
    _values: Mapping[str, Any] = field(alias="values", repr=False)
    _csd: SelloFiles = field(alias="csd", repr=False)
    _fiel: SelloFiles | None = field(default=None, alias="fiel", repr=False)
    _logo: str | None = field(default=None, alias="logo", repr=False)

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

    async def load(self) -> NuevaEmpresa:
        """Read the row's files in one thread call, and return the company's data.

        Raises:
            InvalidInputError: a file can no longer be read.

        """
        return await anyio.to_thread.run_sync(self.read)

    def read(self) -> NuevaEmpresa:
        """Read the row's files, and return the company's data. Blocking.

        Raises:
            InvalidInputError: a file can no longer be read.

        """
        return NuevaEmpresa(
            rfc=self.rfc,
            **self._values,
            csd=self._csd.read(),
            fiel=self._fiel.read() if self._fiel else None,
            logo=read_file("logo", self._logo) if self._logo else None,
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
