"""Texts about PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # The URL.
    "postgres.no_database": (
        "no database is named: give its URL, or set FACTURAONLINE_DATABASE_URL, or PGHOST or PGSERVICE."
    ),
    "postgres.invalid_url": (
        "the URL of the database cannot be read: give postgresql://user:password@host:port/database, or key=value "
        "pairs."
    ),
    # The database cannot be used now.
    "postgres.no_connection": "no connection to PostgreSQL: {reason}",
    "postgres.no_answer": "PostgreSQL did not answer in {seconds:g} s",
    "postgres.failed": "PostgreSQL refused the statement: {reason}",
    "postgres.unnamed_reason": "it gave no reason",
    "postgres.available_again": "PostgreSQL answers again",
    "postgres.hold_not_shared": "a pause that the server asked for holds this process alone: {reason}",
    "postgres.end_not_recorded": (
        "the end of a create was not recorded, so that it is pending for the settle time: {reason}"
    ),
    "postgres.delete_not_recorded": (
        "a delete was not recorded, so that its object is not created again for the settle time: {reason}"
    ),
    "postgres.not_open": "this Postgres is not open: use it with async with, and keep it open while you call",
    "postgres.other_event_loop": "this Postgres belongs to another event loop: make one inside each loop that calls",
    "postgres.forked": (
        "this Postgres was used before the process was forked, and its connections belong to the parent: make a new "
        "one in each child, after the fork"
    ),
    # Settings.
    "postgres.settle_too_short": (
        "settle must be at least {least:g} s with shared creates (upload_timeout, grace and 10 s), and was "
        "{settle:g} s."
    ),
    "postgres.invalid_on_outage": 'on_outage must be "closed" or Share(processes), and was {value}.',
    # The schema.
    "postgres.schema_missing": (
        "the database {database} has no schema facturaonline: run facturaonline postgres install --database URL."
    ),
    "postgres.schema_hidden": (
        "the role {role} may not use the schema facturaonline: run facturaonline postgres install --grant {role}."
    ),
    "postgres.schema_old": (
        "the schema facturaonline of the database {database} has version {found}, and this library needs {needed}: run "
        "facturaonline postgres upgrade --database URL."
    ),
    "postgres.server_old": "PostgreSQL {found} is too old: version {needed} or later is needed.",
}
