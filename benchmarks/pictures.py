"""Pictures of the figures, as SVG, by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks.figures import LIBRARY, RAW, Figure, short

__all__ = ["draw"]

_OURS: Final = "#0b6e4f"
_OTHERS: Final = "#b8bfc6"


@frozen
class Panel:
    """Bars of one measure, a bar for each case and contender.

    Attributes:
        title: what stands above it.
        bench, measure: which figures it shows; `measure` is a pattern with asterisks.
        line: a value that is marked, such as that of raw aiohttp.

    """

    title: str
    bench: str
    measure: str
    line: float | None = None


#: By file name.
PICTURES: Final[dict[str, tuple[Panel, ...]]] = {
    "calls": (
        Panel(f"Instructions of a call, {RAW} = 1", "instructions", "instructions, *", 1),
        Panel(f"CPU of a call, {RAW} = 1", "calls", "CPU, *", 1),
    ),
    "peers": (Panel(f"Instructions of one GET, {RAW} = 1", "peers", "instructions, *", 1),),
    "start": (Panel("Billion instructions from start to end", "start", "billion instructions"),),
}


def draw(figures: Sequence[Figure], folder: Path) -> list[str]:
    """Draw the pictures whose figures were measured; return their names."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    import matplotlib as mpl  # noqa: PLC0415  # an extra of the benchmarks
    from matplotlib.figure import Figure as Chart  # noqa: PLC0415

    drawn = []
    style: dict[Any, Any] = {
        "svg.hashsalt": "facturaonline",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
    }
    for name, panels in PICTURES.items():
        bars = [_bars(panel, figures) for panel in panels]
        if not all(bars):
            continue
        with mpl.rc_context(style):
            chart = Chart(figsize=(5.5 * len(panels), 0.9 + 0.3 * max(map(len, bars))), layout="constrained")
            for axis, panel, its in zip(chart.subplots(1, len(panels), squeeze=False)[0], panels, bars, strict=True):
                _draw_panel(axis, panel, its)
            chart.savefig(folder / f"{name}.svg", metadata={"Date": None})
        drawn.append(name)
    return drawn


def _bars(panel: Panel, figures: Sequence[Figure]) -> dict[str, Figure]:
    """Return the panel's figures by the name of the bar: what tells them apart."""
    found = [each for each in figures if each.bench == panel.bench and fnmatchcase(each.measure, panel.measure)]
    is_by_contender = len({each.case for each in found}) == 1
    return {each.contender if is_by_contender else each.case: each for each in found}


def _draw_panel(axis: Any, panel: Panel, bars: dict[str, Figure]) -> None:
    names = list(reversed(bars))
    values = [bars[name].value for name in names]
    colours = [_OURS if bars[name].contender == LIBRARY else _OTHERS for name in names]
    drawn = axis.barh(names, values, color=colours)
    axis.bar_label(drawn, map(short, values), padding=3)
    for row, name in enumerate(names):
        if quartiles := bars[name].quartiles:
            axis.plot(quartiles, [row, row], color="black", linewidth=0.8)
    if panel.line is not None:
        axis.axvline(panel.line, color="black", linewidth=0.8)
    axis.set_title(panel.title, loc="left", fontsize=10, fontweight="bold")
    axis.margins(x=0.15)
