"""The options for a company's data, files and passwords."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from attrs import frozen

from facturaonline_async._cli.passwords import read_password
from facturaonline_async._messages import message
from facturaonline_async._secrets import Secret
from facturaonline_async.empresas._models import CorreoSmtp
from facturaonline_async.sello import Sello, read_file

__all__ = ["Enclosures", "PasswordStdin", "read_enclosures"]

PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read the passwords from the standard input, one per line: CSD, FIEL, mail server, those that are given.",
    ),
]

_VARIABLES: Final = {
    "CSD": "FACTURAONLINE_SELLO_PASSWORD",
    "FIEL": "FACTURAONLINE_FIEL_PASSWORD",
    "SMTP": "FACTURAONLINE_SMTP_PASSWORD",
}
"""Environment variables of the passwords."""


def _option(about: str) -> Any:
    """Return an option that has the name of its parameter."""
    return typer.Option(help=about, show_default=False)


RAZON_SOCIAL: Final = _option("Razón social, as registered with the SAT.")
RFC: Final = _option("RFC, as registered with the SAT.")
CODPOS: Final = _option("Código postal, as registered with the SAT.")
EMAIL: Final = _option("E-mail address.")
REGIMEN_NOMINA: Final = _option("Code of the régimen for payroll, such as 601.")
REGIMEN: Final = _option("Code of the régimen fiscal, such as 601.")
CALLE: Final = _option("Street of the domicilio fiscal.")
EXTERIOR: Final = _option("Número exterior.")
INTERIOR: Final = _option("Número interior.")
COLONIA: Final = _option("Colonia of the domicilio fiscal.")
ESTADO: Final = _option("State of the domicilio fiscal.")
CIUDAD: Final = _option("City of the domicilio fiscal.")
DELEGACION: Final = _option("Municipio or alcaldía.")
TELEFONO: Final = _option("Telephone number.")
CURP: Final = _option("CURP, of a persona física.")
MAILTOMYSELF: Final = _option("Send a copy of each mail to --email.")
MAILTOMYCONTA: Final = _option("Send a copy of each mail to --mail-conta.")
MAIL_CONTA: Final = _option("Address of the accountant.")
CANT_FOLIOS_MIN: Final = _option("Warn when at most this many folios are left.")
CER: Final = _option("Certificate of the CSD (.cer).")
KEY: Final = _option("Private key of the CSD (.key).")
FIELCER: Final = _option("Certificate of the e.firma, FIEL (.cer).")
FIELKEY: Final = _option("Private key of the FIEL (.key).")
LOGO: Final = _option("Picture, PNG or JPEG.")
SMTP_EMAIL: Final = _option("Sender's address on the company's mail server.")
SMTP_HOST: Final = _option("Host of the mail server, such as smtp.example.mx.")
SMTP_PORT: Final = _option("Port of the mail server, such as 587.")
SMTP_ENCRYPTION: Final = _option("Encryption of the mail server: ssl, tls or none.")


@frozen(kw_only=True)
class Enclosures:
    """Certificates, mail server and logo that the options name.

    Attributes:
        csd: certificate for invoices with its key and password; None if not given.
        fiel: e.firma with its key and password; None if not given.
        smtp: the company's own mail server; None if not given.
        logo: content of a PNG or JPEG file; None if not given.

    """

    csd: Sello | None
    fiel: Sello | None
    smtp: CorreoSmtp | None
    logo: bytes | None


def read_enclosures(
    *,
    cer: Path | None,
    key: Path | None,
    fielcer: Path | None,
    fielkey: Path | None,
    logo: Path | None,
    smtp_email: str | None,
    smtp_host: str | None,
    smtp_port: int | None,
    smtp_encryption: str | None,
    password_stdin: bool,
) -> Enclosures:
    """Read the files of the options, then ask for the passwords.

    The parameters are the options of the same name; `password_stdin` reads the passwords from the standard input.

    Raises:
        InvalidInputError: a file cannot be read, or a password is missing.
        BadParameter: some of several options that belong together are missing.

    """
    paths = {"cer": cer, "key": key, "fielcer": fielcer, "fielkey": fielkey, "logo": logo}
    files = {name: read_file(name, path) for name, path in paths.items() if path is not None}
    _check_together({"--cer": cer, "--key": key})
    _check_together({"--fielcer": fielcer, "--fielkey": fielkey})
    _check_together(
        {"--smtp-email": smtp_email, "--smtp-host": smtp_host, "--smtp-port": smtp_port},
        is_needed=smtp_encryption is not None,
    )
    csd = fiel = smtp = None
    if cer is not None:
        csd = Sello(files["cer"], files["key"], _password("CSD", password_stdin))
    if fielcer is not None:
        fiel = Sello(files["fielcer"], files["fielkey"], _password("FIEL", password_stdin))
    if smtp_email is not None and smtp_host is not None and smtp_port is not None:
        smtp = CorreoSmtp(
            email=smtp_email,
            host=smtp_host,
            port=smtp_port,
            encryption=smtp_encryption or "",
            password=_password("SMTP", password_stdin),
        )
    return Enclosures(csd=csd, fiel=fiel, smtp=smtp, logo=files.get("logo"))


def _password(what: str, password_stdin: bool) -> Secret:
    return read_password(what, variable=_VARIABLES[what], as_stdin=password_stdin)


def _check_together(options: Mapping[str, object], *, is_needed: bool = False) -> None:
    """Refuse a part of several options that belong together."""
    missing = sum(value is None for value in options.values())
    if missing and (is_needed or missing < len(options)):
        raise typer.BadParameter(message("cli.options_belong_together", options=", ".join(options)))
