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


def path(points: Sequence[tuple[float, float]]) -> str:
    """A line through the points: whole numbers, each as its distance from the one before; points
    that lie on the way are left out."""
    x, y = first = tuple(round(number) for number in points[0])
    steps: list[tuple[int, int]] = []
    for point in points[1:]:
        next_x, next_y = (round(number) for number in point)
        dx, dy = next_x - x, next_y - y
        x, y = next_x, next_y
        before_x, before_y = steps[-1] if steps else (0, 0)
        if dx * before_y == dy * before_x and dx * before_x + dy * before_y > 0:
            steps[-1] = (before_x + dx, before_y + dy)
        else:
            steps.append((dx, dy))
    # A minus sign separates by itself; a letter is needed only once.
    told = (f"{dx}{dy if dy < 0 else f' {dy}'}" for dx, dy in steps)
    return f"M{first[0]} {first[1]}" + (f"l{' '.join(told)}" if steps else "")


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
    step, tall = 4, 40
    last = len(values) - 1

    def at(place: int, value: float) -> tuple[float, float]:
        return 6 + step * place, tall / 2 - 28 * (value - middle) / reach

    css = f"spark s-{status}" if status != "none" else "spark"
    parts = [f'<svg class="{css}" viewBox="0 0 {12 + step * last} {tall}" aria-hidden="true">']
    for start, stretch in runs(values):
        points = [at(start + n, value) for n, value in enumerate(stretch)]
        end = start + len(stretch) - 1
        if len(stretch) > 1:
            line = path(points)
            if area:
                parts.append(f'<path class="area" d="{line}V{tall}H{points[0][0]}z"/>')
            parts.append(f'<path d="{line}"/>')
        if end == last:
            parts.append(f'<path class="end" d="{path(points[-1:])}h0"/>')
    parts.append("</svg>")
    return Markup("".join(parts))


def bar(share: float) -> str:
    """A share of a whole, 60 pixels long."""
    width = round(max(min(share, 1.0), 0.0) * 54)
    return (
        '<svg class="bar" viewBox="0 0 60 6" aria-hidden="true"><path d="M3 3h54"/>'
        f'<path d="M3 3h{width}"/></svg>'
    )


def interval(value: Number, low: Number, high: Number, scale: Number, status: str) -> str:
    """A difference with its interval against zero, on -scale to +scale."""
    if value is None or low is None or high is None or not scale:
        return ""

    def x(number: float) -> int:
        return round(60 + 54 * max(min(number / float(scale), 1.05), -1.05))

    return (
        f'<svg class="interval s-{status}" viewBox="0 0 120 18" aria-hidden="true">'
        f'<path class="zero" d="M60 1v16"/><path d="M{x(low)} 9H{x(high)}"/>'
        f'<circle cx="{x(value)}" cy="9" r="3.4"/></svg>'
    )


def text(x: str, y: float, content: str, css: str) -> str:
    named = f' class="{css}"' if css else ""
    return f'<text x="{x}" y="{y:.0f}"{named}>{escape(content)}</text>'
