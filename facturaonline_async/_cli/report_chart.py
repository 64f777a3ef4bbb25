"""The geometry of the chart of a run; the template ``report_chart.html`` draws it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from attrs import frozen

from facturaonline_async._cli.run_texts import format_duration, format_moment
from facturaonline_async._messages import message
from facturaonline_async.provision._journal.history import RunThroughput

__all__ = ["Chart", "chart"]

_WIDTH: Final = 960.0
_HEIGHT: Final = 280.0
_LEFT: Final = 56.0
_RIGHT: Final = 8.0
_TOP: Final = 12.0
_BOTTOM: Final = 44.0
_GAP: Final = 34.0
_LABEL: Final = 76.0
"""Width of a tick's label."""


@frozen
class Bar:
    """The bar of one interval: companies at the bottom, series above.

    Attributes:
        x, width: place and width.
        when: beginning of the interval.
        empresas, series: number of changes.
        base, middle, top: y coordinates of the axis, of the border between companies and series, and of the end.

    """

    x: float
    width: float
    when: str
    empresas: int
    series: int
    base: float
    middle: float
    top: float


@frozen
class Pause:
    """The time between two runs.

    Attributes:
        x, width: place and width.
        text: how long it was.
        has_label: whether the text fits.

    """

    x: float
    width: float
    text: str
    has_label: bool


@frozen
class Tick:
    """A label of time below the axis.

    Attributes:
        x: place.
        day, time: the moment.
        is_new_day: whether the tick before shows another day.

    """

    x: float
    day: str
    time: str
    is_new_day: bool


@frozen
class Run:
    """One run: the pause before it, the bars of its intervals, and the ticks.

    The first run has no pause. Intervals without changes have no bar.
    """

    pause: Pause | None
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


@frozen(kw_only=True)
class Chart:
    """A bar chart of all runs, with the pauses between them.

    Attributes:
        width, height: of the whole chart.
        left, right, top, bottom: coordinates of the axes.
        interval: length of an interval.
        most: the highest number of an interval.
        grid: height and number of each line of the grid.
        runs: in order of time.

    """

    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _HEIGHT - _BOTTOM
    interval: str
    most: int
    grid: tuple[tuple[float, int], ...]
    runs: tuple[Run, ...]


@frozen
class _Scale:
    """Widths of a bar and of a pause, and the highest number of the axis."""

    bar: float
    gap: float
    top: int

    def y(self, number: float) -> float:
        """Return the y coordinate of a number."""
        return _HEIGHT - _BOTTOM - number / self.top * (_HEIGHT - _TOP - _BOTTOM)


def chart(throughput: Sequence[RunThroughput], zone: tzinfo) -> Chart | None:
    """Return the chart, or None if nothing was done."""
    if not throughput:
        return None
    most = max(max(map(sum, zip(each.empresas, each.series, strict=True))) for each in throughput)
    pauses = len(throughput) - 1
    gap = min(_GAP, (_WIDTH - _LEFT - _RIGHT) * 0.3 / pauses) if pauses else 0.0
    bars = sum(len(each.empresas) for each in throughput)
    scale = _Scale((_WIDTH - _LEFT - _RIGHT - gap * pauses) / bars, gap, _ceiling(most))
    return Chart(
        interval=format_duration(throughput[0].interval).removeprefix("1 "),
        most=most,
        grid=tuple((scale.y(number), number) for number in (scale.top * part // 4 for part in range(5))),
        runs=tuple(_runs(throughput, scale, zone)),
    )


def _ceiling(most: int) -> int:
    """Return the highest number of the axis: four round steps, as small as possible."""
    size = 10 ** int(math.log10(max(1, most // 4)))
    steps = (int(size * step) for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if size * step == int(size * step))
    return 4 * next(step for step in steps if 4 * step >= most)


def _runs(throughput: Sequence[RunThroughput], scale: _Scale, zone: tzinfo) -> Iterator[Run]:
    x = _LEFT
    before: RunThroughput | None = None
    tick: Tick | None = None
    for each in throughput:
        pause = None
        if before is not None:
            text = message("cli.chart_pause", time=format_duration(each.began - before.ended))
            pause = Pause(x, scale.gap, text, scale.gap >= 16)
            x += scale.gap
        ticks = tuple(_ticks(each, x, scale, zone, tick))
        yield Run(pause, tuple(_bars(each, x, scale, zone)), ticks)
        x += len(each.empresas) * scale.bar
        before = each
        tick = ticks[-1] if ticks else tick


def _bars(throughput: RunThroughput, left: float, scale: _Scale, zone: tzinfo) -> Iterator[Bar]:
    inner = max(scale.bar * 0.84, scale.bar - 2)
    for place, (empresas, series) in enumerate(zip(throughput.empresas, throughput.series, strict=True)):
        if empresas or series:
            x = left + place * scale.bar + (scale.bar - inner) / 2
            when = format_moment(throughput.began + place * throughput.interval, zone)
            heights = scale.y(0), scale.y(empresas), scale.y(empresas + series)
            yield Bar(x, inner, when, empresas, series, *heights)


def _ticks(throughput: RunThroughput, left: float, scale: _Scale, zone: tzinfo, last: Tick | None) -> Iterator[Tick]:
    """Return the ticks of a run, as many as fit after the last one."""
    for place in range(0, len(throughput.empresas), max(1, math.ceil(_LABEL / scale.bar))):
        x = left + place * scale.bar
        if (last is None or x >= last.x + _LABEL) and x <= _WIDTH - _LABEL / 2:
            when = datetime.fromtimestamp(throughput.began + place * throughput.interval, UTC).astimezone(zone)
            day, time = f"{when:%Y-%m-%d}", f"{when:%H:%M:%S}" if throughput.interval < 60 else f"{when:%H:%M}"
            last = Tick(x, day, time, is_new_day=last is None or day != last.day)
            yield last
