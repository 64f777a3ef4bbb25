"""Plans for tests: a folder with certificates, and tables that name them."""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from facturaonline_async import NuevaEmpresa, Sello
from facturaonline_async.testing import make_sello

HEADER = ["razon_social", "rfc", "codpos", "email", "regimen", "regimen_nomina", "cer", "key", "password", "series"]

ROW: dict[str, Any] = {
    "razon_social": "Ñandú & Compañía, S.A.",
    "rfc": "EKU9003173C9",
    "codpos": "06500",
    "email": "a@example.com",
    "regimen": "601",
    "regimen_nomina": "601",
    "cer": "c/a.cer",
    "key": "c/a.key",
    "password": "12345678a",
    "series": "F:factura:1;P:pago",
}


def folder(path: Path) -> Path:
    """Put certificates there, and return the path."""
    (path / "c").mkdir(exist_ok=True)
    for name in ("a.cer", "a.key", "f.cer", "f.key"):
        (path / "c" / name).write_bytes(name.encode())
    (path / "c" / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (path / "c" / "empty.cer").write_bytes(b"")
    return path


@functools.cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certify(path: Path, rfcs: Iterable[str]) -> None:
    """Put certificates and keys there that pass the check."""
    (path / "c").mkdir(exist_ok=True)
    for rfc in rfcs:
        sello = make_sello(rfc, private_key=private_key())
        (path / "c" / f"{rfc}.cer").write_bytes(sello.cer)
        (path / "c" / f"{rfc}.key").write_bytes(sello.key)


def table(rows: list[dict[str, Any]], *, delimiter: str = ",", columns: list[str] | None = None) -> str:
    columns = columns or list(dict.fromkeys([*HEADER, *(name for row in rows for name in row)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def written(path: Path, rows: list[dict[str, Any]], **how: Any) -> Path:
    """Write a plan into a folder with certificates, and return its path."""
    plan = folder(path) / "plan.csv"
    plan.write_text(table(rows, **how), encoding="utf-8", newline="")
    return plan


def toml(rows: list[dict[str, Any]]) -> str:
    """Return the rows as tables; a value that is no text stands there as it is."""
    return "\n".join(
        "[[empresas]]\n" + "".join(f"{name} = {toml_value(value)}\n" for name, value in row.items()) for row in rows
    )


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {toml_value(each)}' for name, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def written_toml(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a plan as TOML into a folder with certificates, and return its path."""
    plan = folder(path) / "plan.toml"
    plan.write_text(toml(rows), encoding="utf-8")
    return plan


def nueva(rfc: str, **more: Any) -> NuevaEmpresa:
    given: dict[str, Any] = {
        "razon_social": f"Empresa {rfc}",
        "codpos": "06500",
        "email": "a@example.com",
        "regimen_nomina": "601",
        "csd": Sello(b"cer", b"key", "12345678a"),
    }
    return NuevaEmpresa(rfc=rfc, **(given | more))
