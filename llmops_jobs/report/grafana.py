"""A Grafana dashboard over the views, for Postgres or (with the SQLite plugin) SQLite.

    python -m llmops_jobs.report.grafana postgres > docs/grafana/postgres.json
    python -m llmops_jobs.report.grafana sqlite > docs/grafana/sqlite.json

Import it in Grafana and choose the data source. Times are bound by Grafana's own `$__from` and
`$__to`, so the same query runs on either database.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Final

SOURCES: Final = {
    "postgres": "grafana-postgresql-datasource",
    "sqlite": "frser-sqlite-datasource",
}
_WHEN = "time BETWEEN ${__from:date:seconds} AND ${__to:date:seconds} AND project_id = '${project}'"
_PROJECTS = "SELECT DISTINCT project_id FROM usage_daily ORDER BY project_id"


@dataclass(frozen=True)
class Panel:
    title: str
    kind: str
    query: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    stacked: bool = False


PANELS: Final = (
    Panel(
        "Spend",
        "stat",
        f"SELECT SUM(spend_usd) AS spend FROM v_spend_daily WHERE {_WHEN}",
        "currencyUSD",
        6,
        4,
    ),
    Panel(
        "Model calls",
        "stat",
        f"SELECT SUM(requests) AS calls FROM v_spend_daily WHERE {_WHEN}",
        "short",
        6,
        4,
    ),
    Panel(
        "Error rate",
        "stat",
        "SELECT CAST(SUM(errors) AS DOUBLE PRECISION) / NULLIF(SUM(requests), 0) AS rate "
        f"FROM v_spend_daily WHERE {_WHEN}",
        "percentunit",
        6,
        4,
    ),
    Panel(
        "Open incidents",
        "stat",
        "SELECT COUNT(*) AS open FROM v_incident_open WHERE project_id = '${project}'",
        "short",
        6,
        4,
    ),
    Panel(
        "Spend by feature",
        "timeseries",
        "SELECT time, feature AS metric, SUM(spend_usd) AS value FROM v_spend_by_slice "
        f"WHERE {_WHEN} GROUP BY time, feature ORDER BY time",
        "currencyUSD",
        stacked=True,
    ),
    Panel(
        "Spend against the night-before forecast",
        "timeseries",
        'SELECT time, spend_usd AS "spend", p50 AS "median", p10 AS "low (80 %)", '
        f'p90 AS "high (80 %)" FROM v_forecast_daily WHERE {_WHEN} ORDER BY time',
        "currencyUSD",
    ),
    Panel(
        "Budgets",
        "table",
        "SELECT budget, scope, status, amount_usd, spent_usd, forecast_p50_usd, "
        "probability_over, exhausted_on, owner, advice FROM v_budget_now "
        "WHERE project_id = '${project}' ORDER BY probability_over DESC",
        width=24,
        height=6,
    ),
    Panel(
        "p95 latency of traces, by feature",
        "timeseries",
        "SELECT time, SUBSTR(scope, 9) AS metric, p95 AS value FROM v_latency_daily "
        f"WHERE {_WHEN} AND level = 'trace' AND metric = 'latency' AND scope LIKE 'feature=%' "
        "AND n >= 20 ORDER BY time, scope",
        "s",
    ),
    Panel(
        "Errors by class",
        "timeseries",
        "SELECT time, error_type AS metric, SUM(errors) AS value FROM v_errors_daily "
        f"WHERE {_WHEN} GROUP BY time, error_type ORDER BY time",
        stacked=True,
    ),
    Panel(
        "Quality, seven days to each",
        "timeseries",
        "SELECT time, metric, estimate AS value FROM v_quality_daily "
        f"WHERE {_WHEN} AND scope = 'total' AND estimate IS NOT NULL ORDER BY time",
        "percentunit",
    ),
    Panel(
        "Positive feedback",
        "timeseries",
        "SELECT time, score_name AS metric, SUM(positive) * 1.0 / NULLIF(SUM(votes), 0) AS value "
        f"FROM v_feedback_daily WHERE {_WHEN} GROUP BY time, score_name ORDER BY time",
        "percentunit",
    ),
    Panel(
        "Incidents",
        "table",
        "SELECT severity, state, summary, owner, first_day FROM v_incident_open "
        "WHERE project_id = '${project}' ORDER BY severity, first_day",
    ),
    Panel(
        "Data completeness",
        "table",
        "SELECT day, status, rows_source, rows_here, late_rows, quarantined, unexplained "
        f"FROM v_completeness_daily WHERE {_WHEN} ORDER BY day DESC",
    ),
)


def dashboard(source: str) -> dict[str, Any]:
    """The dashboard's JSON model for a source of `SOURCES`."""
    return {
        "title": "LLM quality & cost",
        "uid": f"llmops-jobs-{source}",
        "tags": ["llm", "langfuse"],
        "timezone": "utc",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "",
        "time": {"from": "now-30d", "to": "now"},
        "templating": {"list": [_source_variable(source), _project_variable(source)]},
        "annotations": {"list": []},
        "panels": _panels(source),
    }


def _source_variable(source: str) -> dict[str, Any]:
    return {
        "name": "source",
        "label": "Data source",
        "type": "datasource",
        "query": SOURCES[source],
    }


def _project_variable(source: str) -> dict[str, Any]:
    return {
        "name": "project",
        "label": "Project",
        "type": "query",
        "datasource": _reference(source),
        "query": _PROJECTS,
        "definition": _PROJECTS,
        "refresh": 1,
    }


def _reference(source: str) -> dict[str, str]:
    return {"type": SOURCES[source], "uid": "${source}"}


def _panels(source: str) -> list[dict[str, Any]]:
    made, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > 24:
            x, y, row = 0, y + row, 0
        made.append(
            _panel(panel, source, number, {"x": x, "y": y, "w": panel.width, "h": panel.height})
        )
        x, row = x + panel.width, max(row, panel.height)
    return made


def _panel(panel: Panel, source: str, number: int, place: dict[str, int]) -> dict[str, Any]:
    custom: dict[str, Any] = {}
    if panel.kind == "timeseries":
        custom = {"lineWidth": 2, "fillOpacity": 30 if panel.stacked else 0, "showPoints": "never"}
        custom["stacking"] = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": _reference(source),
        "gridPos": place,
        "targets": [_target(panel, source)],
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": {},
    }


def _target(panel: Panel, source: str) -> dict[str, Any]:
    series = panel.kind == "timeseries"
    base = {"refId": "A", "datasource": _reference(source)}
    if source == "sqlite":
        kind = "time series" if series else "table"
        times = ["time"] if series else []
        query = {"queryText": panel.query, "rawQueryText": panel.query, "queryType": kind}
        return base | query | {"timeColumns": times}
    shape = "time_series" if series else "table"
    return base | {"rawSql": panel.query, "rawQuery": True, "editorMode": "code", "format": shape}


def text(source: str) -> str:
    return json.dumps(dashboard(source), indent=1) + "\n"


if __name__ == "__main__":
    print(text(sys.argv[1] if len(sys.argv) > 1 else "postgres"), end="")
