"""The code location: what a user sees before anything ran."""

from __future__ import annotations

import dagster as dg
import pytest

from assets import GROUPS
from llmops_jobs.definitions import defs
from llmops_jobs.schedules import END_TAG, START_TAG, nightly_schedule


@pytest.fixture(scope="module")
def nodes() -> list[dg.AssetSpec]:
    return list(defs.resolve_all_asset_specs())


def test_every_asset_is_described_owned_and_in_a_known_group(nodes: list[dg.AssetSpec]) -> None:
    assert len(nodes) > 15
    for spec in nodes:
        name = spec.key.to_user_string()
        assert spec.description, f"{name} has no description"
        assert spec.owners, f"{name} has no owner"
        assert spec.kinds, f"{name} has no kind"
        assert spec.group_name in GROUPS, f"{name} is in group {spec.group_name}"
        assert spec.partitions_def is not None, f"{name} has no partitions"
        assert spec.freshness_policy, f"{name} may be as old as it likes"
        assert "dagster/column_schema" in spec.metadata, f"{name} has no column schema"


def test_groups_are_all_there(nodes: list[dg.AssetSpec]) -> None:
    assert {spec.group_name for spec in nodes} == set(GROUPS)


def test_every_dependency_exists(nodes: list[dg.AssetSpec]) -> None:
    known = {spec.key for spec in nodes}
    for spec in nodes:
        for dep in spec.deps:
            assert dep.asset_key in known, f"{spec.key} depends on {dep.asset_key}"


@pytest.mark.parametrize("name", ["nightly", "rebuild"])
def test_a_range_of_days_is_one_run(name: str) -> None:
    """One asset without single_run would turn every backfill into a run a day, with a warning."""
    job = defs.resolve_job_def(name)
    assert job.backfill_policy == dg.BackfillPolicy.single_run()


def test_the_schedule_asks_for_yesterday_and_the_days_before_it() -> None:
    import datetime as dt

    context = dg.build_schedule_context(
        scheduled_execution_time=dt.datetime(2026, 3, 10, 1, 30, tzinfo=dt.UTC)
    )
    request = nightly_schedule(context)
    assert isinstance(request, dg.RunRequest)
    assert request.tags[START_TAG] == "2026-03-07"
    assert request.tags[END_TAG] == "2026-03-09"
    assert nightly_schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_loading_the_code_location_stays_light() -> None:
    """Dagster starts many processes: what only some functions need is imported inside them."""
    import subprocess
    import sys

    program = (
        "import sys, llmops_jobs.definitions;"
        "print([m for m in ('statsmodels','sklearn','langfuse','duckdb','ibis','deltalake',"
        "'jinja2.environment','genai_prices') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    heavy = set(eval(loaded.stdout)) - {"jinja2.environment"}
    assert heavy == set(), f"loaded at import: {heavy}"
