"""A scorer against your own labelled file: `python -m bench.agreement SCORER FILE`.

FILE is CSV, JSON Lines or Parquet with a column `label` (1 where the scorer should fail the call: a
refusal, an injection, toxic, not grounded, …; degrees count from above 0) and `question`, `answer`
or `context`, as the scorer needs. Prints AUC and Cohen's kappa beside the length of the text alone,
at the threshold that suits length best: a scorer that is not above it has found out that long texts
are long.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from llmops_jobs.evals.batch import Batch
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.scorer import installed
from llmops_jobs.evals.scorer import run as run_scorer

_READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def compare(name: str, file: Path) -> tuple[float, float]:
    """Prints the agreement and returns the AUC of the scorer and of length alone."""
    read = _READERS.get(file.suffix) or (lambda path: pd.read_json(path, lines=True))
    rows = read(file).fillna("")
    texts = {
        kind: rows[kind].astype(str).tolist() if kind in rows else [""] * len(rows)
        for kind in ("question", "answer", "context")
    }
    calls = [
        Call(str(i), "o", _input(question, context), answer)
        for i, (question, answer, context) in enumerate(zip(*texts.values(), strict=True))
    ]
    (scorer,) = installed([name])
    scores = run_scorer(scorer, Batch(calls))
    scored = np.array([score.value is not None and score.passed is not None for score in scores])
    if not scored.any():
        raise SystemExit(f"{name} scored none of {file.name}: it needs {', '.join(scorer.needs)}")
    truth = (rows["label"].astype(float).to_numpy() > 0)[scored]
    failed = np.array([score.passed is False for score in scores])[scored]
    value = np.array([np.nan if score.value is None else score.value for score in scores])[scored]
    if np.corrcoef(value, failed)[0, 1] < 0:
        value = -value  # a scorer whose high values pass
    length = rows[max(texts, key=lambda kind: len("".join(texts[kind])))].str.len()[scored]
    length = length.to_numpy()
    area, alone = roc_auc_score(truth, value), roc_auc_score(truth, length)
    alone = max(alone, 1 - alone)
    cuts = np.quantile(length, np.linspace(0.02, 0.98, 49))
    best = max(abs(cohen_kappa_score(truth, length > cut)) for cut in cuts)
    print(
        f"{name} on {file.name}: {len(truth)} scored of {len(rows)}, {truth.sum()} labelled; AUC "
        f"{area:.3f} (length alone {alone:.3f}), kappa {cohen_kappa_score(truth, failed):.3f} "
        f"(length at its best {best:.3f}), marked {failed.mean():.2%}"
    )
    return float(area), float(alone)


def _input(question: str, context: str) -> str:
    inside = f"<context>{context}</context>\n{question}" if context else question
    return json.dumps([{"role": "user", "content": inside}])


if __name__ == "__main__":
    compare(sys.argv[1], Path(sys.argv[2]))
