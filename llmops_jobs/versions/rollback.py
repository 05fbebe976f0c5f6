"""Proposing and moving prompt labels: evidence first, a yes from a person, and a way back.

Nothing here moves a label by itself: `propose` only writes what the evidence says, `apply` and
`undo` are called by a person through the command line.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from llmops_jobs.errors import SourceError, UserError
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.store import Database

if TYPE_CHECKING:
    import pandas as pd

LABEL = "production"
# A worse value of one of these is a reason to go back; a dearer prompt may be worth its price.
_REASONS = ("pass_rate:", "positive_feedback", "error_rate")


def propose(comparisons: pd.DataFrame, labels: pd.DataFrame, day: date) -> pd.DataFrame:
    """Rows of `rollback` from a night's `version_comparison` and the night's `prompt_label`.

    A move is proposed where the version that carries the production label is worse than the one
    before it, in total, on quality, feedback or errors.
    """
    import pandas as pd

    rows = []
    held = {
        row["prompt_name"]: int(row["version"])
        for row in labels.to_dict("records")
        if row["label"] == LABEL
    }
    for name, version in sorted(held.items()):
        worse = _worse(comparisons, name, str(version))
        if worse.empty:
            continue
        first = worse.iloc[0]
        rows.append(
            {
                "rollback_id": _id(name, version, int(first["baseline"])),
                "prompt_name": name,
                "label": LABEL,
                "from_version": version,
                "to_version": int(first["baseline"]),
                "reason": "; ".join(_evidence(row) for row in worse.to_dict("records")),
                "expected_effect": f"{_effect(worse)}; risk: {_risk(comparisons, first)}",
                "status": "proposed",
                "actor": "",
                "proposed_on": day,
                "applied_at": None,
            }
        )
    return pd.DataFrame(rows)


def record(database: Database, project: str, proposals: pd.DataFrame, day: date) -> None:
    """Stores a night's proposals; what a person acted on stays as it is, and a proposal that the
    night no longer supports is withdrawn."""
    known = database.table("rollback", project=project)
    acted = set(known.loc[known["status"].isin(["applied", "undone"]), "rollback_id"])
    fresh = proposals[~proposals["rollback_id"].isin(acted)] if len(proposals) else proposals
    if len(fresh):
        database.upsert("rollback", fresh.assign(project_id=project))
    kept = set(proposals["rollback_id"]) if len(proposals) else set()
    gone = known[(known["status"] == "proposed") & (known["proposed_on"] <= day)]
    gone = gone[~gone["rollback_id"].isin(kept)]
    if len(gone):
        database.upsert("rollback", gone.assign(status="withdrawn"))


def move(
    database: Database, keys: ProjectKeys, rollback_id: str, *, actor: str, undo: bool = False
) -> dict[str, Any]:
    """Moves the label of a proposal (or, with `undo`, back) through the API and records it.

    Raises UserError for an unknown proposal or one in the wrong state, SourceError when Langfuse
    refuses (deleted version, protected label, no permission); nothing is then recorded.
    """
    import pandas as pd

    rows = database.table("rollback", project=keys.id, rollback_id=rollback_id)
    if rows.empty:
        raise UserError(f"there is no proposal {rollback_id}: see llmops prompts propose")
    row = rows.iloc[0].to_dict()
    wanted = "applied" if undo else "proposed"
    if row["status"] != wanted:
        raise UserError(f"proposal {rollback_id} is {row['status']}, not {wanted}")
    version = int(row["from_version"] if undo else row["to_version"])
    _label(keys, row["prompt_name"], version, row["label"])
    row |= {
        "status": "undone" if undo else "applied",
        "actor": actor,
        "applied_at": datetime.now(UTC),
    }
    database.upsert("rollback", pd.DataFrame([row]))
    return row


def _label(keys: ProjectKeys, name: str, version: int, label: str) -> None:
    import httpx
    from langfuse.api import LangfuseAPI
    from langfuse.api.core import ApiError

    api = LangfuseAPI(base_url=keys.base_url, username=keys.public_key, password=keys.secret_key)
    try:
        prompt = api.prompts.get(name, version=version)
        # A label sits on one version only: giving it here takes it from the other.
        labels = sorted({*(prompt.labels or []), label} - {"latest"})
        api.prompt_version.update(name, version, new_labels=labels)
    except ApiError as error:
        said = error.body.get("message", "") if isinstance(error.body, dict) else ""
        raise SourceError(
            f"{keys.base_url} refused to move {label} of {name} to version {version}: "
            f"HTTP {error.status_code} {said}".rstrip()
        ) from None
    except httpx.HTTPError as error:
        raise SourceError(f"{keys.base_url}: {type(error).__name__}") from None


def _worse(comparisons: pd.DataFrame, name: str, version: str) -> pd.DataFrame:
    if comparisons.empty:
        return comparisons
    return comparisons[
        (comparisons["subject"] == f"prompt:{name}")
        & (comparisons["candidate"] == version)
        & (comparisons["slice"] == "total")
        & (comparisons["verdict"] == "worse")
        & comparisons["metric"].str.startswith(_REASONS)
    ].sort_values("metric")


def _evidence(row: dict[str, Any]) -> str:
    said = (
        f"{row['metric']} {row['baseline_value']:.1%} → {row['candidate_value']:.1%} "
        f"({row['low']:+.1%} to {row['high']:+.1%}, n={row['n_candidate']:,})"
    )
    return f"{said} [{row['caveat']}]" if row["caveat"] else said


def _effect(worse: pd.DataFrame) -> str:
    return "; ".join(
        f"{row['metric']} {-row['difference']:+.1%} ({-row['high']:+.1%} to {-row['low']:+.1%})"
        for row in worse.to_dict("records")
    )


def _risk(comparisons: pd.DataFrame, chosen: pd.Series) -> str:
    """What would be lost by going back, as far as the night can tell."""
    same = (comparisons["subject"] == chosen["subject"]) & (comparisons["slice"] == "total")
    rows = comparisons[same & (comparisons["candidate"] == chosen["candidate"])]
    lost = rows[rows["verdict"] == "better"].sort_values("metric")
    unsure = int((rows["verdict"] == "not_enough_data").sum())
    said = [
        f"{row['metric']} {row['candidate_value']:.4g} → {row['baseline_value']:.4g}"
        for row in lost.to_dict("records")
    ] or ["nothing is known to get worse"]
    return ", ".join(said) + (f", {unsure} metrics undecided" if unsure else "")


def _id(name: str, version: int, baseline: int) -> str:
    key = f"{name}|{LABEL}|{version}|{baseline}"
    return hashlib.sha256(key.encode()).hexdigest()[:12]
