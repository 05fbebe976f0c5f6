"""No mart is forgotten: each is on a page, or is left out for a reason."""

from __future__ import annotations

import pytest

from llmops_jobs.report import marts
from llmops_jobs.report.build import build
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.sources import query_of
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES
from tests.report.marts import LAST, PROJECT

_OTHER_READERS = {
    "report": "the reports themselves: the index",
    "usage_daily": "read by a query of its own",
    "latency_scope": "read by a query of its own",
    "latency_daily": "the same percentiles by cell; a page shows those added up",
    "latency_sketch": "what latency_scope is added up from",
    "latency_histogram": "a view of latency_sketch",
    "attempt_daily": "what spend_change is computed from",
    "feedback_given": "feedback by the day it was given, for sums as of a day",
    "feedback_moment": "sums behind feedback_bias",
    "quality_sums": "what quality_window is added up from",
    "score_histogram": "what drift of scores is tested on",
    "human_label": "what judge_agreement is computed from",
    "label_pick": "a queue, for `llmops label`",
    "judge_cache": "a cache",
    "prompt_label": "the causes of change points name its moves",
    "version_seen": "version_comparison and the causes of changes are computed from it",
    "sweep": "bookkeeping of ingestion, for `llmops doctor`",
    "heartbeat": "for `llmops doctor` and the incident of a missed night",
}


@pytest.mark.parametrize("kind", ["day"])
def test_every_table_is_on_a_page_or_left_out_for_a_reason(
    filled: Database, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    asked = set()

    def noted(name: str, *rest: object) -> object:
        query, day = query_of(name, *rest)  # type: ignore[arg-type]
        asked.update(table.name for table in query.get_final_froms() if hasattr(table, "name"))
        asked.add(name)
        return query, day

    monkeypatch.setattr(marts, "query_of", noted)
    build(filled, ReportSettings(), PROJECT, kind, LAST)
    shown = {name for name in asked if name in TABLES} | {"score"} & asked
    if "failures" in asked:
        shown.add("score")
    tables = {name for name, table in TABLES.items() if table.columns}
    assert tables - shown - set(_OTHER_READERS) == set()
    assert shown & set(_OTHER_READERS) == set()
