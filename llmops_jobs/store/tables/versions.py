"""Which prompt and model versions ran, and how they compare."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import count, day, instant, number, project, text, text_key
from llmops_jobs.store.tables.metadata import METADATA

version_seen = sa.Table(
    "version_seen",
    METADATA,
    project(),
    day(),
    text_key("prompt_name", "Langfuse prompt"),
    text_key("prompt_version", "its version, as text", 32),
    text_key("request_model", "model asked for"),
    text_key("model", "model that answered"),
    text_key("parameters_hash", "hash of the model parameters", 32),
    text_key("release", "release of the application"),
    text_key("tool_set", "hash of the tools offered", 32),
    text("labels", "labels of the prompt version that night, comma-separated"),
    count("requests", "model calls"),
    number("share", "of the prompt's (or, without prompt, the day's) calls, 0 to 1"),
    sa.Column("first_seen", sa.Date, comment="first day of this combination"),
    comment="one row per project, day and combination seen in traffic",
)

prompt_label = sa.Table(
    "prompt_label",
    METADATA,
    project(),
    day(),
    text_key("prompt_name", "Langfuse prompt"),
    text_key("label", "label"),
    sa.Column("version", sa.Integer, comment="version that carried the label that night"),
    text("content_hash", "hash of prompt text and config"),
    comment="nightly snapshot of prompt labels: the source keeps no history",
)

version_comparison = sa.Table(
    "version_comparison",
    METADATA,
    project(),
    day(),
    text_key("subject", "prompt:NAME or model:NAME"),
    text_key("baseline", "version compared with", 128),
    text_key("candidate", "version judged", 128),
    text_key("metric", "pass rate, error rate, cost per request, ..."),
    text_key("slice", "total, or dimension=value"),
    count("n_baseline", "units in the baseline"),
    count("n_candidate", "units in the candidate"),
    number("baseline_value", "value of the metric"),
    number("candidate_value", "value of the metric"),
    number("difference", "candidate - baseline, adjusted for mix"),
    number("low", "lower end of the anytime-valid 95 % interval"),
    number("high", "upper end of the anytime-valid 95 % interval"),
    text("verdict", "better, worse, same, not_enough_data"),
    sa.Column("needed", sa.BigInteger, comment="about how many more requests would decide"),
    text("caveat", "why the comparison may not be fair, or ''"),
    comment="one row per project, day, subject, pair, metric and slice",
)

version_balance = sa.Table(
    "version_balance",
    METADATA,
    project(),
    day(),
    text_key("subject", "prompt:NAME or model:NAME"),
    text_key("covariate", "feature, tenant, hour, weekday or input_tokens", 32),
    text("baseline", "version compared with"),
    text("candidate", "version judged"),
    text("level", "value of the covariate that differs most; '' for a number"),
    number("baseline_value", "share of the baseline's calls of that value; of a number, its mean"),
    number("candidate_value", "the same of the candidate"),
    number("smd_before", "standardised mean difference, as the traffic came"),
    number("smd_after", "standardised mean difference that is left after stratification"),
    comment="whether two versions got the same kind of traffic: one row per project, day, subject "
    "and covariate",
)

rollback = sa.Table(
    "rollback",
    METADATA,
    project(),
    text_key("rollback_id", "id of the proposal", 64),
    text("prompt_name", "Langfuse prompt"),
    text("label", "label to move"),
    sa.Column("from_version", sa.Integer, comment="version that carries the label"),
    sa.Column("to_version", sa.Integer, comment="version proposed"),
    text("reason", "evidence"),
    text("expected_effect", "with interval"),
    text("status", "proposed, applied, undone, withdrawn"),
    text("actor", "who applied it"),
    sa.Column("proposed_on", sa.Date, comment="day of the evidence"),
    instant("applied_at", "when the label was moved"),
    comment="one row per proposed move of a label; never applied by itself",
)
