"""The HTML page: one file, no request, no script; light, dark and print from one style sheet."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from llmops_jobs.report.faces import charts, inline, svg
from llmops_jobs.report.faces.charts import short
from llmops_jobs.report.faces.inline import GLYPHS
from llmops_jobs.report.faces.waterfall import waterfall
from llmops_jobs.report.model import ReportModel, Section, cell, tidy
from llmops_jobs.report.words import clean

_TEMPLATES = Path(__file__).parent.parent / "templates"
WORDS = {"act": "Act", "watch": "Watch", "ok": "Fine", "none": "Note"}


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        svg=svg,
        charts=charts,
        waterfall=waterfall,
        glyphs=GLYPHS,
        words=WORDS,
        short=short,
        href=inline.safe,
        link=lambda address, text: Markup(inline.link(address, text)),
        say=inline.say,
        badge=inline.badge,
        rows_of_table=inline.table,
        style=style(),
    )
    return made


@cache
def style() -> Markup:
    """The style sheet, without comments and white space."""
    text = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    return Markup(re.sub(r" ?([{};,]) ?|(:) ", r"\1\2", text).strip())


def policy(*scripts: str) -> str:
    """A content security policy that lets the page ask for nothing and run only `scripts`."""
    parts = ["default-src 'none'", f"style-src '{_hash(str(style()))}'", "img-src data:"]
    if scripts:
        parts.append("script-src " + " ".join(f"'{_hash(script)}'" for script in scripts))
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


@cache
def index_script() -> Markup:
    """The one script of the site: it hides rows of the index that do not match the search."""
    return Markup((_TEMPLATES / "index.js").read_text(encoding="utf-8").strip())


def index(rows: pd.DataFrame, names: Mapping[str, str], title: str) -> str:
    """The index of all reports, newest first, a sparkline of spend up to each."""
    entries = []
    for (project, period), part in rows.groupby(["project_id", "period"], sort=True):
        ordered = part.sort_values("day")
        spend = [tidy(value) for value in ordered["spend_usd"]]
        for place, row in enumerate(ordered.itertuples()):
            entries.append(
                {
                    "project": clean(
                        "all projects" if project == "all" else _named(names, project)
                    ),
                    "period": period,
                    "day": row.day,
                    "path": row.path,
                    "status": row.verdict if row.verdict in GLYPHS else "none",
                    "headline": clean(row.headline, 300),
                    "spend": cell(row.spend_usd, "usd").text,
                    "p95": cell(row.latency_p95_s, "seconds").text,
                    "quality": cell(row.quality, "ratio").text,
                    "spark": [*[None] * (29 - place), *spend[max(0, place - 29) : place + 1]],
                }
            )
    entries.sort(key=lambda entry: (entry["day"], entry["period"], entry["project"]), reverse=True)
    script = index_script()
    return (
        environment()
        .get_template("index.html.j2")
        .render(entries=entries, title=title, script=script, policy=policy(str(script)))
    )


def _named(names: Mapping[str, str], project: object) -> str:
    name = names.get(str(project), "")
    return str(project) if name in ("", "default") else name


def rows_of(sections: Sequence[Section]) -> list[list[list[Section]]]:
    """Rows of one or two columns of sections. Half-wide sections that follow each other fill two
    columns, each the shorter one, so that no card leaves a hole beside it."""
    rows: list[list[list[Section]]] = []
    heights: list[float] = []
    for section in sections:
        if section.width == "full":
            rows.append([[section]])
            heights = []
            continue
        if not heights:
            rows.append([[], []])
            heights = [0.0, 0.0]
        shorter = 0 if heights[0] <= heights[1] else 1
        rows[-1][shorter].append(section)
        heights[shorter] += _height(section)
    return rows


def _height(section: Section) -> float:
    """About how many pixels tall a section is."""
    total = 90.0
    for block in section.blocks:
        if block.kind == "table" and block.folded:
            total += 28
        elif block.kind == "table":
            total += 60 + 46 * len(block.rows)
        elif block.kind == "waterfall":
            total += 30 + 25 * len(block.steps)
        else:
            total += {"line": 290.0, "multiples": 330.0}.get(block.kind, 40.0)
    return total


def render(report: ReportModel, *, root: str = "../../", files: str = "") -> str:
    """The page. `root` leads to the site's index; `files` is the name of its JSON and Markdown
    without their ending (the day, or `latest`)."""
    template = environment().get_template("report.html.j2")
    context: dict[str, Any] = {
        "r": report,
        "rows": rows_of(report.sections),
        "places": {section.id: place for place, section in enumerate(report.sections)},
        "policy": policy(),
        "root": root,
        "files": files or report.period.last.isoformat(),
    }
    return template.render(context)
