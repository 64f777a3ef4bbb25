"""The commands ``facturaonline empresas …``: the companies of an account."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from facturaonline_async._cli import client_command, empresa_options as options, output
from facturaonline_async._cli.client_command import AsJson, BaseUrl, RfcOrUid, Yes
from facturaonline_async._cli.command_groups import command_group
from facturaonline_async._cli.database import DatabaseUrl
from facturaonline_async._cli.expiring import find_csds, print_expiring
from facturaonline_async._cli.language import dialogue_language
from facturaonline_async._cli.output_path_checks import unwritable
from facturaonline_async._cli.settings import current_settings
from facturaonline_async._core.known_companies import normalize_rfc
from facturaonline_async._messages import message
from facturaonline_async._private_files import open_private
from facturaonline_async._text import fold, printable, printable_path
from facturaonline_async.config import Credentials
from facturaonline_async.empresas._models import CambiosEmpresa, Empresa, NuevaEmpresa
from facturaonline_async.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from facturaonline_async.client import FacturaOnline

__all__ = ["app"]

_COLUMNS: Final = ("uid", "rfc", "razon_social", "regimen_fiscal", "codpos", "email")


def list_(
    rfc: Annotated[str | None, typer.Option(metavar="RFC", help="Only companies with this RFC.")] = None,
    razon_social: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only companies whose name contains this text.")
    ] = None,
    expiring: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=36_500,
            metavar="DAYS",
            help="Only companies whose newest CSD in --certificates ends within DAYS, or has ended.",
        ),
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder with .cer files, for --expiring: the API has no dates."),
    ] = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List the companies of the account, without their API keys.

    Examples:
      facturaonline empresas list
      facturaonline empresas list --razon-social kemper --json
      facturaonline empresas list --expiring 60 --certificates csd
    """
    if (expiring is None) is not (certificates is None):
        raise typer.BadParameter(message("cli.expiring_and_certificates"))
    csds = None if certificates is None else find_csds(certificates)
    rfc = None if rfc is None else normalize_rfc(rfc)

    # A server that ignores the filters answers with all companies.
    empresas = [
        each
        for each in client_command.run(
            lambda client: client.empresas.list(rfc=rfc, razon_social=razon_social),
            base_url=base_url,
            database=database,
        )
        if (rfc is None or normalize_rfc(each.rfc) == rfc)
        and (razon_social is None or fold(razon_social) in fold(each.razon_social))
    ]
    if csds is not None and expiring is not None:
        print_expiring(empresas, csds, expiring, as_json=as_json)
    else:
        output.print_many(empresas, _COLUMNS, nothing=message("cli.no_empresas"), json=as_json)


def get(
    empresa: RfcOrUid,
    keys_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the company's API keys to this new file (mode 0600)."),
    ] = None,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one company.

    The output never contains the company's API keys. --keys-out writes them to a new file that only you can read, as
    the environment variables from which this command reads its keys.

    Examples:
      facturaonline empresas get EKU9003173C9
      facturaonline empresas get 607a062eae2bb --keys-out norte.env
      set -a; . ./norte.env; facturaonline series list
    """
    if keys_out is not None and os.path.lexists(keys_out):
        raise _exists(keys_out)

    found = client_command.run(lambda client: _get(client, empresa), base_url=base_url, database=database)
    if keys_out is not None:
        if not client_command.is_rfc(empresa):
            client_command.check_uid(found, empresa)
        _write_keys(client_command.own_credentials(found), keys_out)
        written = message("cli.keys_written", rfc=printable(found.rfc), path=printable_path(keys_out))
        sys.stderr.write(f"{written}\n")
    output.print_one(found, json=as_json)


async def _get(client: FacturaOnline, empresa: str) -> Empresa:
    """Return a company by its RFC, or by its uid as the API answers."""
    if client_command.is_rfc(empresa):
        return await client_command.find_empresa(client, empresa)
    return await client.empresas.get(empresa)


def current(base_url: BaseUrl = None, database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show the company of the keys in the environment.

    Examples:
      facturaonline empresas current
    """
    output.print_one(
        client_command.run(lambda client: client.empresas.current(), base_url=base_url, database=database), json=as_json
    )


def find(
    rfc: Annotated[str, typer.Argument(metavar="RFC", show_default=False, help="RFC, in upper or lower case.")],
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the company with this RFC.

    Of several companies it shows the first in the API's list. The exit code is 1 if there is none.

    Examples:
      facturaonline empresas find EKU9003173C9
    """
    if (
        empresa := client_command.run(lambda client: client.empresas.find(rfc), base_url=base_url, database=database)
    ) is None:
        raise NotFoundError(message("cli.empresa_not_found", rfc=normalize_rfc(rfc)))
    output.print_one(empresa, json=as_json)


def _make_create(send: Callable[[FacturaOnline, NuevaEmpresa], Awaitable[Empresa]], about: str) -> Callable[..., None]:
    """Return a command that sends a new company; `about` is its help."""

    def command(
        *,
        razon_social: Annotated[str, options.RAZON_SOCIAL],
        rfc: Annotated[str, options.RFC],
        codpos: Annotated[str, options.CODPOS],
        email: Annotated[str, options.EMAIL],
        regimen_nomina: Annotated[str, options.REGIMEN_NOMINA],
        regimen: Annotated[str, options.REGIMEN] = "",
        calle: Annotated[str, options.CALLE] = "",
        exterior: Annotated[str, options.EXTERIOR] = "",
        interior: Annotated[str, options.INTERIOR] = "",
        colonia: Annotated[str, options.COLONIA] = "",
        estado: Annotated[str, options.ESTADO] = "",
        ciudad: Annotated[str, options.CIUDAD] = "",
        delegacion: Annotated[str, options.DELEGACION] = "",
        telefono: Annotated[str, options.TELEFONO] = "",
        curp: Annotated[str, options.CURP] = "",
        mailtomyself: Annotated[bool | None, options.MAILTOMYSELF] = None,
        mailtomyconta: Annotated[bool | None, options.MAILTOMYCONTA] = None,
        mail_conta: Annotated[str, options.MAIL_CONTA] = "",
        cant_folios_min: Annotated[int | None, options.CANT_FOLIOS_MIN] = None,
        cer: Annotated[Path, options.CER],
        key: Annotated[Path, options.KEY],
        fielcer: Annotated[Path | None, options.FIELCER] = None,
        fielkey: Annotated[Path | None, options.FIELKEY] = None,
        logo: Annotated[Path | None, options.LOGO] = None,
        smtp_email: Annotated[str | None, options.SMTP_EMAIL] = None,
        smtp_host: Annotated[str | None, options.SMTP_HOST] = None,
        smtp_port: Annotated[int | None, options.SMTP_PORT] = None,
        smtp_encryption: Annotated[str | None, options.SMTP_ENCRYPTION] = None,
        password_stdin: options.PasswordStdin = False,
        base_url: BaseUrl = None,
        database: DatabaseUrl = None,
        as_json: AsJson = False,
    ) -> None:
        current_settings().find_account(base_url)  # before a password is asked for
        with client_command.show_warnings():
            enclosures = options.read_enclosures(
                cer=cer,
                key=key,
                fielcer=fielcer,
                fielkey=fielkey,
                logo=logo,
                smtp_email=smtp_email,
                smtp_host=smtp_host,
                smtp_port=smtp_port,
                smtp_encryption=smtp_encryption,
                password_stdin=password_stdin,
            )
            assert enclosures.csd is not None  # noqa: S101  # --cer and --key are required
            nueva = NuevaEmpresa(
                razon_social=razon_social,
                rfc=rfc,
                codpos=codpos,
                email=email,
                regimen_nomina=regimen_nomina,
                regimen=regimen,
                calle=calle,
                exterior=exterior,
                interior=interior,
                colonia=colonia,
                estado=estado,
                ciudad=ciudad,
                delegacion=delegacion,
                telefono=telefono,
                curp=curp,
                mailtomyself=mailtomyself,
                mailtomyconta=mailtomyconta,
                mail_conta=mail_conta,
                cant_folios_min=cant_folios_min,
                csd=enclosures.csd,
                fiel=enclosures.fiel,
                smtp=enclosures.smtp,
                logo=enclosures.logo,
            )
        empresa = client_command.run(
            lambda client: send(client, nueva),
            base_url=base_url,
            database=database,
            maybe=message("cli.empresa_maybe_created", rfc=nueva.rfc),
        )
        output.print_one(empresa, json=as_json)

    command.__doc__ = about
    return command


create = _make_create(
    lambda client, nueva: client.empresas.create(nueva),
    r"""Create a company, without looking for an existing one first.

    Use ensure to look first. Data and certificates are checked before anything is sent. Passwords are not options: the
    command asks for them without showing them, reads them from the standard input (--password-stdin), or takes them
    from the environment variables FACTURAONLINE_SELLO_PASSWORD, FACTURAONLINE_FIEL_PASSWORD and
    FACTURAONLINE_SMTP_PASSWORD.

    Examples:
      facturaonline empresas create --razon-social "ESCUELA KEMPER URGATE" \
          --rfc EKU9003173C9 --codpos 42501 --email a@example.com \
          --regimen 601 --regimen-nomina 601 --cer csd.cer --key csd.key

    The exit code is 3 if the outcome is unknown: the company may exist. Run find before you repeat the command.
    """,
)
ensure = _make_create(
    lambda client, nueva: client.empresas.ensure(nueva),
    r"""Show the company with this RFC, or create it if there is none.

    An existing company is not changed. The command can be repeated, but not run twice at the same time. Passwords as
    for create. For many companies write a plan: see facturaonline provision --help.

    Examples:
      facturaonline empresas ensure --razon-social "ESCUELA KEMPER URGATE" \
          --rfc EKU9003173C9 --codpos 42501 --email a@example.com \
          --regimen 601 --regimen-nomina 601 --cer csd.cer --key csd.key
    """,
)


def update(
    empresa: RfcOrUid,
    razon_social: Annotated[str | None, options.RAZON_SOCIAL] = None,
    rfc: Annotated[str | None, options.RFC] = None,
    codpos: Annotated[str | None, options.CODPOS] = None,
    email: Annotated[str | None, options.EMAIL] = None,
    regimen_nomina: Annotated[str | None, options.REGIMEN_NOMINA] = None,
    regimen: Annotated[str | None, options.REGIMEN] = None,
    calle: Annotated[str | None, options.CALLE] = None,
    exterior: Annotated[str | None, options.EXTERIOR] = None,
    interior: Annotated[str | None, options.INTERIOR] = None,
    colonia: Annotated[str | None, options.COLONIA] = None,
    estado: Annotated[str | None, options.ESTADO] = None,
    ciudad: Annotated[str | None, options.CIUDAD] = None,
    delegacion: Annotated[str | None, options.DELEGACION] = None,
    telefono: Annotated[str | None, options.TELEFONO] = None,
    curp: Annotated[str | None, options.CURP] = None,
    mailtomyself: Annotated[bool | None, options.MAILTOMYSELF] = None,
    mailtomyconta: Annotated[bool | None, options.MAILTOMYCONTA] = None,
    mail_conta: Annotated[str | None, options.MAIL_CONTA] = None,
    cant_folios_min: Annotated[int | None, options.CANT_FOLIOS_MIN] = None,
    cer: Annotated[Path | None, options.CER] = None,
    key: Annotated[Path | None, options.KEY] = None,
    fielcer: Annotated[Path | None, options.FIELCER] = None,
    fielkey: Annotated[Path | None, options.FIELKEY] = None,
    logo: Annotated[Path | None, options.LOGO] = None,
    smtp_email: Annotated[str | None, options.SMTP_EMAIL] = None,
    smtp_host: Annotated[str | None, options.SMTP_HOST] = None,
    smtp_port: Annotated[int | None, options.SMTP_PORT] = None,
    smtp_encryption: Annotated[str | None, options.SMTP_ENCRYPTION] = None,
    password_stdin: options.PasswordStdin = False,
    base_url: BaseUrl = None,
    database: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Change the given attributes of a company, and no others.

    An empty text is sent empty. Passwords as for create.

    Examples:
      facturaonline empresas update EKU9003173C9 --email a@example.com --calle ""
      facturaonline empresas update 607a062eae2bb --cer csd.cer --key csd.key
    """
    current_settings().find_account(base_url)  # before a password is asked for
    with client_command.show_warnings():
        enclosures = options.read_enclosures(
            cer=cer,
            key=key,
            fielcer=fielcer,
            fielkey=fielkey,
            logo=logo,
            smtp_email=smtp_email,
            smtp_host=smtp_host,
            smtp_port=smtp_port,
            smtp_encryption=smtp_encryption,
            password_stdin=password_stdin,
        )
        cambios = CambiosEmpresa(
            razon_social=razon_social,
            rfc=rfc,
            codpos=codpos,
            email=email,
            regimen_nomina=regimen_nomina,
            regimen=regimen,
            calle=calle,
            exterior=exterior,
            interior=interior,
            colonia=colonia,
            estado=estado,
            ciudad=ciudad,
            delegacion=delegacion,
            telefono=telefono,
            curp=curp,
            mailtomyself=mailtomyself,
            mailtomyconta=mailtomyconta,
            mail_conta=mail_conta,
            cant_folios_min=cant_folios_min,
            csd=enclosures.csd,
            fiel=enclosures.fiel,
            smtp=enclosures.smtp,
            logo=enclosures.logo,
        )
    if cambios == CambiosEmpresa():
        raise typer.BadParameter(message("cli.nothing_to_change"))
    changed = client_command.run(
        lambda client: _update(client, empresa, cambios),
        base_url=base_url,
        database=database,
        maybe=message("cli.empresa_maybe_changed", uid=empresa),
    )
    output.print_one(changed, json=as_json)


async def _update(client: FacturaOnline, empresa: str, cambios: CambiosEmpresa) -> Empresa:
    """Change a company, given by its RFC or its uid."""
    uid = (await client_command.find_empresa(client, empresa)).uid if client_command.is_rfc(empresa) else empresa
    return await client.empresas.update(uid, cambios)


def delete(
    empresa: RfcOrUid, yes: Yes = False, base_url: BaseUrl = None, database: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Delete a company, after a confirmation.

    Examples:
      facturaonline empresas delete EKU9003173C9
      facturaonline empresas delete 607a062eae2bb --yes

    Without a terminal for the question, --yes is required (else the exit code is 2).
    """
    client_command.confirm(yes)

    # The question is asked outside the event loop: it may take minutes.
    found = client_command.run(
        lambda client: client_command.find_empresa(client, empresa), base_url=base_url, database=database
    )
    name = message("cli.empresa_name", rfc=found.rfc, razon_social=found.razon_social, uid=found.uid)
    with dialogue_language():
        client_command.confirm(yes, message("cli.empresa_delete", empresa=name))

    maybe = message("cli.empresa_maybe_deleted", empresa=name)
    client_command.run(
        lambda client: client.empresas.delete(found.uid), base_url=base_url, database=database, maybe=maybe
    )
    if as_json:
        output.print_one(found, json=True)
    else:
        sys.stdout.write(printable(message("cli.empresa_deleted", empresa=name)) + "\n")


app: typer.Typer = command_group(
    "The companies of the account: list, create, change and delete them.",
    list=list_,
    get=get,
    current=current,
    find=find,
    create=create,
    ensure=ensure,
    update=update,
    delete=delete,
)


def _write_keys(keys: Credentials, path: Path) -> None:
    """Write the keys to a new file; leave no file if that fails."""
    try:
        file = open(path, "x", encoding="ascii", opener=open_private)  # noqa: SIM115  # an existing file must stay
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise unwritable(path, error, option="--keys-out") from None
    try:
        with file:
            file.write(f"FACTURAONLINE_API_KEY={shlex.quote(keys.api_key.reveal())}\n")
            file.write(f"FACTURAONLINE_SECRET_KEY={shlex.quote(keys.secret_key.reveal())}\n")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _exists(path: Path) -> InvalidInputError:
    return InvalidInputError(message("cli.keys_file_exists", path=printable_path(path)), field="keys_out")
