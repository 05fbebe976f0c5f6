"""Snippets of text: answers that failed, messages of errors. Only where `include_text` is set."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from llmops_jobs.report.edition import Edition
from llmops_jobs.report.links import any_of
from llmops_jobs.report.masking import masked
from llmops_jobs.report.model import Block, Cell, Column, Section, Table, Text, cell, label

if TYPE_CHECKING:
    from llmops_jobs.evals.calls import Call

_SHOWN = 6
_QUESTION, _ANSWER, _MESSAGE = 160, 240, 240


def section(edition: Edition) -> Section | None:
    """None unless the configuration allows text and the lake is at hand; one project's."""
    if not edition.settings.include_text or edition.lake is None:
        return None
    if len(edition.marts.projects) > 1:
        return None
    blocks: list[Block] = [*_answers(edition), *_errors(edition)]
    if not blocks:
        blocks = [Text(prose=["No answer whose text is held failed, and no call."])]
    return Section(
        id="examples",
        title="Examples",
        lead=[
            "Text of users and models, shown because the configuration says so; personal data "
            "with a form of its own is masked."
        ],
        blocks=blocks,
        traces=edition.traces(),
    )


def _answers(edition: Edition) -> list[Block]:
    """One failing answer of each scorer that failed one, the least value first."""
    failed = edition.marts.failed(edition.first, edition.last)
    calls = _calls(edition, list(failed.values()))
    rows = []
    for scorer, row in sorted(failed.items()):
        call = calls.get((row.trace_id, row.observation_id))
        if call is None:
            continue
        rows.append(
            [
                label(scorer, 40, href=edition.links.trace(row.trace_id, row.observation_id)),
                Cell(text=masked(call.question, _QUESTION)),
                Cell(text=masked(call.answer, _ANSWER)),
            ]
        )
    columns = [
        Column(key="failed_metric", label="Failed"),
        Column(key="question", label="Question"),
        Column(key="answer", label="Answer"),
    ]
    title = "Answers that failed"
    table = Table(id="failing-answers", title=title, columns=columns, rows=rows[:_SHOWN])
    return [table] if rows else []


def _calls(edition: Edition, rows: list[Any]) -> dict[tuple[str, str], Call]:
    from llmops_jobs.evals.reading import calls_of_traces

    assert edition.lake is not None
    traces: dict[Any, set[str]] = {}
    for row in rows:
        traces.setdefault(row.day, set()).add(row.trace_id)
    return {
        (call.trace_id, call.observation_id): call
        for day, wanted in sorted(traces.items())
        for call in calls_of_traces(edition.lake, edition.project.id, day, wanted)
    }


def _errors(edition: Edition) -> list[Block]:
    """The commonest error messages of the last day."""
    import pyarrow.compute as pc

    assert edition.lake is not None
    columns = ["trace_id", "observation_id", "level", "status_message", "is_model_call"]
    rows = edition.lake.read_day("observations", edition.project.id, edition.last, columns)
    rows = rows.filter(pc.and_(pc.equal(rows["level"], "ERROR"), rows["is_model_call"]))
    counts: Counter[str] = Counter()
    example: dict[str, tuple[str, str]] = {}
    for row in rows.select(columns[:4]).to_pylist():
        message = masked(row["status_message"], _MESSAGE)
        counts[message] += 1
        key = (row["trace_id"], row["observation_id"])
        example[message] = min(example.get(message, key), key)
    if not counts:
        return []
    table = [
        [
            label(message, _MESSAGE, href=edition.links.trace(*example[message])),
            cell(n, "count"),
        ]
        for message, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    ]
    return [
        Table(
            id="error-messages",
            title="Messages of errors, last day",
            columns=[
                Column(key="message", label="Message"),
                Column(key="n", label="Calls", numeric=True),
            ],
            rows=table,
            traces=edition.links.calls(edition.last, edition.last, any_of("level", "ERROR")),
        )
    ]
