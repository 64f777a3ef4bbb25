"""The fault matrix: what may go wrong, by what is done: how it ends, and how often it is sent.

Codes of the cells:

- ``ret``: repeated until the attempts are used up; ``ret1``: read again once
- ``unk``, ``err``: raised at once
- ``v``: looked at before it is repeated (an update is simply repeated)
- ``ok``: done at the first attempt; ``ok2``: done after one repeat
- ``-``: there is no such case

A code may name an exception of its own, as ``err ValidationError``; else the row's counts.
"""

from __future__ import annotations

import json
from typing import Any, Final

from attrs import field, frozen

from facturaonline_async import (
    ApiError,
    AuthenticationError,
    FacturaOnlineError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnreadableAnswerError,
    ValidationError,
)
from tests.matrix import stage
from tests.matrix.stage import API_KEY, LIST, OPERATIONS, PASSWORD, SECRET_KEY, Operation, Staging, answers, says
from tests.raw import http

KINDS: Final = {
    kind.__name__: kind
    for kind in (
        ApiError,
        AuthenticationError,
        NotFoundError,
        NotSentError,
        OutcomeUnknownError,
        PermissionDeniedError,
        RateLimitError,
        RequestTimeoutError,
        ServerError,
        UnreadableAnswerError,
        ValidationError,
    )
}


#: Rows whose fault meets an attempt before its request is written: there is nothing to read.
UNREAD: Final = {1, 2, 3, 4, 5, 67}
#: Rows whose fault meets the second call on a connection.
WARMED: Final = {10, 62}


@frozen
class Row:
    """One fault, and a code for each operation."""

    number: int
    name: str
    staging: Staging = field(repr=False)
    kind: type[FacturaOnlineError]
    codes: tuple[str, ...]
    read: Operation = stage.READ

    def cells(self) -> list[tuple[Operation, str]]:
        """Return the operations with their codes."""
        return list(zip((self.read, *OPERATIONS[1:]), self.codes, strict=True))


@frozen
class Expected:
    """How a cell ends: the exact kind of error (None: it is done), and what the server reads."""

    kind: type[FacturaOnlineError] | None
    requests: int
    looks: int = 0


def expected(row: Row, operation: Operation, code: str) -> Expected:
    """Return what a code stands for."""
    word, _, name = code.partition(" ")
    kind = KINDS[name] if name else row.kind
    reads = operation.name == "read"
    has_looks = operation.name in {"updown", "delete"}
    unread = row.number in UNREAD
    match word:
        case "ret":
            return Expected(kind, 0 if unread else 4 if reads else 3)
        case "ret1":
            return Expected(kind, 2)
        case "unk" | "err":
            return Expected(kind, 0 if unread else 1)
        case "v":
            return Expected(kind, 3, 3 if has_looks else 0)
        case "ok2":
            return Expected(None, 2, 1 if has_looks and row.kind is not RateLimitError else 0)
        case "ok":
            return Expected(None, 1)
    raise AssertionError(code)


ECHO: Final = {"Data": API_KEY, "Secret": SECRET_KEY, "acco_psswrd_cer": PASSWORD}
HTML: Final = f"<html><body>Whoops {API_KEY} {SECRET_KEY}</body></html>".encode()


def no(message: Any) -> dict[str, Any]:
    return {"status": "error", "message": message, **ECHO}


def serie(**more: Any) -> dict[str, Any]:
    row = {"SerieID": 7, "SerieName": "F", "SerieType": "factura", "SerieStatus": "Activa", "password": PASSWORD}
    return {"status": "success", "data": row | more}


HEAD: Final = b"HTTP/1.1 200 OK\r\n"
BODY: Final = json.dumps(serie()).encode()
#: Reads, creates, updates, up and down, delete and drop.
UNK: Final = ("ret", "unk", "v", "v", "v")
ONCE: Final = ("ret1", "unk", "v", "v", "v")
FLAT: Final = ("err", "unk", "v", "v", "v")
ALL: Final = ("ret",) * 5
ERR: Final = ("err",) * 5
OK: Final = ("ok",) * 5
NOT_HTTP: Final = (
    ("bad chunk size", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY),
    ("bad status line", b"HTTP/1.1 two hundred\r\n\r\n"),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("two lengths", HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY),
    ("negative length", HEAD + b"Content-Length: -5\r\n\r\n" + BODY),
    ("length and chunks", HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY),
)

ROWS: Final = (
    Row(1, "connection refused", stage.refused, NotSentError, ALL),
    Row(2, "no such host", stage.nowhere, NotSentError, ALL),
    Row(3, "connect time-out", stage.full, NotSentError, ALL),
    Row(4, "unknown certificate", stage.over_tls(is_trusted=False, host="127.0.0.1"), NotSentError, ERR),
    Row(4, "another host's certificate", stage.over_tls(is_trusted=True, host="a.example"), NotSentError, ERR),
    Row(5, "plain text on a TLS port", stage.plain_behind_https, NotSentError, ERR),
    Row(6, "close before read", stage.before_reading(is_reset=False), OutcomeUnknownError, UNK),
    Row(7, "reset before read", stage.before_reading(is_reset=True), OutcomeUnknownError, UNK),
    Row(8, "close without an answer", answers(b""), OutcomeUnknownError, UNK),
    Row(9, "reset without an answer", answers(b"", then="reset"), OutcomeUnknownError, UNK),
    Row(10, "stale connection", stage.stale(), OutcomeUnknownError, ("ok2", "unk", "ok2", "ok2", "ok2")),
    Row(11, "no answer", answers(b"", then="hang"), RequestTimeoutError, UNK),
    Row(12, "trickling body", stage.trickle(), RequestTimeoutError, UNK),
    Row(12, "trickling headers", stage.slow_headers(), RequestTimeoutError, UNK),
    Row(
        13,
        "reset in the body",
        answers(HEAD + b"Content-Length: 900\r\n\r\n" + BODY, then="reset"),
        OutcomeUnknownError,
        UNK,
    ),
    Row(14, "length too long", answers(HEAD + b"Content-Length: 900\r\n\r\n" + BODY), OutcomeUnknownError, UNK),
    Row(15, "length too short", answers(HEAD + b"Content-Length: 9\r\n\r\n" + BODY), OutcomeUnknownError, UNK),
    Row(
        16,
        "chunks cut off",
        answers(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n"),
        OutcomeUnknownError,
        UNK,
    ),
    *(Row(17, name, answers(content), OutcomeUnknownError, UNK) for name, content in NOT_HTTP),
    Row(18, "header above 8 kB", answers(HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n"), OutcomeUnknownError, UNK),
    Row(
        18,
        "5,000 headers",
        answers(HEAD + b"".join(b"X%d: x\r\n" % each for each in range(5000)) + b"\r\n"),
        OutcomeUnknownError,
        UNK,
    ),
    Row(19, "gzip corrupt", answers(stage.zipped(b"\x1f\x8b\x08\x00garbage!" * 9)), OutcomeUnknownError, UNK),
    Row(20, "gzip cut off", answers(stage.zipped(stage.gz(BODY)[:-20])), OutcomeUnknownError, ONCE),
    Row(20, "close-delimited cut off", answers(HEAD + b"\r\n" + BODY[:40]), OutcomeUnknownError, ONCE),
    Row(21, "gzip bomb", answers(stage.zipped(stage.gz(b" " * 9_000_000)), then="keep"), OutcomeUnknownError, FLAT),
    Row(21, "endless body", stage.endless(), OutcomeUnknownError, FLAT),
    Row(22, "brotli unasked", says(BODY, headers=b"Content-Encoding: br\r\n"), OutcomeUnknownError, UNK),
    Row(23, "204", answers(b"HTTP/1.1 204 No Content\r\n\r\n", then="keep"), OutcomeUnknownError, FLAT),
    Row(23, "200 without a body", says(b""), OutcomeUnknownError, FLAT),
    Row(24, "200 HTML", says(HTML), OutcomeUnknownError, ONCE),
    Row(25, "invalid JSON", says(BODY[:-3]), OutcomeUnknownError, ONCE),
    Row(25, "something behind the JSON", says(BODY + b"{}"), OutcomeUnknownError, ONCE),
    Row(25, "deep nesting", says(b'{"status":"success","data":' + b"[" * 40_000), OutcomeUnknownError, ONCE),
    Row(
        25,
        "huge integer",
        says(b'{"status":"success","data":' + b"9" * 9_000 + b"}"),
        OutcomeUnknownError,
        ONCE,
    ),
    Row(26, "wrong charset", says(json.dumps(no("ñ")).encode("utf-16")), OutcomeUnknownError, FLAT),
    Row(26, "byte order mark", says(b"\xef\xbb\xbf" + BODY), OutcomeUnknownError, ("ok", "ok", "-", "ok", "ok")),
    Row(27, "the API says no", says(no(f"no, {API_KEY}")), ApiError, ERR),
    Row(27, "the API says failed", says({"response": "failed", "message": {"cer": [API_KEY]}}), ValidationError, ERR),
    Row(30, "yes without data", says({"status": "success"}), UnreadableAnswerError, ("err", "ok", "err", "ok", "ok")),
    Row(
        30,
        "yes with null",
        says({"status": "success", "data": None, **ECHO}),
        UnreadableAnswerError,
        ("err", "ok", "err", "ok", "ok"),
    ),
    Row(
        31,
        "yes in wrong types",
        says(serie(SerieID={"x": API_KEY}, SerieName=None)),
        UnreadableAnswerError,
        ("err", "ok", "err", "ok", "ok"),
    ),
    Row(32, "extra fields", says(serie(SerieStatus="Nueva", extra=[1])), ApiError, ("ok", "ok", "-", "ok", "ok")),
    Row(
        33,
        "names that stand twice",
        says(b'{"status":"error",' + BODY[1:]),
        ApiError,
        ("ok", "ok", "-", "ok", "ok"),
    ),
    Row(34, "NaN", says(b'{"status":"success","data":{"x":NaN}}'), OutcomeUnknownError, FLAT),
    Row(35, "the envelope in an array", says([serie()]), ApiError, ("ok", "ok", "-", "ok", "ok")),
    Row(
        36,
        "a bad row among good ones",
        says({"status": "success", "data": [serie()["data"], {"SerieID": API_KEY}]}),
        UnreadableAnswerError,
        ("err", "-", "-", "-", "-"),
        LIST,
    ),
    Row(29, "bare data", says([serie()["data"]]), OutcomeUnknownError, ("ok", "unk", "v", "v", "v"), LIST),
    Row(37, "401", says(no("x"), status="401 Unauthorized"), AuthenticationError, ERR),
    Row(37, "403", says(no("x"), status="403 Forbidden"), PermissionDeniedError, ERR),
    Row(
        37, "unknown keys with 200", says(no("La cuenta que intenta autenticarse no existe")), AuthenticationError, ERR
    ),
    Row(38, "404 JSON", says(no("no existe"), status="404 Not Found"), NotFoundError, ERR),
    Row(38, "404 HTML", says(HTML, status="404 Not Found"), ApiError, ERR),
    Row(39, "408", says(no("x"), status="408 Request Timeout"), RequestTimeoutError, UNK),
    Row(40, "409", says(no("ya existe"), status="409 Conflict"), ApiError, ("-", "err", "err", "err", "err")),
    Row(41, "413", says(HTML, status="413 Content Too Large"), ApiError, ("-", "err", "err", "-", "-")),
    Row(42, "422", says(no({"cer": [API_KEY]}), status="422 Unprocessable Content"), ValidationError, ERR),
    Row(42, "400", says(no("x"), status="400 Bad Request"), ValidationError, ERR),
    Row(43, "429", says(no("x"), status="429 Too Many Requests"), RateLimitError, ALL),
    Row(
        44,
        "429 for a second",
        says(HTML, status="429 Too Many Requests", headers=b"Retry-After: 1\r\n", times=1),
        RateLimitError,
        ("ok2",) * 5,
    ),
    Row(
        45,
        "429 until a date that is over",
        says(HTML, status="429 Too Many Requests", headers=b"Retry-After: Fri, 20 Nov 2020 00:00:00 GMT\r\n"),
        RateLimitError,
        ALL,
    ),
    *(
        Row(
            46,
            f"429 with a Retry-After of {junk!r}",
            says(HTML, status="429 Too Many Requests", headers=b"Retry-After: " + junk.encode() + b"\r\n"),
            RateLimitError,
            ALL,
        )
        for junk in ("-1", "soon", "1.5", "٣", "")
    ),
    Row(
        46,
        "429 for years",
        says(HTML, status="429 Too Many Requests", headers=b"Retry-After: 999999999999\r\n"),
        RateLimitError,
        ERR,
    ),
    *(Row(47, str(status), says(HTML, status=f"{status} x"), ServerError, UNK) for status in (500, 502, 504, 520, 524)),
    Row(48, "503", says(HTML, status="503 x"), ServerError, UNK),
    Row(
        48,
        "503 with Retry-After: 0",
        says(HTML, status="503 x", headers=b"Retry-After: 0\r\n"),
        ServerError,
        UNK,
    ),
    Row(49, "500 with an envelope", says(no("x"), status="500 x"), ServerError, UNK),
    *(
        Row(50, str(status), stage.elsewhere(f"{status} x"), OutcomeUnknownError, ("err", "unk", "unk", "unk", "unk"))
        for status in (301, 302, 303, 307, 308)
    ),
    Row(62, "an answer that lies ready", stage.unasked(http(json.dumps(no("another's")).encode())), ApiError, OK),
    Row(62, "half an answer that lies ready", stage.unasked(HEAD + b"Content-Length: 99\r\n\r\n{"), ApiError, OK),
    *(
        Row(
            63,
            f"status {status}",
            says(serie(), status=f"{status} x"),
            OutcomeUnknownError,
            ("err UnreadableAnswerError", "unk", "v", "v", "v"),
        )
        for status in ("000", "101", "600", "999")
    ),
    Row(67, "out of time in TCP", stage.slow_tcp, NotSentError, ERR),
    Row(67, "out of time in TLS", stage.silent(is_proxy=False), NotSentError, ERR),
    Row(67, "out of time at the proxy", stage.silent(is_proxy=True), NotSentError, ERR),
    Row(67, "out of time in DNS", stage.slow_dns, NotSentError, ERR),
)
