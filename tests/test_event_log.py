"""The batched storage leaves what Dagster's own leaves, in the same files."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from llmops_jobs.launch import open_instance
from llmops_jobs.schedules import END_TAG, START_TAG

DAYS = dg.DailyPartitionsDefinition(start_date="2026-03-01", end_date="2026-04-01")
RANGE = {START_TAG: "2026-03-02", END_TAG: "2026-03-06"}
KEYS = [f"2026-03-0{day}" for day in range(2, 7)]
STOCK = "storage: {{sqlite: {{base_dir: {folder}}}}}\ntelemetry: {{enabled: false}}\n"


def daily(name: str, deps: list[str], fails: bool = False) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        deps=deps,
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def body(context) -> None:  # type: ignore[no-untyped-def]
        for number, key in enumerate(context.partition_keys):
            context.add_asset_metadata({"rows": number}, partition_key=key)
        if fails:
            raise RuntimeError("the plug was pulled")

    return body


@dg.asset_check(asset="upstream")
def looked_at() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def run(instance: dg.DagsterInstance, *, fails: bool = False) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(
        assets=[daily("upstream", []), daily("downstream", ["upstream"], fails)],
        asset_checks=[looked_at],
        jobs=[dg.define_asset_job("all", selection="*")],
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def("all").execute_in_process(
        instance=instance,
        tags=RANGE,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def stock(home: Path) -> Path:
    """A home whose instance uses Dagster's own storage."""
    folder = home / "dagster"
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(STOCK.format(folder=folder), encoding="utf-8")
    return home


def rows(home: Path, shard: str) -> dict[str, list[Any]]:
    """What a file holds, without instants, run ids and the texts that repeat them."""
    queries = {
        "event_logs": "SELECT dagster_event_type, step_key, asset_key, partition FROM event_logs",
        "asset_keys": "SELECT asset_key, last_materialization_timestamp IS NULL FROM asset_keys",
        "asset_event_tags": "SELECT asset_key, key FROM asset_event_tags",
        "asset_check_executions": "SELECT asset_key, check_name, execution_status "
        "FROM asset_check_executions",
    }
    with sqlite3.connect(home / "dagster" / "history" / "runs" / f"{shard}.db") as connection:
        return {
            name: sorted(connection.execute(query).fetchall(), key=repr)
            for name, query in queries.items()
        }


def test_a_range_leaves_what_the_stock_storage_leaves(tmp_path: Path) -> None:
    found = []
    for home in (tmp_path / "batched", stock(tmp_path / "stock")):
        home.mkdir(exist_ok=True)
        with open_instance(home) as instance:
            run_id = run(instance).run_id
        found.append((rows(home, "index"), rows(home, run_id)))
    assert found[0] == found[1]
    index, shard = found[0]
    assert len([row for row in index["event_logs"] if row[0] == "ASSET_MATERIALIZATION"]) == 10
    assert len([row for row in shard["event_logs"] if row[0] == "ASSET_MATERIALIZATION"]) == 10
    assert len(index["asset_event_tags"]) == 10
    assert [row[2] for row in index["asset_check_executions"]].count("SUCCEEDED") == 1


def test_each_day_has_its_own_figures_and_the_newest_is_the_last(tmp_path: Path) -> None:
    with open_instance(tmp_path) as instance:
        assert run(instance).success
        key = dg.AssetKey("downstream")
        assert instance.get_materialized_partitions(key) == set(KEYS)
        latest = instance.get_latest_materialization_event(key)
        assert latest is not None and latest.asset_materialization is not None
        assert latest.asset_materialization.partition == KEYS[-1]
        records = instance.fetch_materializations(key, limit=10).records
        figures = {
            r.asset_materialization.partition: r.asset_materialization.metadata["rows"].value
            for r in records
            if r.asset_materialization is not None
        }
    assert figures == dict(zip(KEYS, range(5), strict=True))


def test_a_failed_range_is_marked_failed_day_by_day(tmp_path: Path) -> None:
    from dagster._core.storage.partition_status_cache import (
        get_and_update_asset_status_cache_value,
    )

    with open_instance(tmp_path) as instance:
        assert not run(instance, fails=True).success
        status = get_and_update_asset_status_cache_value(instance, dg.AssetKey("downstream"), DAYS)
        assert status is not None
        assert set(status.deserialize_failed_partition_subsets(DAYS).get_partition_keys()) == set(
            KEYS
        )


def test_files_are_shared_with_the_stock_storage(tmp_path: Path) -> None:
    with open_instance(stock(tmp_path)) as instance:
        before = run(instance).run_id
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with open_instance(tmp_path) as instance:
        assert type(instance.event_log_storage).__name__ == "BatchedEventLog"
        assert run(instance).success
        assert len(instance.get_records_for_run(before).records) > 20
        assert len(instance.get_runs()) == 2


def test_a_home_may_move(tmp_path: Path) -> None:
    with open_instance(tmp_path / "here") as instance:
        run(instance)
    (tmp_path / "here").rename(tmp_path / "there")
    with open_instance(tmp_path / "there") as instance:
        assert len(instance.get_runs()) == 1
        run(instance)
    assert not (tmp_path / "here").exists()


def test_a_batch_that_cannot_be_written_is_written_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from llmops_jobs.event_log import BatchedEventLog

    def broken(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(BatchedEventLog, "_store_together", broken)
    with open_instance(tmp_path) as instance:
        assert run(instance).success
        assert instance.get_materialized_partitions(dg.AssetKey("upstream")) == set(KEYS)
    assert "no space left" in capfd.readouterr().err
