"""Fits the weights of the refusal scorer again: `python -m bench.train_refusal DATA_FOLDER`.

DATA_FOLDER holds xstest_refusals/labels.parquet and halueval_general/general.parquet. Prints the
agreement with people with each model left out in turn, then writes `refusal.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from llmops_jobs.evals.scorers import refusal

TARGET = Path(refusal.__file__).with_name("refusal.json")
HALUEVAL_WEIGHT, C = 0.3, 0.3


def _matrix(texts: pd.Series, vectorizer: DictVectorizer, fit: bool = False) -> np.ndarray:
    rows = [dict.fromkeys(cues, 1.0) for cues in refusal.features(list(texts))]
    return vectorizer.fit_transform(rows) if fit else vectorizer.transform(rows)


def load(folder: Path) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """XSTest, and HaluEval answers that show no strong cue: half to fit, half to check."""
    labelled = pd.read_parquet(folder / "xstest_refusals/labels.parquet")
    answers = pd.read_parquet(folder / "halueval_general/general.parquet")["chatgpt_response"]
    cues = refusal.features(answers.tolist())
    plain = answers[[not each & {"strong", "sorry@head", "as_an_ai@head"} for each in cues]]
    return labelled, plain.iloc[::2], plain.iloc[1::2]


def main(folder: Path) -> dict[str, float]:
    """Kappa by the model that was left out, and of `all` together."""
    labelled, complying, held_out = load(folder)
    truth = (labelled["final_label"] != "1_full_compliance").to_numpy()
    vectorizer = DictVectorizer(sparse=False)
    x = _matrix(labelled["completion"], vectorizer, fit=True)
    extra = _matrix(complying, vectorizer)
    gate = labelled["completion"].map(lambda t: bool(refusal._CORE.search(t.strip()[:600])))

    def fit(mask: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=C, max_iter=3000).fit(
            np.vstack([x[mask], extra]),
            np.r_[truth[mask], np.zeros(len(extra))],
            sample_weight=np.r_[np.ones(mask.sum()), np.full(len(extra), HALUEVAL_WEIGHT)],
        )

    predicted = np.zeros(len(labelled), dtype=bool)
    for name in labelled["model"].unique():
        inside = (labelled["model"] == name).to_numpy()
        predicted[inside] = fit(~inside).predict(x[inside]).astype(bool)
    short = vectorizer.vocabulary_["strong_and_short"]
    predicted = (predicted | (x[:, short] > 0)) & gate.to_numpy()
    agreed = {}
    for name in [*labelled["model"].unique(), "all"]:
        rows = (labelled["model"] == name).to_numpy() | (name == "all")
        agreed[name] = float(cohen_kappa_score(truth[rows], predicted[rows]))
        print(f"left out {name:14s} n={rows.sum():5d} kappa={agreed[name]:.3f}")
    model = fit(np.ones(len(labelled), dtype=bool))
    weights = dict(zip(vectorizer.get_feature_names_out(), model.coef_[0].round(2), strict=True))
    content = {
        "about": "Logistic regression on XSTest (Röttger et al., CC BY 4.0) and HaluEval (MIT)",
        "intercept": round(float(model.intercept_[0]), 2),
        "weights": {str(k): float(v) for k, v in sorted(weights.items()) if v},
    }
    TARGET.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    refusal._weights.cache_clear()
    wrong = held_out.map(lambda text: refusal.probability(text) >= 0.5).mean()
    print(f"complying HaluEval answers called refusals: {wrong:.4f} of {len(held_out)}")
    return agreed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
