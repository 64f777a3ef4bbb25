"""Plans of made-up companies, each with three series."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

from facturaonline_async._cli.example import example_rfcs
from facturaonline_async.provision import Plan
from tests.plans import ROW, certify, written

__all__ = ["SERIES", "company_uid", "write_plan"]

SERIES: Final = (("F", "factura", 1), ("P", "pago", 1), ("N", "nota_credito", 1))


def company_uid(number: int) -> str:
    """Return the uid of a company by its place in the plan."""
    return f"64efd{number:08x}"


def write_plan(folder: Path, rows: int, *, is_certified: bool = True) -> Plan:
    """Write a plan whose rows have certificates and keys of their own, and read it.

    Args:
        folder: where it is written, as ``plan.csv``.
        rows: companies.
        is_certified: whether the files pass the check; else they only have the right size.

    """
    rfcs = list(islice(example_rfcs(), rows))
    if is_certified:
        certify(folder, rfcs)
    else:
        (folder / "c").mkdir()
        for rfc in rfcs:
            (folder / "c" / f"{rfc}.cer").write_bytes(rfc.encode() * 120)
            (folder / "c" / f"{rfc}.key").write_bytes(rfc.encode() * 108)
    series = ";".join(":".join(map(str, serie)) for serie in SERIES)
    own = [{"rfc": rfc, "cer": f"c/{rfc}.cer", "key": f"c/{rfc}.key", "series": series} for rfc in rfcs]
    return Plan.from_csv(written(folder, [{**ROW, **each} for each in own]))
