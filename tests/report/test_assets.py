"""The report's part of the graph, run by Dagster over a range of days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from llmops_jobs.launch import materialize
from llmops_jobs.store import Database
from tests.report.marts import LAST, PROJECT

FIRST = LAST - timedelta(days=2)


@pytest.fixture
def instance(
    own: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    config = tmp_path / "llmops.yaml"
    config.write_text(f"projects: [{{id: {PROJECT}}}]\nreport: {{title: Nightly}}\n")
    monkeypatch.setenv("LLMOPS_CONFIG", str(config))
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMOPS_DATABASE_URL", f"sqlite:///{tmp_path}/own.db")
    for name in ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with dg.instance_for_test() as opened:
        yield opened


def test_every_day_gets_its_own_numbers_and_a_page_that_exists(
    instance: dg.DagsterInstance, own: Database
) -> None:
    outcome = materialize(FIRST, LAST, instance=instance, select="report")
    assert outcome.success, outcome.error
    events = instance.fetch_materializations(dg.AssetKey("report"), limit=100).records
    shown = {}
    for record in events:
        materialization = record.event_log_entry.asset_materialization
        assert materialization is not None
        shown[materialization.partition] = materialization.metadata
    assert set(shown) == {(LAST - timedelta(days=back)).isoformat() for back in range(3)}
    for day, metadata in shown.items():
        usd = own.read(
            f"SELECT SUM(cost_usd) FROM usage_daily WHERE day = '{day}' AND NOT is_evaluation"
        ).iloc[0, 0]
        assert metadata["spend_usd"].value == pytest.approx(usd)
        assert Path(str(metadata["page"].value)).exists()
        assert "to act on" in str(metadata["verdict"].value)
        assert {"latency_p95_s", "quality", "error_rate"} <= set(metadata)


def test_the_asset_reads_as_documentation() -> None:
    from llmops_jobs.definitions import build_defs

    node = build_defs().resolve_asset_graph().get(dg.AssetKey("report"))
    assert node.group_name == "report"
    assert node.owners
    assert "one page" in str(node.description)
    schema = node.metadata["dagster/column_schema"]
    assert all(column.description for column in schema.columns)


def test_a_mart_says_which_columns_upstream_its_own_carry_on() -> None:
    from llmops_jobs.definitions import build_defs

    node = build_defs().resolve_asset_graph().get(dg.AssetKey("usage_daily"))
    lineage = node.metadata["dagster/column_lineage"].deps_by_column
    assert lineage["cost_usd"] == [dg.TableColumnDep(dg.AssetKey("costs"), "cost_usd")]
    assert lineage["model"] == [dg.TableColumnDep(dg.AssetKey("observations"), "model")]
    assert "requests" not in lineage
