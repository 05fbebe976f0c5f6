"""The option type for days: `YYYY-MM-DD`, `today` or `yesterday`."""

from __future__ import annotations

from datetime import date
from typing import Any

import click

from llmops_jobs.days import parse_day


class Day(click.ParamType[date]):
    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return parse_day(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DAY = Day()
