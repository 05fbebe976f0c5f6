"""Estimate and draw on nights simulated from labelled sets: what covers, what is gained.

`python -m bench estimates`. XSTest with its GPT-4 judge and our refusal score, FRANK's factuality
with its metrics as judges, HaluEval with the quality model out of fold, and labels made up with
judges that are good, weak, useless, opposed or constant, at three rates of failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmops_jobs.evals.estimate import Sums, anchored_rate, weighted_rate
from llmops_jobs.evals.judge.choose import DOUBT
from llmops_jobs.evals.sampling import judge_weights, probabilities, systematic
from tests.conftest import SHARED

_DATA = SHARED / "data"
_NIGHTS = 1000
#: (labels, calls) of a night.
_SIZES = ((20, 1000), (50, 1000), (100, 500), (100, 1000), (100, 5000), (300, 1000))


@dataclass(frozen=True)
class Labelled:
    """A set's labels (1 passes), with what a judge says of each (0 to 1)."""

    name: str
    y: np.ndarray
    f: np.ndarray

    def night(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(0, len(self.y), n)
        return self.y[drawn], self.f[drawn]


def run() -> None:
    if not _DATA.exists():
        print("estimates: the labelled data is not here; nothing measured")
        return
    rng = np.random.default_rng(0)
    for each in sets(rng):
        for labels, calls in _SIZES if each.name in _FULL else ((50, 1000), (100, 1000)):
            for drawn in ("uniform", "by doubt"):
                print(f"estimates: {measured(each, labels, calls, drawn, rng)}")


_FULL = ("XSTest, GPT-4", "FRANK, FactCC", "10 % fail, good judge", "10 % fail, weak judge")


def sets(rng: np.random.Generator) -> Iterator[Labelled]:
    from llmops_jobs.evals.scorers import refusal

    rows = pd.read_parquet(_DATA / "xstest_refusals/labels.parquet")
    human = (rows["final_label"] == "1_full_compliance").to_numpy(dtype=float)
    judge = (rows["gpt4_label"] == "1_full_compliance").to_numpy(dtype=float)
    yield Labelled("XSTest, GPT-4", human, judge)
    cheap = 1 - rows["completion"].map(refusal.probability).to_numpy(dtype=float)
    yield Labelled("XSTest, refusal scorer", human, cheap)
    rows = pd.read_parquet(_DATA / "frank/frank.parquet")
    factual = (rows["Factuality"] >= 1).to_numpy(dtype=float)
    for metric in ("FactCC", "BertScore P Art", "QAGS", "Rouge 1", "Dep Entail"):
        ranks = rows[metric].fillna(rows[metric].median()).rank(pct=True)
        yield Labelled(f"FRANK, {metric}", factual, ranks.to_numpy(dtype=float))
    yield halueval()
    for rate in (0.02, 0.1, 0.5):
        y = (rng.random(20_000) >= rate).astype(float)
        u = rng.random(len(y))
        judges = {
            "good": np.where(y == 1, u < 0.95, u < 0.1),
            "weak": np.where(y == 1, u < 0.75, u < 0.45),
            "useless": u < 0.8,
            "opposed": np.where(y == 1, u < 0.2, u < 0.9),
            "constant": u < 2,
        }
        for name, f in judges.items():
            yield Labelled(f"{rate:.0%} fail, {name} judge".replace("%", " %"), y, f.astype(float))


def halueval() -> Labelled:
    """People's verdict, and the quality model's out of ten folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    from bench.evals import halueval_features
    from llmops_jobs.evals.model.fit import Examples, fit

    rows = pd.read_parquet(_DATA / "halueval_general/general.parquet")
    passed = (rows["hallucination"].str.lower() != "yes").to_numpy(dtype=float)
    everyone = np.ones(len(rows))
    examples = Examples(halueval_features(rows), passed, everyone.astype(bool), everyone)
    odds = np.zeros(len(rows))
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=0)
    for known, tried in folds.split(odds, passed, rows["user_query"].str.lower()):
        odds[tried] = fit(examples.rows(known)).odds(examples.features.rows(tried))
    return Labelled("HaluEval, quality model", passed, 1 / (1 + np.exp(-odds)))


def measured(each: Labelled, labels: int, calls: int, drawn: str, rng: np.random.Generator) -> str:
    """One line: coverage of the set's rate and of the night's own, errors and widths beside those
    of as many uniform labels alone, and how often the prediction was used."""
    truth = each.y.mean()
    found = []
    for _ in range(_NIGHTS):
        y, f = each.night(rng, calls)
        uniform = sums(np.full(labels, calls / labels), y[:labels], f[:labels])
        taken = draw(y, f, labels, rng) if drawn != "uniform" else uniform
        plain, alone = weighted_rate(uniform), weighted_rate(taken)
        got = anchored_rate(taken, sums(np.ones(calls), f, f))
        found.append(
            (
                got.low <= truth <= got.high,
                got.low <= y.mean() <= got.high,
                (got.estimate - truth) ** 2,
                (plain.estimate - truth) ** 2,
                (alone.estimate - truth) ** 2,
                (got.high - got.low) / (alone.high - alone.low),
                got.method == "ppi++",
            )
        )
    rows = np.array(found, dtype=float)
    inside, own, error, plain_error, alone_error, width, used = rows.mean(axis=0)
    return (
        f"{each.name}, {labels} labels of {calls} {drawn}: covers {inside:.3f} (the night's own "
        f"{own:.3f}); RMSE {np.sqrt(error / plain_error):.2f} x uniform labels alone, so worth "
        f"{plain_error / error:.1f} x as many (the draw alone {plain_error / alone_error:.1f} x); "
        f"width {width:.2f} x these labels alone, at most {rows[:, 5].max():.2f} x; prediction "
        f"used in {used:.0%}"
    )


def draw(y: np.ndarray, f: np.ndarray, n: int, rng: np.random.Generator) -> Sums:
    """Labels drawn as `llmops label` draws them."""
    chance = np.clip(f, 0.02, 0.98)
    probability = probabilities(judge_weights(chance, np.ones(len(f))), n)
    strata = np.digitize(chance, DOUBT).astype(str)
    picked = systematic(probability, strata, rng.random(len(f)), float(rng.random()))
    return sums(1 / probability[picked], y[picked], f[picked])


def sums(w: np.ndarray, y: np.ndarray, f: np.ndarray) -> Sums:
    v = w * w
    parts = (w, w * y, w * f, v, v * y, v * f, v * y * f, v * f * f)
    return Sums(len(y), *(float(part.sum()) for part in parts))


if __name__ == "__main__":
    run()
