"""The picture of a run: what was done in each interval, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Final

from attrs import frozen

from facturaonline_async.cli import told
from facturaonline_async.provision.ledger import Pace

__all__ = ["picture"]

_WIDTH: Final = 960.0
_HEIGHT: Final = 280.0
_LEFT: Final = 56.0
_RIGHT: Final = 8.0
_TOP: Final = 12.0
_BOTTOM: Final = 44.0
_GAP: Final = 34.0
_LABEL: Final = 76.0
"""Room that a moment needs below the axis."""


@frozen
class _Scale:
    """Where things stand."""

    bar: float  # width of an interval
    gap: float  # width of a pause
    top: int  # the highest number on the axis

    def y(self, number: float) -> float:
        """Return the height at which a number stands."""
        return _HEIGHT - _BOTTOM - number / self.top * (_HEIGHT - _TOP - _BOTTOM)


def picture(pace: Sequence[Pace], zone: tzinfo) -> str:
    """Return an SVG: bars of companies below series, one for each interval, with the pauses between runs."""
    if not pace:
        return ""
    most = max(max(map(sum, zip(each.empresas, each.series, strict=True))) for each in pace)
    pauses = len(pace) - 1
    gap = min(_GAP, (_WIDTH - _LEFT - _RIGHT) * 0.3 / pauses) if pauses else 0.0
    bars = sum(len(each.empresas) for each in pace)
    scale = _Scale((_WIDTH - _LEFT - _RIGHT - gap * pauses) / bars, gap, _ceiling(most))
    parts = [*_grid(scale), *_spans(pace, scale, zone)]
    step = told.duration(pace[0].step).removeprefix("1 ")
    parts.append(
        f'<text class="axis" x="14" y="{(_HEIGHT - _BOTTOM + _TOP) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(_HEIGHT - _BOTTOM + _TOP) / 2:.0f})">done per {step}</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-labelledby="pace-title pace-text">'
        f'<title id="pace-title">Companies and series done per {step}</title>'
        f'<desc id="pace-text">At most {most} per {step}; the table below has all numbers.</desc>{"".join(parts)}</svg>'
    )


def _ceiling(most: int) -> int:
    """Return the number to which the axis goes: four round steps, and no more room than they need."""
    size = 10 ** int(math.log10(max(1, most // 4)))
    steps = (int(size * step) for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if size * step == int(size * step))
    return 4 * next(step for step in steps if 4 * step >= most)


def _grid(scale: _Scale) -> Iterator[str]:
    for part in range(5):
        number = scale.top * part // 4
        y = scale.y(number)
        yield f'<line class="grid" x1="{_LEFT:.0f}" x2="{_WIDTH - _RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="axis" x="{_LEFT - 8:.0f}" y="{y + 4:.1f}" text-anchor="end">{number:,}</text>'


def _spans(pace: Sequence[Pace], scale: _Scale, zone: tzinfo) -> Iterator[str]:
    x = _LEFT
    free = 0.0  # up to where the axis has labels
    before: Pace | None = None
    for each in pace:
        if before is not None:
            yield _pause(x, scale, each.began - before.ended)
            x += scale.gap
        yield from _bars(each, x, scale, zone)
        every = max(1, math.ceil(_LABEL / scale.bar))
        for place in range(0, len(each.empresas), every):
            at = x + place * scale.bar
            if at >= free and at <= _WIDTH - _LABEL / 2:
                yield _moment(each.began + place * each.step, at, before, each.step, zone)
                free = at + _LABEL
                before = each
        x += len(each.empresas) * scale.bar
        before = each


def _bars(pace: Pace, left: float, scale: _Scale, zone: tzinfo) -> Iterator[str]:
    inner = max(scale.bar * 0.84, scale.bar - 2)
    for place, (empresas, series) in enumerate(zip(pace.empresas, pace.series, strict=True)):
        if not empresas and not series:
            continue
        x = left + place * scale.bar + (scale.bar - inner) / 2
        when = told.moment(pace.began + place * pace.step, zone)
        low, high = scale.y(empresas), scale.y(empresas + series)
        yield f"<g><title>{escape(when)}: {empresas} empresas, {series} series</title>"
        for css, y, height in (("empresas", low, scale.y(0) - low), ("series", high, low - high)):
            if height:
                yield f'<rect class="{css}" x="{x:.2f}" y="{y:.2f}" width="{inner:.2f}" height="{height:.2f}"/>'
        yield "</g>"


def _pause(x: float, scale: _Scale, seconds: float) -> str:
    text = f"pause of {told.duration(seconds)}"
    middle, y = x + scale.gap / 2, (_HEIGHT - _BOTTOM + _TOP) / 2
    label = (
        f'<text class="axis" x="{middle:.1f}" y="{y:.1f}" text-anchor="middle" dominant-baseline="middle" '
        f'transform="rotate(-90 {middle:.1f} {y:.1f})">{text}</text>'
        if scale.gap >= 16
        else ""
    )
    return (
        f'<g><title>{text}</title><rect class="pause" x="{x + 2:.1f}" y="{_TOP:.0f}" width="{scale.gap - 4:.1f}" '
        f'height="{_HEIGHT - _TOP - _BOTTOM:.0f}"/>{label}</g>'
    )


def _moment(moment: float, x: float, before: Pace | None, step: int, zone: tzinfo) -> str:
    """Return a moment below the axis; its day where that is new."""
    when = datetime.fromtimestamp(moment, UTC).astimezone(zone)
    is_new = before is None or datetime.fromtimestamp(before.began, UTC).astimezone(zone).date() != when.date()
    y = _HEIGHT - _BOTTOM
    day = f'<text class="axis" x="{x:.1f}" y="{y + 34:.0f}">{when:%Y-%m-%d}</text>' if is_new else ""
    return (
        f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{y:.0f}" y2="{y + 5:.0f}"/>'
        f'<text class="axis" x="{x:.1f}" y="{y + 19:.0f}">{when:{"%H:%M:%S" if step < 60 else "%H:%M"}}</text>{day}'
    )
