"""FacturaOnline: a session and a key pair together; connect() makes both."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from attrs import evolve, frozen

from facturaonline_async.config import Config, Credentials
from facturaonline_async.errors import InvalidInputError, UnreadableAnswerError
from facturaonline_async.resources.empresas.service import EmpresaService
from facturaonline_async.resources.empresas.values import Empresa
from facturaonline_async.resources.series.service import SeriesService
from facturaonline_async.session import SessionManager

__all__ = ["FacturaOnline", "connect"]


@frozen(slots=False)  # the services are kept once they were asked for
class FacturaOnline:
    """A session seen with one company's keys. Free to make, even for each request; there is nothing to close."""

    session: SessionManager
    credentials: Credentials

    @cached_property
    def series(self) -> SeriesService:
        """The series of the company that the keys belong to."""
        return SeriesService(self.session, self.credentials)

    @cached_property
    def empresas(self) -> EmpresaService:
        """The companies of the account that the keys belong to."""
        return EmpresaService(self.session, self.credentials)

    def for_empresa(self, empresa: Empresa) -> FacturaOnline:
        """Return the same session seen with that company's own keys.

        Raises:
            InvalidInputError: this value carries no keys; see `Empresa.credentials`.
            UnreadableAnswerError: the keys are another company's, as far as this session knows.

        """
        credentials = empresa.credentials
        if problem := self.session.identities.problem(empresa):
            raise UnreadableAnswerError(problem, uid=empresa.uid)
        self.session.identities.learn(empresa)
        return FacturaOnline(self.session, credentials)


@asynccontextmanager
async def connect(
    credentials: Credentials | None = None, *, base_url: str | None = None, config: Config | None = None
) -> AsyncIterator[FacturaOnline]:
    """Open a session for one key pair, and close it at the end of the ``async with``.

    Args:
        credentials: None reads ``FACTURAONLINE_API_KEY`` and ``FACTURAONLINE_SECRET_KEY`` from the environment.
        base_url: such as `SANDBOX`; else the one in `config`, else ``FACTURAONLINE_BASE_URL`` from the environment.
            There is no default: production is never met by accident.
        config: everything else.

    Raises:
        InvalidInputError: keys or base URL are missing or malformed.

    """
    config = config or Config()
    url = base_url or config.base_url or os.environ.get("FACTURAONLINE_BASE_URL")
    if not url:
        raise InvalidInputError(
            "base_url is missing: pass base_url=SANDBOX (or PRODUCTION), or set FACTURAONLINE_BASE_URL.",
            field="base_url",
        )
    if credentials is None:
        credentials = Credentials(api_key=_from_environment("API_KEY"), secret_key=_from_environment("SECRET_KEY"))
    async with SessionManager(evolve(config, base_url=url)) as session:
        yield FacturaOnline(session, credentials)


def _from_environment(name: str) -> str:
    variable = f"FACTURAONLINE_{name}"
    if value := os.environ.get(variable):
        return value
    raise InvalidInputError(f"credentials are missing: pass Credentials(…), or set {variable}.", field=name.lower())
