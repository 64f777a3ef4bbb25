"""The command ``facturaonline plan example``: a plan and certificates for tests."""

from __future__ import annotations

import csv
import shlex
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from rich.progress import track

from facturaonline_async._cli import export, preview, template
from facturaonline_async._cli.command_groups import command_group
from facturaonline_async._cli.consoles import new_console
from facturaonline_async._messages import message
from facturaonline_async._private_files import make_private_folder, open_private
from facturaonline_async._text import printable_path
from facturaonline_async.errors import InvalidInputError
from facturaonline_async.sat._identifiers import rfc_check_digit
from facturaonline_async.testing import make_sello

__all__ = ["app", "command", "example_rfcs"]

_KEYS: Final = 16  # making a key takes 0.1 s; all companies share these
_SERIES: Final = "F:factura:1;NC:nota_credito:1;P:pago:1"
_COLUMNS: Final = (
    "razon_social", "rfc", "codpos", "email", "regimen", "regimen_nomina", "cer", "key", "password", "series",
)  # fmt: skip
_PASSWORD: Final = "12345678a"  # noqa: S105  # the password of all the SAT's own test files


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New or empty folder to write the plan into.", show_default=False)
    ],
    empresas: Annotated[int, typer.Option(min=1, max=100_000, help="How many companies.")] = 200,
) -> None:
    """Write an example plan: companies with certificates and three series each.

    Names and RFCs are invented. The certificates have the form of the SAT's and no fiscal validity. The plan contains
    their password.
    """
    is_new = not folder.exists()
    if not is_new and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(message("cli.folder_not_empty", folder=printable_path(folder)), field="DIR")
    if is_new:
        make_private_folder(folder)
    path = folder / "plan.csv"
    try:
        _write(path, folder / "certificates", empresas)
    except BaseException:
        # The next attempt needs an empty folder.
        shutil.rmtree(folder / "certificates", ignore_errors=True)
        path.unlink(missing_ok=True)
        if is_new:
            folder.rmdir()
        raise
    console = new_console(soft_wrap=True)
    shown = printable_path(path)
    of_empresas = message("cli.count_empresas", count=empresas)
    of_series = message("cli.count_series", count=3 * empresas)
    console.print(message("cli.example_written", path=shown, empresas=of_empresas, series=of_series))
    console.print(f"  facturaonline provision {shlex.quote(shown)} --emulator")


app: typer.Typer = command_group(
    "Make and read plans.", example=command, template=template.command, preview=preview.command, export=export.command
)


def _write(path: Path, certificates: Path, empresas: int) -> None:
    make_private_folder(certificates)
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(min(_KEYS, empresas))]
    console = new_console(stderr=True)
    with open(path, "x", newline="", encoding="utf-8", opener=open_private) as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        rfcs = zip(range(empresas), example_rfcs(), strict=False)
        for number, rfc in track(
            rfcs, message("cli.label_certificates"), total=empresas, console=console, transient=True
        ):
            name = f"Empresa de Ejemplo {number + 1}"
            sello = make_sello(rfc, razon_social=name.upper(), password=_PASSWORD, private_key=keys[number % len(keys)])
            files = {f"{rfc}.cer": sello.cer, f"{rfc}.key": sello.key}
            for file_name, content in files.items():
                with open(certificates / file_name, "xb", opener=open_private) as certificate:
                    certificate.write(content)
            mail = f"facturas{number + 1}@example.com"
            paths = (f"{certificates.name}/{file_name}" for file_name in files)
            table.writerow((name, rfc, "06500", mail, "601", "601", *paths, _PASSWORD, _SERIES))


def example_rfcs() -> Iterator[str]:
    """Yield distinct RFCs of companies, with correct check digits.

    A homoclave begins with 1 to 9 or A to V.
    """
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for homoclave in "123456789ABCDEFGHIJKLMNOPQRSTUV":
        for name in product(letters, repeat=3):
            body = f"{''.join(name)}200101{homoclave}A"
            yield body + rfc_check_digit(body)
