"""Observations by the number of their cell: the day and the dimensions of every daily mart.

Numbers, because grouping by nine texts costs several times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llmops_jobs.dimensions import DIMENSIONS

if TYPE_CHECKING:
    import ibis.expr.types as ir

CELL: Final = ("day", *DIMENSIONS)
_TEXT: Final = ("environment", "provider", "model", "feature", "prompt_name", "tenant")


def in_form(o: ir.Table) -> dict[str, ir.Value]:
    """CELL of observations as the marts have it: no text is null, the version is text."""
    return {
        **{name: o[name] for name in CELL},
        **{name: o[name].fill_null("") for name in _TEXT},
        "prompt_version": o.prompt_version.cast("string").fill_null(""),
    }


def numbered(
    o: ir.Table, *, calls_only: bool = False, **columns: ir.Value
) -> tuple[ir.Table, ir.Table]:
    """The rows of observations as the number of their `cell` and `columns`; and the cells: `cell`
    with CELL.

    The two read the lake for themselves: what they shared an engine would write down first, which
    costs more than reading.
    """
    import ibis

    of_cell = in_form(o)

    def rows(**more: ir.Value) -> ir.Table:
        picked = o.select(**{**of_cell, "is_model_call": o.is_model_call, **more})
        return picked.filter(picked.is_model_call) if calls_only else picked

    cells = rows().select(*CELL).distinct()
    cells = cells.mutate(cell=ibis.row_number().over(order_by=[cells[name] for name in CELL]))
    return rows(**columns).inner_join(cells, list(CELL)).select("cell", *columns), cells
