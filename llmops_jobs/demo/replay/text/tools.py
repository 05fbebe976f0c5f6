"""The tools of the agents: definitions, calls of them and what they return."""

from __future__ import annotations

from typing import Final

from llmops_jobs.demo.replay.text.compact import dumps
from llmops_jobs.demo.replay.text.conversation import person
from llmops_jobs.demo.replay.text.phrases import CITIES, ITEMS

TOOLS: Final = {
    "search_orders": ("customer", "status"),
    "refund_order": ("order_id", "amount_eur"),
    "crm_lookup": ("customer",),
    "stock_level": ("item", "warehouse"),
    "run_report": ("name", "month"),
    "send_mail": ("to", "subject"),
}
NAMES: Final = tuple(TOOLS)
DEFINITIONS: Final = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {key: {"type": "string"} for key in keys},
                "required": list(keys),
            },
        },
    }
    for name, keys in TOOLS.items()
]


def tool_of(draws: list[int], step: int) -> str:
    """Which tool the agent calls after a step."""
    return NAMES[(draws[0] + step * 7) % len(NAMES)]


def arguments(name: str, draws: list[int], step: int) -> dict[str, str]:
    number = draws[1] + step * 7919
    values = {
        "customer": person(number)[0],
        "status": ("open", "shipped", "returned")[number % 3],
        "order_id": f"AK-{number % 1_000_000:06d}",
        "amount_eur": f"{number % 300}.00",
        "item": ITEMS[number % len(ITEMS)],
        "warehouse": CITIES[number // 16 % len(CITIES)],
        "name": ("returns", "late-orders", "stock")[number % 3],
        "month": f"2026-{1 + number % 12:02d}",
        "to": person(number)[1],
        "subject": "Your order",
    }
    return {key: values[key] for key in TOOLS[name]}


def call(draws: list[int], step: int, misused: bool) -> str:
    """The assistant's message that calls a tool, as JSON."""
    name = tool_of(draws, step)
    given = dumps(arguments(name, draws, step))
    if misused:
        # A tool that does not exist, or arguments that are not JSON.
        if draws[2] % 2:
            name = f"{name}_v2"
        else:
            given = given[:-2]
    return dumps(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": f"call_{draws[3] + step:08x}",
                    "type": "function",
                    "function": {"name": name, "arguments": given},
                }
            ],
        }
    )


def result(name: str, draws: list[int], step: int) -> str:
    """What the tool returns, as JSON."""
    number = draws[4] + step * 104_729
    rows = [
        {
            "order_id": f"AK-{(number + i * 31) % 1_000_000:06d}",
            "item": ITEMS[(number + i) % len(ITEMS)],
            "status": ("open", "shipped", "returned")[(number + i) % 3],
        }
        for i in range(1 + number % 3)
    ]
    return dumps({"tool": name, "rows": rows})
