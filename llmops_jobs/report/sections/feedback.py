"""What users and reviewers said."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Section,
    Table,
    Text,
    cell,
    interval,
    label,
    name,
    numbers,
)
from llmops_jobs.report.rates import Rate, Votes

_SOURCES = {"API": "users", "ANNOTATION": "reviewers", "EVAL": "evaluators"}


def section(edition: Edition) -> Section:
    votes = edition.marts.votes()
    keys = votes.scores(edition.first, edition.last)
    if not keys:
        blocks: list[Block] = [
            Text(prose=["Nobody gave feedback in this period; no vote is never a no."])
        ]
        return Section(id="feedback", title="Feedback", blocks=blocks, width="half")
    table = Table(
        id="feedback-by-score",
        title="By score",
        columns=[
            Column(key="score", label="Score"),
            Column(key="rate", label="Positive", numeric=True, help="or the mean of a rating"),
            Column(key="n", label="Scores", numeric=True),
            Column(key="response_rate", label="Rated", numeric=True, help="of all traces"),
            Column(key="spark", label="Daily"),
        ],
        rows=[_row(edition, votes, key) for key in keys[: edition.settings.rows]],
    )
    return Section(
        id="feedback",
        title="Feedback",
        lead=["Share of positive votes, or the mean of a rating; no vote is never a no."],
        blocks=[table],
        width="half",
    )


def _row(edition: Edition, votes: Votes, key: tuple[str, str]) -> list[Cell]:
    first, last = edition.first, edition.last
    rate = votes.rate(key, first, last)
    n, mean = votes.mean(key, first, last)
    if rate.estimate is not None:
        shown = cell(rate.estimate, "ratio", note=interval(rate.low, rate.high, "ratio"))
        series = [votes.rate(key, day, day).estimate for day in edition.history_days]
    elif mean is not None:
        shown = cell(mean, "number", note=["mean"])
        series = [votes.mean(key, day, day)[1] for day in edition.history_days]
    else:
        shown, series = Cell(text="–"), []
    return [
        label(key[0], 40, note=[name(_SOURCES.get(key[1], key[1]), 16)]),
        shown,
        cell(rate.n or n, "count"),
        cell(votes.response(key, first, last), "ratio"),
        Cell(text="", spark=numbers(series)),
    ]


def users(edition: Edition) -> tuple[str, Rate] | None:
    """(name, rate) of the vote that users give most."""
    votes = edition.marts.votes()
    key = votes.headline(edition.first, edition.last)
    return None if key is None else (key[0], votes.rate(key, edition.first, edition.last))
