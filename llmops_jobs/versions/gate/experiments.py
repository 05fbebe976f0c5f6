"""Results of a Langfuse experiment run, read through the project's own client.

Not through the SDK, whose models take some fourteen milliseconds to parse one item.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.versions.gate.files import COLUMNS
from llmops_jobs.versions.gate.results import NotComparableError

if TYPE_CHECKING:
    import pandas as pd

    from llmops_jobs.langfuse.client import Client

# How far back a run of that name is looked for.
LOOKBACK = timedelta(days=int(os.environ.get("LLMOPS_GATE_LOOKBACK_DAYS", "90")))
_API = "/api/public"
_PAGE = "100"


def read_experiment(keys: ProjectKeys, name: str, allow_missing: float = 0.0) -> pd.DataFrame:
    """item_id, metric, value and repeat of the run called `name` (or with that id).

    Items run more than once are repeats, in the order of their start; the id of the dataset is in
    `attrs["dataset"]`. Raises NotComparableError for a run that does not exist, is ambiguous, has
    items without scores or fewer than its dataset (it may still be running), or ran some items
    more often than most, and for a server that does not give it.
    """
    import pandas as pd

    from llmops_jobs.langfuse.client import Client, Patience

    try:
        with Client(keys, patience=Patience(tries=3)) as client:
            run = _find(client, name)
            items = list(_items(client, str(run["id"])))
            size = _dataset_size(client, run.get("datasetId"))
    except SourceError as error:
        raise NotComparableError(f"experiment {name}: {error}") from None
    rows, unscored = [], 0
    tries: Counter[str] = Counter()
    for item in sorted(items, key=lambda item: str(item.get("startTime"))):
        item_id = str(item.get("experimentItemId") or item["id"])
        scores = item.get("scores") or []
        unscored += not scores
        for score in scores:
            if isinstance(score.get("value"), (bool, int, float)):
                value = float(score["value"])
                rows.append((item_id, str(score["name"]), value, tries[item_id]))
        tries[item_id] += 1
    if unscored:
        raise NotComparableError(
            f"experiment {name}: {unscored} of {len(items)} items have no score yet: "
            "is it still running?"
        )
    if size is not None and len(tries) < size * (1 - allow_missing):
        raise NotComparableError(
            f"experiment {name}: {len(tries)} of the {size} items of its dataset were run: "
            "is it still running? Wait, or allow it with allow_missing"
        )
    _evenly(name, tries)
    results = pd.DataFrame(rows, columns=COLUMNS)
    results.attrs["dataset"] = str(run.get("datasetId") or "")
    return results


def _evenly(name: str, tries: Counter[str]) -> None:
    """Refuses a run in which some items were run more often than most: those are duplicates."""
    usual = Counter(tries.values()).most_common(1)[0][0] if tries else 0
    more = sorted(item for item, count in tries.items() if count > usual)
    if more:
        raise NotComparableError(
            f"experiment {name}: item {more[0]} was run {tries[more[0]]} times and most items "
            f"{usual}: {len(more)} are duplicates"
        )


def _find(client: Client, name: str) -> dict[str, Any]:
    runs = _pages(client, "experiments")
    found = [run for run in runs if name in (run.get("name"), run.get("id"))]
    if not found:
        raise NotComparableError(
            f"there is no file and, in the last {LOOKBACK.days} days, no experiment called {name}"
        )
    if len(found) > 1:
        ids = ", ".join(str(run["id"]) for run in found)
        raise NotComparableError(f"{len(found)} experiments are called {name}; name one id: {ids}")
    return found[0]


def _items(client: Client, experiment: str) -> Iterator[dict[str, Any]]:
    return _pages(
        client,
        "experiment-items",
        ("experimentId", experiment),
        ("fields", "core,dataset,scores"),
    )


def _pages(client: Client, path: str, *query: tuple[str, str]) -> Iterator[dict[str, Any]]:
    since = (datetime.now(UTC) - LOOKBACK).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = [("fromStartTime", since), ("limit", _PAGE), *query]
    more: list[tuple[str, str]] = []
    while True:
        page = client.json(f"{_API}/{path}", [*asked, *more])
        yield from page["data"]
        cursor = page["meta"].get("cursor")
        if not cursor:
            return
        more = [("cursor", cursor)]


def _dataset_size(client: Client, dataset_id: str | None) -> int | None:
    """How many items the dataset has now; None where it cannot be told."""
    page, pages = 1, 1
    while dataset_id and page <= pages:
        listed = client.json(f"{_API}/v2/datasets", [("page", str(page)), ("limit", _PAGE)])
        for dataset in listed["data"]:
            if dataset["id"] == dataset_id:
                query = [("datasetName", dataset["name"]), ("limit", "1")]
                items = client.json(f"{_API}/dataset-items", query)
                return int(items["meta"]["totalItems"])
        page, pages = page + 1, int(listed["meta"]["totalPages"])
    return None
