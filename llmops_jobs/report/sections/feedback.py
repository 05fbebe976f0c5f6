"""What users and reviewers said."""

from __future__ import annotations

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.model import (
    Block,
    Cell,
    Column,
    Prose,
    Section,
    Table,
    Text,
    cell,
    figure,
    interval,
    label,
    name,
    numbers,
)
from llmops_jobs.report.rates import Rate, Votes

_SOURCES = {"API": "users", "ANNOTATION": "reviewers", "EVAL": "evaluators"}


def section(edition: Edition) -> Section:
    votes = edition.marts.votes
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
        blocks=[table, *_categories(edition)],
        traces=edition.links.scores(edition.first, edition.last),
        width="half",
    )


def _categories(edition: Edition) -> list[Block]:
    """What people chose where a score is a category, and who the raters are."""
    counts: dict[tuple[str, str], int] = {}
    for row in edition.marts.rows("categories", edition.first, edition.last):
        key = (row.score_name, row.label)
        counts[key] = counts.get(key, 0) + row.n
    blocks: list[Block] = []
    if counts:
        ranked = sorted(counts, key=lambda key: (-counts[key], key))
        of_score: dict[str, int] = {}
        for (score, _), n in counts.items():
            of_score[score] = of_score.get(score, 0) + n
        rows = []
        for score, chosen in ranked[: edition.settings.rows]:
            n = counts[score, chosen]
            share = n / of_score[score]
            href = edition.links.scores(
                edition.first,
                edition.last,
                any_of("name", score),
                any_of("stringValue", chosen),
            )
            rows.append(
                [
                    label(chosen, 60, href=href),
                    label(score, 40),
                    cell(n, "count"),
                    cell(share, "share", share=share),
                ]
            )
        columns = [
            Column(key="category", label="Category"),
            Column(key="score", label="Score"),
            Column(key="n", label="Times", numeric=True),
            Column(key="share", label="Share", numeric=True, help="of the score's answers"),
        ]
        title = "What people chose"
        blocks.append(Table(id="feedback-categories", title=title, columns=columns, rows=rows))
    if bias := _bias(edition):
        blocks.append(Text(prose=bias))
    return blocks


def _bias(edition: Edition) -> Prose:
    """How rated traces differ from the others, where it is sure that they do."""
    rows = [row for row in edition.marts.on("feedback_bias", edition.last) if row.matters]
    if not rows:
        return []
    row = max(rows, key=lambda row: abs(row.difference or 0.0))
    return [
        "Who rates is not everybody: rated traces differ from the others in ",
        name(str(row.trait).replace("_", " "), 40),
        " by ",
        figure(row.difference, "number_change"),
        " standard deviations, n = ",
        figure(row.rated, "count"),
        ".",
    ]


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
        label(
            key[0],
            40,
            note=[name(_SOURCES.get(key[1], key[1]), 16)],
            href=edition.links.scores(first, last, any_of("name", key[0])),
        ),
        shown,
        cell(rate.n or n, "count"),
        cell(votes.response(key, first, last), "ratio"),
        Cell(text="", spark=numbers(series)),
    ]


def users(edition: Edition) -> tuple[str, Rate] | None:
    """(name, rate) of the vote that users give most."""
    votes = edition.marts.votes
    key = votes.headline(edition.first, edition.last)
    return None if key is None else (key[0], votes.rate(key, edition.first, edition.last))
