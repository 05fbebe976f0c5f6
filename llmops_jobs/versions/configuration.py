"""What a past day ran with, and what is different on another: versions, models, parameters, labels.

Langfuse keeps every prompt version but no history of its labels, and no record of what was used
when: the lake's calls and the nightly snapshots of labels do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import SourceError, UserError
from llmops_jobs.langfuse.project import ProjectKeys

if TYPE_CHECKING:
    import pandas as pd

_SHARE = 0.05  # a smaller difference of shares is the luck of the day

#: What a combination is made of, in the order in which it is shown.
PARTS = ("prompt_version", "request_model", "model", "parameters", "tools", "release")


@dataclass(frozen=True)
class Configuration:
    """`combinations` has prompt_name, PARTS and share (of the prompt's calls); `labels` prompt and
    label -> version, by the newest snapshot up to the day."""

    day: date
    combinations: pd.DataFrame
    labels: dict[tuple[str, str], int]

    def versions(self, prompt: str) -> list[str]:
        """The prompt's versions of the day, the most used first."""
        rows = self.combinations[self.combinations["prompt_name"] == prompt]
        shares = rows.groupby("prompt_version")["share"].sum().sort_values(ascending=False)
        return [version for version in shares.index if version]

    def as_json(self) -> dict[str, Any]:
        labels: dict[str, dict[str, int]] = {}
        for (prompt, label), version in sorted(self.labels.items()):
            labels.setdefault(prompt, {})[label] = version
        return {
            "day": self.day.isoformat(),
            "labels": labels,
            "combinations": self.combinations.to_dict("records"),
        }


def configuration(home: Deployment, project: str, day: date, prompt: str = "") -> Configuration:
    """Everything product traffic ran with on a day. Raises UserError for a day without calls."""
    from llmops_jobs.versions.registry import combinations

    rows = home.engine.run(combinations, home.lake, project, [day]).to_pandas()
    if prompt:
        rows = rows[rows["prompt_name"] == prompt]
    if rows.empty:
        days = home.lake.days("observations", project)
        held = f"days are {days[0]} to {days[-1]}" if days else "nothing was copied yet"
        what = f"call of prompt {prompt}" if prompt else "call"
        raise UserError(f"there is no {what} on {day}: {held}")
    rows = rows.rename(columns={"model_parameters": "parameters", "tool_names": "tools"})
    rows["prompt_version"] = [
        "" if version != version or version is None else str(int(version))
        for version in rows["prompt_version"]
    ]
    rows["share"] = rows["requests"] / rows.groupby("prompt_name")["requests"].transform("sum")
    rows = rows.sort_values(["prompt_name", "share", *PARTS], ascending=[True, False, *[True] * 6])
    columns = ["prompt_name", *PARTS, "requests", "share"]
    return Configuration(day, rows[columns].reset_index(drop=True), _labels(home, project, day))


def _labels(home: Deployment, project: str, day: date) -> dict[tuple[str, str], int]:
    rows = home.database.table("prompt_label", project, last=day)
    if rows.empty:
        return {}
    rows = rows[rows["day"] == rows["day"].max()]
    return {
        (row["prompt_name"], row["label"]): int(row["version"]) for row in rows.to_dict("records")
    }


def changes(before: Configuration, after: Configuration) -> list[str]:
    """What is different, a line each: labels that moved, then per prompt what it ran with."""
    lines = []
    for prompt, label in sorted(before.labels.keys() | after.labels.keys()):
        old, new = before.labels.get((prompt, label)), after.labels.get((prompt, label))
        if before.labels and after.labels and old != new:
            lines.append(f"{prompt or '(no prompt)'}: label {label} {old or '-'} → {new or '-'}")
    prompts = {*before.combinations["prompt_name"], *after.combinations["prompt_name"]}
    for prompt in sorted(prompts):
        for part in PARTS:
            shares = [_shares(side, prompt, part) for side in (before, after)]
            for value in sorted(shares[0].keys() | shares[1].keys()):
                was, now = (side.get(value, 0.0) for side in shares)
                if abs(now - was) >= _SHARE:
                    said = f"{prompt or '(no prompt)'}: {part} {value or '(none)'}"
                    lines.append(f"{said} {was:.0%} → {now:.0%}")
    return lines


def _shares(side: Configuration, prompt: str, part: str) -> Mapping[str, float]:
    rows = side.combinations[side.combinations["prompt_name"] == prompt]
    return {str(key): float(value) for key, value in rows.groupby(part)["share"].sum().items()}


def template(keys: ProjectKeys, name: str, version: int) -> str:
    """Text and config of a prompt version as indented JSON lines; it never changes once made.

    Raises SourceError, also for a version that was deleted.
    """
    from urllib.parse import quote

    from llmops_jobs.langfuse.client import Client, Patience

    path = f"/api/public/v2/prompts/{quote(name, safe='')}"
    try:
        with Client(keys, patience=Patience(tries=3)) as client:
            found = client.json(path, [("version", str(version))])
    except SourceError as error:
        raise SourceError(f"prompt {name} version {version}: {error}") from None
    prompt = found["prompt"]
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, indent=1, ensure_ascii=False)
    config = json.dumps(found.get("config") or {}, indent=1, ensure_ascii=False, sort_keys=True)
    return f"{text}\n--- config\n{config}\n"


def text_changes(
    keys: ProjectKeys, before: Configuration, after: Configuration
) -> Iterator[tuple[str, list[str]]]:
    """Prompt name and the unified diff of the texts of the versions most used on the two days."""
    prompts = {*before.combinations["prompt_name"], *after.combinations["prompt_name"]}
    for prompt in sorted(prompts - {""}):
        old, new = before.versions(prompt)[:1], after.versions(prompt)[:1]
        if old and new and old != new:
            lines = difflib.unified_diff(
                template(keys, prompt, int(old[0])).splitlines(),
                template(keys, prompt, int(new[0])).splitlines(),
                f"{prompt} {old[0]} ({before.day})",
                f"{prompt} {new[0]} ({after.day})",
                lineterm="",
            )
            yield prompt, list(lines)
