"""Marts filled with plausible rows, for tests of the report and for its benchmark.

A project with features, models and tenants, a weekly cycle, one release that makes answers worse
and dearer on `RELEASE`, and rows in every table that the report reads. Deterministic.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.signals.histogram import bucket, gamma
from llmops_jobs.signals.sketch import from_rows
from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES
from tests.report.detail_marts import details, scopes

PROJECT = "acme-prod"
LAST = date(2026, 3, 22)
RELEASE = date(2026, 3, 17)
FEATURES = ("rag-answer", "agent-tools", "chat", "summarise", "extract-json")
MODELS = ("gpt-4o", "claude-sonnet-4-5", "gpt-4o-mini", "gemini-2.5-flash")
TENANTS = ("acme", "globex", "initech", "")
_USD = {"gpt-4o": 0.011, "claude-sonnet-4-5": 0.014}
_BASE = gamma(0.01)


def fill(
    database: Database,
    *,
    last: date = LAST,
    days: int = 75,
    features: Sequence[str] = FEATURES,
    models: Sequence[str] = MODELS,
    tenants: Sequence[str] = TENANTS,
    project: str = PROJECT,
    seed: int = 7,
    only: Sequence[str] | None = None,
) -> None:
    """Fills the tables (all, or those named `only`) for the `days` up to `last`."""
    rng = np.random.default_rng(seed)
    span = [last - timedelta(days=back) for back in range(days - 1, -1, -1)]
    usage = _usage(rng, span, features, models, tenants)
    latency = _latency(rng, span, features, models)
    tables = {
        "project": _project(project),
        "usage_daily": usage,
        "latency_sketch": from_rows(latency),
        "latency_scope": scopes(latency),
        "latency_daily": _percentiles(span, features),
        "error_daily": _errors(rng, span, features),
        "error_family": _families(span),
        "waste_daily": _waste(rng, span, features),
        "feedback_daily": _feedback(rng, span, features),
        "quality_daily": _quality(rng, span, features),
        "quality_window": _windows(rng, span, features),
        "judge_agreement": _agreement(span),
        "trace_daily": _traces(span, features),
        "unit_cost_daily": _unit_cost(span),
        "spend_change": _spend_change(span),
        "spend_forecast": _forecast(span),
        "period_forecast": _period(span),
        "budget_status": _budgets(span),
        "forecast_score": _scores(span),
        "anomaly": _anomalies(),
        "change_point": _change_points(features),
        "version_comparison": _versions(span),
        "rollback": _rollback(),
        "reconciliation": _reconciliation(span),
        "quarantine": _quarantine(span),
        "pull": _pulls(span),
        "incident": _incidents(),
        "notification": _notifications(),
        "drift": _drift(),
        **details(span, features),
    }
    for name, rows in tables.items():
        if (only is None or name in only) and len(rows):
            frame = pd.DataFrame(rows)
            if "project_id" not in frame:
                frame["project_id"] = project
            for column in TABLES[name].c:
                if column.name in frame and not column.nullable and column.default is not None:
                    frame[column.name] = frame[column.name].fillna(column.default.arg)
            database.upsert(name, frame)


def _dimensions(**given: Any) -> dict[str, Any]:
    blank = {"environment": "production", "provider": "", "model": "", "feature": ""}
    blank |= {"prompt_name": "", "prompt_version": "", "tenant": "", "is_evaluation": False}
    return blank | given


def _weekday(day: date) -> float:
    return 0.6 if day.weekday() >= 5 else 1.0


def _usage(
    rng: np.random.Generator,
    span: Sequence[date],
    features: Sequence[str],
    models: Sequence[str],
    tenants: Sequence[str],
) -> list[dict[str, Any]]:
    rows = []
    weight = {name: rng.uniform(0.2, 1.0) for name in (*features, *models, *tenants)}
    pairs = [
        (f, m) for i, f in enumerate(features) for j, m in enumerate(models) if (i + j) % 2 == 0
    ]
    for place, day in enumerate(span):
        level = 300 * _weekday(day) * (1 + place / 300) * rng.normal(1, 0.04)
        for feature, model in pairs:
            for tenant in tenants:
                share = weight[feature] * weight[model] * weight[tenant]
                requests = int(max(rng.poisson(level * share), 1))
                released = day >= RELEASE and feature == features[0]
                tokens_in = int(requests * (2200 if released else 1500) * rng.normal(1, 0.02))
                cost = requests * _USD.get(model, 0.0021) * (1.4 if released else 1.0)
                rows.append(
                    _dimensions(
                        day=day,
                        provider="openai" if model.startswith("gpt") else "other",
                        model=model,
                        feature=feature,
                        tenant=tenant,
                        prompt_name=feature,
                        prompt_version="42" if released else "41",
                        price_status="list",
                        requests=requests,
                        errors=int(rng.binomial(requests, 0.012 if released else 0.006)),
                        input_tokens=tokens_in,
                        output_tokens=requests * 240,
                        cache_read_tokens=int(tokens_in * 0.3),
                        cost_usd=round(cost * rng.normal(1, 0.03), 6),
                        reported_cost_usd=round(cost, 6),
                        price_book_hash="9f2c61d0a4b7",
                    )
                )
        judge = {"is_evaluation": True, "model": models[0], "feature": "judge"}
        rows.append(
            _dimensions(day=day, price_status="list", requests=40, input_tokens=40_000, **judge)
            | {"cost_usd": 0.31, "reported_cost_usd": 0.31, "price_book_hash": "9f2c61d0a4b7"}
        )
        unpriced = {"model": "in-house-7b", "feature": features[0], "tenant": tenants[0]}
        rows.append(
            _dimensions(day=day, price_status="unpriced", requests=3, input_tokens=900, **unpriced)
            | {"cost_usd": 0, "reported_cost_usd": 0, "price_book_hash": "9f2c61d0a4b7"}
        )
    return rows


def _latency(
    rng: np.random.Generator, span: Sequence[date], features: Sequence[str], models: Sequence[str]
) -> pd.DataFrame:
    parts = []
    for place, feature in enumerate(features):
        scale = 1.2 + 0.9 * (place % 5)
        parts.append(_histogram(rng, span, "trace", "latency", scale, feature=feature))
    for place, model in enumerate(models):
        for metric, scale in (
            ("latency", 1.5),
            ("time_to_first_token", 0.3),
            ("tokens_per_second", 60),
        ):
            scaled = scale * (1 + 0.3 * (place % 4))
            parts.append(_histogram(rng, span, "observation", metric, scaled, model=model))
    return pd.concat(parts, ignore_index=True)


def _histogram(
    rng: np.random.Generator, span: Sequence[date], level: str, metric: str, scale: float, **at: str
) -> pd.DataFrame:
    parts = []
    for day in span:
        slower = 1.35 if day >= RELEASE and at.get("feature") == FEATURES[0] else 1.0
        values = rng.lognormal(np.log(scale * slower), 0.45, int(120 * _weekday(day)))
        buckets, n = np.unique(bucket(values, _BASE), return_counts=True)
        parts.append(pd.DataFrame({"day": day, "bucket": buckets, "n": n}))
    rows = pd.concat(parts, ignore_index=True)
    fixed = _dimensions(**at) | {"level": level, "metric": metric, "gamma": _BASE}
    return rows.assign(**fixed)


def _percentiles(span: Sequence[date], features: Sequence[str]) -> list[dict[str, Any]]:
    return [
        _dimensions(day=day, feature=feature, level="trace", metric="latency")
        | {"n": 120, "p50": 1.9, "p90": 3.6, "p95": 4.4, "p99": 6.8}
        for day in span
        for feature in features
    ]


_ERRORS = (
    ("rate_limited", "f1", "429 Too Many Requests: retry after <*> seconds", 14, 12),
    ("context_length", "f2", "maximum context length is <*> tokens", 5, 0),
    ("timeout", "f3", "request timed out after <*> s", 3, 2),
    ("invalid_tool_arguments", "f4", "tool arguments miss the field <*>", 2, 0),
)


def _errors(
    rng: np.random.Generator, span: Sequence[date], features: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for day in span:
        for feature in features[:3]:
            whole = _dimensions(day=day, feature=feature, error_type="", family_id="")
            rows.append(whole | {"requests": 400, "logical_calls": 400, "attempts": 406})
            for error_type, family, _, often, recovered in _ERRORS:
                if error_type == "context_length" and day < RELEASE:
                    continue
                errors = int(rng.poisson(often))
                rows.append(
                    _dimensions(day=day, feature=feature, error_type=error_type, family_id=family)
                    | {"requests": errors, "errors": errors, "logical_calls": errors}
                    | {"attempts": errors * 2}
                    | {"recovered": min(recovered, errors), "wasted_usd": errors * 0.004}
                )
    return rows


def _families(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {
            "family_id": family,
            "error_type": error_type,
            "template": template,
            "first_seen": RELEASE if error_type == "context_length" else span[0],
            "last_seen": span[-1],
            "example_trace_id": f"trace-{family}-0123456789",
        }
        for error_type, family, template, _, _ in _ERRORS
    ]


def _waste(
    rng: np.random.Generator, span: Sequence[date], features: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        _dimensions(day=day, feature=features[0], waste_reason=reason)
        | {"requests": requests, "wasted_usd": round(requests * 0.01 * rng.uniform(0.9, 1.1), 6)}
        for day in span
        for reason, requests in (("failed", 21), ("superseded", 34), ("truncated", 9))
    ]


def _feedback(
    rng: np.random.Generator, span: Sequence[date], features: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for day in span:
        for feature in features[:4]:
            n = int(40 * _weekday(day))
            positive = int(
                rng.binomial(n, 0.78 if day >= RELEASE and feature == features[0] else 0.88)
            )
            rows.append(
                _dimensions(day=day, feature=feature, score_name="user_feedback", source="API")
                | {"n": n, "positive": positive, "rate": positive / n}
                | {"negative": n - positive, "rated_traces": n, "traces": n * 11}
            )
        rows.append(
            _dimensions(day=day, feature=features[0], score_name="rating", source="API")
            | {"n": 12, "rate": None, "mean_value": 4.1, "rated_traces": 12, "traces": 400}
        )
    return rows


def _quality(
    rng: np.random.Generator, span: Sequence[date], features: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for day in span:
        for feature in features[:4]:
            for metric, base, human in (
                ("correct", 0.93, 6),
                ("grounded", 0.95, 0),
                ("valid_json", 0.99, 0),
            ):
                bad = 0.07 if day >= RELEASE and feature == features[0] else 0.0
                estimate = float(np.clip(base - bad + rng.normal(0, 0.008), 0, 1))
                half = 0.03 if human else 0.015
                rows.append(
                    _dimensions(day=day, feature=feature, metric=metric)
                    | {"n": 120, "n_human": human, "estimate": estimate}
                    | {"low": max(0.0, estimate - half), "high": min(1.0, estimate + half)}
                    | {"raw_judge_rate": min(1.0, estimate + 0.035) if human else estimate}
                    | {
                        "method": "ppi++"
                        if human
                        else "uncalibrated"
                        if metric == "grounded"
                        else "wilson"
                    }
                )
    return rows


def _windows(
    rng: np.random.Generator, span: Sequence[date], features: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for day in span:
        bad = 0.004 * max((day - RELEASE).days + 1, 0)
        for length in (1, 7, 28):
            for metric, base, human in (
                ("correct", 0.93, 41),
                ("grounded", 0.95, 0),
                ("valid_json", 0.99, 0),
            ):
                scopes = ["total", *(f"feature={feature}" for feature in features)]
                for place, scope in enumerate(scopes):
                    judged = metric == "grounded"
                    estimate = float(
                        np.clip(base - bad - 0.004 * place + rng.normal(0, 0.004), 0, 1)
                    )
                    half = (0.03 if human else 0.012) / np.sqrt(length / 7)
                    rows.append(
                        {"day": day, "window_days": length, "scope": scope, "metric": metric}
                        | {"n": 500 * length, "n_human": human * length // 7}
                        | {"estimate": None if judged else estimate}
                        | {"low": None if judged else max(0.0, estimate - half)}
                        | {"high": None if judged else min(1.0, estimate + half)}
                        | {"raw_judge_rate": min(1.0, estimate + 0.035 * (human > 0))}
                        | {"method": "ppi++" if human else "uncalibrated" if judged else "wilson"}
                    )
    return rows


def _agreement(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"as_of": day, "metric": "correct", "slice": "total", "n": 180, "kappa": 0.71}
        | {"kappa_low": 0.6, "kappa_high": 0.8, "failures": 40}
        | {"sensitivity": 0.8, "sensitivity_low": 0.65, "sensitivity_high": 0.9}
        | {"specificity": 0.95, "specificity_low": 0.9, "specificity_high": 0.98}
        for day in span[-3:]
    ]


def _traces(span: Sequence[date], features: Sequence[str]) -> list[dict[str, Any]]:
    return [
        _dimensions(day=day, feature=feature) | {"traces": 430, "failed": 3}
        for day in span
        for feature in features
    ]


def _unit_cost(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"day": day, "scope": "total", "unit": "passed_evaluation", "n": 1400, "cost_usd": 19.6}
        | {"usd_per_unit": 0.014, "low": 0.0136, "high": 0.0145}
        for day in span
    ]


def _spend_change(span: Sequence[date]) -> list[dict[str, Any]]:
    rows = []
    for day in span:
        for period, before in (("day", 19.4), ("week", 128.0)):
            effects = {"volume": 0.04, "tokens_per_request": 0.09, "model_mix": 0.03}
            effects |= {"cache": -0.02, "price": -0.015, "retries": 0.005, "residual": 0.0}
            after = before * (1 + sum(effects.values()))
            rows += [
                {"day": day, "period": period, "scope": "total", "factor": factor}
                | {"before_usd": before, "after_usd": after, "effect_usd": before * effect}
                for factor, effect in effects.items()
            ]
    return rows


_NORMAL = {"p025": -1.96, "p10": -1.28, "p25": -0.67, "p50": 0.0, "p75": 0.67, "p90": 1.28}


def _quantiles(mean: float, sd: float) -> dict[str, float]:
    points = {**_NORMAL, "p975": 1.96}
    return {"mean": mean, **{name: max(0.0, mean + z * sd) for name, z in points.items()}}


def _forecast(span: Sequence[date]) -> list[dict[str, Any]]:
    rows = []
    for as_of in span[-40:]:
        for ahead in range(1, 32):
            target = as_of + timedelta(days=ahead)
            mean = 21.5 * _weekday(target)
            rows.append(
                {"as_of": as_of, "scope": "total", "target_day": target, "metric": "cost_usd"}
                | {"method": "test", **_quantiles(mean, 1.1 + 0.05 * ahead)}
            )
    return rows


def _period(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"as_of": as_of, "scope": "total", "period": f"{as_of:%Y-%m}", "metric": "cost_usd"}
        | {"to_date": 17.0 * as_of.day, **_quantiles(610.0, 19.0)}
        for as_of in span[-40:]
    ]


def _budgets(span: Sequence[date]) -> list[dict[str, Any]]:
    rows = []
    for as_of in span[-40:]:
        start = as_of.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
        for budget, scope, amount, chance, status in (
            ("production", "total", 560.0, 0.97, "over"),
            ("rag", "feature=rag-answer", 300.0, 0.55, "at_risk"),
            ("globex", "tenant=globex", 250.0, 0.03, "ok"),
        ):
            rows.append(
                {"as_of": as_of, "budget": budget, "scope": scope, "period_start": start}
                | {"period_end": end, "amount_usd": amount, "spent_usd": amount * 0.7}
                | {"forecast_p10_usd": amount * 1.02, "forecast_p50_usd": amount * 1.09}
                | {"forecast_p90_usd": amount * 1.16, "probability_over": chance}
                | {"exhausted_on": end - timedelta(days=4), "burn_rate": 1.1, "status": status}
                | {
                    "owner": "platform",
                    "advice": "Version 41 of rag-answer would save $1.90 a day.",
                }
            )
    return rows


def _scores(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"as_of": as_of, "scope": scope, "window": 30, "metric": "cost_usd", "n": 30}
        | {"coverage_50": 0.53, "coverage_80": 0.8, "coverage_95": 0.97, "wis": 0.6, "mase": 0.71}
        | {"bias": 0.012}
        for as_of in span[-10:]
        for scope in ("total", "feature=rag-answer")
    ]


def _anomalies() -> list[dict[str, Any]]:
    return [
        {"day": LAST - timedelta(days=2), "scope": "total", "metric": "cost_usd", "value": 27.4}
        | {"expected": 21.9, "low": 19.8, "high": 24.4, "p_value": 0.002}
        | {"cause": "feature=rag-answer +$4.20"}
    ]


def _change_points(features: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"day": RELEASE, "scope": f"feature={features[0]}", "metric": "cost_per_request"}
        | {"detected_on": RELEASE + timedelta(days=2), "value": 0.0143, "expected": 0.0101}
        | {"effect": 0.41, "low": 0.36, "high": 0.46, "p_value": 0.001}
        | {"cause": "prompt rag-answer moved to version 42"}
    ]


def _versions(span: Sequence[date]) -> list[dict[str, Any]]:
    rows = []
    for day in span[-5:]:
        for metric, old, new, low, high, verdict in (
            ("correct", 0.931, 0.866, -0.089, -0.041, "worse"),
            ("cost_per_request", 0.0101, 0.0143, 0.0036, 0.0048, "worse"),
            ("feedback_positive", 0.883, 0.879, -0.03, 0.022, "not_enough_data"),
            ("latency_p95", 4.1, 4.2, -0.2, 0.4, "same"),
            ("valid_json", 0.981, 0.996, 0.009, 0.021, "better"),
        ):
            rows.append(
                {"day": day, "subject": "prompt:rag-answer", "baseline": "41", "candidate": "42"}
                | {"metric": metric, "slice": "total", "n_baseline": 5100, "n_candidate": 1890}
                | {"baseline_value": old, "candidate_value": new, "difference": new - old}
                | {"low": low, "high": high, "verdict": verdict, "caveat": ""}
                | {"needed": 2400 if verdict == "not_enough_data" else None}
            )
    return rows


def _rollback() -> list[dict[str, Any]]:
    return [
        {"rollback_id": "rb-0042", "prompt_name": "rag-answer", "label": "production"}
        | {
            "from_version": 42,
            "to_version": 41,
            "reason": "Fewer correct answers at a higher cost.",
        }
        | {"expected_effect": "", "status": "proposed", "actor": "", "proposed_on": LAST}
    ]


def _reconciliation(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"day": day, "rows_here": 5200, "rows_source": 5204, "duplicates": 2, "late_rows": 3}
        | {"quarantined": 2, "unexplained": 0, "status": "ok", "detail": ""}
        for day in span
    ]


def _quarantine(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"day": day, "source": "observations", "row_id": f"row-{n}"}
        | {"reason": "negative token count", "excerpt": "inputUsage=-3"}
        for day in span
        for n in range(2)
    ]


def _pulls(span: Sequence[date]) -> list[dict[str, Any]]:
    return [
        {"day": day, "source": "observations", "rows": 5200, "pages": 6, "bytes": 4_000_000}
        | {"content_hash": "c0ffee", "stale": day == span[-3:][0]}
        | {
            "first_pulled_at": datetime(day.year, day.month, day.day, 1, 31, tzinfo=UTC),
            "pulled_at": datetime(day.year, day.month, day.day, 1, 31, tzinfo=UTC)
            + timedelta(days=1),
        }
        for day in span
    ]


def _incidents() -> list[dict[str, Any]]:
    opened = datetime(2026, 3, 19, 1, 40, tzinfo=UTC)
    shared = {"episode": 1, "labels": "{}", "owner": "search team", "fired": 3, "cleared": 0}
    return [
        shared
        | {
            "fingerprint": "a1b2c3d4e5f6",
            "rule": "quality",
            "state": "open",
            "severity": "critical",
        }
        | {"summary": "Correct answers of rag-answer fell below the objective since 18 March."}
        | {"detail": json.dumps({"impact_usd": 12.5}), "first_day": date(2026, 3, 18)}
        | {"last_day": LAST, "opened_at": opened, "runbook": "https://runbooks.example/quality"},
        shared
        | {
            "fingerprint": "0f9e8d7c6b5a",
            "rule": "errors",
            "state": "resolved",
            "severity": "warning",
        }
        | {"summary": "Rate limits of gpt-4o above the usual.", "detail": "{}", "runbook": ""}
        | {"first_day": date(2026, 3, 9), "last_day": date(2026, 3, 10), "opened_at": opened}
        | {"resolved_at": opened},
    ]


_TOLD = datetime(2026, 3, 19, 1, 45, tzinfo=UTC)


def _notifications() -> list[dict[str, Any]]:
    return [
        {"event_key": f"{fingerprint}:1:open", "channel": channel, "fingerprint": fingerprint}
        | {"episode": 1, "kind": "open", "payload": "{}", "status": status, "attempts": 1}
        | {"created_at": _TOLD, "sent_at": _TOLD if status == "sent" else None}
        for fingerprint, channel, status in (
            ("a1b2c3d4e5f6", "slack", "sent"),
            ("a1b2c3d4e5f6", "pager", "dead"),
            ("0f9e8d7c6b5a", "slack", "sent"),
        )
    ]


def _drift() -> list[dict[str, Any]]:
    return [
        {"day": LAST, "kind": "topic", "subject": "refund · policy · days", "statistic": 9.1}
        | {"p_value": 0.004, "before": 0.08, "after": 0.17, "detail": ""}
    ]


def _project(project: str) -> list[dict[str, Any]]:
    return [
        {"project_id": project, "name": "default", "key_hash": "k", "server_version": "3.130.0"}
        | {"base_url": "https://langfuse.example"}
    ]
