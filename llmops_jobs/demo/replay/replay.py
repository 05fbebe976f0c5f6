"""The replay: a source of days, as the stand-in Langfuse serves them."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from llmops_jobs import days as calendar
from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay import config, events, experiments, feedback, things
from llmops_jobs.demo.replay.delivery import deliver
from llmops_jobs.demo.replay.events import Event
from llmops_jobs.demo.replay.plan import DAY_MS, Plan, make
from llmops_jobs.demo.replay.wire import Rows, stored_cost
from llmops_jobs.demo.rows import DayRows, Row

_KEPT_PLANS = 8


class Replay:
    """Traffic of an application that never ran, with the numbers of traffic that did.

    A day's rows follow from the seed and from its distance to the last day alone: they are the
    same bytes in whatever order the days are asked for, and a shorter replay is the end of a
    longer one. days: how many, the last being `end` (default: yesterday, UTC). requests_per_day:
    the mean number of traces; a quarter more model calls come of them. with_events: False leaves
    the marked events out.
    """

    project_id = app.PROJECT_ID

    def __init__(
        self,
        seed: int = 7,
        days: int = 60,
        end: date | None = None,
        requests_per_day: int = 2000,
        with_events: bool = True,
    ) -> None:
        if days < 1 or requests_per_day < 1:
            raise ValueError(f"a replay needs days and requests, not {days} and {requests_per_day}")
        self.seed = seed
        self.last_day = end or calendar.yesterday()
        self.first_day = self.last_day - timedelta(days=days - 1)
        self.requests_per_day = requests_per_day
        self.with_events = with_events
        self._plans: OrderedDict[date, Plan] = OrderedDict()
        self._rows: OrderedDict[date, Rows] = OrderedDict()

    def day(self, day: date, texts: bool = True) -> DayRows:
        """Every row that starts in the UTC day; none outside the replay. Without `texts`, input
        and output are null: see `text`."""
        if not self.first_day <= day <= self.last_day:
            return DayRows()
        plan = self.plan(day)
        start = plan.observations.start_ms
        observations = list(deliver(Rows(plan), np.flatnonzero(start < DAY_MS), texts))
        before = self.plan(day - timedelta(days=1))
        spilled = np.flatnonzero(before.observations.start_ms >= DAY_MS)
        observations += deliver(Rows(before), spilled, texts)
        return DayRows(observations=observations, scores=self.scores(day))

    def text(self, day: date, observation_id: str) -> tuple[str | None, str | None]:
        """Input and output of an observation that starts in the day."""
        for planned in (day, day - timedelta(days=1)):
            rows = self._rows.get(planned)
            if rows is None:
                rows = self._rows[planned] = Rows(self.plan(planned))
                if len(self._rows) > _KEPT_PLANS:
                    self._rows.popitem(last=False)
            found = rows.text(observation_id)
            if found is not None:
                return found
        raise KeyError(observation_id)

    def scores(self, day: date) -> list[Row]:
        """Scores of the day, on traces of the day and of the three before it."""
        scores = []
        for before in range(feedback.DELAY_DAYS + 1):
            plan = self.plan(day - timedelta(days=before))
            scores += feedback.scores_of(plan, before * DAY_MS, (before + 1) * DAY_MS)
        return scores

    def plan(self, day: date) -> Plan:
        """The day before it is written out; a few are kept."""
        found = self._plans.get(day)
        if found is None:
            found = make(self.seed, day, self.last_day, self.requests_per_day, self.with_events)
            self._plans[day] = found
            if len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        return found

    def events(self) -> list[Event]:
        """The marked events that begin within the replay, oldest first."""
        return events.dated(self.first_day, self.last_day) if self.with_events else []

    def write_events(self, path: Path | str) -> Path:
        """The marked events and the quiet stretches as a JSON file."""
        return events.write(Path(path), self.first_day, self.last_day, self.events())

    def write_config(self, home: Path | str) -> Path:
        """The demo's `llmops.yaml`, `prices.yaml` and `gate.yaml`; gives the first one's path."""
        return config.write(Path(home), self.last_day, self.daily_usd(), self.with_events)

    def daily_usd(self) -> float:
        """What an ordinary day costs: the mean over the last quiet week."""
        quiet = [self.last_day - timedelta(days=ago) for ago in range(14, 21)]
        costs = [stored_cost(self.plan(day)) for day in quiet]
        return float(np.mean(costs))

    def things(self) -> dict[str, list[Row]]:
        """What the project has besides traffic, by the stand-in's kinds."""
        return {
            "prompts": self.prompts(),
            "models": things.models(self.last_day),
            "score-configs": things.score_configs(self.last_day),
            "annotation-queues": things.annotation_queues(self.last_day),
            "datasets": [experiments.dataset(self.last_day)],
            "dataset-items": experiments.dataset_items(self.seed, self.last_day),
            "experiment-items": self.experiments(),
        }

    def experiments(self) -> list[Row]:
        """The items of the experiment runs: a baseline and two candidates over one dataset."""
        return experiments.items(self.seed, self.last_day)

    def prompts(self, as_of: date | None = None) -> list[Row]:
        """Every prompt version with its labels as they stand at the end of a day."""
        return things.prompts(self.last_day, as_of or self.last_day, self.with_events)
