"""The demo's own configuration: `llmops.yaml`, and the price file and gate rules beside it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from llmops_jobs.demo.replay.catalogue import CODE, CONTRACT_PRICES, MODELS
from llmops_jobs.demo.replay.marks import MARKS

_BOOK_KEYS = {
    "input": "input",
    "cache_read_input_tokens": "cache_read",
    "input_cache_creation_5m": "cache_write",
    "input_cache_creation_1h": "cache_write_1h",
    "output": "output",
}

GATE: Final[dict[str, Any]] = {
    "metrics": {
        "correct": {"margin": 0.03},
        "groundedness": {"margin": 0.03},
        "latency_s": {"margin": 0.15, "relative": True, "higher_is_better": False},
        "cost_usd": {"margin": 0.15, "relative": True, "higher_is_better": False},
    }
}


def write(home: Path, last_day: date, daily_usd: float, enabled: bool = True) -> Path:
    """Writes `llmops.yaml`, `prices.yaml` and `gate.yaml`; gives the path of the first.

    daily_usd: what an ordinary day costs, from which the budgets follow.
    """
    home.mkdir(parents=True, exist_ok=True)
    prices = home / "prices.yaml"
    _dump(prices, "Own prices, laid over the bundled price book.", price_file(last_day, enabled))
    settings = {
        "ledger": {"price_file": str(prices.resolve())},
        "budgets": budgets(daily_usd),
        # Enough for every scorer to find what is planted, and a demo of minutes.
        "ingest": {"texts_per_day": 120},
        "report": {"title": "Support assistant: quality & cost"},
    }
    _dump(home / "gate.yaml", "What a release of the demo's prompts must keep.", GATE)
    path = home / "llmops.yaml"
    _dump(path, "The demo's configuration.", settings)
    return path


def price_file(last_day: date, enabled: bool = True) -> dict[str, Any]:
    """The in-house model's price, and the contract price until it ended."""
    inhouse = MODELS[CODE["qwen3-32b-inhouse"]]
    begins = last_day - timedelta(days=400)
    contract: dict[str, Any] = {
        "match": {"model": "^claude-haiku-4-5.*$", "provider": "anthropic"},
        "from": begins,
        "per_million_tokens": _book(CONTRACT_PRICES),
        "note": "contract price",
    }
    if enabled:
        change = next(mark for mark in MARKS if mark.id == "price-change")
        contract["to"] = last_day - timedelta(days=change.first)
    return {
        "prices": [
            {
                "match": {"model": "^qwen3-32b-inhouse$"},
                "from": begins,
                "per_million_tokens": _book(inhouse.prices),
                "note": "own machines, by their depreciation and power",
            },
            contract,
        ]
    }


def budgets(daily_usd: float) -> list[dict[str, Any]]:
    """Some that hold, a tight one (chat), one that will be overrun (agents), one by day."""
    month = daily_usd * 30.4
    return [
        _budget("all spend", month * 1.3, "month", "total", "platform"),
        _budget("agents", month * 0.5, "month", "feature=agent-tools", "agents team"),
        _budget("chat", month * 0.09, "month", "feature=chat", "chat team"),
        _budget("search", month * 0.2, "month", "feature=rag-answer", "search team"),
        _budget("tenant umbrella", month * 0.25, "month", "tenant=umbrella", "sales"),
        _budget("a day", daily_usd * 1.7, "day", "total", "platform"),
    ]


def _budget(name: str, amount: float, period: str, scope: str, owner: str) -> dict[str, Any]:
    rounded = round(amount, 0 if amount >= 10 else 2)
    return {"name": name, "amount": rounded, "period": period, "scope": scope, "owner": owner}


def _book(prices: dict[str, float]) -> dict[str, float]:
    return {
        book: float(round(Decimal(str(prices[key])), 6))
        for key, book in _BOOK_KEYS.items()
        if key in prices
    }


class _Plain(yaml.SafeDumper):
    """Writes equal values twice instead of pointing from one to the other."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(path: Path, title: str, content: dict[str, Any]) -> None:
    text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    path.write_text(f"# {title}\n{text}", encoding="utf-8")
