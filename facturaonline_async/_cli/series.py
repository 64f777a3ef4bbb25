"""The commands ``facturaonline series …``: the series of one company."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli import client_command, output, series_apply
from facturaonline_async._cli.client_command import AsJson, BaseUrl, Sure, Uid, Yes
from facturaonline_async._cli.command_groups import command_group
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.language import dialogue_language
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async._text import printable
from facturaonline_async.config import Credentials
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.series._models import Serie, key_part
from facturaonline_async.series._tipo_documento import TIPOS_DOCUMENTO, TipoDocumento, misspelling

if TYPE_CHECKING:
    from facturaonline_async._cli.series_in_bulk import Verb
    from facturaonline_async.client import FacturaOnline

__all__ = ["app"]

OfEmpresa = Annotated[
    str | None,
    typer.Option(
        "--empresa", metavar="RFC|UID", help="Use the keys of this company. Default: those of the environment."
    ),
]
Letra = Annotated[str, typer.Option(metavar="TEXT", help="One or more letters, such as F.", show_default=False)]
Tipo = Annotated[
    str, typer.Option(metavar="TIPO", help=f"One of {', '.join(sorted(TIPOS_DOCUMENTO))}.", show_default=False)
]
AnyTipo = Annotated[
    bool, typer.Option("--any-tipo", help="Accept a tipo_documento that looks misspelt (such as facturas).")
]
Folio = Annotated[
    int | None, typer.Option(min=1, max=10**12 - 1, help="Number of the first document. Default: the API's, 1.")
]

OneUid = Annotated[
    str | None, typer.Argument(metavar="[UID]", help="uid in the API; see list. Or --from.", show_default=False)
]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="All series that this file names: a CSV file, workbook or TOML file with RFC and series, or a plan.",
        show_default=False,
    ),
]
Sheet = Annotated[str | None, typer.Option(metavar="NAME", help="Sheet of the workbook.", show_default=False)]

_COLUMNS: Final = ("uid", "letra", "tipo_documento", "descripcion", "estatus")


def list_(
    empresa: OfEmpresa = None, base_url: BaseUrl = None, database: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """List all series of a company.

    Examples:
      facturaonline series list
      facturaonline series list --empresa EKU9003173C9 --json
    """
    series = client_command.run(
        lambda client: client.series.list(), base_url=base_url, database=database, empresa=empresa
    )
    output.print_many(series, _COLUMNS, nothing=message("cli.no_series"), json=as_json)


def get(
    uid: Uid, empresa: OfEmpresa = None, base_url: BaseUrl = None, database: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Show one serie.

    Examples:
      facturaonline series get 19846
    """
    output.print_one(
        client_command.run(
            lambda client: client.series.get(uid), base_url=base_url, database=database, empresa=empresa
        ),
        json=as_json,
    )


def create(
    letra: Letra,
    tipo: Tipo,
    folio: Folio = None,
    any_tipo: AnyTipo = False,
    empresa: OfEmpresa = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Create an active serie, without looking for an existing one first.

    Use ensure to look first. The API answers no uid: list shows it.

    Examples:
      facturaonline series create --letra F --tipo factura
      facturaonline series create --letra NC --tipo nota_credito --folio 501

    The exit code is 3 if the outcome is unknown: the serie may exist. Run list before you repeat the command.
    """
    wanted = _tipo(tipo, any_tipo=any_tipo, base_url=base_url, database=database, empresa=empresa)
    client_command.run(
        lambda client: client.series.create(letra=letra, tipo_documento=wanted, folio=folio),
        base_url=base_url,
        database=database,
        empresa=empresa,
        maybe=message("cli.serie_maybe_created", letra=letra, tipo_documento=tipo),
    )
    if as_json:
        output.print_json({"letra": letra, "tipo_documento": tipo, "folio": folio})
    else:
        sys.stdout.write(f"{message('cli.serie_created', letra=letra, tipo_documento=tipo)}\n")


def ensure(
    letra: Letra,
    tipo: Tipo,
    folio: Folio = None,
    any_tipo: AnyTipo = False,
    empresa: OfEmpresa = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the serie with this letra and tipo, or create it if there is none.

    An existing serie is not changed: a paused one stays paused, and the folio counts only at creation. The command can
    be repeated, but not run twice at the same time, unless the processes share a database.

    Examples:
      facturaonline series ensure --letra F --tipo factura --empresa EKU9003173C9
    """
    wanted = _tipo(tipo, any_tipo=any_tipo, base_url=base_url, database=database, empresa=empresa)
    serie = client_command.run(
        lambda client: client.series.ensure(letra=letra, tipo_documento=wanted, folio=folio),
        base_url=base_url,
        database=database,
        empresa=empresa,
        maybe=message("cli.serie_maybe_created", letra=letra, tipo_documento=tipo),
    )
    output.print_one(serie, json=as_json)


def activate(
    uid: OneUid = None,
    from_file: FromFile = None,
    sheet: Sheet = None,
    yes: Sure = False,
    empresa: OfEmpresa = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Activate a paused serie, or all series that a file names.

    Examples:
      facturaonline series activate 19846
      facturaonline series activate --from series.xlsx

    With --from you see what would be done, and are asked; without a terminal, production needs --yes. Series that are
    active already are left alone, so that the same command completes an interrupted one.
    """
    uid = _change_named("activate", from_file, uid, sheet, empresa, base_url, database, yes=yes, as_json=as_json)
    if uid is None:
        return
    client_command.run(
        lambda client: client.series.activate(uid),
        base_url=base_url,
        database=database,
        empresa=empresa,
        maybe=message("cli.serie_maybe_activated", uid=uid),
    )
    _print_state(uid, is_active=True, as_json=as_json)


def deactivate(
    uid: OneUid = None,
    from_file: FromFile = None,
    sheet: Sheet = None,
    yes: Sure = False,
    empresa: OfEmpresa = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Pause a serie, or all series that a file names.

    activate makes them usable again.

    Examples:
      facturaonline series deactivate 19846 --empresa EKU9003173C9
      facturaonline series deactivate --from series.xlsx

    With --from you see what would be done, and are asked; without a terminal, production needs --yes. Series that are
    paused already are left alone, so that the same command completes an interrupted one.
    """
    uid = _change_named("deactivate", from_file, uid, sheet, empresa, base_url, database, yes=yes, as_json=as_json)
    if uid is None:
        return
    client_command.run(
        lambda client: client.series.deactivate(uid),
        base_url=base_url,
        database=database,
        empresa=empresa,
        maybe=message("cli.serie_maybe_paused", uid=uid),
    )
    _print_state(uid, is_active=False, as_json=as_json)


def delete(
    uid: OneUid = None,
    from_file: FromFile = None,
    sheet: Sheet = None,
    yes: Yes = False,
    empresa: OfEmpresa = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Delete a serie, or all series that a file names, after a confirmation.

    Examples:
      facturaonline series delete 19846
      facturaonline series delete 19846 --yes
      facturaonline series delete --from series.xlsx

    Without a terminal for the question, --yes is required (else the exit code is 2). With --from, series that do not
    exist are left alone, so that the same command completes an interrupted one. The exit code is 3 if a delete had no
    answer; the message names the serie.
    """
    uid = _change_named("delete", from_file, uid, sheet, empresa, base_url, database, yes=yes, as_json=as_json)
    if uid is None:
        return
    client_command.confirm(yes)

    # The question is asked outside the event loop: it may take minutes. Both calls use the same keys.
    credentials, serie = client_command.run(
        lambda client: _read_with_keys(client, uid), base_url=base_url, database=database, empresa=empresa
    )
    name = message(
        "cli.serie_name",
        letra=serie.letra,
        tipo_documento=serie.tipo_documento,
        uid=str(serie.uid),
        estatus=serie.estatus,
    )
    with dialogue_language():
        client_command.confirm(yes, message("cli.serie_delete", serie=name))

    client_command.run(
        lambda client: client.series.delete(uid),
        base_url=base_url,
        database=database,
        credentials=credentials,
        maybe=message("cli.serie_maybe_deleted", serie=name),
    )
    if as_json:
        output.print_one(serie, json=True)
    else:
        sys.stdout.write(printable(message("cli.serie_deleted", serie=name)) + "\n")


app: typer.Typer = command_group(
    "The series of companies: list, create, pause and delete them.",
    list=list_,
    get=get,
    create=create,
    ensure=ensure,
    apply=series_apply.command,
    activate=activate,
    deactivate=deactivate,
    delete=delete,
)


def _change_named(
    verb: Verb,
    file: Path | None,
    uid: str | None,
    sheet: str | None,
    empresa: str | None,
    base_url: str | None,
    database: Secret | None,
    *,
    yes: bool,
    as_json: bool,
) -> str | None:
    """Change the series that a file names; without a file, return the given uid."""
    if (file is None) is (uid is None):
        raise typer.BadParameter(message("cli.bulk_uid_or_file"))
    if file is None:
        return uid
    if empresa is not None:
        raise typer.BadParameter(message("cli.bulk_with_empresa"))
    from facturaonline_async._cli.series_in_bulk import change_named  # noqa: PLC0415  # one serie needs no plan

    change_named(verb, file, sheet=sheet, yes=yes, as_json=as_json, base_url=base_url, database=database)
    return None


async def _read_with_keys(client: FacturaOnline, uid: str) -> tuple[Credentials, Serie]:
    return client.credentials, client_command.check_uid(await client.series.get(uid), uid)


def _tipo(tipo: str, *, any_tipo: bool, base_url: str | None, database: Secret | None, empresa: str | None) -> str:
    """Return the tipo_documento to send.

    One that looks misspelt is accepted if the account has a serie of it: the catalogue may be incomplete.

    Raises:
        InvalidInputError: it looks like a misspelling of a documented one.

    """
    found = misspelling(tipo)
    if found is None or (any_tipo and not found.is_certain):
        if tipo.strip() not in TIPOS_DOCUMENTO:
            sys.stderr.write(printable(message("cli.tipo_documento_undocumented", tipo_documento=tipo)) + "\n")
        return TipoDocumento.other(tipo)
    series = client_command.run(
        lambda client: client.series.list(), base_url=base_url, database=database, empresa=empresa
    )
    if any(serie.key[1] == key_part(tipo) for serie in series):
        return TipoDocumento.other(tipo)
    text = message("series.misspelt_tipo", value=f"{tipo!r:.80}", meant=found.meant.value)
    if not found.is_certain:
        text = text.then(message("cli.tipo_documento_uncertain"))
    raise InvalidInputError(text, field="tipo_documento")


def _print_state(uid: str, *, is_active: bool, as_json: bool) -> None:
    if as_json:
        output.print_json({"uid": int(uid) if uid.isdecimal() else uid, "is_active": is_active})
    else:
        sys.stdout.write(f"{message('cli.serie_active' if is_active else 'cli.serie_paused', uid=uid)}\n")
