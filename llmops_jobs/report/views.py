"""SQL views over the marts for analysts and dashboards: one subject each, ready to plot.

    python -m llmops_jobs.report.views            prints the statements
    python -m llmops_jobs.report.views --create   creates or renews the views
    python -m llmops_jobs.report.views --drop     removes them, as before a migration

They are made on request: on SQLite a view stands in the way of a migration of its tables. Every
view has `time`, the start of its UTC day in Unix seconds.
"""

from __future__ import annotations

import sys
from typing import Final

import sqlalchemy as sa

from llmops_jobs.store import Database

_TIME: Final = {
    "sqlite": "CAST(strftime('%s', {day}) AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM {day}) AS BIGINT)",
}

# Name -> (what it holds, the column of its day, the query). {time} is filled in.
VIEWS: Final[dict[str, tuple[str, str, str]]] = {
    "v_spend_daily": (
        "a day of a project: product spend, evaluation overhead, calls, errors, tokens",
        "day",
        """
        SELECT {time} AS time, project_id, day,
          SUM(CASE WHEN is_evaluation THEN 0 ELSE cost_usd END) AS spend_usd,
          SUM(CASE WHEN is_evaluation THEN cost_usd ELSE 0 END) AS evaluation_usd,
          SUM(CASE WHEN is_evaluation THEN 0 ELSE requests END) AS requests,
          SUM(CASE WHEN is_evaluation THEN 0 ELSE errors END) AS errors,
          CAST(SUM(CASE WHEN is_evaluation THEN 0 ELSE errors END) AS DOUBLE PRECISION)
            / NULLIF(SUM(CASE WHEN is_evaluation THEN 0 ELSE requests END), 0) AS error_rate,
          SUM(CASE WHEN is_evaluation THEN 0 ELSE input_tokens END) AS input_tokens,
          SUM(CASE WHEN is_evaluation THEN 0 ELSE output_tokens END) AS output_tokens,
          SUM(CASE WHEN price_status = 'unpriced' THEN requests ELSE 0 END) AS unpriced_requests
        FROM usage_daily GROUP BY project_id, day
        """,
    ),
    "v_spend_by_slice": (
        "product spend of a day by feature, model and tenant",
        "day",
        """
        SELECT {time} AS time, project_id, day, feature, model, tenant,
          SUM(cost_usd) AS spend_usd, SUM(requests) AS requests, SUM(errors) AS errors,
          SUM(input_tokens) AS input_tokens, SUM(output_tokens) AS output_tokens,
          SUM(cache_read_tokens) AS cache_read_tokens
        FROM usage_daily WHERE NOT is_evaluation
        GROUP BY project_id, day, feature, model, tenant
        """,
    ),
    "v_forecast_daily": (
        "what the night before expected of a day's total spend, beside what came",
        "f.target_day",
        """
        SELECT {time} AS time, f.project_id, f.target_day AS day, f.p10, f.p50, f.p90, f.p025,
          f.p975, s.spend_usd
        FROM spend_forecast f
        LEFT JOIN (
          SELECT project_id, day, SUM(cost_usd) AS spend_usd FROM usage_daily
          WHERE NOT is_evaluation GROUP BY project_id, day
        ) s ON s.project_id = f.project_id AND s.day = f.target_day
        WHERE f.scope = 'total' AND f.metric = 'cost_usd'
          AND f.as_of = (
            SELECT MAX(g.as_of) FROM spend_forecast g
            WHERE g.project_id = f.project_id AND g.target_day = f.target_day
              AND g.scope = f.scope AND g.metric = f.metric
          )
        """,
    ),
    "v_budget_now": (
        "every budget as of the newest night",
        "b.as_of",
        """
        SELECT {time} AS time, b.project_id, b.as_of, b.budget, b.scope, b.period_end,
          b.amount_usd, b.spent_usd, b.forecast_p10_usd, b.forecast_p50_usd, b.forecast_p90_usd,
          b.probability_over, b.exhausted_on, b.status, b.owner, b.advice
        FROM budget_status b
        WHERE b.as_of = (SELECT MAX(c.as_of) FROM budget_status c
                         WHERE c.project_id = b.project_id AND c.budget = b.budget)
        """,
    ),
    "v_latency_daily": (
        "percentiles of merged histograms, by scope (`total` or `dimension=value`), level, metric",
        "day",
        """
        SELECT {time} AS time, project_id, day, scope, level, metric, n, p50, p90, p95, p99,
          p95_low, p95_high
        FROM latency_scope
        """,
    ),
    "v_quality_daily": (
        "pass rates of the seven days to a day, with interval; scope `total` and slices",
        "day",
        """
        SELECT {time} AS time, project_id, day, scope, metric, n, n_human, estimate, low, high,
          raw_judge_rate, method
        FROM quality_window WHERE window_days = 7
        """,
    ),
    "v_feedback_daily": (
        "votes of a day by score and source",
        "day",
        """
        SELECT {time} AS time, project_id, day, score_name, source, SUM(n) AS votes,
          SUM(positive) AS positive,
          CAST(SUM(positive) AS DOUBLE PRECISION) / NULLIF(SUM(n), 0) AS rate
        FROM feedback_daily WHERE NOT is_evaluation AND rate IS NOT NULL
        GROUP BY project_id, day, score_name, source
        """,
    ),
    "v_errors_daily": (
        "errors of a day by class and family",
        "e.day",
        """
        SELECT {time} AS time, e.project_id, e.day, e.error_type, e.family_id, f.template,
          SUM(e.errors) AS errors, SUM(e.recovered) AS recovered, SUM(e.wasted_usd) AS wasted_usd
        FROM error_daily e
        LEFT JOIN error_family f
          ON f.project_id = e.project_id AND f.family_id = e.family_id
        WHERE e.error_type <> '' AND NOT e.is_evaluation
        GROUP BY e.project_id, e.day, e.error_type, e.family_id, f.template
        """,
    ),
    "v_incident_open": (
        "incidents that are not resolved",
        "first_day",
        """
        SELECT {time} AS time, project_id, fingerprint, episode, rule, severity, state, summary,
          owner, runbook, first_day, last_day
        FROM incident WHERE state IN ('open', 'acknowledged', 'silenced')
        """,
    ),
    "v_completeness_daily": (
        "our copy of a day beside its source",
        "day",
        """
        SELECT {time} AS time, project_id, day, status, rows_source, rows_here, duplicates,
          late_rows, quarantined, unexplained
        FROM reconciliation
        """,
    ),
}


def statements(dialect: str) -> dict[str, str]:
    """Name -> CREATE VIEW for `sqlite` or `postgresql`."""
    made = {}
    for name, (_, day, query) in VIEWS.items():
        time = _TIME[dialect].format(day=day)
        body = "\n".join(line.strip() for line in query.strip().splitlines())
        made[name] = f"CREATE VIEW {name} AS\n{body.replace('{time}', time)}"
    return made


def create(database: Database) -> None:
    """Creates the views, or renews them, in one transaction."""
    with database.engine.begin() as connection:
        for name, statement in statements(database.engine.dialect.name).items():
            connection.execute(sa.text(f"DROP VIEW IF EXISTS {name}"))
            connection.exec_driver_sql(
                statement.replace("%", "%%") if _doubles(database) else statement
            )


def drop(database: Database) -> None:
    with database.engine.begin() as connection:
        for name in VIEWS:
            connection.execute(sa.text(f"DROP VIEW IF EXISTS {name}"))


def _doubles(database: Database) -> bool:
    """Whether the driver reads a percent sign as a parameter."""
    return database.engine.dialect.paramstyle in ("format", "pyformat")


def main(arguments: list[str]) -> None:
    from llmops_jobs.deployment import Deployment

    if "--create" in arguments or "--drop" in arguments:
        database = Deployment.from_environment().database
        create(database) if "--create" in arguments else drop(database)
        return
    from llmops_jobs.config import load

    dialect = sa.make_url(load().database_url).get_backend_name()
    for name, statement in statements(dialect).items():
        print(f"-- {VIEWS[name][0]}\nDROP VIEW IF EXISTS {name};\n{statement};\n")


if __name__ == "__main__":
    main(sys.argv[1:])
