"""Column lineage: which columns upstream a column of a mart carries on or adds up.

A column that keeps its name through the stages keeps its meaning: dimensions, token counts, money.
Names that every table uses for something of its own (`n`, `value`, `low`) say nothing and are left
out.
"""

import dagster as dg

_FACTS = "observations"
_OF_ITS_OWN = frozenset(
    {
        *("n", "value", "low", "high", "estimate", "share", "rate", "status", "detail", "note"),
        *("reason", "method", "label", "kind", "subject", "name", "scope", "metric", "level"),
        *("p50", "p90", "p95", "p99", "p_value", "statistic", "before", "after", "cause", "rank"),
        *("window", "period", "n_human", "gamma", "counts", "mean", "source", "owner", "payload"),
    }
)


def column_lineage(table: str, deps: list[str] | None) -> dg.TableColumnLineage | None:
    """Lineage of a table's columns from the tables that its `deps` are named after, and from the
    observations that all of them come from."""
    found = {}
    for column in _columns(table):
        sources = [dep for dep in deps or [] if column in _columns(dep)]
        if not sources and deps and column in _columns(_FACTS):
            sources = [_FACTS]
        if sources and column not in _OF_ITS_OWN:
            found[column] = [dg.TableColumnDep(dg.AssetKey(dep), column) for dep in sources]
    return dg.TableColumnLineage(deps_by_column=found) if found else None


def _columns(table: str) -> list[str]:
    from llmops_jobs.lake.schema import TABLES as LAKE_TABLES
    from llmops_jobs.store.tables import TABLES

    if table in LAKE_TABLES:
        return list(LAKE_TABLES[table].names)
    return list(TABLES[table].columns.keys()) if table in TABLES else []
