"""The options that say what a company is: one for each attribute, and files. Passwords are asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import typer

from facturaonline_async.cli.secrets import password
from facturaonline_async.empresas._models import CambiosEmpresa, CorreoSmtp, NuevaEmpresa
from facturaonline_async.sello import Sello, read_file

__all__ = ["PasswordStdin", "given_attributes", "takes"]

PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read the passwords from the standard input, one in a line: of the CSD, the FIEL, the mail server, "
        "as far as they are given.",
    ),
]

_HELP: Final = dict(  # noqa: C408  # the names are those of attributes, not words of the wire
    razon_social="Name, as the SAT has it on record.",
    rfc="RFC, as the SAT has it on record.",
    codpos="Código postal, as the SAT has it on record.",
    email="E-mail address.",
    regimen_nomina="Code of the régimen for payroll, such as 601.",
    regimen="Code of the régimen fiscal, such as 601.",
    calle="Street of the domicilio fiscal.",
    exterior="Number of the house.",
    interior="Number within the house.",
    colonia="Colonia of the domicilio fiscal.",
    estado="State of the domicilio fiscal.",
    ciudad="City of the domicilio fiscal.",
    delegacion="Municipio or alcaldía.",
    telefono="Telephone number.",
    curp="CURP, of a persona física.",
    mailtomyself="Send a copy of each mail to --email.",
    mailtomyconta="Send a copy of each mail to --mail-conta.",
    mail_conta="Address of the accountant.",
    cant_folios_min="Warn when no more than so many folios are left.",
    logo="Picture, PNG or JPEG.",
    cer="Certificate of the CSD (.cer).",
    key="Its private key (.key).",
    fielcer="Certificate of the e.firma, FIEL (.cer).",
    fielkey="Its private key (.key).",
    smtp_email="Sender's address on the company's own mail server.",
    smtp_host="Name of that server, such as smtp.example.mx.",
    smtp_port="Its port, such as 587.",
    smtp_encryption="ssl, tls or none.",
)
_PATHS: Final = ("cer", "key", "fielcer", "fielkey", "logo")
_SMTP: Final = ("email", "host", "port", "encryption")
_NOT_TEXTS: Final = {"csd", "fiel", "smtp", "logo"}
_VARIABLES: Final = {
    "CSD": "FACTURAONLINE_SELLO_PASSWORD",
    "FIEL": "FACTURAONLINE_FIEL_PASSWORD",
    "SMTP": "FACTURAONLINE_SMTP_PASSWORD",
}

Command = Callable[..., None]


def takes(cls: type[NuevaEmpresa | CambiosEmpresa]) -> Callable[[Command], Command]:
    """Give a command an option for each attribute of the class; it takes them as ``**given``."""

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [each for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY]
        positional = [each for each in own if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        signature = inspect.Signature([*positional, *_options(cls), *parameters])
        command.__signature__ = signature  # type: ignore[attr-defined]  # what typer makes options of
        command.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
        return command

    return decorate


def _options(cls: type[NuevaEmpresa | CambiosEmpresa]) -> Iterator[inspect.Parameter]:
    fields = attrs.fields_dict(attrs.resolve_types(cls))
    for name, field in fields.items():
        if name not in _NOT_TEXTS:
            yield _option(name, field.type, is_required=field.default is attrs.NOTHING)
    for name in _PATHS:
        yield _option(name, Path, is_required=name in {"cer", "key"} and fields["csd"].default is attrs.NOTHING)
    for name in _SMTP:
        yield _option(f"smtp_{name}", int if name == "port" else str)


def _option(name: str, kind: Any, *, is_required: bool = False) -> inspect.Parameter:
    option = f"--{name.replace('_', '-')}"
    if kind == bool | None:
        option = f"{option}/--no-{option[2:]}"
    about: Any = typer.Option(option, help=_HELP[name], show_default=False)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if is_required else None,
        annotation=Annotated[kind if is_required else kind | None, about],
    )


def given_attributes(given: Mapping[str, Any], *, password_stdin: bool) -> dict[str, Any]:
    """Return the attributes that were given, files read and passwords asked for. None was not given.

    Raises:
        InvalidInputError: a file cannot be read, or a password is missing.
        BadParameter: a part of what comes together is missing.

    """
    attributes = {name: value for name, value in given.items() if value is not None}
    files = {name: read_file(name, attributes.pop(name)) for name in _PATHS if name in attributes}
    smtp = {name: attributes.pop(f"smtp_{name}") for name in _SMTP if f"smtp_{name}" in attributes}
    for cer, key in (("cer", "key"), ("fielcer", "fielkey")):
        _together({f"--{cer}": cer in files, f"--{key}": key in files})
    if smtp:
        _together({f"--smtp-{name}": name in smtp for name in _SMTP[:3]})
    if "logo" in files:
        attributes["logo"] = files["logo"]

    def ask(what: str) -> Any:
        return password(what, variable=_VARIABLES[what], as_stdin=password_stdin)

    if "cer" in files:
        attributes["csd"] = Sello(files["cer"], files["key"], ask("CSD"))
    if "fielcer" in files:
        attributes["fiel"] = Sello(files["fielcer"], files["fielkey"], ask("FIEL"))
    if smtp:
        attributes["smtp"] = CorreoSmtp(**smtp, password=ask("SMTP"))
    return attributes


def _together(options: Mapping[str, bool]) -> None:
    """Refuse a part of what comes together."""
    if any(options.values()) and not all(options.values()):
        raise typer.BadParameter(f"{', '.join(options)} come together: give all of them, or none")
