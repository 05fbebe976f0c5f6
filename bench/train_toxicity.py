"""Fits the toxicity scorer again: `python -m bench.train_toxicity MODERATION DAVIDSON DATA`.

MODERATION is samples-1680.jsonl.gz of openai/moderation-api-release, DAVIDSON labeled_data.csv of
t-davidson/hate-speech-and-offensive-language, DATA the folder with banking77 and halueval_general.
Prints the AUC on moderation prompts out of fold, beside length alone, then writes toxicity.json.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import vstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from llmops_jobs.evals.scorers import hashed, toxicity

_SEED, _TWEETS, _C, _TWEET_WEIGHT, _PLAIN_WEIGHT = 0, 3000, 12.0, 0.05, 0.3


def moderation(path: Path) -> tuple[list[str], np.ndarray]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    labels = [any(v == 1 for k, v in row.items() if k != "prompt") for row in rows]
    return [row["prompt"] for row in rows], np.array(labels, dtype=float)


def ordinary(folder: Path) -> tuple[list[str], list[str]]:
    """Ordinary texts to learn from, and others to check on."""
    questions = pd.read_csv(folder / "banking77/train.csv.gz")["text"].sample(1500, random_state=0)
    answers = pd.read_parquet(folder / "halueval_general/general.parquet")["chatgpt_response"]
    return [*questions, *answers.iloc[::2]], list(answers.iloc[1::2])


def main(moderation_path: Path, davidson_path: Path, folder: Path) -> None:
    prompts, truth = moderation(moderation_path)
    tweets = pd.read_csv(davidson_path).sample(_TWEETS, random_state=_SEED)
    plain, held_out = ordinary(folder)
    x = toxicity.counts(prompts)
    other = vstack([toxicity.counts(tweets["tweet"].tolist()), toxicity.counts(plain)])
    other_truth = np.r_[(tweets["class"] != 2).to_numpy(dtype=float), np.zeros(len(plain))]
    other_weight = np.r_[np.full(len(tweets), _TWEET_WEIGHT), np.full(len(plain), _PLAIN_WEIGHT)]

    def fit(rows: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=_C, max_iter=300).fit(
            vstack([x[rows], other]),
            np.r_[truth[rows], other_truth],
            sample_weight=np.r_[np.ones(len(rows)), other_weight],
        )

    predicted = np.zeros(len(truth))
    for learn, check in StratifiedKFold(5, shuffle=True, random_state=_SEED).split(x, truth):
        predicted[check] = fit(learn).predict_proba(x[check])[:, 1]
    length = np.array([len(prompt) for prompt in prompts])
    alone = roc_auc_score(truth, length)
    print(f"moderation, 5-fold: AUC {roc_auc_score(truth, predicted):.3f}", end=" ")
    print(f"kappa {cohen_kappa_score(truth, predicted > 0.5):.3f}", end=" ")
    print(f"(length alone {max(alone, 1 - alone):.3f}, n={len(truth)})")
    never = fit(np.zeros(0, dtype=int)).predict_proba(x)[:, 1]
    print(f"moderation, trained on the other sets only: AUC {roc_auc_score(truth, never):.3f}")
    model = fit(np.arange(len(truth)))
    about = "OpenAI moderation evaluation (MIT), Davidson et al. 2017 (MIT); words hashed"
    hashed.keep("toxicity", about, model, 0.05)
    marked = toxicity.probabilities(held_out) >= toxicity.THRESHOLD
    print(f"ordinary answers marked: {marked.mean():.4f} of {len(held_out)}")
    kept = toxicity.probabilities(prompts) >= toxicity.THRESHOLD
    print(f"in the set it was trained on, marked: {kept[truth == 1].mean():.2f} of the toxic")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
