"""What the demo's project has besides traffic: prompts, models, score configs, a queue."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from llmops_jobs.demo.replay import application as app
from llmops_jobs.demo.replay.catalogue import CODE, CONTRACT_MODEL, MODELS, SWAPPED, Model
from llmops_jobs.demo.replay.events import active_on
from llmops_jobs.demo.replay.feedback import CONFIGS, QUEUE_ID
from llmops_jobs.demo.replay.text.comments import CATEGORIES
from llmops_jobs.demo.replay.text.prompts import SYSTEM
from llmops_jobs.demo.rows import Row

_USER: Final = {
    "chat": "{{question}}",
    "rag-answer": "<context>\n{{context}}\n</context>\n\nQuestion: {{question}}",
    "extract-json": "{{mail}}",
    "summarise": "<context>\n{{text}}\n</context>",
    "agent-tools": "{{question}}",
}
# The marked event with which a version went to production; all others were there before.
_MOVED_BY: Final = {
    ("chat", 6): "prompt-wording",
    ("rag-answer", 4): "prompt-regression",
    ("summarise", 3): "token-inflation",
}
_MESSAGES: Final = {
    ("chat", 6): "wording",
    ("rag-answer", 4): "more helpful answers",
    ("summarise", 3): "add examples",
}


def prompts(last_day: date, as_of: date, enabled: bool = True) -> list[Row]:
    """Every version of every prompt with its labels as they stand at the end of a day."""
    ago = (last_day - as_of).days
    event = active_on(ago, enabled)
    newest = {name: max(v for n, v in SYSTEM if n == name) for name, _ in SYSTEM}
    rows = []
    for (name, version), system in sorted(SYSTEM.items()):
        moved = _MOVED_BY.get((name, version))
        begun = last_day - timedelta(days=_first(moved)) if moved else last_day - timedelta(90)
        successor = _MOVED_BY.get((name, version + 1))
        live = event(moved) if moved else not (successor and event(successor))
        labels = ["production"] if live else []
        if version == newest[name]:
            labels += ["latest", "staging"]
        created = f"{begun - timedelta(days=2)}T09:00:00.000Z"
        rows.append(
            {
                "id": f"prompt-{name}-v{version}",
                "createdAt": created,
                "updatedAt": f"{begun}T00:00:00.000Z" if moved and live else created,
                "projectId": app.PROJECT_ID,
                "createdBy": "API",
                "prompt": [
                    {"role": "system", "content": system},
                    {"role": "user", "content": _USER[name]},
                ],
                "name": name,
                "version": version,
                "type": "chat",
                "isActive": live,
                "config": {"temperature": 0.2, "max_tokens": 2048},
                "tags": ["support"],
                "labels": labels,
                "commitMessage": _MESSAGES.get((name, version)),
            }
        )
    return rows


def _first(event_id: str) -> int:
    from llmops_jobs.demo.replay.marks import MARKS

    return next(mark.first for mark in MARKS if mark.id == event_id)


def models(last_day: date) -> list[Row]:
    """The models that Langfuse has a price for: its own, and two that the project defined."""
    own = (CODE["qwen3-32b-inhouse"], CODE[CONTRACT_MODEL])
    priced = [m for m in (*MODELS, SWAPPED) if m.prices and m.usage != "gateway"]
    return [_model(m, last_day, CODE[m.name] in own) for m in priced]


def _model(model: Model, last_day: date, own: bool) -> Row:
    ident = f"model-{model.response}"
    prices = {key: price / 1e6 for key, price in model.prices.items()}
    tier = {
        "id": f"{ident}_tier_default",
        "name": "Standard",
        "isDefault": True,
        "priority": 0,
        "conditions": [],
        "prices": prices,
    }
    return {
        "id": ident,
        "createdAt": f"{last_day - timedelta(days=300)}T00:00:00.000Z",
        "modelName": model.response,
        "matchPattern": f"(?i)^({model.response})$",
        "startDate": None,
        "tokenizerId": "openai" if model.provider == "openai" else None,
        "tokenizerConfig": None,
        "unit": "TOKENS",
        "inputPrice": prices.get("input"),
        "outputPrice": prices.get("output"),
        "totalPrice": prices.get("total"),
        "prices": {key: {"price": price} for key, price in prices.items()},
        "isLangfuseManaged": not own,
        "pricingTiers": [tier],
    }


def score_configs(last_day: date) -> list[Row]:
    stamp = f"{last_day - timedelta(days=200)}T09:00:00.000Z"
    details: dict[str, dict[str, Any]] = {
        "correct": {
            "dataType": "BOOLEAN",
            "description": "Is the answer right and usable as it stands?",
            "categories": [{"label": "True", "value": 1}, {"label": "False", "value": 0}],
        },
        "rating": {"dataType": "NUMERIC", "description": "Stars", "minValue": 1, "maxValue": 5},
        "issue": {
            "dataType": "CATEGORICAL",
            "description": "What was wrong",
            "categories": [{"label": name, "value": i} for i, name in enumerate(CATEGORIES)],
        },
    }
    return [
        {
            "id": CONFIGS[name],
            "name": name,
            "isArchived": False,
            "description": None,
            "createdAt": stamp,
            "updatedAt": stamp,
            "projectId": app.PROJECT_ID,
            "maxValue": None,
            "minValue": None,
            "categories": None,
            **more,
        }
        for name, more in details.items()
    ]


def annotation_queues(last_day: date) -> list[Row]:
    stamp = f"{last_day - timedelta(days=200)}T09:00:00.000Z"
    return [
        {
            "id": QUEUE_ID,
            "name": "daily sample",
            "description": "A few answers of every day, labelled by people",
            "scoreConfigIds": [CONFIGS["correct"]],
            "createdAt": stamp,
            "updatedAt": stamp,
        }
    ]
