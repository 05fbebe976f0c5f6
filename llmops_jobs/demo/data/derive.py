"""Derives `measured.npz` from the public sets: `python -m llmops_jobs.demo.data.derive FOLDER`.

FOLDER holds one folder per set, named as in docs/demo.md, which also has their sources and
licences. Only numbers are taken: lengths, counts, shares, profiles. The same sets give the same
numbers; every array says here what it is.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TARGET = Path(__file__).with_name("measured.npz")
JOINT_ROWS = 4096
TENANTS = 12
INDEX_DAYS = 182  # whole weeks


def derive(folder: Path) -> dict[str, np.ndarray]:
    """Every array of `measured.npz`, from the sets in the folder."""
    azure = pd.read_csv(folder / "azure_llm_2023/conv.csv.gz", parse_dates=["TIMESTAMP"])
    mooncake = pd.read_parquet(folder / "mooncake/conversation_trace.parquet")
    azure_s = (azure["TIMESTAMP"] - azure["TIMESTAMP"].min()).dt.total_seconds()
    return {
        # (input, output) tokens of single requests, jointly: rows spread evenly over the sorted set
        "chat_lengths": _joint(azure["ContextTokens"], azure["GeneratedTokens"]),
        "document_lengths": _joint(mooncake["input_length"], mooncake["output_length"]),
        # arrivals in each five seconds of one real hour
        "hour_arrivals": np.stack(
            [_arrivals(azure_s), _arrivals(mooncake["timestamp_ms"] / 1000)]
        ).astype(np.uint16),
        **_tenants(folder / "servegen_hourly/hourly.parquet"),
        **_level(folder / "openrouter_class_daily/daily.csv.gz"),
        **_models(folder / "openrouter_model_daily/daily.csv.gz"),
        **_usage(folder / "provider_usages/usages.json.gz"),
        "agent_generations": _agent_steps(folder / "langfuse_framework_traces"),
    }


def _joint(inputs: pd.Series, outputs: pd.Series) -> np.ndarray:
    pairs = pd.DataFrame({"i": inputs, "o": outputs}).sort_values(["i", "o"]).to_numpy()
    at = np.linspace(0, len(pairs) - 1, JOINT_ROWS).round().astype(int)
    return pairs[at].astype(np.uint32)


def _arrivals(seconds: pd.Series) -> np.ndarray:
    return np.histogram(seconds, bins=720, range=(0, 3600))[0]


def _tenants(path: Path) -> dict[str, np.ndarray]:
    """Shares of the largest clients of one service, and each one's 24-hour profile (mean 1)."""
    hourly = pd.read_parquet(path).query("model == 'm-small'")
    total = hourly.groupby("client")["req"].sum().nlargest(TENANTS)
    of_day = hourly.assign(hour=hourly["hour"] % 24).groupby(["client", "hour"])["req"].mean()
    profiles = np.stack([of_day[client].reindex(range(24), fill_value=0) for client in total.index])
    return {
        "tenant_shares": (total / total.sum()).to_numpy(np.float32),
        "tenant_hours": (profiles / profiles.mean(axis=1, keepdims=True)).astype(np.float32),
    }


def _level(path: Path) -> dict[str, np.ndarray]:
    """Daily tokens against their own four-week trend, from a Monday on, and the trend's slope."""
    daily = pd.read_csv(path, parse_dates=["date"]).set_index("date")
    total = daily.sum(axis=1).resample("D").sum(min_count=1)
    logs = np.log(total.interpolate())
    index = np.exp(logs - logs.rolling(29, center=True, min_periods=15).mean())
    last_sunday = index.index[index.index.day_of_week == 6].max()
    window = index.loc[:last_sunday].tail(INDEX_DAYS)
    recent = logs.tail(INDEX_DAYS)
    slope = np.polyfit(np.arange(len(recent)), recent, 1)[0]
    return {
        "level_index": window.to_numpy(np.float32),
        "level_daily_growth": np.array(slope, np.float32),
    }


def _models(path: Path) -> dict[str, np.ndarray]:
    """Share by rank of the most used models, and how far log shares move from day to day."""
    daily = pd.read_csv(path, parse_dates=["date"]).query("model != 'other'")
    shares = daily.pivot_table(index="date", columns="model", values="total_tokens")
    shares = shares.div(shares.sum(axis=1), axis=0)
    ranked = shares.mean().sort_values(ascending=False).head(TENANTS)
    steady = shares[ranked.index].dropna(axis=1)
    moves = np.log(steady).diff().dropna().to_numpy()
    return {
        "model_rank_shares": (ranked / ranked.sum()).to_numpy(np.float32),
        "model_share_moves": np.array(moves.std(), np.float32),
    }


def _usage(path: Path) -> dict[str, np.ndarray]:
    """Quantiles (0, 5, ... 100 %) of reasoning and cached shares in real provider responses."""
    with gzip.open(path) as file:
        rows = json.load(file)
    reasoning: dict[str, list[float]] = {"openai": [], "google": []}
    cached: dict[str, list[float]] = {"openai": [], "anthropic": []}
    for row in rows:
        usage = row["body"].get("usage") or row["body"].get("usageMetadata") or {}
        if "thoughtsTokenCount" in usage:
            thoughts = usage["thoughtsTokenCount"]
            _share(reasoning["google"], thoughts, thoughts + usage.get("candidatesTokenCount", 0))
        details = usage.get("output_tokens_details") or usage.get("completion_tokens_details") or {}
        out = usage.get("output_tokens") or usage.get("completion_tokens")
        _share(reasoning["openai"], details.get("reasoning_tokens"), out)
        details = usage.get("input_tokens_details") or usage.get("prompt_tokens_details") or {}
        prompt = usage.get("input_tokens") or usage.get("prompt_tokens")
        _share(cached["openai"], details.get("cached_tokens"), prompt)
        read = usage.get("cache_read_input_tokens")
        if read:
            written = usage.get("cache_creation_input_tokens") or 0
            _share(cached["anthropic"], read, read + written + (usage.get("input_tokens") or 0))
    points = np.linspace(0, 1, 21)
    return {
        f"{name}_{kind}_share": np.quantile(values, points).astype(np.float32)
        for name, table in (("reasoning", reasoning), ("cached", cached))
        for kind, values in table.items()
    }


def _share(into: list[float], part: Any, whole: Any) -> None:
    if part and whole and 0 < part <= whole:
        into.append(part / whole)


def _agent_steps(folder: Path) -> np.ndarray:
    """Model calls per trace of the framework runs that use tools."""
    steps = []
    for path in sorted(folder.glob("*.trace.json.gz")):
        with gzip.open(path) as file:
            content = json.load(file)
        observations = content.get("observations") or content["trace"]["observations"]
        types = [row["type"] for row in observations]
        if len(types) > 2:
            steps.append(max(1, types.count("GENERATION")))
    return np.array(sorted(steps), np.uint8)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m llmops_jobs.demo.data.derive FOLDER")
    arrays = derive(Path(sys.argv[1]))
    np.savez_compressed(TARGET, allow_pickle=False, **arrays)
    for name, array in arrays.items():
        print(f"{name:24} {array.shape!s:12} {array.dtype}")
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
