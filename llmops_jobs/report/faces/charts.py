"""Line charts and small multiples, drawn from the series in the model."""

from __future__ import annotations

import math
from datetime import date

from markupsafe import Markup, escape

from llmops_jobs.report.faces.svg import decades, path, runs, text, tick_text, ticks
from llmops_jobs.report.model import LineChart, Multiples, Number
from llmops_jobs.report.words import write

_TOP, _BOTTOM = 26.0, 20.0


class _Axes:
    """Where values and days lie: percent across, pixels down."""

    def __init__(
        self,
        chart: LineChart,
        height: int,
        floor: float | None = None,
        top: float | None = None,
    ) -> None:
        self.roof = _TOP if top is None else 12.0
        known = [float(value) for value in _values(chart) if value is not None]
        high = max(known, default=1.0) if top is None else top
        low = min(known, default=0.0)
        self.log = chart.log
        if chart.log:
            low = (
                min((value for value in known if value > 0), default=0.1)
                if floor is None
                else floor
            )
            self.low, self.high = low / 1.3, max(high, low * 2) * 1.3
        elif chart.zero:
            self.low, self.high = 0.0, (high or 1.0) * 1.06
        else:
            room = (high - low or abs(high) or 1.0) * 0.06
            # A rate's axis does not pass one hundred percent.
            capped = chart.unit == "ratio" and high <= 1.0 < high + room
            self.low, self.high = low - room, 1.0 if capped else high + room
        self.height = height
        self.days = len(chart.days)

    def x(self, place: float) -> float:
        """Percent across: half a day of room at both ends."""
        return 100 * (place + 0.5) / max(self.days, 1)

    def y(self, value: float) -> float:
        usable = self.height - self.roof - _BOTTOM
        if self.log:
            reach = math.log(self.high / self.low)
            share = math.log(self.high / max(value, self.low)) / reach
        else:
            share = (self.high - value) / (self.high - self.low)
        return self.roof + usable * share

    def inner(self, place: float, value: float) -> tuple[float, float]:
        """In the stretched picture: half days across, half pixels down."""
        return 2 * place + 1, 2 * self.y(value)


def _values(chart: LineChart) -> list[Number]:
    found: list[Number] = [limit.value for limit in chart.limits]
    for series in chart.series:
        found += series.values
    for band in chart.bands:
        found += [*band.low, *band.high]
    return found


def line(chart: LineChart, height: int = 230) -> Markup:
    """A chart by day; its title and what is drawn are told to screen readers too."""
    axes = _Axes(chart, height)
    lines, labels = _grid(chart, axes)
    parts = [_open(chart, height), *_forecast(chart, axes), *lines, *_curves(chart, axes), *labels]
    for limit in chart.limits:
        if limit.value is not None:
            y = axes.y(float(limit.value))
            parts.append(f'<line class="limit" x1="0" x2="100%" y1="{y:.0f}" y2="{y:.0f}"/>')
            parts.append(text("52", y - 5, limit.text, "strong bad"))
    parts += _marks(chart, axes)
    parts += _last(chart, axes)
    parts += _days(chart, axes, 5)
    parts += _hover(chart, axes)
    return Markup("".join([*parts, "</svg>"]))


def multiple(chart: LineChart, scale: tuple[float, float], height: int = 128) -> Markup:
    """One of several small charts on one scale: see `scale_of`."""
    axes = _Axes(chart, height, *scale)
    lines, labels = _grid(chart, axes, 2)
    parts = [_open(chart, height), *lines, *_curves(chart, axes), *labels]
    parts += _days(chart, axes, 2)
    return Markup("".join([*parts, "</svg>"]))


def newest(chart: LineChart) -> list[tuple[str, str, str]]:
    """(name, newest value, style) of every series that has one."""
    return [
        (series.name, write(series.values[-1], chart.unit), series.style)
        for series in reversed(chart.series)
        if series.values and series.values[-1] is not None
    ]


def scale_of(charts: Multiples) -> tuple[float, float]:
    """The least and the greatest value of small multiples."""
    values = [
        float(value)
        for chart in charts.charts
        for value in _values(chart)
        if value is not None and (value > 0 or not chart.log)
    ]
    return min(values, default=0.1), max(values, default=1.0)


def _open(chart: LineChart, height: int) -> str:
    names = ", ".join(series.name for series in chart.series)
    label = escape(f"{chart.title}. By day: {names}.")
    return f'<svg class="chart" width="100%" height="{height}" role="img" aria-label="{label}">'


def _grid(chart: LineChart, axes: _Axes, wanted: int = 4) -> tuple[list[str], list[str]]:
    """Lines, and the labels that are drawn over the curves."""
    places = decades(axes.low, axes.high) if axes.log else ticks(axes.low, axes.high, wanted)
    step = places[1] - places[0] if len(places) > 1 else 1.0
    lines, labels = [], []
    for value in places:
        y = axes.y(value)
        if y < 12:
            continue
        css = "axis" if value == 0 and not axes.log else "grid"
        lines.append(f'<line class="{css}" x1="0" x2="100%" y1="{y:.0f}" y2="{y:.0f}"/>')
        if value != 0:
            labels.append(text("0", y - 4, tick_text(value, chart.unit, step), "tick"))
    return lines, labels


def _forecast(chart: LineChart, axes: _Axes) -> list[str]:
    if chart.forecast_from is None or chart.forecast_from not in chart.days:
        return []
    start = axes.x(chart.days.index(chart.forecast_from) - 0.5)
    return [
        f'<rect class="ahead" x="{start:.1f}%" y="0" width="{100 - start:.1f}%" '
        f'height="{axes.height - _BOTTOM:.0f}"/>',
        text(f"{start + 0.8:.1f}%", 11, "forecast →", "tick"),
    ]


def _curves(chart: LineChart, axes: _Axes) -> list[str]:
    parts = [
        f'<svg width="100%" height="{axes.height}" '
        f'viewBox="0 0 {2 * max(axes.days, 1)} {2 * axes.height}" preserveAspectRatio="none">'
    ]
    for place, band in enumerate(chart.bands):
        pairs: list[Number] = [
            None if low is None or high is None else 1
            for low, high in zip(band.low, band.high, strict=True)
        ]
        for start, stretch in runs(pairs):
            span = range(start, start + len(stretch))
            points = [axes.inner(n, float(band.high[n] or 0)) for n in span]
            points += [axes.inner(n, float(band.low[n] or 0)) for n in reversed(span)]
            parts.append(f'<path class="band b{min(place, 1)}" d="{path(points)}z"/>')
    for series in chart.series:
        for start, stretch in runs(series.values):
            points = [axes.inner(start + n, value) for n, value in enumerate(stretch)]
            if len(points) == 1:  # a lone day is still seen
                points.append(axes.inner(start + 0.5, stretch[0]))
            parts.append(f'<path class="line l-{series.style}" d="{path(points)}"/>')
    return [*parts, "</svg>"]


def _marks(chart: LineChart, axes: _Axes) -> list[str]:
    parts = []
    for mark in chart.marks:
        if mark.x not in chart.days:
            continue
        place = axes.x(chart.days.index(mark.x))
        anchor = "start" if place < 15 else "end" if place > 60 else "mid"
        if mark.value is None:
            parts.append(
                f'<line class="event" x1="{place:.1f}%" x2="{place:.1f}%" y1="14" '
                f'y2="{axes.height - _BOTTOM:.0f}"/>'
            )
            y = 11.0
        else:
            y = axes.y(float(mark.value))
            parts.append(f'<circle class="mark" cx="{place:.1f}%" cy="{y:.1f}" r="4"/>')
            y -= 8
        parts.append(text(f"{place:.1f}%", max(y, 10), mark.text, f"{anchor} strong bad"))
    return parts


def _last(chart: LineChart, axes: _Axes) -> list[str]:
    """The newest value of the main line, written at its place."""
    series = next((s for s in chart.series if s.style == "main"), None)
    known = [n for n, value in enumerate(series.values) if value is not None] if series else []
    if series is None or not known:
        return []
    place, value = known[-1], float(series.values[known[-1]] or 0)
    x, y = axes.x(place), axes.y(value)
    if any(mark.x == chart.days[place] for mark in chart.marks):
        return [f'<circle class="dot" cx="{x:.1f}%" cy="{y:.1f}" r="3"/>']
    return [
        f'<circle class="dot" cx="{x:.1f}%" cy="{y:.1f}" r="3"/>',
        text(
            f"{x:.1f}%",
            max(y - 9, 10),
            write(value, chart.unit),
            "end strong" if x > 12 else "strong",
        ),
    ]


def _days(chart: LineChart, axes: _Axes, wanted: int) -> list[str]:
    count = len(chart.days)
    if not count:
        return []
    places = sorted({round(n * (count - 1) / max(wanted - 1, 1)) for n in range(wanted)})
    parts = []
    for place in places:
        anchor = "" if place == 0 else "end" if place == count - 1 else "mid"
        x = "0" if place == 0 else "100%" if place == count - 1 else f"{axes.x(place):.1f}%"
        parts.append(text(x, axes.height - 5, short(chart.days[place]), f"tick {anchor}"))
    return parts


def _hover(chart: LineChart, axes: _Axes) -> list[str]:
    """What a day holds, shown where the pointer rests."""
    parts = [
        f'<svg class="hover" width="100%" height="{axes.height}" '
        f'viewBox="0 0 {max(axes.days, 1)} 1" preserveAspectRatio="none">'
    ]
    for place, day in enumerate(chart.days):
        told = [
            f"{series.name} {write(series.values[place], chart.unit)}"
            for series in chart.series
            if series.values[place] is not None
        ]
        if told:
            content = escape(f"{short(day)}: {', '.join(told)}")
            parts.append(f'<rect x="{place}"><title>{content}</title></rect>')
    return [*parts, "</svg>"]


def short(day: date) -> str:
    return f"{day.day} {day:%b}"
