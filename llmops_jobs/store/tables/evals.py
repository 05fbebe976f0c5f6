"""Scores that we gave, and what they say about quality."""

from __future__ import annotations

import sqlalchemy as sa

from llmops_jobs.store.columns import (
    count,
    day,
    dimensions,
    instant,
    number,
    project,
    text,
    text_key,
    usd,
)
from llmops_jobs.store.tables.metadata import METADATA

score = sa.Table(
    "score",
    METADATA,
    project(),
    day(comment="UTC day of the scored observation"),
    text_key("trace_id", "trace"),
    text_key("observation_id", "observation, '' for a whole trace"),
    text_key("scorer", "name of the scorer", 64),
    text_key("scorer_version", "its version", 64),
    number("value", "0 to 1 unless the scorer says otherwise; null when not scored"),
    text("label", "category, where the scorer gives one"),
    sa.Column("passed", sa.Boolean, comment="null when not scored"),
    text("reason", "why, without text of users"),
    text("status", "ok, skipped or error"),
    usd("cost_usd", "what the scoring cost, USD", nullable=False),
    number("inclusion_probability", "probability with which this row was picked"),
    comment="one row per project, observation or trace, scorer and version",
)

quality_daily = sa.Table(
    "quality_daily",
    METADATA,
    project(),
    day(),
    *dimensions(text_key("metric", "scorer or judged metric")),
    count("n", "rows scored"),
    count("n_human", "of them labelled by people"),
    number("estimate", "share that passes, 0 to 1"),
    number("low", "lower end of the 95 % interval"),
    number("high", "upper end of the 95 % interval"),
    number("raw_judge_rate", "share that passes by the scorer alone"),
    text("method", "wilson, horvitz_thompson, ppi++, uncalibrated"),
    comment="one row per project, day, dimensions and metric",
)

quality_window = sa.Table(
    "quality_window",
    METADATA,
    project(),
    day(comment="last day of the window"),
    sa.Column("window_days", sa.Integer, primary_key=True, comment="1, 7 or 28 days to `day`"),
    text_key("scope", "total, dimension=value, or prompt=NAME@VERSION"),
    text_key("metric", "scorer, or what people label"),
    count("n", "rows scored"),
    count("n_human", "labels by people in the window"),
    number("estimate", "share that passes, 0 to 1; null when uncalibrated"),
    number("low", "lower end of the 95 % interval"),
    number("high", "upper end of the 95 % interval"),
    number("raw_judge_rate", "share that passes by the scorer alone, weighted for sampling"),
    text("method", "wilson, horvitz_thompson, ppi++, uncalibrated"),
    text("note", "the method in words, with its n"),
    comment="quality over trailing windows: one row per project, day, window, scope and metric",
)

quality_sums = sa.Table(
    "quality_sums",
    METADATA,
    project(),
    day(),
    text_key("scope", "total, dimension=value, or prompt=NAME@VERSION"),
    text_key("metric", "scorer, or what people label"),
    text_key("part", "scored by a rule, predicted by judge or model, labelled by people", 16),
    count("n", "rows"),
    number("w", "sum of weights, 1 / inclusion probability"),
    number("wy", "sum of weight x passed"),
    number("wf", "sum of weight x predicted"),
    number("w2", "sum of squared weights"),
    number("w2_y", "sum of squared weight x passed"),
    number("w2_f", "sum of squared weight x predicted"),
    number("w2_yf", "sum of squared weight x passed x predicted"),
    number("w2_ff", "sum of squared weight x squared prediction"),
    comment="what the windows are added up from: a week is the sum of its days",
)

quality_model = sa.Table(
    "quality_model",
    METADATA,
    project(),
    text_key("metric", "what it predicts"),
    text_key("model_version", "hash of data and settings", 64),
    sa.Column("trained_from", sa.Date, comment="first day of the training window"),
    sa.Column("trained_to", sa.Date, comment="last day"),
    count("n", "labels"),
    count("positives", "of them failures"),
    number("auc", "out of fold, time-ordered"),
    number("baseline_auc", "best single cheap scorer"),
    number("brier", "out of fold"),
    number("base_brier", "of the base rate alone"),
    text("status", "accepted, or why it was refused"),
    instant("trained_at", "when"),
    sa.Column("payload", sa.LargeBinary, comment="the model's arrays, NumPy; null when refused"),
    comment="one row per trained quality model",
)

judge_agreement = sa.Table(
    "judge_agreement",
    METADATA,
    project(),
    day("as_of", "last day seen"),
    text_key("metric", "judged metric"),
    text_key("slice", "total, or dimension=value"),
    count("n", "rows with both labels"),
    sa.Column("failures", sa.BigInteger, comment="of them failures, as people say"),
    number("sensitivity", "failures that the judge finds"),
    number("sensitivity_low", "lower end of its 95 % interval"),
    number("sensitivity_high", "upper end of its 95 % interval"),
    number("specificity", "passes that the judge passes"),
    number("specificity_low", "lower end of its 95 % interval"),
    number("specificity_high", "upper end of its 95 % interval"),
    number("kappa", "Cohen's kappa"),
    number("kappa_low", "lower end of its 95 % interval"),
    number("kappa_high", "upper end of its 95 % interval"),
    text("predictor", "judge or quality model that is held against people"),
    text("status", "calibrated, or why not"),
    comment="judge against people, trailing 28 days",
)

human_label = sa.Table(
    "human_label",
    METADATA,
    project(),
    day(comment="UTC day on which the label was given"),
    text_key("trace_id", "trace"),
    text_key("observation_id", "observation"),
    text_key("metric", "what was labelled"),
    sa.Column("passed", sa.Boolean, comment="what the person said"),
    number("predicted", "what judge or model said, 0 to 1; null when neither saw the call"),
    text("predictor", "which of them"),
    text("feature", "of the call"),
    text("model", "of the call"),
    text("prompt", "NAME@VERSION of the call"),
    number("w", "weight in the estimate: 1 / probability of the label"),
    comment="labels by people beside predictions: one row per day, call and metric",
)

score_histogram = sa.Table(
    "score_histogram",
    METADATA,
    project(),
    day(),
    text_key("scorer", "name of the scorer", 64),
    sa.Column(
        "bucket",
        sa.Integer,
        primary_key=True,
        comment="tenth of the value up to 1, then 10 + half powers of two",
    ),
    count("n", "rows"),
    number("w", "sum of weights, 1 / inclusion probability"),
    number("w2", "sum of squared weights"),
    comment="how a scorer's values were distributed: what drift of a score is tested on",
)

judge_cache = sa.Table(
    "judge_cache",
    METADATA,
    text_key("key", "hash of model, prompt, rubric, settings and text", 64),
    sa.Column("passed", sa.Boolean, comment="the verdict"),
    text("reason", "the judge's, at most 30 words; may speak of what users wrote"),
    text("judge_model", "model that the endpoint says answered"),
    usd("cost_usd", "what the verdict cost when it was asked for, USD"),
    instant("judged_at", "when"),
    comment="verdicts by content: the same call is never paid for twice",
)

judge_night = sa.Table(
    "judge_night",
    METADATA,
    project(),
    day(comment="UTC day of the judged calls"),
    count("wanted", "verdicts wanted: calls drawn x rubrics, and the canary"),
    count("judged", "verdicts given by the judge"),
    count("cached", "verdicts found in the cache"),
    count("skipped", "not asked for: the budget was used up"),
    count("failed", "asked for and not given"),
    count("requests", "requests sent, repairs and repeats included"),
    usd("cost_usd", "cost of the night's requests, USD"),
    text("judge_model", "models that the endpoint says answered"),
    comment="what the judge did, and what it cost: one row per project and day",
)

judge_canary = sa.Table(
    "judge_canary",
    METADATA,
    project(),
    day(comment="day on which the call was judged again"),
    text_key("rubric", "rubric", 64),
    text_key("trace_id", "trace"),
    text_key("observation_id", "observation"),
    sa.Column("call_day", sa.Date, comment="UTC day of the call, where its text is"),
    sa.Column("passed", sa.Boolean, comment="verdict of this night"),
    sa.Column("first_passed", sa.Boolean, comment="verdict when the call joined the set"),
    text("judge_model", "model that the endpoint says answered"),
    comment="a fixed set of calls, judged again every night without the cache",
)

topic = sa.Table(
    "topic",
    METADATA,
    project(),
    text_key("topic_id", "stable from night to night", 16),
    text("name", "its most telling words that many users wrote, else empty"),
    text("terms", "JSON object: hashed word -> weight, to match fits by"),
    sa.Column("first_seen", sa.Date, comment="first day fitted"),
    sa.Column("last_seen", sa.Date, comment="last day fitted"),
    comment="what users ask about: one row per project and cluster of questions",
)

topic_share = sa.Table(
    "topic_share",
    METADATA,
    project(),
    day(),
    text_key("topic_id", "see topic", 16),
    count("n", "questions read"),
    number("share", "of the day's calls, weighted for sampling, 0 to 1"),
    comment="one row per project, day and topic",
)

label_pick = sa.Table(
    "label_pick",
    METADATA,
    project(),
    day(comment="UTC day of the picked observation"),
    text_key("trace_id", "trace"),
    text_key("observation_id", "observation"),
    text_key("metric", "what people are asked to label"),
    number("inclusion_probability", "with which it was picked; times its text's own"),
    text("reason", "estimate (drawn at random) or review (likely to be bad)"),
    text("queue_id", "Langfuse annotation queue"),
    text("item_id", "its item there, '' while not written"),
    instant("picked_at", "when"),
    comment="one row per call that was put before people",
)

drift = sa.Table(
    "drift",
    METADATA,
    project(),
    day(),
    text_key("kind", "input, words, topic, score, judge_canary", 32),
    text_key("subject", "what drifted: a topic, a scorer, a feature, the inputs"),
    number("statistic", "of the test"),
    number("p_value", "after Benjamini-Hochberg over the night"),
    number("before", "share or mean before"),
    number("after", "share or mean after"),
    text("detail", "one sentence for people"),
    comment="one row per project, day and drift test",
)
