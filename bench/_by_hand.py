"""What the daily marts hold, in SQL by hand: the rivals of `bench.marts`.

One connection reads a day's Parquet files and writes nothing. Neither script classifies a message,
groups attempts, prices a call or ranks what it need not.

- `percentiles_and_sums`: of calls and of traces, by cell, the exact percentiles of the three
  metrics, counts, and the sums of tokens and money. The smaller reading of "the same".
- `everything`: with them what else the marts hold: histograms, intervals, traces in a cell,
  doubtful amounts, largest spenders, the source's cost beside ours, attempts, errors, waste, rate
  limits, votes, traits of raters, costs of outcomes and of sessions.
"""

from __future__ import annotations

import contextlib
from datetime import date
from typing import Final

from llmops_jobs.deployment import Deployment

CELL: Final = (
    "environment, provider, model, feature, prompt_name, prompt_version, tenant, is_evaluation"
)
_Q: Final = (0.5, 0.9, 0.95, 0.99)
_GAMMA: Final = 1.01 / 0.99
_METRICS: Final = ("latency", "first", "speed")
_TOKENS: Final = (
    *("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning"),
    *("input_audio", "output_audio", "input_image"),
)
_USD: Final = ("cost", "reported_cost", "input", "cache_read", "cache_write", "output", "other")
_SUMS: Final = ", ".join(
    [
        "count(*), count(*) FILTER (level = 'ERROR')",
        *(f"sum({name}_tokens)" for name in _TOKENS),
        *(f"sum({name}_usd)" for name in _USD),
    ]
)

# The cell of a trace by the number of the row that it is taken from, as the last member of what is
# compared: `arg_max` of a text costs twice as much.
_TRACES: Final = """
    CREATE TEMP TABLE cells AS SELECT row_number() OVER () AS cell, * FROM (
        SELECT DISTINCT environment, provider, model, feature, prompt_name,
            coalesce(prompt_version, -1) AS version, tenant, is_evaluation FROM observations);
    CREATE TEMP TABLE grouped AS SELECT trace_id,
        min({'r': NOT is_root, 's': start_time, 'c': cell}).c AS root,
        max({'g': level <> 'ERROR', 's': start_time, 'c': cell}) FILTER (is_model_call).c AS answer,
        epoch_us(max(end_time)) - epoch_us(min(start_time)) AS took, max(session_id) AS session_id,
        sum(output_tokens) FILTER (is_model_call) AS tokens, min(start_time) AS start_time,
        epoch_us(min(completion_start_time) FILTER (is_model_call)) - epoch_us(min(start_time))
            AS waited,
        count(*) FILTER (is_model_call AND level <> 'ERROR') AS ok,
        count(*) FILTER (is_model_call) AS calls
        FROM observations o JOIN cells c ON c.environment = o.environment
            AND c.provider = o.provider AND c.model = o.model AND c.feature = o.feature
            AND c.prompt_name = o.prompt_name AND c.version = coalesce(o.prompt_version, -1)
            AND c.tenant = o.tenant AND c.is_evaluation = o.is_evaluation
        GROUP BY 1;
    CREATE TEMP TABLE traces AS SELECT trace_id, root, answer, session_id, ok, calls, start_time,
        tokens, took / 1e6 AS latency, waited / 1e6 AS first, tokens / nullif(took / 1e6, 0)
            AS speed
        FROM grouped;
"""
_METRIC: Final = """latency_s AS latency, time_to_first_token_s AS first,
    output_tokens / nullif(latency_s, 0) AS speed"""
_PRICED: Final = f"""(SELECT *, {_METRIC} FROM observations
    JOIN costs USING (trace_id, observation_id) WHERE is_model_call)"""
_ENDED: Final = f"""
    CREATE TEMP TABLE ended AS SELECT {CELL}, trace_id, start_time, status_message, error_type,
        family_id, waste_reason, wasted_usd, attempts, attempt, is_final, {_METRIC}
    FROM observations JOIN outcomes USING (trace_id, observation_id) WHERE is_model_call;
"""


def _exact(table: str, key: str, sums: str = "count(*)") -> str:
    levels = ", ".join(map(str, _Q))
    columns = ", ".join(f"quantile_cont({m}, [{levels}]), count({m})" for m in _METRICS)
    return f"SELECT {key}, {columns}, {sums} FROM {table} GROUP BY ALL"


def _intervals(table: str, key: str) -> str:
    """The order statistics around each percentile, by the normal approximation of their ranks."""
    lists = ", ".join(f"list_sort(list({m})) AS l_{m}" for m in _METRICS)
    ends = ", ".join(
        f"l_{m}[greatest(1, floor(len(l_{m}) * {q} {sign} 1.96 * "
        f"sqrt(len(l_{m}) * {q} * (1 - {q})))::int)]"
        for m in _METRICS
        for q in _Q
        for sign in "-+"
    )
    return (
        f"SELECT * EXCLUDE (l_latency, l_first, l_speed), {ends} FROM (SELECT {key}, {lists} "
        f"FROM {table} GROUP BY ALL)"
    )


def _buckets(table: str, key: str, metric: str) -> str:
    return (
        f"SELECT {key}, ceil(ln({metric}) / ln({_GAMMA}))::int AS bucket, count(*) "
        f"FROM {table} WHERE {metric} > 0 GROUP BY ALL"
    )


def _largest(column: str) -> str:
    return f"""(SELECT {column}, count(*), sum(cost_usd) AS spent FROM spending
        WHERE {column} <> '' GROUP BY 1 ORDER BY spent DESC, 1 LIMIT 20)"""


_LEVELS: Final = (("ended", CELL), ("traces", "root, answer"))
_SPENT: Final = "spent AS (SELECT trace_id, sum(cost_usd) AS cost FROM costs GROUP BY 1)"
_MONEY: Final = [
    f"SELECT {CELL}, price_status, count(DISTINCT trace_id) FROM {_PRICED} GROUP BY ALL",
    f"""SELECT issue, provider, model, price_status, count(*), sum(input_tokens),
        sum(output_tokens), sum(cost_usd) FROM {_PRICED} WHERE issue <> '' GROUP BY ALL""",
    f"""WITH spending AS MATERIALIZED (SELECT user_id, tenant, session_id, trace_id, cost_usd
        FROM {_PRICED} WHERE NOT is_evaluation)
        {" UNION ALL ".join(map(_largest, ("user_id", "tenant", "session_id", "trace_id")))}""",
    f"""SELECT model, reported_cost_usd IS NULL,
        abs(reported_cost_usd - cost_usd) > 0.001 * cost_usd, count(*), sum(cost_usd),
        sum(reported_cost_usd) FROM {_PRICED} GROUP BY ALL""",
]
_SIGNALS: Final = [
    *(_intervals(*level) for level in _LEVELS),
    *(_buckets(*level, metric) for level in _LEVELS for metric in _METRICS),
    "SELECT feature, tenant, provider, model, count(*), sum(is_final::int) FROM ended GROUP BY ALL",
    f"""SELECT {CELL}, error_type, family_id, count(*), sum(wasted_usd),
        count(*) FILTER (attempt = 1), count(*) FILTER (attempts > 1 AND is_final)
        FROM ended GROUP BY ALL""",
    f"SELECT {CELL}, waste_reason, count(*), sum(wasted_usd) FROM ended GROUP BY ALL",
    """SELECT provider, hour(start_time), count(*), count(*) FILTER (error_type <> ''),
        count(*) FILTER (error_type = 'rate_limit') FROM ended GROUP BY ALL""",
    """SELECT family_id, arg_min(trace_id, start_time), arg_min(status_message, start_time)
        FROM ended WHERE family_id <> '' GROUP BY ALL""",
    """SELECT root, answer, name, count(*), sum(value), count(DISTINCT trace_id)
        FROM scores JOIN traces USING (trace_id) GROUP BY ALL""",
    *(
        f"""SELECT count(*), sum(ln(latency)), sum(ln(latency) ** 2), sum(ln(tokens + 1)),
        sum(ln(tokens + 1) ** 2), sum(calls), sum(calls * calls), sum((ok < calls)::int),
        sum((hour(start_time) >= 18)::int) FROM traces {only}"""
        for only in ("", "WHERE trace_id IN (SELECT trace_id FROM scores)")
    ),
    f"""WITH {_SPENT}, rated AS (SELECT trace_id, 1 AS vote FROM scores WHERE value = 1 GROUP BY 1)
        SELECT root, answer, count(*), sum(cost), sum(cost * cost), sum(ok), sum(ok * ok),
        sum(ok * cost), count(vote), sum(cost) FILTER (vote = 1)
        FROM traces JOIN spent USING (trace_id) LEFT JOIN rated USING (trace_id) GROUP BY ALL""",
    f"""WITH {_SPENT} SELECT root, answer, session_id, sum(cost)
        FROM traces JOIN spent USING (trace_id) GROUP BY ALL""",
]
_LEAST: Final = [
    _TRACES,
    _exact(_PRICED, f"{CELL}, price_status", _SUMS),
    _exact("traces", "root, answer"),
]


def percentiles_and_sums(home: Deployment, project: str, days: list[date]) -> None:
    _run(home, project, days, _LEAST)


def everything(home: Deployment, project: str, days: list[date]) -> None:
    _run(home, project, days, [*_LEAST, *_MONEY, _ENDED, *_SIGNALS])


def _run(home: Deployment, project: str, days: list[date], queries: list[str]) -> None:
    import duckdb

    with contextlib.closing(duckdb.connect()) as db:
        for name in ("observations", "costs", "outcomes", "scores"):
            found = home.lake.files(name, project, days)
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({found})")
        for query in queries:
            if "CREATE" in query:
                db.execute(query)
            else:
                db.sql(query).to_arrow_table()
