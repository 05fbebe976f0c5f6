"""Usage and cost of a call as Langfuse stores them: keys by integration, cost frozen."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from llmops_jobs.demo.replay.application import Feature
from llmops_jobs.demo.replay.catalogue import Model
from llmops_jobs.demo.replay.failures import ANSWERED

GATEWAY_FEE: Final = 1.055
_NO_MODEL: Final[dict[str, Any]] = {
    "model": "",
    "internalModelId": "",
    "modelParameters": {},
    "usageDetails": {},
    "inputUsage": 0,
    "outputUsage": 0,
    "totalUsage": 0,
    "costDetails": {},
    "inputCost": None,
    "outputCost": None,
    "totalCost": 0,
    "usagePricingTierId": None,
    "usagePricingTierName": None,
    "modelId": None,
    "inputPrice": None,
    "outputPrice": None,
    "totalPrice": None,
}


def fields(
    feature: Feature, model: Model | None, tokens: tuple[int, ...], failure: int, draw: int
) -> dict[str, Any]:
    """Model, usage and money of a row; the wire's empty forms where there is no model.

    tokens: see `usage_details`. draw: a number of the row's own.
    """
    if model is None:
        return {**_NO_MODEL, "modelParameters": {}, "usageDetails": {}, "costDetails": {}}
    managed = bool(model.prices) and model.usage != "gateway"
    inclusive = feature.name == "agent-tools" and model.usage == "openai"
    answered = failure in ANSWERED
    if answered:
        usage = usage_details(model, tokens, inclusive)
    else:
        # The server counts the tokens of some failed calls itself, and prices them.
        counted = model.usage == "openai" and draw % 7 == 0
        usage = {"input": 40 + draw % 800} if counted else {}
    cost = cost_details(model, usage) if usage else {}
    prices = model.prices if managed else {}
    tier = managed and bool(cost)
    ident = f"model-{model.response}"
    return {
        "model": model.response if answered else model.request,
        "internalModelId": ident if managed else "",
        "modelParameters": _parameters(feature, model),
        "usageDetails": usage,
        "costDetails": cost,
        **sums(usage, cost),
        "usagePricingTierId": f"{ident}_tier_default" if tier else None,
        "usagePricingTierName": "Standard" if tier else None,
        "modelId": ident if managed else None,
        "inputPrice": price_text(prices.get("input")),
        "outputPrice": price_text(prices.get("output")),
        "totalPrice": price_text(prices.get("total")),
    }


def _parameters(feature: Feature, model: Model) -> dict[str, Any]:
    if model.usage == "embedding":
        return {}
    parameters: dict[str, Any] = {"temperature": 0.2, "max_tokens": 2048}
    if feature.streams:
        parameters["stream"] = True
    if feature.name == "extract-json":
        parameters["response_format"] = "json_schema"
    return parameters


def usage_details(model: Model, tokens: tuple[int, ...], inclusive: bool) -> dict[str, int]:
    """The counts under the keys of the model's integration.

    tokens: input, output, cache read, written 5 m, written 1 h, reasoning; input and output are
    inclusive. inclusive: as frameworks without exclusive buckets report them, overlapping.
    """
    fed, said, read, short, long, thought = tokens
    if model.usage == "embedding":
        return {"input": fed, "total": fed}
    if inclusive:
        return {
            "input": fed,
            "prompt_details.cache_read": read,
            "output": said,
            "completion_details.reasoning": thought,
            "total": fed + said,
        }
    usage = {"input": fed - read - short - long, "output": said}
    if model.usage == "anthropic":
        usage["cache_read_input_tokens"] = read
        usage["input_cache_creation_5m"] = short
        usage["input_cache_creation_1h"] = long
    elif model.usage in ("openai", "google", "gateway"):
        usage["input_cached_tokens"] = read
    if model.usage == "openai" and thought:
        usage["output"] -= thought
        usage["output_reasoning_tokens"] = thought
    elif model.usage == "google" and thought:
        usage["output"] -= thought
        usage["thoughts_token_count"] = thought
    usage["total"] = fed + said
    return usage


def cost_details(model: Model, usage: dict[str, int]) -> dict[str, float]:
    """USD by usage key and in total; {} when Langfuse has no price and nobody reported a cost."""
    if not model.prices:
        return {}
    parts = {
        key: round(usage[key] * price / 1e6, 12)
        for key, price in model.prices.items()
        if key in usage
    }
    total = round(sum(parts.values()), 12)
    if model.usage == "gateway":
        return {"total": round(total * GATEWAY_FEE, 12)}
    return {**parts, "total": total} if parts else {}


def sums(usage: dict[str, int], cost: dict[str, float]) -> dict[str, Any]:
    """The wire's sums over keys that contain `input` or `output`; costs null without any."""
    fed = [cost[key] for key in cost if "input" in key]
    said = [cost[key] for key in cost if "output" in key]
    return {
        "inputUsage": sum(usage[key] for key in usage if "input" in key),
        "outputUsage": sum(usage[key] for key in usage if "output" in key),
        "totalUsage": usage.get("total", sum(usage.values())),
        "inputCost": round(sum(fed), 12) if fed else None,
        "outputCost": round(sum(said), 12) if said else None,
        "totalCost": cost.get("total", 0),
    }


@cache
def price_text(per_million: float | None) -> str | None:
    """A price per token as the wire writes decimals: exponents below a millionth."""
    if per_million is None:
        return None
    digits, exponent = f"{per_million / 1e6:.6e}".split("e")
    digits = digits.rstrip("0").rstrip(".")
    if int(exponent) < -6:
        return f"{digits}e{int(exponent)}"
    return f"{per_million / 1e6:.12f}".rstrip("0").rstrip(".")
