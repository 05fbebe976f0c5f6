"""The night's cap in USD and in calls: money is reserved before a request and settled after it.

What is reserved is the most that the request can cost, so that requests in flight together cannot
pass the cap. A request that fails after it was sent keeps its reservation: it may have been billed.
The sums are in the database, and a reservation is one statement there that the cap is part of, so
that the cap holds over runs and processes, and a run that is killed has not spent in secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from llmops_jobs.store import Database
from llmops_jobs.store.tables import TABLES


@dataclass(frozen=True)
class Budget:
    """What a project's verdicts on the calls of one day may cost, in every run together."""

    database: Database
    project: str
    day: date
    usd: Decimal
    calls: int

    def open(self) -> None:
        """Makes sure that the night has its row in `judge_night`."""
        night = {"project_id": self.project, "day": self.day, "cost_usd": Decimal(0)}
        with self.database.engine.begin() as connection:
            connection.execute(self.database.insert_if_absent(TABLES["judge_night"]).values(night))

    def reserve(self, most: Decimal) -> bool:
        """Sets the most that a request can cost aside; False when the cap does not hold it."""
        night = TABLES["judge_night"].c
        return self._update(
            {"cost_usd": night.cost_usd + most, "requests": night.requests + 1},
            night.requests < self.calls,
            night.cost_usd + most <= self.usd,
        )

    def settle(self, most: Decimal, cost: Decimal) -> None:
        """Replaces a reservation by what the request cost."""
        if cost != most:
            self._update({"cost_usd": TABLES["judge_night"].c.cost_usd + (cost - most)})

    def keep(self, summary: dict[str, Any]) -> None:
        """Records what became of the latest run's tasks."""
        self._update(summary)

    def _update(self, values: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        table = TABLES["judge_night"]
        statement = sa.update(table).where(
            table.c.project_id == self.project, table.c.day == self.day, *conditions
        )
        with self.database.engine.begin() as connection:
            return connection.execute(statement.values(values)).rowcount == 1
