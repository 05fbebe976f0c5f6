"""The group `ledger`: what every call cost, what that adds up to, and why it changed."""

from datetime import date

import dagster as dg

from assets._daily import add_day_metadata, daily_asset, each_batch, each_day
from llmops_jobs.resources import DeploymentResource


@daily_asset(
    group="ledger",
    deps=["observations"],
    kinds={"deltalake", "arrow"},
    table="costs",
    description="What every model call cost: its tokens by the dated price book, exactly. Derived "
    "from the lake alone: a new price needs a run of this and what follows, and no pull.",
)
def costs(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.ledger.daily import price_days

    for day, told in price_days(each_day(context, deployment)):
        add_day_metadata(context, day, told)


@daily_asset(
    group="ledger",
    deps=["costs"],
    kinds={"duckdb"},
    table="usage_daily",
    description="Requests, tokens and money by every dimension; doubtful amounts by name; the "
    "largest spenders of the day.",
)
def usage_daily(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.ledger.daily import aggregate_days

    for home, project, days in each_batch(context, deployment):
        for day, told in aggregate_days(home, project, days):
            add_day_metadata(context, day, told)


@daily_asset(
    group="ledger",
    deps=["costs", "usage_daily"],
    kinds={"arrow"},
    table="cost_audit",
    description="Our cost beside Langfuse's, and beside a provider's bill where one is given; "
    "every difference with its cause.",
)
def cost_audit(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.ledger.daily import audit_days

    for home, project, days in each_batch(context, deployment):
        for day, told in audit_days(home, project, days):
            add_day_metadata(context, day, told)


@daily_asset(
    group="ledger",
    deps=["usage_daily", "outcomes"],
    kinds={"pandas"},
    table="spend_change",
    description="Why spend changed since the day and the week before: volume, retries, model mix, "
    "tokens per request, cache and price, in parts that sum to the change exactly.",
)
def spend_change(context: dg.AssetExecutionContext, deployment: DeploymentResource) -> None:
    from llmops_jobs.ledger.daily import explain_days

    for home, project, days in each_batch(context, deployment):
        for day, told in explain_days(home, project, days):
            add_day_metadata(context, day, told)


@dg.asset_check(
    asset="costs", blocking=True, description="Every model call of a day has exactly one cost row."
)
def every_call_has_a_cost(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import calls_without_cost

    wrong = calls_without_cost(deployment.open(), _days(context))
    return dg.AssetCheckResult(
        passed=not wrong,
        description="; ".join(wrong[:5]) or "every call has one",
        metadata={"days": len(wrong)},
    )


@dg.asset_check(
    asset="usage_daily", description="Model calls that nobody can price, with the models named."
)
def unpriced_spend(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import unpriced_models

    models = unpriced_models(deployment.open(), _days(context))
    return dg.AssetCheckResult(
        passed=not models,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"without a price: {', '.join(models)}. Add them to ledger.price_file and run "
        "costs* again."
        if models
        else "every call is priced",
        metadata={"models": len(models)},
    )


@dg.asset_check(
    asset="cost_audit",
    description="Where the source's cost differs from ours by more than 1 % of spend, the cause "
    "is known.",
)
def differences_are_explained(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import unexplained_models

    models = unexplained_models(deployment.open(), _days(context))
    return dg.AssetCheckResult(
        passed=not models,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(models) or "all of them are",
        metadata={"models": len(models)},
    )


@dg.asset_check(
    asset="spend_change", description="The factors of every change of spend sum to it to the cent."
)
def changes_add_up(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import changes_that_do_not_add_up

    wrong = changes_that_do_not_add_up(deployment.open(), _days(context))
    return dg.AssetCheckResult(
        passed=not wrong,
        description="; ".join(wrong[:5]) or "all of them do",
        metadata={"scopes": len(wrong)},
    )


def _days(context: dg.AssetCheckExecutionContext) -> list[date]:
    return [date.fromisoformat(key) for key in context.partition_keys]
