"""The group `ledger`: what every call cost, what that adds up to, and why it changed."""

import dagster as dg

from assets._daily import WARN, add_day_metadata, check_days, daily_asset, each_day, run_step
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

    run_step(context, deployment, aggregate_days)


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

    run_step(context, deployment, audit_days)


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

    run_step(context, deployment, explain_days)


@dg.asset_check(
    asset="costs", blocking=True, description="Every model call of a day has exactly one cost row."
)
def every_call_has_a_cost(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import calls_without_cost

    return check_days(context, deployment, calls_without_cost, "every call has one")


@dg.asset_check(
    asset="usage_daily", description="Model calls that nobody can price, with the models named."
)
def unpriced_spend(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import unpriced_models

    advice = " without a price: add them to ledger.price_file and run costs* again"
    right = "every call is priced"
    return check_days(context, deployment, unpriced_models, right, advice=advice, severity=WARN)


@dg.asset_check(
    asset="usage_daily",
    description="Calls whose reported tokens or model cannot be true or are missing, by name.",
)
def doubtful_amounts(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger import checks

    advice = ". What each means and is counted at: docs/ledger.md"
    right = "no reported amount is doubtful"
    find = checks.doubtful_amounts
    return check_days(context, deployment, find, right, advice=advice, severity=WARN)


@dg.asset_check(
    asset="cost_audit",
    description="Where the source's cost differs from ours by more than 1 % of spend, the cause "
    "is known.",
)
def differences_are_explained(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import unexplained_models

    return check_days(context, deployment, unexplained_models, "all of them are", severity=WARN)


@dg.asset_check(
    asset="spend_change", description="The factors of every change of spend sum to it to the cent."
)
def changes_add_up(
    context: dg.AssetCheckExecutionContext, deployment: DeploymentResource
) -> dg.AssetCheckResult:
    from llmops_jobs.ledger.checks import changes_that_do_not_add_up

    return check_days(context, deployment, changes_that_do_not_add_up, "all of them do")
