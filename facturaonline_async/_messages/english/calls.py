"""Texts about calls, their attempts and their responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # Every error: its text with the endpoint and the HTTP status.
    "calls.with_endpoint": "{endpoint}: {text}",
    "calls.with_status": "{text} (HTTP {status})",
    # The session cannot be used.
    "calls.session_closed": "this session is closed: make a new SessionManager, and keep it open while you call",
    "calls.other_event_loop": (
        "this session belongs to another event loop: make one SessionManager inside each loop that calls"
    ),
    "calls.session_forked": (
        "this session was used before the process was forked, and its connections belong to the parent: make a new "
        "SessionManager in each child, after the fork"
    ),
    # The session was closed, or its process forked, during the call.
    "calls.closed_while_waiting": "the session was closed while the call was waiting",
    "calls.forked_while_waiting": "the session was forked into another process while the call was waiting",
    "calls.forked_before_sent": "the process was forked before the call was sent: the parent process sends it",
    # Several attempts, or a read that verifies a write.
    "calls.sent_again": "(it was sent again, and that attempt failed: {error})",
    "calls.not_verified": "(could not verify whether it was done: {error})",
    # Creates, and the search for what they created.
    "calls.earlier_create": (
        "an earlier create of it may still show up, so that none is made for another {seconds:.0f} s"
    ),
    "calls.created_and_not_shown": "it was created, but has not shown up before the deadline: look for it later",
    "calls.created_and_unreadable": "it is there, but not readable: {reason}",
    "calls.not_shown_any_more": (
        "it was there a moment ago (uid {uid}), and neither a list nor get(uid) shows it now: either the API's answers "
        "are late, or it was deleted elsewhere. Nothing was created. Try again in {seconds:.0f} s"
    ),
    "calls.refused_and_not_searched": "(whether it is there could not be seen: {error})",
    "calls.not_searched": "(it could not be looked for: {error})",
}
