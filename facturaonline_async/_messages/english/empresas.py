"""Texts about companies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # A company that a caller gives.
    "empresas.logo_too_large": "logo must have {limit:,} bytes at most.",
    "empresas.no_changes": "cambios is empty: give at least one attribute to change.",
    # Reading a company and its keys.
    "empresas.no_keys": "This Empresa has no keys: only list(), get(), find(), current() and ensure() return them. "
    "Read it with get({uid}).",
    "empresas.owner_not_verified": "the owner of the keys of the company {uid} could not be verified: {reason}",
    # A response that is about another company.
    "empresas.other_company": "asked for the company {uid}, the API answered with the company {other}",
    "empresas.other_rfc": "asked for the company {uid} with the RFC {rfc}, the API answered with the company {other} "
    "with the RFC {other_rfc}",
    "empresas.without_rfc": "asked for the company {uid} with the RFC {rfc}, the API answered with the company {other} "
    "with the RFC (none)",
    "empresas.other_company_changed": "the company {uid} was changed, and it is about the company {other}",
    "empresas.other_rfc_written": "the RFC sent was {rfc}, and it is about the company {other} with the RFC "
    "{other_rfc}",
    "empresas.keys_of_another": "the API gave the keys of the company {owner} for the company {uid}",
}
