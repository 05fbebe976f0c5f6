"""histograms one row a cell"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


_CELL = (
    "project_id, day, environment, provider, model, feature, prompt_name, prompt_version, tenant, "
    "is_evaluation, level, metric"
)
# Each pair of a JSON object; the object of pairs.
_EACH = {
    "sqlite": "json_each(s.counts)",
    "postgresql": "json_each_text(CAST(s.counts AS json))",
}
_OBJECT = {
    "sqlite": "json_group_object(bucket, n)",
    "postgresql": "CAST(json_object_agg(bucket, n) AS text)",
}
_SCOPES = {
    "'total'": "NOT is_evaluation",
    "'is_evaluation=true'": "is_evaluation",
    "'prompt_version=' || prompt_name || '@' || prompt_version": (
        "NOT is_evaluation AND prompt_version <> ''"
    ),
    **{
        f"'{name}=' || {name}": f"NOT is_evaluation AND {name} <> ''"
        for name in ("environment", "provider", "model", "feature", "prompt_name", "tenant")
    },
}


def _filled(dialect: str) -> None:
    op.execute(
        f"INSERT INTO latency_sketch ({_CELL}, n, gamma, counts) "
        f"SELECT {_CELL}, SUM(n), MAX(gamma), {_OBJECT[dialect]} "
        f"FROM latency_histogram GROUP BY {_CELL}"
    )
    key = "project_id, day, scope, level, metric"
    for scope, where in _SCOPES.items():
        op.execute(
            f"INSERT INTO latency_scope ({key}, n, gamma, counts) "
            f"SELECT {key}, SUM(n), MAX(gamma), {_OBJECT[dialect]} FROM ("
            f"SELECT project_id, day, substr({scope}, 1, 255) AS scope, level, metric, bucket, "
            "CAST(SUM(n) AS bigint) AS n, MAX(gamma) AS gamma "
            f"FROM latency_histogram WHERE {where} GROUP BY 1, 2, 3, 4, 5, 6) AS added "
            f"GROUP BY {key}"
        )


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table(
        "latency_scope",
        sa.Column("project_id", sa.String(length=255), nullable=False, comment="Langfuse project"),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day of the start time"),
        sa.Column(
            "scope", sa.String(length=255), nullable=False, comment="total, or dimension=value"
        ),
        sa.Column(
            "level",
            sa.String(length=16),
            nullable=False,
            comment="trace (end to end) or observation (one model call)",
        ),
        sa.Column(
            "metric",
            sa.String(length=32),
            nullable=False,
            comment="latency, time_to_first_token (seconds), tokens_per_second",
        ),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="values"),
        sa.Column(
            "gamma",
            sa.Double(),
            nullable=True,
            comment="base of the mapping: (1 + a) / (1 - a) with relative error a",
        ),
        sa.Column(
            "counts",
            sa.Text(),
            nullable=False,
            comment="JSON object: bucket, ceil(log_gamma(value)), to the number of its values",
        ),
        sa.Column(
            "p50",
            sa.Double(),
            nullable=True,
            comment="50th percentile within the error; s, or tokens/s",
        ),
        sa.Column(
            "p90",
            sa.Double(),
            nullable=True,
            comment="90th percentile within the error; s, or tokens/s",
        ),
        sa.Column(
            "p95",
            sa.Double(),
            nullable=True,
            comment="95th percentile within the error; s, or tokens/s",
        ),
        sa.Column(
            "p99",
            sa.Double(),
            nullable=True,
            comment="99th percentile within the error; s, or tokens/s",
        ),
        sa.Column(
            "p50_low", sa.Double(), nullable=True, comment="low end of the 95 % interval of p50"
        ),
        sa.Column(
            "p50_high", sa.Double(), nullable=True, comment="high end of the 95 % interval of p50"
        ),
        sa.Column(
            "p90_low", sa.Double(), nullable=True, comment="low end of the 95 % interval of p90"
        ),
        sa.Column(
            "p90_high", sa.Double(), nullable=True, comment="high end of the 95 % interval of p90"
        ),
        sa.Column(
            "p95_low", sa.Double(), nullable=True, comment="low end of the 95 % interval of p95"
        ),
        sa.Column(
            "p95_high", sa.Double(), nullable=True, comment="high end of the 95 % interval of p95"
        ),
        sa.Column(
            "p99_low", sa.Double(), nullable=True, comment="low end of the 95 % interval of p99"
        ),
        sa.Column(
            "p99_high", sa.Double(), nullable=True, comment="high end of the 95 % interval of p99"
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "day", "scope", "level", "metric", name=op.f("pk_latency_scope")
        ),
        comment="histograms of latency_sketch added up: one row per project, day, scope, level, metric",
    )
    op.create_table(
        "latency_sketch",
        sa.Column("project_id", sa.String(length=255), nullable=False, comment="Langfuse project"),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day of the start time"),
        sa.Column(
            "environment",
            sa.String(length=255),
            nullable=False,
            comment="Langfuse environment of the observation",
        ),
        sa.Column(
            "provider",
            sa.String(length=255),
            nullable=False,
            comment="who served the model (gen_ai.provider.name)",
        ),
        sa.Column(
            "model",
            sa.String(length=255),
            nullable=False,
            comment="model that answered (gen_ai.response.model)",
        ),
        sa.Column(
            "feature",
            sa.String(length=255),
            nullable=False,
            comment="name of the trace that the call belongs to",
        ),
        sa.Column(
            "prompt_name",
            sa.String(length=255),
            nullable=False,
            comment="Langfuse prompt linked to the call",
        ),
        sa.Column(
            "prompt_version",
            sa.String(length=255),
            nullable=False,
            comment="version of that prompt, as text",
        ),
        sa.Column(
            "tenant",
            sa.String(length=255),
            nullable=False,
            comment="customer, team or cost centre the call was made for",
        ),
        sa.Column(
            "is_evaluation",
            sa.Boolean(),
            nullable=False,
            comment="true for evaluation overhead (judges, experiments), never product spend",
        ),
        sa.Column(
            "level",
            sa.String(length=16),
            nullable=False,
            comment="trace (end to end) or observation (one model call)",
        ),
        sa.Column(
            "metric",
            sa.String(length=32),
            nullable=False,
            comment="latency, time_to_first_token (seconds), tokens_per_second",
        ),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="values"),
        sa.Column(
            "gamma",
            sa.Double(),
            nullable=True,
            comment="base of the mapping: (1 + a) / (1 - a) with relative error a",
        ),
        sa.Column(
            "counts",
            sa.Text(),
            nullable=False,
            comment="JSON object: bucket, ceil(log_gamma(value)), to the number of its values",
        ),
        sa.PrimaryKeyConstraint(
            "project_id",
            "day",
            "environment",
            "provider",
            "model",
            "feature",
            "prompt_name",
            "prompt_version",
            "tenant",
            "is_evaluation",
            "level",
            "metric",
            name=op.f("pk_latency_sketch"),
        ),
        comment="mergeable histogram of every cell of latency_daily; latency_histogram takes it apart",
    )
    _filled(dialect)
    op.drop_table("latency_histogram")
    op.execute(
        f"CREATE VIEW latency_histogram AS SELECT {_CELL}, gamma, "
        "CAST(each.key AS INTEGER) AS bucket, CAST(each.value AS BIGINT) AS n "
        f"FROM latency_sketch s JOIN {_EACH[dialect]} AS each ON true"
    )


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.execute("DROP VIEW latency_histogram")
    op.create_table(
        "latency_histogram",
        sa.Column("project_id", sa.String(length=255), nullable=False, comment="Langfuse project"),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day of the start time"),
        sa.Column(
            "environment",
            sa.String(length=255),
            nullable=False,
            comment="Langfuse environment of the observation",
        ),
        sa.Column(
            "provider",
            sa.String(length=255),
            nullable=False,
            comment="who served the model (gen_ai.provider.name)",
        ),
        sa.Column(
            "model",
            sa.String(length=255),
            nullable=False,
            comment="model that answered (gen_ai.response.model)",
        ),
        sa.Column(
            "feature",
            sa.String(length=255),
            nullable=False,
            comment="name of the trace that the call belongs to",
        ),
        sa.Column(
            "prompt_name",
            sa.String(length=255),
            nullable=False,
            comment="Langfuse prompt linked to the call",
        ),
        sa.Column(
            "prompt_version",
            sa.String(length=255),
            nullable=False,
            comment="version of that prompt, as text",
        ),
        sa.Column(
            "tenant",
            sa.String(length=255),
            nullable=False,
            comment="customer, team or cost centre the call was made for",
        ),
        sa.Column(
            "is_evaluation",
            sa.Boolean(),
            nullable=False,
            comment="true for evaluation overhead (judges, experiments), never product spend",
        ),
        sa.Column(
            "level",
            sa.String(length=16),
            nullable=False,
            comment="trace (end to end) or observation (one model call)",
        ),
        sa.Column(
            "metric",
            sa.String(length=32),
            nullable=False,
            comment="latency, time_to_first_token (seconds), tokens_per_second",
        ),
        sa.Column(
            "bucket",
            sa.Integer(),
            nullable=False,
            comment="ceil(log_gamma(value)); see signals.histogram for zero and below",
        ),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="values in the bucket"),
        sa.Column(
            "gamma",
            sa.Double(),
            nullable=True,
            comment="base of the mapping: (1 + a) / (1 - a) with relative error a",
        ),
        sa.PrimaryKeyConstraint(
            "project_id",
            "day",
            "environment",
            "provider",
            "model",
            "feature",
            "prompt_name",
            "prompt_version",
            "tenant",
            "is_evaluation",
            "level",
            "metric",
            "bucket",
            name=op.f("pk_latency_histogram"),
        ),
        comment="mergeable histogram: one row per cell of latency_daily and bucket",
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO latency_histogram ({_CELL}, gamma, bucket, n) "
        f"SELECT {_CELL}, gamma, CAST(each.key AS INTEGER), CAST(each.value AS BIGINT) "
        f"FROM latency_sketch s JOIN {_EACH[dialect]} AS each ON true"
    )
    op.drop_table("latency_sketch")
    op.drop_table("latency_scope")
