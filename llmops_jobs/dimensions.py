"""The dimensions by which every daily mart is split, and what they mean.

One list, because tables, aggregates, alert lattices and reports must agree on it. A value that is
missing is the empty string in the database and "(none)" on a page.
"""

from __future__ import annotations

from typing import Final

# Column -> meaning; the order is the order of the columns in the tables.
MEANING: Final[dict[str, str]] = {
    "environment": "Langfuse environment of the observation",
    "provider": "who served the model (gen_ai.provider.name)",
    "model": "model that answered (gen_ai.response.model)",
    "feature": "name of the trace that the call belongs to",
    "prompt_name": "Langfuse prompt linked to the call",
    "prompt_version": "version of that prompt, as text",
    "tenant": "customer, team or cost centre the call was made for",
    "is_evaluation": "true for evaluation overhead (judges, experiments), never product spend",
}

DIMENSIONS: Final[tuple[str, ...]] = tuple(MEANING)

# How a cell was priced; a dimension of money tables only.
PRICE_STATUSES: Final[tuple[str, ...]] = ("reported", "list", "override", "unpriced")

NONE_LABEL: Final = "(none)"
