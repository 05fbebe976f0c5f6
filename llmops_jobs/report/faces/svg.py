"""Drawing without a library: what charts share, and the small marks inside tables and tiles.

Colours are CSS classes, so dark mode and print come from the style sheet. Charts have no viewBox:
places across are percentages and text keeps its size from a phone to a wide screen; curves live
in a stretched inner picture whose strokes do not scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from llmops_jobs.report.model import Number, Unit
from llmops_jobs.report.words import write

# The inner picture's width and height in its own units.
SPAN = 1000


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers over [low, high], about `wanted` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(step for step in (1, 2, 2.5, 5, 10) if step * size >= raw * 0.999) * size
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high], at most three of them."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, math.ceil((last - first + 1) / 3))
    return [10.0**power for power in range(first, last + 1, step)]


def tick_text(value: float, unit: Unit, step: float) -> str:
    """A tick's label: no more decimals than the step needs."""
    if unit == "usd":
        if value >= 1000:
            short = f"{value / 1000:g}k" if value < 1e6 else f"{value / 1e6:g}M"
            return f"${short}"
        return f"${value:.2f}" if step < 1 else f"${value:.0f}"
    if unit in ("ratio", "share"):
        return f"{value * 100:g}%"
    if unit == "seconds":
        return f"{value:g} s"
    return write(value, unit)


def runs(values: Sequence[Number]) -> Iterator[tuple[int, list[float]]]:
    """Unbroken stretches of a series: (place of the first, values)."""
    start = 0
    stretch: list[float] = []
    for place, value in enumerate(values):
        if value is None:
            if stretch:
                yield start, stretch
            stretch = []
            continue
        if not stretch:
            start = place
        stretch.append(float(value))
    if stretch:
        yield start, stretch


def spark(values: Sequence[Number], status: str = "none", *, area: bool = True) -> Markup:
    """A sparkline with its last value marked; nothing when there are fewer than two values.

    `area` fills what lies below it; tables with many do without, for the page's size.
    """
    known = [float(value) for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(known), max(known)
    # A quiet series stays flat: noise is not blown up to the full height.
    reach = max(high - low, 0.06 * abs(high), 1e-12)
    middle = (high + low) / 2

    def x(place: int) -> str:
        return f"{2 + 92 * place / (len(values) - 1):.0f}"

    def y(value: float) -> str:
        return f"{14 - 20 * (value - middle) / reach:.1f}"

    parts = [f'<svg class="spark s-{status}" viewBox="0 0 100 28" aria-hidden="true">']
    for start, stretch in runs(values):
        line = " ".join(f"{x(start + n)},{y(value)}" for n, value in enumerate(stretch))
        end = start + len(stretch) - 1
        if len(stretch) > 1:
            if area:
                parts.append(f'<path class="area" d="M{x(start)},28L{line}L{x(end)},28Z"/>')
            parts.append(f'<polyline points="{line}"/>')
        if end == len(values) - 1:
            parts.append(f'<circle cx="{x(end)}" cy="{y(stretch[-1])}" r="2.4"/>')
    parts.append("</svg>")
    return Markup("".join(parts))


def bar(share: float) -> Markup:
    width = max(min(share, 1.0), 0.0) * 60
    return Markup(
        '<svg class="bar" viewBox="0 0 60 6" aria-hidden="true">'
        '<rect class="track" width="60" height="6" rx="3"/>'
        f'<rect class="fill" width="{width:.1f}" height="6" rx="3"/></svg>'
    )


def interval(value: Number, low: Number, high: Number, scale: Number, status: str) -> Markup:
    """A difference with its interval against zero, on -scale to +scale."""
    if value is None or low is None or high is None or not scale:
        return Markup("")

    def x(number: float) -> float:
        return 60 + 54 * max(min(number / float(scale), 1.05), -1.05)

    return Markup(
        f'<svg class="interval s-{status}" viewBox="0 0 120 18" aria-hidden="true">'
        '<line class="zero" x1="60" x2="60" y1="1" y2="17"/>'
        f'<line class="whisker" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="9" y2="9"/>'
        f'<circle cx="{x(value):.1f}" cy="9" r="3.4"/></svg>'
    )


def text(x: str, y: float, content: str, css: str) -> str:
    return f'<text x="{x}" y="{y:.1f}" class="{css}">{escape(content)}</text>'
