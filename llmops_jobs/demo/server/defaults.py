"""What a project has besides its traffic, unless the caller brings its own."""

from __future__ import annotations

from typing import Any

from llmops_jobs.demo.rows import Row
from llmops_jobs.demo.server.prompts import prompt_version

KINDS = (
    "prompts", "models", "score-configs", "datasets", "dataset-items", "comments",
    "annotation-queues", "annotation-queue-items", "experiments", "experiment-items",
)  # fmt: skip

# Standard list prices in USD per token, as examples of what GET /models looks like.
PRICES = {
    "gpt-4o": (2.5e-06, 1e-05),
    "gpt-4o-mini": (1.5e-07, 6e-07),
    "claude-sonnet-4-20250514": (3e-06, 1.5e-05),
}


def default_things(project_id: str) -> dict[str, list[Row]]:
    """Every kind, most of them empty; a prompt with two versions, and a few models."""
    things: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    things["models"] = [_model(name, *prices) for name, prices in sorted(PRICES.items())]
    first, second = "2026-01-05T09:00:00.000Z", "2026-02-02T09:00:00.000Z"
    common: dict[str, Any] = {"projectId": project_id, "tags": ["support"]}
    things["prompts"] = [
        prompt_version(
            "support-answer", 2, "Answer {{question}} briefly, from the documents only.",
            labels=["staging", "latest"], createdAt=second, config={"temperature": 0}, **common,
        ),
        prompt_version(
            "support-answer", 1, "Answer {{question}} from the documents.",
            labels=["production"], createdAt=first, config={"temperature": 0.2}, **common,
        ),
    ]  # fmt: skip
    return things


def _model(name: str, input_price: float, output_price: float) -> Row:
    prices = {"input": input_price, "output": output_price}
    tier = {
        "id": f"{name}_tier_default", "name": "Standard", "isDefault": True, "priority": 0,
        "conditions": [], "prices": prices,
    }  # fmt: skip
    return {
        "id": name,
        "createdAt": "2026-01-01T00:00:00.000Z",
        "modelName": name,
        "matchPattern": f"(?i)^({name})$",
        "startDate": None,
        "tokenizerId": None,
        "tokenizerConfig": None,
        "unit": "TOKENS",
        "inputPrice": input_price,
        "outputPrice": output_price,
        "totalPrice": None,
        "prices": {key: {"price": price} for key, price in prices.items()},
        "isLangfuseManaged": True,
        "pricingTiers": [tier],
    }
