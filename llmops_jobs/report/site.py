"""The reports as files: a folder or any fsspec address, an index, and the latest.

    index.html  latest.{html,md,json}  <project>/<period>/<day>.{html,md,json}

A file whose bytes would not change is not written. Nothing here reads a clock, so the same
reports give the same site.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import fsspec
import pandas as pd
from fsspec.implementations.local import LocalFileSystem

from llmops_jobs.errors import ConfigError
from llmops_jobs.report.edition import period_end
from llmops_jobs.report.faces import html, markdown
from llmops_jobs.report.model import ReportModel

FORMATS = ("html", "md", "json")


class Site:
    """The place where reports are published."""

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"LLMOPS_REPORTS_URL={url!r} cannot be opened: {error}") from error
        self.url = url.rstrip("/")

    def put(self, path: str, content: str) -> bool:
        """Writes a file unless it holds the content already; says whether it wrote."""
        full, data = f"{self._root}/{path}", content.encode("utf-8")
        try:
            if self._fs.cat_file(full) == data:
                return False
        except FileNotFoundError:
            pass
        if isinstance(self._fs, LocalFileSystem):
            # A reader sees the old page or the new one, never half of it.
            self._fs.makedirs(os.path.dirname(full), exist_ok=True)  # noqa: PTH120
            self._fs.pipe_file(f"{full}.part", data)
            os.replace(f"{full}.part", full)  # noqa: PTH105
        else:
            self._fs.pipe_file(full, data)
        return True

    def read(self, path: str) -> str | None:
        try:
            data: bytes = self._fs.cat_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return None
        return data.decode("utf-8")

    def remove(self, path: str) -> None:
        if self._fs.exists(f"{self._root}/{path}"):
            self._fs.rm_file(f"{self._root}/{path}")

    def address(self, path: str) -> str:
        return f"{self.url}/{path}"


def stem_of(report: ReportModel) -> str:
    """Path of a report's files without the ending; its day is the period's last."""
    period = report.period
    return stem(report.project.id, period.kind, period_end(period.kind, period.last).isoformat())


def stem(project: str, period: str, day: str) -> str:
    folder = quote(project, safe="").replace(".", "%2E").replace("%", "_")
    return f"{folder}/{period}/{day}"


def faces(report: ReportModel, json: str, formats: Sequence[str], **place: Any) -> dict[str, str]:
    """Ending -> content of the report's files; `json` is `to_json(report)`."""
    made = {}
    if "json" in formats:
        made["json"] = json
    if "md" in formats:
        made["md"] = markdown.render(report)
    if "html" in formats:
        made["html"] = html.render(report, **place)
    return made


def to_json(report: ReportModel) -> str:
    """`report.json`: what is null is left out."""
    return report.model_dump_json(exclude_none=True) + "\n"


def write(site: Site, report: ReportModel, json: str, formats: Sequence[str] = FORMATS) -> bool:
    """Writes a report's files; says whether any changed."""
    place = stem_of(report)
    contents = faces(report, json, formats, files=place.rsplit("/", 1)[1])
    wrote = [site.put(f"{place}.{ending}", text) for ending, text in contents.items()]
    return any(wrote)


def write_latest(site: Site, rows: pd.DataFrame) -> None:
    """`latest.*`: the newest day's report; of all projects together where there are several."""
    days = rows[rows["period"] == "day"]
    if days.empty:
        return
    newest = days[days["day"] == days["day"].max()].sort_values("project_id")
    chosen = newest[newest["project_id"] == "all"] if "all" in set(newest["project_id"]) else newest
    content = site.read(f"{str(chosen.iloc[0]['path']).removesuffix('.html')}.json")
    if content is None:
        return
    report = ReportModel.model_validate_json(content)
    for ending, text in faces(report, content, FORMATS, root="", files="latest").items():
        site.put(f"latest.{ending}", text)


def write_index(site: Site, rows: pd.DataFrame, names: Mapping[str, str], title: str) -> None:
    """The index of every report in `rows` (the table `report`)."""
    site.put("index.html", html.index(rows, names, title))
