"""What led from one total to the other, a row a step."""

from __future__ import annotations

from markupsafe import Markup, escape

from llmops_jobs.report.faces.svg import text
from llmops_jobs.report.model import Waterfall


def waterfall(chart: Waterfall) -> Markup:
    """Horizontal: a row a step, so that names have room on a phone."""
    row, left, right = 25, 33.0, 83.0
    level, ends = 0.0, []
    for step in chart.steps:
        value = float(step.value or 0)
        start = 0.0 if step.total else level
        level = value if step.total else level + value
        ends.append((min(start, level), max(start, level)))
    # The totals dwarf the steps: the axis starts near the smallest level, and says so by a break.
    steps = [low for (low, _), step in zip(ends, chart.steps, strict=True) if not step.total]
    top = max((high for _, high in ends), default=1.0) or 1.0
    base = max(0.0, min(steps, default=0.0) - 0.25 * (top - min(steps, default=0.0)))
    if base < 0.3 * top:
        base = 0.0

    def x(value: float) -> float:
        return left + (right - left) * max(value - base, 0.0) / ((top - base) or 1.0)

    height = row * len(chart.steps) + 2
    told = ", ".join(f"{step.name} {step.text}" for step in chart.steps)
    parts = [
        f'<svg class="chart waterfall" width="100%" height="{height}" role="img" '
        f'aria-label="{escape(f"{chart.title}: {told}")}">'
    ]
    for place, ((low, high), step) in enumerate(zip(ends, chart.steps, strict=True)):
        y = place * row + 3
        css = "total" if step.total else "up" if (step.value or 0) > 0 else "down"
        width = max(x(high) - x(low), 0.4)
        parts.append(text("0", y + 13, step.name, "strong" if step.total else ""))
        parts.append(
            f'<rect class="step {css}" x="{x(low):.1f}%" y="{y}" width="{width:.1f}%" '
            f'height="{row - 7}" rx="2"/>'
        )
        if step.total and base:
            parts.append(
                f'<line class="break" x1="{left + 3}%" x2="{left + 4.5}%" '
                f'y1="{y - 1}" y2="{y + row - 6}"/>'
            )
        parts.append(text("100%", y + 13, step.text, f"end {'strong' if step.total else css}"))
    return Markup("".join([*parts, "</svg>"]))
