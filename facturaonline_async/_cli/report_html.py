"""The report as one HTML page that needs no network."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from collections.abc import Mapping
from datetime import UTC, datetime, timezone, tzinfo
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from facturaonline_async._cli.report_chart import chart
from facturaonline_async._cli.run_texts import format_duration, format_example, format_moment, next_steps, state_name
from facturaonline_async._messages import Message, current_language, message
from facturaonline_async.provision._journal.history import History, HistoryEntry
from facturaonline_async.provision._journal.progress import STATES, THERE, Status, alike

if TYPE_CHECKING:
    import jinja2

__all__ = ["MARK", "render", "template_text", "templates"]

_GENERATOR: Final = "facturaonline report"
#: The tag that marks a file as a report.
MARK: Final = f'<meta name="generator" content="{_GENERATOR}'
_ROWS_WITHOUT_SCRIPT: Final = 500
_REASONS: Final = 100


def render(ledger: History) -> str:
    """Return the report as an HTML page."""
    status = ledger.status
    zone = _zone(status.began)
    style, script = template_text("report.css"), template_text("report.js")
    unfinished = [row for row in ledger.rows if not row.ok]
    return (
        templates()
        .get_template("report.html")
        .render(
            language=current_language(),
            generator=_GENERATOR,
            version=importlib.metadata.version("facturaonline-async"),
            style=style,
            script=script,
            style_hash=_sha256(style),
            script_hash=_sha256(script),
            ledger=ledger,
            status=status,
            run=status.name if status.path is None else status.path.name,
            title=_title(status, zone),
            when=_when(status, zone),
            verdict=_verdict(status),
            kinds={message("cli.page_empresas"): status.empresas, message("cli.page_series"): status.series},
            states=[state for state in STATES if status.empresas[state] or status.series[state]],
            next_steps=next_steps(status),
            chart=chart(ledger.throughput, zone),
            reasons=status.reasons[:_REASONS],
            unfinished=unfinished,
            rows_without_script=unfinished[:_ROWS_WITHOUT_SCRIPT],
            moment=partial(format_moment, zone=zone),
            zone=str(zone).replace("-", "−"),  # noqa: RUF001  # a minus sign
            data=_data(ledger, zone),
        )
    )


def template_text(name: str) -> str:
    """Return the text of a template, of the style sheet or of the script."""
    text = (files("facturaonline_async._cli") / "templates" / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # browsers compute the hash of this form


@cache
def templates() -> jinja2.Environment:
    """Return the environment of the templates, which escapes every value."""
    import jinja2  # noqa: PLC0415  # only a page needs it, and it would double the time that --help takes

    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(template_text),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "check_circular": False}
    made.globals |= {"text": message, "STATES": STATES, "there": _there, "shares": _shares, "zip": zip}
    made.filters |= {
        "thousands": "{:,}".format,
        "px": _px,
        "duration": format_duration,
        "state_name": state_name,
        "example": format_example,
    }
    return made


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _zone(moment: float) -> timezone:
    """Return the UTC offset of this machine at a time; the whole page uses it."""
    offset = datetime.fromtimestamp(moment, UTC).astimezone().utcoffset()
    return timezone(offset) if offset else UTC


def _title(status: Status, zone: tzinfo) -> Message:
    began = format_moment(status.runs[0].began if status.runs else status.began, zone)
    if status.ended is None:
        return message("cli.page_title_at_work", host=status.host, began=began)
    return message("cli.page_title", host=status.host, began=began, ended=format_moment(status.ended, zone))


def _when(status: Status, zone: tzinfo) -> str:
    if not status.runs:
        return message("cli.run_not_begun")
    began = message("cli.page_began", moment=format_moment(status.runs[0].began, zone))
    ended = format_moment(status.ended or status.began, zone)
    if status.is_running:
        end = message("cli.page_process", pid=status.runs[-1].pid)
    elif status.is_broken_off:
        end = message("cli.page_interrupted_at", moment=ended)
    else:
        end = message("cli.page_ended_at", moment=ended)
    worked = message("cli.page_worked", count=len(status.runs), time=format_duration(status.worked))
    return f"{began} · {end} · {worked}"


def _verdict(status: Status) -> dict[str, str]:
    if status.is_running:
        return {"style": "running", "text": message("cli.page_at_work")}
    if status.is_complete:
        return {"style": "good", "text": message("cli.page_complete")}
    text = message("cli.page_interrupted" if status.is_broken_off else "cli.page_incomplete")
    return {"style": "bad", "text": text}


def _px(number: float) -> str:
    """Return a length for an SVG."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _there(counts: Mapping[str, int]) -> int:
    return sum(counts[state] for state in THERE)


def _shares(counts: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """Return the x coordinate and width of each state in a bar of width 100."""
    x, shares = 0.0, []
    for state in STATES:
        if counts[state]:
            width = 100 * counts[state] / sum(counts.values())
            shares.append((state, x, width))
            x += width
    return shares


def _data(ledger: History, zone: tzinfo) -> dict[str, Any]:
    """Return all rows for the script of the page, with numbers for repeated texts."""
    states = {state: number for number, state in enumerate(STATES)}
    kinds, reasons = dict[str, int](), {"": 0}
    began = int(ledger.status.began)
    groups = {reason.group: place for place, reason in enumerate(ledger.status.reasons[:_REASONS])}

    def facts(entry: HistoryEntry, rfc: str) -> list[Any]:
        """Return the state, uid, reason, moment and group of a company or serie."""
        changed = None if entry.changed is None else int(entry.changed) - began
        reason = entry.reason
        if not reason:
            return [states[entry.state], entry.uid, 0, changed]
        values = [states[entry.state], entry.uid, reasons.setdefault(reason, len(reasons)), changed]
        group = groups.get((entry.state, not entry.letra, alike(reason, rfc)))
        return values if group is None else [*values, group]

    rows = [
        [
            row.number,
            row.rfc,
            facts(row.empresa, row.rfc) if row.empresa else None,
            [
                [each.letra, kinds.setdefault(each.tipo_documento, len(kinds)), *facts(each, row.rfc)]
                for each in row.series
            ],
        ]
        for row in ledger.rows
    ]
    offset = zone.utcoffset(None)
    return {
        "states": STATES,
        "texts": _script_texts(),
        "names": [state_name(state) for state in STATES],
        "there": [state in THERE for state in STATES],
        "kinds": list(kinds),
        "reasons": list(reasons),
        "began": began,
        "offset": offset.total_seconds() if offset else 0,
        "rows": rows,
    }


def _script_texts() -> dict[str, Message]:
    """Return the texts of the page's script, which fills in the braces."""
    return {
        "no_row": message("cli.script_no_row"),
        "row": message("cli.script_rows", count=1, number="{number}"),
        "rows": message("cli.script_rows", count=2, number="{number}"),
        "some_rows": message("cli.script_some_rows", found="{found}", all="{all}"),
        "rows_shown": message("cli.script_rows_shown", rows="{rows}", first="{first}", last="{last}"),
        "page": message("cli.script_page", page="{page}", pages="{pages}"),
        "more_series": message("cli.script_more_series", number="{number}"),
        "uid": message("cli.script_uid", state="{state}", uid="{uid}"),
        "with_reason": message("cli.script_with_reason"),
    }
