"""Pictures of the figures, as SVG, by matplotlib where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.contenders.base import installed
from benchmarks.contenders.library import Library
from benchmarks.figures import Figure, short

__all__ = ["draw"]

_OURS: Final = "#0b6e4f"
_OTHERS: Final = "#b8bfc6"
_PALE: Final = {_OURS: "#7fc3a8", _OTHERS: "#dde1e5"}
_TEXT: Final = "#24292f"
_QUIET: Final = "#6b737b"
_STYLE: Final = {
    "svg.hashsalt": "facturaonline",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _TEXT,
    "axes.edgecolor": "#d0d7de",
    "axes.labelcolor": _QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "xtick.color": _QUIET,
    "ytick.color": _TEXT,
    "ytick.left": False,
    "xtick.labelsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def draw(figures: Sequence[Figure], folder: Path, machine: Mapping[str, str]) -> dict[str, Path]:
    """Draw what was measured; return the pictures by benchmark."""
    if installed("matplotlib") is None:
        return {}
    plot = installed("matplotlib.pyplot")
    plot.switch_backend("svg")
    drawn = {}
    foot = f"{machine['CPU']} · Python {machine['Python'].split()[0]} · aiohttp {machine['aiohttp']}"
    for bench, picture in _PICTURES.items():
        mine = [figure for figure in figures if figure.bench == bench]
        if not mine:
            continue
        with plot.rc_context(_STYLE):
            chart = picture(plot, mine)
            chart.text(0.995, 0.005, foot, ha="right", va="bottom", fontsize=7, color=_QUIET)
            drawn[bench] = folder / f"{bench.removeprefix('bench_')}.svg"
            chart.savefig(drawn[bench], metadata={"Date": None}, bbox_inches="tight", pad_inches=0.15)
            plot.close(chart)
    return drawn


# ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _panels(plot: Any, number: int, title: str, under: str, *, rows: int) -> tuple[Any, list[Any]]:
    """Return a picture with panels side by side, and its panels."""
    height = 1.35 + 0.3 * rows
    chart, axes = plot.subplots(1, number, figsize=(10.5, height), squeeze=False, layout="constrained")
    chart.get_layout_engine().set(rect=(0, 0.35 / height, 1, 1 - 1.0 / height), wspace=0.06)
    chart.text(0.008, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", va="top")
    chart.text(0.008, 1 - 0.40 / height, under, fontsize=9, color=_QUIET, va="top")
    return chart, list(axes[0])


def _colour(contender: str) -> str:
    return _OURS if contender.startswith(Library.name) else _OTHERS


def _bars(axis: Any, title: str, groups: Sequence[Mapping[str, Figure]], *, log: bool = False, base: float = 0) -> None:
    """Draw a bar for each contender, or a few thin ones: one for each group, the first in full colour.

    On a logarithmic scale bars start at `base`, to the left or to the right.
    """
    names = list(dict.fromkeys(name for group in groups for name in group))[::-1]
    thick = 0.72 / len(groups)
    if log:
        axis.set_xscale("log")
    for which, group in enumerate(groups):
        for row, name in enumerate(names):
            if (figure := group.get(name)) is None:
                continue
            middle = row + 0.36 - thick * (which + 0.5)
            colour = _colour(name) if which == 0 else _PALE[_colour(name)]
            start = base if log else 0
            axis.barh(middle, figure.median - start, left=start, height=thick * 0.92, color=colour)
            if figure.low != figure.high:
                axis.plot([figure.low, figure.high], [middle, middle], color=_TEXT, linewidth=0.8, alpha=0.55)
            _label(axis, figure, middle, base if log else 0, small=len(groups) > 1)
    axis.set_yticks(range(len(names)), names)
    for tick in axis.get_yticklabels():
        if tick.get_text().startswith(Library.name):
            tick.set(fontweight="bold", color=_OURS)
    axis.tick_params(axis="x", which="both", length=0)
    axis.grid(axis="x", color="#eaeef2", linewidth=0.8)
    axis.margins(x=0.2)
    axis.set_title(title, pad=8)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axis.xaxis.set_minor_formatter(lambda *_: "")
    if base:
        axis.axvline(base, color=_TEXT, linewidth=0.9, zorder=1.5)
    if not log:
        axis.set_xlim(left=0)


def _label(axis: Any, figure: Figure, height: float, base: float, *, small: bool) -> None:
    """Write the median where the bar ends."""
    is_left = figure.median < base
    edge = figure.low if is_left else max(figure.high, base)
    axis.annotate(
        short(figure.median),
        (edge, height),
        xytext=(-4 if is_left else 4, 0),
        textcoords="offset points",
        ha="right" if is_left else "left",
        va="center",
        fontsize=7 if small else 8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        fontweight="bold" if figure.contender.startswith(Library.name) else "normal",
    )


def _pick(figures: Sequence[Figure], case: str, measure: str, against: str | None = None) -> dict[str, Figure]:
    """Return the figures of a case and a measure by contender; names may be given by how they begin or end."""
    return {
        figure.contender: figure
        for figure in figures
        if (figure.case.startswith(case) or figure.case.endswith(case))
        and (figure.measure.startswith(measure) or figure.measure.endswith(measure))
        and (against is None or figure.against == against)
    }


def _without_names(axes: Sequence[Any]) -> None:
    """Say the names once, where all panels have the same."""
    for axis in axes[1:]:
        axis.set_yticklabels([])


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _calls(plot: Any, figures: Sequence[Figure]) -> Any:
    works = ("read one serie", "create a serie", "create a company")
    most = max(int(figure.case.split(", ")[-1].split()[0]) for figure in figures if figure.case.endswith("at once"))
    shown = min(most, 64)
    chart, axes = _panels(
        plot,
        len(works),
        "CPU for a call, raw aiohttp = 1",
        f"{shown} calls at once; dark: HTTP, pale: HTTPS; left of the line is cheaper than raw aiohttp; logarithmic",
        rows=11,
    )
    for axis, work in zip(axes, works, strict=True):
        groups = [
            _pick(figures, f"{work}, {scheme}, {shown} at once", "CPU", "raw aiohttp") for scheme in ("http", "https")
        ]
        _bars(axis, work.capitalize(), groups, log=True, base=1)
    _without_names(axes)
    return chart


def _instructions(plot: Any, figures: Sequence[Figure]) -> Any:
    works = list(dict.fromkeys(figure.case for figure in figures))
    chart, axes = _panels(
        plot, len(works), "Instructions for a call, raw aiohttp = 1", "counted by valgrind, one call at a time", rows=6
    )
    for axis, work in zip(axes, works, strict=True):
        _bars(axis, work.capitalize(), [_pick(figures, work, "instructions", "raw aiohttp")])
        axis.axvline(1, color=_TEXT, linewidth=0.9, zorder=1.5)
    _without_names(axes)
    return chart


def _structure(plot: Any, figures: Sequence[Figure]) -> Any:
    chart, axes = _panels(
        plot, 2, "A list of 10,000 companies", "from the first byte to the values; shorter is better", rows=4
    )
    _bars(axes[0], "CPU, raw aiohttp and json.loads = 1", [_pick(figures, "list", "CPU", "raw aiohttp")])
    _bars(axes[1], "Longest stall of the event loop, ms", [_pick(figures, "list", "longest stall")])
    _without_names(axes)
    return chart


def _limiter(plot: Any, figures: Sequence[Figure]) -> Any:
    chart, axes = _panels(plot, 4, "Limiters under pressure", "500 calls a second are allowed", rows=4)
    _bars(axes[0], "Busiest second,\nallowed = 1", [_pick(figures, "at once", "most starts", "allowed")])
    _bars(axes[1], "Half give up: time,\nideal = 1", [_pick(figures, "every second one", "time")])
    _bars(axes[2], "Overtakes in a flood\n", [_pick(figures, "at once", "overtakes")])
    _bars(axes[3], "After a stall of 0.7 s:\nbusiest second", [_pick(figures, "the loop stands", "most starts")])
    _without_names(axes)
    return chart


def _bulk(plot: Any, figures: Sequence[Figure]) -> Any:
    chart, axes = _panels(plot, 2, "Many items at once", "32 workers, items without work; shorter is better", rows=4)
    case = next(figure.case for figure in reversed(figures) if figure.case.startswith("one pass"))
    _bars(axes[0], f"µs for each of {case.split(', ')[-1]}", [_pick(figures, case, "CPU per item")])
    kilobytes = [figure for figure in figures if figure.unit == "kB"]
    sizes = list(dict.fromkeys(figure.measure for figure in kilobytes))
    peaks = [{each.contender: each for each in kilobytes if each.measure == size} for size in reversed(sizes)]
    _bars(axes[1], f"Memory at its peak, kB (pale: {sizes[0]})", peaks, log=True, base=10)
    _without_names(axes)
    return chart


def _latency(plot: Any, figures: Sequence[Figure]) -> Any:
    chart, axes = _panels(
        plot,
        3,
        "256 workers, a server that takes 50 ms",
        "dark: p99 and the luckiest worker; pale: p50 and the unluckiest",
        rows=7,
    )
    _bars(
        axes[0],
        "Milliseconds for a call (logarithmic)",
        [_pick(figures, "", "p99"), _pick(figures, "", "p50")],
        log=True,
        base=50,
    )
    served = [_pick(figures, "", "most of"), _pick(figures, "", "least of")]
    _bars(axes[1], "Calls that a worker got done", served)
    _bars(axes[2], "Calls, % of what is possible", [_pick(figures, "", "calls, of")])
    _without_names(axes)
    return chart


def _checks(plot: Any, figures: Sequence[Figure]) -> Any:
    chart, axes = _panels(plot, 2, "Checks of certificates, many at once", "one thread and two", rows=3)
    _bars(axes[0], "Checks a second", [_pick(figures, "checks at once", "checks")])
    _bars(axes[1], "Longest delay of the event loop, ms", [_pick(figures, "checks at once", "longest")])
    _without_names(axes)
    return chart


def _provision(plot: Any, figures: Sequence[Figure]) -> Any:
    chart, axes = _panels(plot, 2, "A plan made real", f"{figures[0].case}, against the emulator", rows=2)
    _bars(axes[0], "Companies a second", [_pick(figures, "", "rows")])
    _bars(axes[1], "CPU for a company, ms", [_pick(figures, "", "CPU for a row")])
    _without_names(axes)
    return chart


_PICTURES: Final[dict[str, Callable[[Any, Sequence[Figure]], Any]]] = {
    "bench_calls": _calls,
    "bench_instructions": _instructions,
    "bench_structure": _structure,
    "bench_limiter": _limiter,
    "bench_bulk": _bulk,
    "bench_latency": _latency,
    "bench_checks": _checks,
    "bench_provision": _provision,
}
