"""Fits the groundedness scorer again: `python -m bench.train_grounding BEGIN`.

BEGIN is a checkout of google/BEGIN-dataset. Fits on wow/begin_dev_wow.tsv and
cmu-dog/begin_dev_cmu.tsv (both CC BY 4.0), prints the AUC on the other two files that it has, and
writes grounding.json. The weight of `order` is set, not fitted: BEGIN's contexts are short. It was
chosen on one half of FRANK and QAGS; without it the AUC on FRANK is 0.006 lower.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from llmops_jobs.evals.batch import words
from llmops_jobs.evals.scorers import grounding

TARGET = Path(grounding.__file__).with_name("grounding.json")
_LEARN = ("wow/begin_dev_wow.tsv", "cmu-dog/begin_dev_cmu.tsv")
_CHECK = ("wow/begin_test_wow.tsv", "topicalchat/begin_dev_tc.tsv")
_C, _ORDER = 0.05, 0.75


def load(file: Path) -> pd.DataFrame:
    rows = pd.read_csv(file, sep="\t")[["knowledge", "response", "begin_label"]].dropna()
    return rows.assign(backed=rows["begin_label"] == "Fully attributable")


def main(folder: Path) -> None:
    shown, truth, share = [], [], []
    for row in pd.concat([load(folder / name) for name in _LEARN]).itertuples():
        pieces = [*grounding.features(row.response, words(row.knowledge))]
        shown += [features for _, features in pieces]
        truth += [row.backed] * len(pieces)
        share += [1 / max(1, len(pieces))] * len(pieces)
    x = pd.DataFrame(shown).drop(columns="order")
    scale = StandardScaler().fit(x)
    model = LogisticRegression(C=_C, max_iter=3000).fit(scale.transform(x), truth, share)
    weights = model.coef_[0] / scale.scale_
    content = {
        "about": "BEGIN (Dziri et al. 2022), parts of Wizard of Wikipedia and CMU-DoG, CC BY 4.0",
        "intercept": round(float(model.intercept_[0] - weights @ scale.mean_), 2),
        "weights": dict(zip(x.columns, weights.round(2).tolist(), strict=True)) | {"order": _ORDER},
    }
    TARGET.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    grounding._weights.cache_clear()
    for name in _CHECK:
        if (folder / name).exists():
            rows = load(folder / name)
            pairs = zip(rows["response"], rows["knowledge"].map(words), strict=True)
            found = np.array([grounding.grounded(*pair) for pair in pairs])
            print(f"{name}: AUC {roc_auc_score(rows['backed'], found):.3f} (n={len(rows)})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
