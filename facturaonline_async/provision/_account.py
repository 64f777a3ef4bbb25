"""What an account holds: its companies, and the series of each."""

from __future__ import annotations

from attrs import frozen

from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async.client import FacturaOnline
from facturaonline_async.empresas._models import Empresa
from facturaonline_async.errors import FacturaOnlineError, NotFoundError, PermissionDeniedError
from facturaonline_async.provision._engine.recorder import describe
from facturaonline_async.series._models import Serie

__all__ = ["ListedEmpresa", "list_account", "list_series"]

_PER_PAGE = 500


@frozen
class ListedEmpresa:
    """A company with its series.

    Attributes:
        empresa: the company.
        series: its series in the API's order; None: they were not read.
        reason: why they could not be read, or ``""``.

    """

    empresa: Empresa
    series: tuple[Serie, ...] | None = None
    reason: str = ""


async def list_account(client: FacturaOnline) -> list[Empresa]:
    """Return all companies of the account, ordered by RFC and uid.

    The main company is among them, which lists may omit.

    Args:
        client: client with the main keys.

    Raises:
        FacturaOnlineError: a page could not be read.

    """
    found = {empresa.uid: empresa async for empresa in client.empresas.iterate(per_page=_PER_PAGE)}
    try:
        main = await client.empresas.current()
    except (NotFoundError, PermissionDeniedError):  # the API does not show it
        pass
    else:
        found.setdefault(main.uid, main)
    return sorted(found.values(), key=lambda empresa: (normalize_rfc(empresa.rfc), empresa.uid))


async def list_series(client: FacturaOnline, empresa: Empresa) -> ListedEmpresa:
    """Return the series of a company, which are read with its own keys.

    Args:
        client: client with the main keys.
        empresa: the company, as a list showed it.

    Returns:
        The company with its series, or with the reason why they could not be read.

    """
    try:
        if not empresa.keys_problem and not (empresa.api_key and empresa.secret_key):  # some lists leave out keys
            empresa = await client.empresas.get_verified(empresa.uid, rfc=empresa.rfc)
        series = await client.for_empresa(empresa).series.list()
    except FacturaOnlineError as error:
        return ListedEmpresa(empresa, None, str(describe(error)))
    return ListedEmpresa(empresa, tuple(series))
