"""Groundedness on FRANK, beside the metrics that its file holds: `python -m bench.frank FOLDER`.

FOLDER is data/ of a checkout of artidoro/frank (MIT): benchmark_data.json with the texts,
human_annotations.json with people's factuality (0 to 1, the share of a summary's sentences that
they found true) and baseline_factuality_metrics_outputs.json. Groundedness was fitted on none of
it. Spearman is with the factuality, AUC is of the summaries that people found true throughout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

from llmops_jobs.evals.batch import words
from llmops_jobs.evals.scorers.grounding import grounded

_KEY = ["hash", "model_name"]
_LEXICAL = ["Rouge 1", "Rouge 2", "Rouge L", "Bleu", "Meteor"]


def load(folder: Path) -> pd.DataFrame:
    texts, people, metrics = (
        pd.DataFrame(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
        for name in (
            "benchmark_data",
            "human_annotations",
            "baseline_factuality_metrics_outputs",
        )
    )
    rows = people[[*_KEY, "dataset", "Factuality"]].merge(metrics[[*_KEY, *_LEXICAL]], on=_KEY)
    return rows.merge(texts[[*_KEY, "article", "summary"]], on=_KEY)


def copied(answer: list[str], context: list[str], n: int) -> float:
    """The share of an answer's runs of n words that its context has."""
    held = set(zip(*(context[i:] for i in range(n)), strict=False))
    runs = [*zip(*(answer[i:] for i in range(n)), strict=False)]
    return sum(run in held for run in runs) / max(1, len(runs))


def main(folder: Path) -> None:
    rows = load(folder)
    read = [*map(words, rows["article"])]
    said = [*map(words, rows["summary"])]
    rows["groundedness"] = [*map(grounded, rows["summary"], read)]
    rows["copied trigrams"] = [copied(s, r, 3) for s, r in zip(said, read, strict=True)]
    for name, part in [("all", rows), *rows.groupby("dataset")]:
        true = part["Factuality"] >= 1
        print(f"FRANK {name}: {len(part)} summaries, {true.sum()} true throughout")
        for metric in ("groundedness", "copied trigrams", *_LEXICAL):
            rho = part[metric].corr(part["Factuality"], method="spearman")
            print(f"  {metric:15s} AUC {roc_auc_score(true, part[metric]):.3f} Spearman {rho:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
