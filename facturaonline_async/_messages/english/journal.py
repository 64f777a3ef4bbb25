"""Texts about journals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # The file cannot be used now.
    "journal.not_a_path": "journal must be the path of a file or a JournalStore, and was {value}.",
    "journal.missing": "the journal {path} does not exist.",
    "journal.in_use": "another process uses the journal {path}. Wait for it, or stop it.",
    "journal.closed": "the journal {path} is closed.",
    "journal.hard_links": "the journal {path} cannot be opened: it has several names (hard links).",
    "journal.cannot_be_opened": "the journal {path} cannot be opened: {reason}.",
    "journal.cannot_be_read": "the journal {path} cannot be read: {reason}.",
    "journal.being_written": "it is being written, and this user cannot write to its folder",
    "journal.lock_cannot_be_read": "{path} cannot be read: {reason}.",
    "journal.cannot_be_written": "the journal {path} cannot be written: {reason}. Nothing more is sent.",
    "journal.replaced": "the file was removed or replaced",
    # The file is not a journal of this schema.
    "journal.not_a_database": (
        "{path} is not a journal of this library: it is not an SQLite file, or its header is damaged. Give the "
        "journal of a run."
    ),
    "journal.no_tables": (
        "{path} has no tables, and is not a journal of this library. If it is a copy of one, its -wal is missing "
        "({wal}): copy it too."
    ),
    "journal.another_program": "{path} is a database of another program, not a journal of this library.",
    "journal.another_version": (
        "{path} was written by another version of this library (schema {schema}, not {known}). Finish its run with "
        "that version, or wait until the settle time since its last use has passed and start with a new journal: "
        "everything that exists is adopted."
    ),
    # The journal belongs to another run.
    "journal.another_host": "the journal {path} belongs to {host}, but this run uses {used}.",
    "journal.another_account": ("the journal {path} belongs to another account: it was created with other main keys."),
    # The journal is damaged.
    "journal.empty_beside_wal": "{path} is empty, but its -wal is not: restore the file that belongs to it.",
    "journal.damaged": (
        "the journal {path} is damaged: {damage}. Use a copy of it. Without a copy, wait until the settle time since "
        "its last use has passed, and start with a new journal."
    ),
    "journal.not_utf8": "it holds a text that is not UTF-8",
    "journal.invalid_value": "{table} has an invalid value where {column} is {value}",
    "journal.missing_value": "its {name} is missing",
    "journal.invalid_begin": "its begin, {value}, is not a valid moment",
    # The plan of the run is divided into shards.
    "journal.shard": "{path} (shard {number} of 0 to {last})",
    "journal.divided": "the plan of this run is divided into shards; give the run another name",
    "journal.not_divided": "the plan of the run {path} is not divided into shards. Give the run another name.",
    "journal.another_count": (
        "the plan of the run {path} is divided into {shards} shards, not {used}. Give the same number, or give the run "
        "another name."
    ),
    "journal.another_plan": (
        "the run {path} was made with another plan: its RFCs or series differ. Give the same plan, or give the run "
        "another name; everything that exists is adopted."
    ),
    "journal.session_not_shared": (
        "the client must share its creates through the database of the run: open its session with shared=database."
    ),
    "journal.cancelled": "the run {path} was cancelled. Enqueue it again to continue.",
    # The journal is in a database.
    "journal.not_a_name": (
        "a journal in a database needs a name of 1 to 200 bytes without control characters, and got {value}."
    ),
    "journal.short_lease": "lease must be at least {least:g} seconds, and was {value:g}.",
    "journal.lease_below_grace": (
        "the lease of the journal must be at least Config.grace ({grace:g} seconds), and is {lease:g}: another process "
        "must not take the run over while this one may still begin to send."
    ),
    "journal.fenced": (
        "another process has taken over the journal {path}, because this one was silent for too long. Nothing more is "
        "sent here."
    ),
    "journal.restored": (
        "the database of the journal {path} was restored, or a standby of it was promoted, so that its last records "
        "may be lost. Nothing more is sent. Start the run again: it lists what exists first."
    ),
    # Creates may have been sent that the journal does not record.
    "journal.may_be_incomplete": (
        "the journal {path} may be incomplete: {gap}. The run waits {settle:g} s, lists what exists, adopts it, and "
        "then creates the rest."
    ),
    "journal.no_valid_mark": "it may be a copy, an earlier state, or without its -wal",
    "journal.earlier_removed": "an earlier journal of this name was removed",
    "journal.new_timeline": "the database was restored, or a standby of it was promoted",
    "journal.torn_wal": "its -wal is not whole",
}
