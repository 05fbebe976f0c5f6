"""Plausible rows of the marts behind a page's details: topics, audits, limits, judge, spenders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from llmops_jobs.signals.sketch import from_rows


def scopes(rows: pd.DataFrame) -> pd.DataFrame:
    """`latency_scope` from rows of `latency_histogram`: the total, features and models."""
    keys = ["day", "level", "metric", "gamma", "scope", "bucket"]
    product = rows[~rows["is_evaluation"].astype(bool)]
    parts = [product.assign(scope="total")]
    for dimension in ("feature", "model"):
        named = product[product[dimension] != ""]
        parts.append(named.assign(scope=f"{dimension}=" + named[dimension]))
    summed = pd.concat(parts).groupby(keys, as_index=False)["n"].sum()
    percentiles = {"p50": 1.9, "p90": 3.6, "p95": 4.4, "p99": 6.8}
    return from_rows(summed).assign(**percentiles)


def details(span: Sequence[date], features: Sequence[str]) -> dict[str, Any]:
    """Table -> rows."""
    return {
        "topic": [
            {"topic_id": f"t{n}", "name": name, "terms": "{}", "first_seen": span[0]}
            | {"last_seen": span[-1]}
            for n, name in enumerate(("refund, policy, days", "invoice, vat, number"))
        ],
        "topic_share": [
            {"day": day, "topic_id": topic, "n": 40, "share": share}
            for day in span
            for topic, share in (("t0", 0.4), ("t1", 0.25), ("other", 0.35))
        ],
        "rate_limit_hourly": [
            {"day": day, "provider": "openai", "hour": hour, "requests": 90, "errors": 3}
            | {"rate_limited": 2 * (hour == 14), "share": 0.0, "share_low": 0.0, "share_high": 0.1}
            for day in span[-3:]
            for hour in range(24)
        ],
        "tool_daily": [
            {"day": day, "environment": "production", "feature": features[0], "tenant": ""}
            | {"is_evaluation": False, "type": "TOOL", "tool": "search_orders"}
            | {"error_type": kind, "family_id": kind[:2], "calls": n, "errors": n if kind else 0}
            for day in span
            for kind, n in (("", 90), ("tool_error", 4))
        ],
        "version_balance": [
            {"day": span[-1], "subject": "prompt:rag-answer", "covariate": covariate}
            | {"baseline": "41", "candidate": "42", "level": level, "baseline_value": 0.3}
            | {"candidate_value": 0.4, "smd_before": before, "smd_after": after}
            for covariate, level, before, after in (
                ("tenant", "acme", 0.31, 0.02),
                ("input_tokens", "", 0.22, 0.15),
            )
        ],
        "cost_audit": [
            {"day": day, "model": "gpt-4o", "cause": cause, "requests": 40, "cost_usd": 1.0}
            | {"reported_cost_usd": 1.0 - difference, "difference_usd": difference}
            for day in span
            for cause, difference in (("agreed", 0.0), ("missing_price", 0.4))
        ],
        "bill_audit": [
            {"day": span[-1], "bill": "openai-march", "model": "gpt-4o", "cause": "difference"}
            | {"requests": 40, "cost_usd": 1.0, "billed_usd": 1.1, "difference_usd": -0.1}
        ],
        "cost_issue_daily": [
            {"day": span[-1], "issue": "missing_usage", "provider": "openai", "model": "gpt-4o"}
            | {"price_status": "list", "requests": 7, "cost_usd": 0.0}
        ],
        "top_spender": [
            {"day": span[-1], "kind": kind, "rank": 1, "subject": f"{kind}-17", "requests": 12}
            | {"cost_usd": 1.5, "share": 0.08}
            for kind in ("user", "session", "trace")
        ],
        "feedback_label_daily": [
            {"day": day, "score_name": "issue", "source": "API", "feature": features[0]}
            | {"label": label, "n": n}
            for day in span
            for label, n in (("wrong", 5), ("incomplete", 2))
        ],
        "feedback_bias": [
            {"day": span[-1], "trait": "latency_s", "rated": 120, "unrated": 900}
            | {"rated_mean": 3.0, "unrated_mean": 2.0, "difference": 0.4, "low": 0.2, "high": 0.6}
            | {"matters": True}
        ],
        "judge_night": [
            {"day": span[-1], "wanted": 50, "judged": 40, "cached": 6, "skipped": 4, "failed": 0}
            | {"requests": 44, "cost_usd": 0.12, "judge_model": "gpt-4o"}
        ],
        "judge_canary": [
            {"day": span[-1], "rubric": "correctness", "trace_id": f"t{n}"}
            | {"observation_id": "o", "call_day": span[0], "passed": n > 0, "first_passed": True}
            for n in range(5)
        ],
        "quality_model": [
            {"metric": "correct", "model_version": "v1", "trained_from": span[0]}
            | {"trained_to": span[-2], "n": 300, "positives": 60, "auc": 0.78}
            | {"baseline_auc": 0.66, "brier": 0.13, "base_brier": 0.17, "status": "accepted"}
            | {"trained_at": datetime(2026, 3, 22, 2, tzinfo=UTC)}
        ]
        if len(span) > 1
        else [],
        "score": [
            {"day": span[-1], "trace_id": "t9", "observation_id": "o9", "scorer": "correct"}
            | {"scorer_version": "1", "value": 0.1, "passed": False, "status": "ok"}
            | {"cost_usd": 0.0, "reason": "misses a fact"}
        ],
    }
