"""The second tier: input and output of the observations that evaluation reads, day by day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from llmops_jobs.days import today
from llmops_jobs.deployment import Deployment
from llmops_jobs.lake import schema
from llmops_jobs.lake.check import readable
from llmops_jobs.langfuse.project import ProjectKeys
from llmops_jobs.langfuse.pull import ahead, fetch_text
from llmops_jobs.langfuse.sources import open_source

#: (observations, scores, how many, seed) -> trace_id, observation_id, inclusion_probability.
Choose = Callable[[pa.Table, pa.Table, int, int], pa.Table]
#: What is read of a day's observations to choose from them: the lake's rows have much more.
CHOSEN_BY = (
    "trace_id", "observation_id", "start_time", "type", "level", "environment", "feature", "tenant",
    "provider", "model", "prompt_name", "prompt_version", "is_model_call", "is_evaluation",
)  # fmt: skip
_PAIR = ("trace_id", "observation_id")


@dataclass(frozen=True)
class Texts:
    """What was done for one day: how many texts were chosen, held already, fetched, not found."""

    day: date
    chosen: int
    held: int
    fetched: int
    missing: int

    def figures(self) -> dict[str, float]:
        """What the asset's page plots."""
        rows = self.held + self.fetched
        return {"dagster/row_count": rows, "fetched": self.fetched, "missing": self.missing}


def pull_texts(
    deployment: Deployment, project: ProjectKeys, wanted: Sequence[date], choose: Choose
) -> Iterator[Texts]:
    """Fetches the texts of the rows that `choose` picks of each day's observations and scores.

    Texts held already are not fetched again; texts of observations that are no longer chosen are
    dropped with the day's replacement.
    """
    settings = deployment.settings.ingest
    lake = deployment.lake

    def chosen(day: date) -> tuple[pa.Table, pa.Table]:
        observations = lake.read_day("observations", project.id, day, CHOSEN_BY)
        scores = lake.read_day("scores", project.id, day)
        pairs = choose(observations, scores, settings.texts_per_day, settings.text_seed)
        starts = observations.select([*_PAIR, "start_time"])
        return pairs, pairs.select(_PAIR).join(starts, keys=list(_PAIR), join_type="inner")

    def fetch(day: date) -> tuple[Texts, pa.Table | None]:
        if settings.text_days is not None and day < today() - timedelta(days=settings.text_days):
            return Texts(day, 0, 0, 0, 0), None  # what was forgotten is not fetched again
        pairs, wanted = chosen(day)
        held = readable(lake, "observation_text", project.id, day)
        old = held.select([*_PAIR, "input", "output", "metadata"])
        todo = wanted.join(old.select(_PAIR), keys=list(_PAIR), join_type="left anti")
        new = fetch_text(source, todo, settings.longest_text)
        texts = pa.concat_tables([old, new]).combine_chunks()
        rows = _typed(pairs.join(texts, keys=list(_PAIR), join_type="inner"))
        done = Texts(
            day, pairs.num_rows, pairs.num_rows - todo.num_rows, new.num_rows,
            todo.num_rows - new.num_rows,
        )  # fmt: skip
        return done, None if rows.equals(held.select(rows.column_names)) else rows

    with closing(open_source(deployment, project)) as source:
        for done, rows in ahead(fetch, wanted, settings.parallel):
            if rows is not None:
                lake.replace_day("observation_text", project.id, done.day, rows)
            yield done


def _typed(rows: pa.Table) -> pa.Table:
    wanted = [f for f in schema.OBSERVATION_TEXT if f.name not in schema.PARTITION]
    rows = rows.sort_by([(name, "ascending") for name in _PAIR])
    return rows.select([field.name for field in wanted]).cast(pa.schema(wanted))
