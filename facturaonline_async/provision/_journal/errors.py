"""Errors of a journal."""

from __future__ import annotations

from facturaonline_async.errors import InvalidInputError, NotSentError

__all__ = ["FencedError", "InvalidJournalError", "JournalError", "JournalInUseError"]


class JournalError(NotSentError):
    """The journal cannot be used or written.

    Nothing more is sent, and the run can be resumed.
    """


class InvalidJournalError(JournalError, InvalidInputError):
    """The journal is not a usable one of this account and host.

    It is not a journal, belongs to another account, host or version, or is damaged. It is not changed.
    """


class JournalInUseError(JournalError):
    """Another process, or another run of this process, uses the journal.

    Wait for it, or stop it.
    """


class FencedError(JournalError):
    """Another process has taken over the journal while this run was silent.

    Nothing more is sent. The other process continues the run.
    """
