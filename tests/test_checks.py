from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from llmops_jobs.days import yesterday
from llmops_jobs.definitions import defs
from llmops_jobs.deployment import Deployment
from tests.facts import PROJECT, facts


def test_checks_run_by_themselves_look_at_yesterday(
    configured: Callable[..., Deployment],
) -> None:
    lake = configured().lake
    days = [yesterday() - timedelta(days=1), yesterday()]
    for day in days:  # calls, of which nothing was made
        lake.replace_day("observations", PROJECT, day, facts("observations", [{"day": day}]))
    checks = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    job = dg.Definitions.merge(defs, dg.Definitions(jobs=[checks])).resolve_job_def("checks")
    result = job.execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,  # a check that stops a night fails a run of its own
    )
    found = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert len(found) == len(job.asset_layer.asset_graph.asset_check_keys)
    incomplete = found["every_call_has_a_cost"]
    assert not incomplete.passed
    assert str(days[1]) in str(incomplete.description)
    assert str(days[0]) not in str(incomplete.description)
