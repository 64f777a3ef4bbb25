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
    "postgres.extra_missing": "this needs the extra postgres: pip install 'facturaonline-async[postgres]'",
    # The command.
    "postgres.install_question": (
        "Install the schema facturaonline (version {version}) in the database {database} at {address}, as role {role}?"
    ),
    "postgres.upgrade_question": (
        "Upgrade the schema facturaonline to version {version} in the database {database} at {address}, as role {role}?"
    ),
    "postgres.restored_question": (
        "Let all creates of the database {database} at {address} wait for the settle time, as role {role}?"
    ),
    "postgres.restored": "All creates wait for the settle time from now on.",
    "postgres.installed": "The database {database} has the schema facturaonline, version {version}.",
    "postgres.queue_installed": "The database {database} has the tables of procrastinate.",
    "postgres.granted": "The role {role} may use it.",
    "postgres.label_database": "database",
    "postgres.label_schema": "schema",
    "postgres.label_timeline": "timeline",
    "postgres.label_lost": "lost",
    "postgres.label_creates": "creates",
    "postgres.place": "{database} at {address}, PostgreSQL {server}, as role {role}",
    "postgres.status_missing": "not installed: run facturaonline postgres install",
    "postgres.status_old": "version {found}, and this library needs {needed}: run facturaonline postgres upgrade",
    "postgres.status_not_latest": "version {found}; {latest} is available: run facturaonline postgres upgrade",
    "postgres.status_version": "version {found}",
    "postgres.timeline_known": "known: after a promoted standby or a recovery all creates wait for the settle time",
    "postgres.timeline_hidden": (
        "hidden by this server: after a promoted standby or a recovery run facturaonline postgres restored"
    ),
    "postgres.lost": (
        "the server was promoted, recovered or restored {seconds:.0f} s ago: creates wait until the settle time is over"
    ),
    "postgres.creates": "{open} in flight, {unknown} unknown, {known} known that lists may not show yet",
    # Settings.
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
