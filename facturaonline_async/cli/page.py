"""The report as one page: it needs no network, runs no script but its own, and shows every text as text."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timezone, tzinfo
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final

from facturaonline_async.cli import told
from facturaonline_async.cli.picture import picture
from facturaonline_async.provision.ledger import Entry, Ledger, Pace
from facturaonline_async.provision.status import STATES, THERE, Reason, Status, alike

__all__ = ["MARK", "asset", "page"]

#: By this a file is known as a report.
MARK: Final = '<meta name="generator" content="facturaonline report'
_WITHOUT_SCRIPT: Final = 500
"""Rows that are shown where no script runs."""
_REASONS: Final = 100


def page(ledger: Ledger) -> str:
    """Return the page."""
    status = ledger.status
    zone = _zone(status.began)
    style, script = asset("page.css"), asset("page.js")
    return Template(asset("page.html")).substitute(
        mark=MARK,
        version=escape(importlib.metadata.version("facturaonline-async")),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        title=escape(_title(status, zone)),
        host=escape(status.host),
        verdict_class=_verdict(status)[0],
        verdict=_verdict(status)[1],
        when=escape(_when(status, zone)),
        cards="".join(_cards(ledger)),
        totals=_totals(status),
        steps="".join(f"<li>{_text(step)}</li>" for step in told.next_steps(status)),
        picture=picture(ledger.pace, zone),
        pace=_pace(ledger.pace, zone),
        reasons=_reasons(status.reasons),
        lacking=_lacking(ledger),
        filters="".join(_filters(status)),
        zone=escape(_zone_name(zone)),
        made=escape(told.moment(status.now, zone)),
        data=_json(_data(ledger, zone)),
    )


def asset(name: str) -> str:
    """Return a part of the page."""
    text = (files("facturaonline_async.cli") / "assets" / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # as a browser reads it: its hash is that of this text


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    """Return a text that is nothing but text, and turns nothing around it."""
    return f"<bdi>{escape(text)}</bdi>"


def _json(value: object) -> str:
    """Return JSON that ends no element and begins no comment, wherever it stands."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


# ── Head ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _zone(moment: float) -> timezone:
    """Return the time zone of this machine at a moment, the same for all of a page."""
    offset = datetime.fromtimestamp(moment, UTC).astimezone().utcoffset()
    return timezone(offset) if offset else UTC


def _zone_name(zone: tzinfo) -> str:
    return str(zone).replace("-", "−")  # noqa: RUF001  # a minus


def _title(status: Status, zone: tzinfo) -> str:
    began = status.sessions[0].began if status.sessions else status.began
    until = f"to {told.moment(status.ended, zone)}" if status.ended else "at work"
    return f"{status.host} — {told.moment(began, zone)} {until}"


def _when(status: Status, zone: tzinfo) -> str:
    if not status.sessions:
        return "has not begun"
    began = f"began {told.moment(status.sessions[0].began, zone)}"
    number = len(status.sessions)
    worked = f"worked {told.duration(status.worked)}" + (f" in {number} runs" if number > 1 else "")
    if status.is_running:
        return f"{began} · at work, process {status.sessions[-1].pid} · {worked}"
    end = "broken off" if status.is_broken_off else "ended"
    return f"{began} · {end} {told.moment(status.ended or status.began, zone)} · {worked}"


def _verdict(status: Status) -> tuple[str, str]:
    if status.is_running:
        return "running", "At work"
    if status.is_complete:
        return "good", "Complete"
    return "bad", "Broken off" if status.is_broken_off else "Not complete"


def _cards(ledger: Ledger) -> Iterator[str]:
    status = ledger.status
    for name, found in (("Empresas", status.empresas), ("Series", status.series)):
        there, of = sum(found[state] for state in THERE), sum(found.values())
        yield _card(name, f"{there:,}", f"of {of:,} there", _share(found))
    if status.overall:
        done = status.overall.empresas + status.overall.series
        detail = f"{status.overall.empresas:,.1f} empresas and {status.overall.series:,.1f} series"
        yield _card("Done per second", f"{done:,.1f}", detail)
    if status.eta is not None:
        yield _card("Left", f"about {told.duration(status.eta)}", "at the rate of the last minute")
    lacking = sum(not row.ok for row in ledger.rows)
    yield _card("Rows not finished", f"{lacking:,}", f"of {len(ledger.rows):,}")


def _share(found: Mapping[str, int]) -> str:
    """Return a bar of the states' shares. It is an SVG because the page allows no style in an element."""
    x, bars = 0.0, []
    for state in STATES:
        width = 100 * found[state] / (sum(found.values()) or 1)
        bars.append(f'<rect class="s-{state}" x="{x:.3f}" width="{width:.3f}" height="6"/>' if width else "")
        x += width
    return (
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        + "".join(bars)
        + "</svg>"
    )


def _card(name: str, number: str, detail: str, more: str = "") -> str:
    return f'<div class="card"><dt>{name}</dt><dd><b>{number}</b> <span>{detail}</span>{more}</dd></div>'


def _totals(status: Status) -> str:
    states = [state for state in STATES if status.empresas[state] or status.series[state]]
    head = "".join(f'<th scope="col"><span class="dot s-{state}"></span>{_name(state)}</th>' for state in states)
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{sum(found.values()):,}</td>'
        + "".join(f"<td{'' if found[state] else ' class=none'}>{found[state]:,}</td>" for state in states)
        + "</tr>"
        for name, found in (("Empresas", status.empresas), ("Series", status.series))
    )
    return f'<thead><tr><td></td><th scope="col">in all</th>{head}</tr></thead><tbody>{rows}</tbody>'


def _name(state: str) -> str:
    return told.NAMES.get(state, state)


# ── Body ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pace(pace: Sequence[Pace], zone: tzinfo) -> str:
    """Return the picture's numbers."""
    return "".join(
        f'<tr><th scope="row">{told.moment(each.began + place * each.step, zone)}</th>'
        f"<td>{empresas:,}</td><td>{series:,}</td></tr>"
        for each in pace
        for place, (empresas, series) in enumerate(zip(each.empresas, each.series, strict=True))
    )


def _reasons(reasons: Sequence[Reason]) -> str:
    rows = "".join(
        f"<tr><td>{reason.count:,}</td><td>{_badge(reason.state)}</td>"
        f"<td>{'empresas' if reason.is_empresa else 'series'}</td><td>{_text(reason.text)}</td>"
        f'<td>{_text(told.what(reason))} <button type="button" class="link" hidden data-reason="{place}">'
        f"Show {reason.count:,}</button></td></tr>"
        for place, reason in enumerate(reasons[:_REASONS])
    )
    if len(reasons) > _REASONS:
        rows += f'<tr><td colspan="5">and {len(reasons) - _REASONS:,} reasons more, in the table of rows</td></tr>'
    return rows


def _badge(state: str) -> str:
    return f'<span class="badge s-{state}">{_name(state)}</span>'


def _lacking(ledger: Ledger) -> str:
    """Return what is not there, for browsers that run no script."""
    rows = [row for row in ledger.rows if not row.ok]
    told_of = "".join(
        f"<tr><td>{row.number}</td><td>{_text(row.rfc)}</td><td>{_text(entry.name)}</td>"
        f"<td>{_badge(entry.state)}</td><td>{_text(entry.reason)}</td></tr>"
        for row in rows[:_WITHOUT_SCRIPT]
        for entry in row.lacking
    )
    if len(rows) > _WITHOUT_SCRIPT:
        told_of += f'<tr><td colspan="5">and {len(rows) - _WITHOUT_SCRIPT:,} rows more</td></tr>'
    return told_of


def _filters(status: Status) -> Iterator[str]:
    for state in STATES:
        if number := status.rows.get(state):
            yield (
                f'<label class="chip"><input type="checkbox" name="state" value="{state}">'
                f'<span class="dot s-{state}"></span>{_name(state)} <small>{number:,}</small></label>'
            )


def _data(ledger: Ledger, zone: tzinfo) -> dict[str, Any]:
    """Return the rows in few bytes: what is said often is a number."""
    kinds, reasons = _Numbers(), _Numbers([""])
    began = int(ledger.status.began)
    groups = {reason.group: place for place, reason in enumerate(ledger.status.reasons[:_REASONS])}

    def entry(entry: Entry, rfc: str) -> list[Any]:
        changed = None if entry.changed is None else int(entry.changed) - began
        values = [STATES.index(entry.state), entry.uid, reasons[entry.reason], changed]
        group = groups.get((entry.state, not entry.letra, alike(entry.reason, rfc))) if entry.reason else None
        return values if group is None else [*values, group]

    rows = [
        [
            row.number,
            row.rfc,
            entry(row.empresa, row.rfc) if row.empresa else None,
            [[each.letra, kinds[each.tipo_documento], *entry(each, row.rfc)] for each in row.series],
        ]
        for row in ledger.rows
    ]
    offset = zone.utcoffset(None)
    return {
        "states": STATES,
        "names": [_name(state) for state in STATES],
        "there": [state in THERE for state in STATES],
        "kinds": kinds.values,
        "reasons": reasons.values,
        "began": began,
        "offset": offset.total_seconds() if offset else 0,
        "rows": rows,
    }


class _Numbers:
    """Numbers for texts."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values = list(values)
        self._numbers = {value: number for number, value in enumerate(self.values)}

    def __getitem__(self, value: str) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.values)
            self.values.append(value)
        return self._numbers[value]
