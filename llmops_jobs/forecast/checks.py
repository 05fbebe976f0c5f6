"""What must hold of stored forecasts; the asset checks call these."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from llmops_jobs.forecast.frames import QUANTILES

if TYPE_CHECKING:
    from llmops_jobs.store import Database

_PROMISED = {"coverage_80": 0.80, "coverage_95": 0.95}
_FEWEST_NIGHTS = 14
# Forecasts that overlap are not independent: about one look per scope and five nights.
_NIGHTS_PER_LOOK = 5


def unsound_forecasts(database: Database, first: date, last: date) -> int:
    """Rows of `spend_forecast` with a missing, negative or crossing quantile."""
    from llmops_jobs.store.tables.forecast import spend_forecast as stored

    ordered = [stored.c[name] for name in QUANTILES]
    wrong = sa.or_(
        ordered[0] < 0,
        *(column.is_(None) for column in (*ordered, stored.c.mean)),
        *(low > high for low, high in pairwise(ordered)),
    )
    query = (
        sa.select(sa.func.count().label("rows"))
        .select_from(stored)
        .where(stored.c.as_of >= first, stored.c.as_of <= last, wrong)
    )
    return int(database.read(query)["rows"].iloc[0])


def lost_calibration(database: Database, last: date) -> list[str]:
    """The total's score-cards of 30 nights whose 80 or 95 % interval held clearly less than it
    promised, in words. Clearly: by more than two standard errors of the independent looks among
    them."""
    card = database.table("forecast_score", as_of=last, scope="total", window=30)
    told = []
    for row in card[card["nights"] >= _FEWEST_NIGHTS].itertuples():
        looks = max(row.nights / _NIGHTS_PER_LOOK, 1.0)
        for name, promised in _PROMISED.items():
            held = float(getattr(row, name))
            if held < promised - 2 * sqrt(promised * (1 - promised) / looks):
                told.append(
                    f"{row.metric}: the {100 * promised:.0f} % interval held {held:.0%} of the "
                    f"last {row.nights} nights (project {row.project_id})"
                )
    return told
