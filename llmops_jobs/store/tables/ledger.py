"""Money: what was used, what it cost, and why it changed."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import (
    count,
    day,
    dimensions,
    number,
    project,
    text,
    text_key,
    usd,
)
from llmops_jobs.store.tables.metadata import METADATA

usage_daily = sa.Table(
    "usage_daily",
    METADATA,
    project(),
    day(),
    *dimensions(text_key("price_status", "reported, list, override or unpriced", 16)),
    count("requests", "model calls"),
    count("errors", "model calls that ended in an error"),
    count("traces", "distinct traces with such a call"),
    count("input_tokens", "tokens in, cached and written included"),
    count("output_tokens", "tokens out, reasoning included"),
    count("cache_read_tokens", "part of input_tokens served from cache"),
    count("cache_write_tokens", "part of input_tokens written to cache"),
    count("cache_write_1h_tokens", "part of cache_write_tokens kept for an hour"),
    count("reasoning_tokens", "part of output_tokens"),
    count("audio_tokens", "part of input_tokens and output_tokens that is audio"),
    count("image_tokens", "part of input_tokens that is images"),
    count("issues", "calls whose amount is missing or doubtful; see cost_issue_daily"),
    usd("cost_usd", "cost by the price book, USD; 0 where unpriced", nullable=False),
    usd("reported_cost_usd", "cost as the source reports it, USD", nullable=False),
    usd("input_usd", "part of cost_usd: uncached input"),
    usd("cache_read_usd", "part of cost_usd: cached input"),
    usd("cache_write_usd", "part of cost_usd: cache writes"),
    usd("output_usd", "part of cost_usd: output"),
    usd("other_usd", "part of cost_usd: requests, tools, audio, images"),
    text("price_book_hash", "hash of the price book used"),
    comment="one row per project, day, dimensions and price status",
)

cost_audit = sa.Table(
    "cost_audit",
    METADATA,
    project(),
    day(),
    text_key("model", "model that answered"),
    text_key(
        "cause", "agreed, missing_price, frozen_price, overlapping_buckets, ...; see the docs"
    ),
    count("requests", "model calls"),
    usd("cost_usd", "ours, USD"),
    usd("reported_cost_usd", "the source's, USD"),
    usd("difference_usd", "ours - the source's, USD"),
    comment="one row per project, day, model and cause of difference from the reported cost",
)

bill_audit = sa.Table(
    "bill_audit",
    METADATA,
    project(),
    day(),
    text_key("bill", "name of the bill"),
    text_key("model", "model as the bill names it, or as the ledger does"),
    text_key(
        "cause", "agreed, discount, not_in_ledger, not_on_bill, other_currency, difference", 32
    ),
    count("requests", "model calls in the ledger"),
    usd("cost_usd", "ours, USD"),
    usd("billed_usd", "on the bill, USD; null in another currency"),
    usd("difference_usd", "ours - billed, USD"),
    number("ratio", "billed / ours"),
    comment="one row per project, day, provider's bill and model: the ledger beside the invoice",
)

attempt_daily = sa.Table(
    "attempt_daily",
    METADATA,
    project(),
    day(),
    text_key("feature", "name of the trace that the call belongs to"),
    text_key("tenant", "customer, team or cost centre the call was made for"),
    text_key("provider", "who served the model"),
    text_key("model", "model that answered"),
    count("attempts", "model calls"),
    count("logical_calls", "calls as the application meant them: last attempts"),
    comment="one row per project, day, feature, tenant and model: retries, for spend_change",
)

spend_change = sa.Table(
    "spend_change",
    METADATA,
    project(),
    day(),
    text_key("period", "day (against the day before) or week (against the seven days before)", 8),
    text_key("scope", "total, or dimension=value", 300),
    text_key("factor", "volume, retries, model_mix, tokens_per_request, cache, price, residual"),
    usd("before_usd", "spend of the period before, USD"),
    usd("after_usd", "spend of the period, USD"),
    usd("effect_usd", "part of the change due to the factor, USD; effects sum to the change"),
    comment="one row per project, day, period, scope and factor: why spend changed",
)

cost_issue_daily = sa.Table(
    "cost_issue_daily",
    METADATA,
    project(),
    day(),
    text_key("issue", "missing_price, missing_model, missing_usage, negative_tokens, ...", 32),
    text_key("provider", "who served the model"),
    text_key("model", "model that answered, '' when the trace names none"),
    text_key("price_status", "what the calls were counted at", 16),
    count("requests", "model calls"),
    count("input_tokens", "tokens in of those calls, as reported"),
    count("output_tokens", "tokens out of those calls, as reported"),
    usd("cost_usd", "counted in the ledger, USD; 0 where unpriced"),
    comment="one row per project, day, issue, provider, model and status: doubtful amounts by name",
)

top_spender = sa.Table(
    "top_spender",
    METADATA,
    project(),
    day(),
    text_key("kind", "user, tenant, session or trace", 16),
    sa.Column("rank", sa.Integer, primary_key=True, comment="1 is the largest"),
    text("subject", "id of the user, tenant, session or trace"),
    count("requests", "model calls"),
    usd("cost_usd", "USD"),
    number("share", "of the day's spend, 0 to 1"),
    comment="the largest spenders of a day, exactly",
)
