"""Pictures of the figures, as SVG, by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import LIBRARY, RAW, Figure, short

__all__ = ["draw"]

#: By file name: benchmark, pattern of the measure, and title. A bar stands for each case, or for each contender.
PICTURES: Final = {
    "calls": ("instructions", "instructions, *", f"Instructions of a call, {RAW} = 1"),
    "peers": ("peers", "instructions, *", f"Instructions of one GET, {RAW} = 1"),
    "row": ("row", "* = 1", f"A row of a plan (company, 3 series), {RAW} = 1"),
    "start": ("start", "billion instructions", "Billion instructions from start to end"),
}
_OURS: Final = "#0b6e4f"
_OTHERS: Final = "#b8bfc6"


def draw(figures: Sequence[Figure], folder: Path) -> list[str]:
    """Draw the pictures whose figures were measured, in place of the folder's old ones; return their names."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    import matplotlib as mpl  # noqa: PLC0415  # only the group bench installs it
    from matplotlib.figure import Figure as Chart  # noqa: PLC0415

    for path in folder.glob("*.svg"):
        path.unlink()
    drawn = []
    style: dict[Any, Any] = {"svg.hashsalt": "facturaonline", "axes.spines.top": False, "axes.spines.right": False}
    for name, (bench, measure, title) in PICTURES.items():
        found = [each for each in figures if each.bench == bench and fnmatchcase(each.measure, measure)]
        if not found:
            continue
        with mpl.rc_context({**style, "font.size": 9}):
            chart = Chart(figsize=(6.5, 0.9 + 0.3 * len(found)), layout="constrained")
            axis = chart.subplots()
            bars = {_name(each, found): each for each in reversed(found)}
            colours = [_OURS if each.contender == LIBRARY else _OTHERS for each in bars.values()]
            drawn_bars = axis.barh([*bars], [each.value for each in bars.values()], color=colours)
            axis.bar_label(drawn_bars, [short(each.value) for each in bars.values()], padding=3)
            if title.endswith("= 1"):
                axis.axvline(1, color="black", linewidth=0.8)
            axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
            axis.margins(x=0.15)
            chart.savefig(folder / f"{name}.svg", metadata={"Date": None})
        drawn.append(name)
    return drawn


def _name(figure: Figure, others: Sequence[Figure]) -> str:
    """Return what tells a bar from the others."""
    if len({each.case for each in others}) == 1:
        return figure.contender
    return (
        figure.case if len({each.measure for each in others}) == 1 else f"{figure.case}: {figure.measure.split(',')[0]}"
    )
