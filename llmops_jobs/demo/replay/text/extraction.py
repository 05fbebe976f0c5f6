"""Mails to extract fields from, and the JSON that comes back."""

from __future__ import annotations

import json
from typing import Final

from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text.conversation import person
from llmops_jobs.demo.replay.text.phrases import CITIES, ITEMS

CATEGORIES: Final = ("return", "complaint", "order", "invoice", "question")
SCHEMA: Final = {
    "type": "object",
    "properties": {
        "customer": {"type": "string"},
        "order_id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{6}$"},
        "item": {"type": "string"},
        "quantity": {"type": "integer", "minimum": 1},
        "amount_eur": {"type": "number"},
        "category": {"enum": list(CATEGORIES)},
    },
    "required": ["customer", "order_id", "item", "quantity", "amount_eur", "category"],
    "additionalProperties": False,
}
SCHEMA_TEXT: Final = json.dumps(SCHEMA, separators=(",", ":"))
_BODIES: Final = (
    "Hello, I would like to send back {quantity} {item} from order {order_id}. I paid {amount} "
    "EUR. Regards, {customer}, {city}",
    "Good morning, please order {quantity} x {item} again as in {order_id}, last time it was "
    "{amount} EUR. {customer}",
    "The invoice for {order_id} says {amount} EUR for {quantity} {item}. That cannot be right. "
    "{customer} from {city}",
    "{customer} here. When do the {quantity} {item} of order {order_id} ({amount} EUR) arrive in "
    "{city}?",
)


def extraction(defect: int, draws: list[int]) -> tuple[str, str]:
    """The mail, and the answer as it came."""
    number = draws[1]
    fields = {
        "customer": person(draws[0])[0],
        "order_id": f"{'ABCDEFGH'[number % 8]}{'KLMN'[number // 8 % 4]}-{number % 1_000_000:06d}",
        "item": ITEMS[number // 64 % len(ITEMS)],
        "quantity": 1 + draws[2] % 4,
        "amount_eur": round(5 + draws[3] % 40_000 / 100, 2),
        "category": CATEGORIES[draws[4] % len(CATEGORIES)],
    }
    mail = _BODIES[draws[5] % len(_BODIES)].format(
        amount=fields["amount_eur"], city=CITIES[draws[6] % len(CITIES)], **fields
    )
    if defect == Defect.MISSING_FIELD:
        del fields[("order_id", "amount_eur", "category", "quantity")[draws[7] % 4]]
    if defect == Defect.WRONG:
        fields["quantity"] = 5 + draws[7] % 40
        fields["amount_eur"] = round(draws[7] % 90_000 / 100, 2)
    text = json.dumps(fields)
    if defect == Defect.INVALID_JSON:
        text = (
            f"Here is the JSON you asked for:\n{text}\nLet me know if you need more.",
            text[:-1],
            text.replace('"', "'"),
            text[:-1] + ",}",
            text[: len(text) * 2 // 3],
        )[draws[7] % 5]
    if defect == Defect.EMPTY:
        text = ""
    return mail, text
