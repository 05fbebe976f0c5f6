"""The group `quality`: scores of the answers, the estimate anchored on people, drift."""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from assets._daily import WARN, add_day_metadata, check_days, daily_asset, each_day
from llmops_jobs.config import load
from llmops_jobs.deployment import Deployment
from llmops_jobs.errors import ConfigError
from llmops_jobs.resources import DeploymentResource


def _pool() -> str | None:
    """With a judge, whose budget all runs share, they score one after the other; without, side by
    side. As the configuration is when the code location is loaded."""
    try:
        return "judge" if load().evals.judge.rubrics else None
    except ConfigError:  # told by whatever uses it; the location has to load
        return None


@daily_asset(
    group="quality",
    pool=_pool(),
    deps=["observations", "observation_text"],
    kinds={"python", "sqlite"},
    table="score",
    description="Every scorer's verdict on the calls whose text was read.",
)
def score(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.evals.measure import score_day
    from llmops_jobs.evals.run import prepared
    from llmops_jobs.evals.write_back import write_back

    scoring = prepared(deployment.open())
    keys = {each.id: each for each in deployment.open().projects()}
    for home, project, day in each_day(context, deployment):
        scored = score_day(scoring[project], project, day)
        sent = write_back(home.lake, home.database, keys[project], day, home.settings.evals)
        add_day_metadata(
            context,
            day,
            {
                "dagster/row_count": sum(scored.statuses.values()),
                "calls": scored.calls,
                "written back": sent,
                **{status: scored.statuses[status] for status in ("ok", "skipped", "error")},
                **{f"failed {name}": n for name, n in scored.failures.items() if n},
            },
        )


@daily_asset(
    group="quality",
    deps=["score", "scores", "observations"],
    kinds={"python", "sqlite"},
    table="quality_daily",
    description="Share of good answers with its interval, anchored on people where they label.",
)
def quality_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.evals.quality import quality_day

    for home, project, day in each_day(context, deployment):
        windows = quality_day(home.lake, home.database, project, day, home.settings.evals)
        total = windows[(windows["scope"] == "total") & (windows["window_days"] == 1)]
        shown = total[total["estimate"].notna()]
        add_day_metadata(
            context,
            day,
            {
                "dagster/row_count": len(windows),
                "labels": int(total["n_human"].sum()),
                **dict(zip(shown["metric"], shown["estimate"].astype(float), strict=True)),
            },
        )


@daily_asset(
    group="quality",
    deps=["score", "observation_text", "quality_daily"],
    kinds={"scikitlearn"},
    table="drift",
    description="Whether questions, topics, scores or the judge differ from the week before.",
)
def drift(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.evals.drift import DriftHistory, drift_day
    from llmops_jobs.evals.questions import Questions

    history = DriftHistory(Questions(deployment.open().lake))
    for home, project, day in each_day(context, deployment):
        rows = drift_day(home.database, history, project, day, home.settings.evals)
        add_day_metadata(
            context,
            day,
            {
                "dagster/row_count": len(rows),
                "drifted": int((rows["p_value"] < 0.05).sum()),
                "smallest p": float(rows["p_value"].min()) if len(rows) else 1.0,
            },
        )


@dg.asset_check(asset="score", description="No scorer broke on the calls of the run.")
def scorers_did_not_break(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.evals.checks import broken_scorers

    def broken(home: Deployment, days: Sequence[date]) -> list[str]:
        return broken_scorers(home.database, days)

    return check_days(context, deployment, broken, "none did", counted="scorers", severity=WARN)
