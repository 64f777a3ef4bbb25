"""Shared parts of the commands that call the API: options, client, confirmation."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer
from attrs import define

from facturaonline_async._cli import interruption
from facturaonline_async._cli.database import open_shared
from facturaonline_async._cli.settings import Account, current_settings
from facturaonline_async._cli.terminals import is_terminal, read_line
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._core.logging import LOGGER, RedactingFilter
from facturaonline_async._messages import Message, message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable
from facturaonline_async.config import Credentials
from facturaonline_async.empresas._models import Empresa
from facturaonline_async.errors import InvalidInputError, NotFoundError, UnreadableAnswerError

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline

__all__ = [
    "AsJson",
    "BaseUrl",
    "RfcOrUid",
    "Sure",
    "Uid",
    "Yes",
    "check_uid",
    "confirm",
    "confirm_in_loop",
    "find_empresa",
    "is_rfc",
    "own_credentials",
    "run",
    "show_warnings",
]

T = TypeVar("T")

Uid = Annotated[str, typer.Argument(metavar="UID", help="uid in the API; see list.", show_default=False)]
RfcOrUid = Annotated[
    str, typer.Argument(metavar="RFC_OR_UID", help="RFC of the company, or its uid in the API.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without a question, for scripts.")]
Sure = Annotated[bool, typer.Option("--yes", help="Begin without a question, for scripts.")]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Prefix of the API, as https://sandbox.facturaonline.com.mx/api; else that of --profile, "
        "else FACTURAONLINE_BASE_URL, else that of the profile.",
    ),
]

_RFC: Final = re.compile(r"[A-ZÑ&]{3,4}[0-9]{6}[A-Z0-9]{3}")
"""An RFC, as opposed to a uid: uids begin with a digit."""


def run(
    work: Callable[[FacturaOnline], Awaitable[T]],
    *,
    base_url: str | None,
    database: Secret | None,
    empresa: str | None = None,
    credentials: Credentials | None = None,
    maybe: Message | None = None,
    unchanged: Message | None = None,
) -> T:
    """Run the work of a command with a client, and return its result.

    Args:
        work: called with the client.
        base_url: value of --base-url.
        database: value of --database.
        empresa: RFC or uid of the company whose keys the client uses; None: the main keys.
        credentials: keys of the client; None: the main keys.
        maybe: what to say after Ctrl-C while the work may have changed something; None: the work changes nothing.
        unchanged: what to say after Ctrl-C while nothing was changed; None: that nothing was changed.

    Raises:
        Exit: Ctrl-C was pressed. The standard error says what may have been changed.

    """
    account = current_settings().find_account(base_url)
    call = _Call(maybe, unchanged or message("cli.nothing_changed"))
    with show_warnings():
        try:
            return interruption.run(call.run(work, account, database, empresa, credentials))
        except typer.Exit:
            sys.stderr.write(f"{message('cli.interrupted').then(call.outcome)}\n")
            raise


@define
class _Call:
    """The work of one command, with the message for Ctrl-C."""

    maybe: Message | None
    outcome: Message

    async def run(
        self,
        work: Callable[[FacturaOnline], Awaitable[T]],
        account: Account,
        database: Secret | None,
        empresa: str | None,
        credentials: Credentials | None,
    ) -> T:
        """Connect, run the work, and note whether the change is done."""
        from facturaonline_async.client import connect  # noqa: PLC0415  # help and completion need no aiohttp

        keys, url = credentials or account.credentials, account.base_url
        async with open_shared(database) as shared, connect(keys, base_url=url, shared=shared) as main:
            client = main if empresa is None else await _client_of(main, empresa)
            try:
                return await self._work(work, client)
            except NotFoundError as error:
                if empresa is None and error.endpoint.startswith("series."):
                    error.add_note(message("cli.serie_of_another_empresa"))
                raise

    async def _work(self, work: Callable[[FacturaOnline], Awaitable[T]], client: FacturaOnline) -> T:
        if self.maybe is None:
            return await work(client)
        self.outcome = self.maybe
        result = await work(client)
        self.outcome = message("cli.done")
        return result


async def _client_of(client: FacturaOnline, empresa: str) -> FacturaOnline:
    found = await find_empresa(client, empresa)
    own_credentials(found)
    return client.for_empresa(found)


def is_rfc(name: str) -> bool:
    """Return whether a text is an RFC, as opposed to a uid.

    Args:
        name: RFC or uid.

    """
    return _RFC.fullmatch(normalize_rfc(name)) is not None


async def find_empresa(client: FacturaOnline, name: str) -> Empresa:
    """Return the company with this RFC or uid, read with get: lists may be old.

    Args:
        client: client with the main keys.
        name: RFC or uid.

    Raises:
        NotFoundError: there is no such company.
        InvalidInputError: several companies have the RFC.
        UnreadableAnswerError: the answer is about another company.

    """
    rfc = normalize_rfc(name)
    if not is_rfc(name):
        return check_uid(await client.empresas.get(name), name)
    found = [each.uid for each in await client.empresas.list(rfc=rfc) if normalize_rfc(each.rfc) == rfc]
    if not found:
        raise NotFoundError(message("cli.empresa_not_found", rfc=rfc))
    if len(found) > 1:
        raise InvalidInputError(
            message("cli.empresa_ambiguous", count=len(found), rfc=rfc, uids=", ".join(found)), field="empresa"
        )
    return check_uid(await client.empresas.get(found[0]), found[0])


def check_uid(thing: T, uid: str) -> T:
    """Return a serie or empresa if it has the requested uid.

    Raises:
        UnreadableAnswerError: the answer has another uid: it must not be changed or deleted.

    """
    if str(getattr(thing, "uid", "")) != uid:
        raise UnreadableAnswerError(message("cli.other_uid", uid=uid), uid=uid)
    return thing


def own_credentials(empresa: Empresa) -> Credentials:
    """Return the keys of a company.

    Raises:
        NotFoundError: the answer has no keys.

    """
    if not empresa.api_key or not empresa.secret_key:
        raise NotFoundError(message("cli.empresa_without_keys", uid=empresa.uid), uid=empresa.uid)
    return empresa.credentials


def confirm(yes: bool, question: Message | None = None, *, declined: Message | None = None) -> None:
    """Ask the question, and exit unless the answer is yes.

    Args:
        yes: value of --yes: do not ask.
        question: None only checks that there is a terminal.
        declined: what to say after a no, and after Ctrl-C; None: nothing was deleted.

    Raises:
        InvalidInputError: there is no terminal.
        Exit: the answer is no (code 1), or Ctrl-C was pressed (code 130).

    """
    if yes:
        return
    if not is_terminal(sys.stdin, sys.stderr):
        raise InvalidInputError(message("cli.confirmation_without_terminal"), field="yes")
    if question is None:
        return
    try:
        _write(question)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{message('cli.interrupted').then(declined or message('cli.nothing_changed'))}\n")
        raise typer.Exit(130) from None
    _check(answer, declined or message("cli.nothing_deleted"))


async def confirm_in_loop(question: Message, *, declined: Message) -> None:
    """Ask the question inside the event loop, and exit unless the answer is yes.

    Ctrl-C cancels the question as any other wait.

    Args:
        question: the question, at a terminal.
        declined: what to say after a no.

    Raises:
        Exit: the answer is no (code 1).

    """
    try:
        _write(question)
        answer = await read_line()
    except asyncio.CancelledError:
        sys.stderr.write("\n")
        raise
    _check(answer, declined)


def _write(question: Message) -> None:
    sys.stderr.write(f"{printable(question)} {message('cli.yes_or_no')} ")
    sys.stderr.flush()


def _check(answer: str, declined: Message) -> None:
    """Exit unless the answer is yes.

    Raises:
        Exit: the answer is no (code 1).

    """
    if answer.strip().casefold() not in {"y", "yes", "s", "si", "sí"}:
        sys.stderr.write(f"{declined}\n")
        raise typer.Exit(1)


class _WarningHandler(logging.Handler):
    """Writes warnings of the library to the standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one warning."""
        sys.stderr.write(f"{record.levelname.lower()}: {printable(record.getMessage())}\n")


@contextmanager
def show_warnings() -> Iterator[None]:
    """Show the library's warnings on the standard error inside the block."""
    handler = _WarningHandler(logging.WARNING)
    handler.addFilter(RedactingFilter())
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
