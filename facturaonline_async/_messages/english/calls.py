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
    # The program uses a client or a session wrongly.
    "calls.connect_not_awaited": (
        "connect() must be awaited: client = await connect(…), or async with connect(…) as client. "
        "The result of connect() itself has no '{name}'."
    ),
    "calls.connect_used_twice": (
        "this connect(…) was already awaited or entered: call connect again for a new session"
    ),
    "calls.outside_a_task": "calls are made from tasks",
    "calls.no_event_loop": (
        "calls need a running asyncio event loop, and there is none: run them with asyncio.run. A program with anyio "
        'chooses its backend "asyncio"; trio is not supported'
    ),
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
    "calls.closed_before_sent": "the session was closed before the call was sent",
    "calls.closed_in_flight": "the session was closed while the call was in flight",
    "calls.forked_while_waiting": "the session was forked into another process while the call was waiting",
    "calls.forked_before_sent": "the process was forked before the call was sent: the parent process sends it",
    # The rate limiter.
    "calls.would_wait_too_long": (
        "the call would wait {seconds:.1f} s for a slot, longer than max_wait={max_wait:g} s allows"
    ),
    "calls.waited_too_long": "the call waited max_wait seconds, and no slot was granted",
    # The service that several processes share.
    "calls.shared_unavailable": "the service that the processes share does not answer: {reason}",
    "calls.shared_failed": "the question to the service that the processes share failed: {error}",
    "calls.shared_interrupted": "the question to the service that the processes share was interrupted",
    "calls.grant_too_old": (
        "the permission to create came too long ago: another process may act by now, so that nothing was sent"
    ),
    "calls.grant_too_old_in_body": (
        "the permission to create ran out while the request was sent, so that its end was not sent: the server should "
        "have ignored it"
    ),
    # The connection. The peer is a server, a proxy, or a server through a proxy.
    "calls.route": "{server} through {proxy}",
    "calls.proxy": "the proxy",
    "calls.proxy_at": "the proxy {host}:{port}",
    "calls.invalid_host": "{peer} is not a valid host: check the base URL and the proxy",
    "calls.no_connection": "no connection to {peer}: {reason}",
    "calls.no_connection_in_time": "no connection to {peer} in time",
    "calls.no_tls_connection": (
        "no TLS connection to {peer}: {reason}. If the server omits an intermediate certificate, give "
        "Config(ssl_context=…) a context that trusts it"
    ),
    "calls.proxy_refused": "{proxy} refused to connect to {server} (HTTP {status})",
    "calls.proxy_wants_password": (
        "{proxy} refused to connect to {server} (HTTP {status}): give its user and password in Config(proxy=…)"
    ),
    "calls.answer_before_request": "{peer} answered before the request was sent",
    "calls.connection_broke_before_sent": "the connection to {peer} broke before the request was sent ({error})",
    "calls.connection_broke": "the connection broke ({error})",
    "calls.no_answer_in_time": "no answer in time",
    "calls.raised_at": "Raised at:\n{frames}",
    # An answer without a verdict of the API.
    "calls.not_http": "the answer is not HTTP",
    "calls.answer_too_large": "the answer is too large, and was not read",
    "calls.invalid_status": "the answer's HTTP status is invalid, and its body was ignored",
    "calls.redirected": "the server redirects, which is not followed: is the base URL right?",
    "calls.request_too_slow": "the server waited too long for the request",
    "calls.throttled": "the server asks for fewer calls",
    "calls.server_error": "the server failed; the call may have been done",
    "calls.no_file": "the answer is empty or a web page instead of a file: is the base URL right?",
    "calls.not_json": "the answer is not JSON: is the base URL right?",
    "calls.no_verdict": "the answer holds no verdict",
    # A refusal. The text is the API's own, in Spanish, or says that there is none.
    "calls.wrong_key_pair": "the API refused: {text}",
    "calls.not_permitted": "the API refused: {text}",
    "calls.not_found": "the API refused: {text}",
    "calls.invalid_data": "the API refused: {text}",
    "calls.refused": "the API refused: {text}",
    "calls.no_reason": "it gave no reason",
    "calls.no_readable_reason": "it gave no reason that can be read: is the base URL right?",
    # A success whose data cannot be read. Fields have the API's names, and rows are counted from 0.
    "calls.unreadable_answer": "the API accepted the call, but its answer cannot be read: {reason}",
    "calls.not_a_file": "expected a file",
    "calls.not_a_list": "expected a list of rows",
    "calls.in_row": "row {row}: {reason}",
    "calls.in_field": "{field}: {reason}",
    "calls.field_missing": "{field} is missing",
    "calls.empty": "is required, but empty",
    "calls.row_not_json": "is not strict JSON",
    "calls.not_an_object": "expected an object, not {found}",
    "calls.not_a_text": "expected a text, not {found}",
    "calls.not_a_whole_number": "expected a whole number, not {found}",
    "calls.number_too_long": "expected a whole number of at most {digits} digits",
    "calls.not_an_amount": "expected an amount, not {found}",
    "calls.not_a_list_field": "expected a list, not {found}",
    "calls.json_null": "null",
    "calls.json_boolean": "a bool",
    "calls.json_text": "this text",
    "calls.json_whole_number": "a whole number",
    "calls.json_fraction": "a fraction",
    "calls.json_list": "a list",
    "calls.json_object": "an object",
    # Answers that contradict each other: they mix two companies.
    "calls.keys_of_two_companies": (
        "the API gave the same keys for two companies, {uid} and {other}: they are used for neither. "
        "List the companies again"
    ),
    "calls.company_with_two_rfcs": (
        "the company {uid} has the RFC {rfc} in this answer, and {earlier} in an earlier one: "
        "one of them is about another company. List the companies again"
    ),
    "calls.list_with_shared_keys": (
        "the list gives two companies, {uid} and {other}, the same keys: they are used for neither. "
        "List the companies again"
    ),
    "calls.list_with_two_rfcs": (
        "the list gives the company {uid} two RFCs, {rfc} and {other}: one of them is another company's. "
        "List the companies again"
    ),
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
    "calls.not_readable_yet": "it exists, but was not readable before the deadline: read it with get(uid) later",
    "calls.refused_and_not_searched": "(whether it is there could not be seen: {error})",
    "calls.not_searched": "(it could not be looked for: {error})",
    # Many calls (`bulk`).
    "calls.while_working_on_item": "while working on item {index}",
    "calls.item_awaited_cancelled": "item {index} awaited a task or future that other code cancelled",
}
