"""What commands for people share: their options, a client from the environment, and how they end when interrupted."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, TypeVar

import typer
from attrs import define

from facturaonline_async._core.logging import LOGGER, RedactingFilter
from facturaonline_async._text import printable
from facturaonline_async.cli import signals
from facturaonline_async.client import FacturaOnline, connect
from facturaonline_async.config import Credentials
from facturaonline_async.empresas._models import Empresa, normalize_rfc
from facturaonline_async.errors import InvalidInputError, NotFoundError, UnreadableAnswerError

__all__ = [
    "AsJson",
    "BaseUrl",
    "Uid",
    "Yes",
    "check_environment",
    "check_uid",
    "confirm",
    "own_credentials",
    "run",
    "show_warnings",
]

T = TypeVar("T")

Uid = Annotated[str, typer.Argument(metavar="UID", help="The API's own name of it; see list.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without asking, as scripts must.")]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Prefix of the API, as https://sandbox.facturaonline.com.mx/api; else FACTURAONLINE_BASE_URL.",
    ),
]

_RFC: Final = re.compile(r"[A-ZÑ&]{3,4}[0-9]{6}[A-Z0-9]{3}")
"""The API's uids begin with a digit."""


def run(
    work: Callable[[FacturaOnline], Awaitable[T]],
    *,
    base_url: str | None,
    empresa: str | None = None,
    credentials: Credentials | None = None,
    change: str | None = None,
) -> T:
    """Run the work of a command with a client, and return its result.

    Args:
        work: is given the client.
        base_url: prefix of the API; None: from the environment.
        empresa: RFC or uid of the company whose keys the client uses; None: those of the environment.
        credentials: keys of the client; None: from the environment.
        change: what the work changes, such as "the serie 7 was paused", for the message after Ctrl-C; None: nothing.

    Raises:
        Exit: Ctrl-C was pressed. The standard error says what may have been changed.

    """
    check_environment(base_url)
    call = _Call(change)
    with show_warnings():
        try:
            return signals.run(call.run(work, base_url, empresa, credentials))
        except typer.Exit:
            sys.stderr.write(f"Interrupted. {call.outcome}\n")
            raise


@define
class _Call:
    """The work of one command, and what may have been changed so far."""

    change: str | None
    outcome: str = "Nothing was changed."

    async def run(
        self,
        work: Callable[[FacturaOnline], Awaitable[T]],
        base_url: str | None,
        empresa: str | None,
        credentials: Credentials | None,
    ) -> T:
        """Run the work with a client of the environment's keys, the given keys, or those of a company."""
        async with connect(credentials, base_url=base_url) as main:
            client = main if empresa is None else await _client_of(main, empresa)
            if self.change is None:
                return await work(client)
            self.outcome = f"It may be that {self.change} all the same: look before you repeat it."
            result = await work(client)
            self.outcome = "It was done."
            return result


async def _client_of(client: FacturaOnline, empresa: str) -> FacturaOnline:
    found = await _empresa(client, empresa)
    own_credentials(found)
    return client.for_empresa(found)


def check_environment(base_url: str | None, *, otherwise: str = "") -> None:
    """Say in words of the command what is missing, and what else may be done.

    Raises:
        InvalidInputError: there is no base URL, or no key.

    """
    if not base_url and not os.environ.get("FACTURAONLINE_BASE_URL"):
        raise InvalidInputError(
            f"FACTURAONLINE_BASE_URL is not set: set it, or give --base-url{otherwise}.", field="base_url"
        )
    for name in ("api_key", "secret_key"):
        if not os.environ.get(variable := f"FACTURAONLINE_{name.upper()}"):
            raise InvalidInputError(f"{variable} is not set: set it to the account's key{otherwise}.", field=name)


async def _empresa(client: FacturaOnline, name: str) -> Empresa:
    """Return the one company of this RFC or uid, with its keys as they are now: lists may be older."""
    rfc = normalize_rfc(name)
    if not _RFC.fullmatch(rfc):
        return check_uid(await client.empresas.get(name), name)
    found = [each.uid for each in await client.empresas.list(rfc=rfc) if normalize_rfc(each.rfc) == rfc]
    if not found:
        raise NotFoundError(f"No empresa has the RFC {rfc}.")
    if len(found) > 1:
        raise InvalidInputError(
            f"{len(found)} empresas have the RFC {rfc}: give the uid of one of them ({', '.join(found)}).",
            field="empresa",
        )
    return check_uid(await client.empresas.get(found[0]), found[0])


def check_uid(thing: T, uid: str) -> T:
    """Return what was read, if it is what was asked for: nobody should change or delete something else.

    Raises:
        UnreadableAnswerError: the answer is about something else.

    """
    if str(getattr(thing, "uid", "")) != uid:
        raise UnreadableAnswerError(f"the API was asked for {uid}, and answered about something else", uid=uid)
    return thing


def own_credentials(empresa: Empresa) -> Credentials:
    """Return the company's own keys.

    Raises:
        NotFoundError: the API gave none.

    """
    if not empresa.api_key or not empresa.secret_key:
        raise NotFoundError(
            f"The API gave no keys of empresa {empresa.uid}. If it is new, try again in a moment.", uid=empresa.uid
        )
    return empresa.credentials


def confirm(yes: bool, question: str | None = None) -> None:
    """Ask whether to go on, and leave if not; without a question, only see whether there is somebody to ask.

    Raises:
        InvalidInputError: there is no terminal to ask on.

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "There is no terminal to ask on: give --yes to delete without being asked.", field="yes"
        )
    if question is None:
        return
    try:
        sys.stderr.write(f"{printable(question)} [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Nothing was changed.\n")
        raise typer.Exit(130) from None
    if answer.strip().casefold() not in {"y", "yes", "s", "si", "sí"}:
        sys.stderr.write("Nothing was deleted.\n")
        raise typer.Exit(1)


class _Told(logging.Handler):
    """Shows what the library warns of."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        sys.stderr.write(f"{record.levelname.lower()}: {printable(record.getMessage())}\n")


@contextmanager
def show_warnings() -> Iterator[None]:
    """Show on the standard error what the library warns of within the block."""
    handler = _Told(logging.WARNING)
    handler.addFilter(RedactingFilter())
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
