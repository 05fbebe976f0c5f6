"""Results of a Langfuse experiment run, read through the SDK's generated client."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.versions.gate.compare import NotComparableError
from llmops_jobs.versions.gate.files import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

# How far back a run of that name is looked for.
LOOKBACK = timedelta(days=int(os.environ.get("LLMOPS_GATE_LOOKBACK_DAYS", "90")))
_PAGE = 100


def read_experiment(keys: ProjectKeys, name: str) -> pd.DataFrame:
    """item_id, metric, value and repeat of the run called `name` (or with that id).

    Items run more than once are repeats, in the order of their start. Raises NotComparableError for
    a run that does not exist, is ambiguous, or has items without scores (it may still be running).
    """
    import httpx
    import pandas as pd
    from langfuse.api import LangfuseAPI
    from langfuse.api.core import ApiError

    api = LangfuseAPI(base_url=keys.base_url, username=keys.public_key, password=keys.secret_key)
    since = datetime.now(UTC) - LOOKBACK
    try:
        experiment = _find(api, name, since)
        items = list(_items(api, experiment, since))
    except ApiError as error:
        raise NotComparableError(
            f"experiment {name}: {keys.base_url} answered HTTP {error.status_code}"
        ) from None
    except httpx.HTTPError as error:
        raise NotComparableError(f"experiment {name}: {type(error).__name__}") from None
    rows, unscored = [], 0
    tries: dict[str, int] = {}
    for item in sorted(items, key=lambda item: str(item.start_time)):
        item_id = str(item.experiment_item_id or item.id)
        repeat = tries.get(item_id, 0)
        tries[item_id] = repeat + 1
        scores = item.scores or []
        unscored += not scores
        for score in scores:
            if isinstance(score.value, (bool, int, float)):
                rows.append((item_id, str(score.name), float(score.value), repeat))
    if unscored:
        raise NotComparableError(
            f"experiment {name}: {unscored} of {len(items)} items have no score yet: "
            "is it still running?"
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _find(api: Any, name: str, since: datetime) -> Any:
    found, cursor = [], None
    while True:
        page = api.experiments.list(from_start_time=since, limit=_PAGE, cursor=cursor)
        found += [run for run in page.data if name in (run.name, run.id)]
        cursor = page.meta.cursor
        if not cursor:
            break
    if not found:
        raise NotComparableError(
            f"there is no file and, in the last {LOOKBACK.days} days, no experiment called {name}"
        )
    if len(found) > 1:
        ids = ", ".join(str(run.id) for run in found)
        raise NotComparableError(f"{len(found)} experiments are called {name}; name one id: {ids}")
    return found[0]


def _items(api: Any, experiment: Any, since: datetime) -> Any:
    cursor = None
    while True:
        page = api.experiments.list_items(
            experiment_id=experiment.id,
            from_start_time=since,
            fields="core,dataset,scores",
            limit=_PAGE,
            cursor=cursor,
        )
        yield from page.data
        cursor = page.meta.cursor
        if not cursor:
            return
