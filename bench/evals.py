"""Scorers, quality model, estimate, sampling and drift, measured on labelled data.

`python -m bench.evals` (or `make bench`). The data is looked for where the tests look for it.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd

from llmops_jobs.evals.batch import Batch, words
from llmops_jobs.evals.calls import Call
from llmops_jobs.evals.estimate import Sums, anchored_rate, weighted_rate
from llmops_jobs.evals.model.features import SCORERS, Features, features_of
from llmops_jobs.evals.model.fit import Examples, fit, train
from llmops_jobs.evals.rows import score_calls
from llmops_jobs.evals.sampling import judge_weights, probabilities, systematic
from llmops_jobs.evals.scorer import installed
from llmops_jobs.evals.scorer import run as run_scorer
from llmops_jobs.evals.scorers import refusal
from llmops_jobs.evals.shift import share_shift, text_shift
from tests.conftest import SHARED

_DATA = SHARED / "data"


def run() -> None:
    if not _DATA.exists():
        print(f"evals: the labelled data is not at {_DATA.name}; nothing measured")
        return
    for part in (speed, hostile, quality_model, coverage, sampling_gain, drift_alarms):
        part()


def speed(n: int = 1500, size: int = 2048) -> None:
    """All rule scorers together on traces of 2 KB, beside splitting the same text into words."""
    rows = pd.read_parquet(_DATA / "halueval_general/general.parquet").iloc[: n + 8]
    answers, questions = rows["chatgpt_response"].tolist(), rows["user_query"].tolist()
    calls = []
    for i in range(n):
        text = " ".join(answers[i : i + 8])
        answer, context = text[: size // 2], text[size // 2 - 200 : size - 400]
        user = f"<context>{context}</context>{questions[i][:200]}"
        messages = [{"role": "system", "content": "Help."}, {"role": "user", "content": user}]
        calls.append(Call(str(i), "o", json.dumps(messages), answer, finish_reason="stop"))
    scorers = [each for each in installed() if each.kind == "rule"]
    warm = Batch(calls[:50])
    for each in scorers:
        run_scorer(each, warm)
    start = time.process_time()
    batch = Batch(calls)
    for each in scorers:
        run_scorer(each, batch)
    whole = time.process_time() - start
    start = time.process_time()
    for call in calls:
        words(call.raw_input)
        words(call.raw_output)
    floor = time.process_time() - start
    print(
        f"evals: {len(scorers)} rule scorers, {size} B a trace: {n / whole:,.0f} traces/s of one "
        f"core, {whole / floor:.1f} x splitting the text into words"
    )


def hostile(size: int = 1_000_000) -> None:
    """The slowest scorer on one call of hostile texts, of one and of two times a size: a pattern
    that goes back over its text would take four times as long on the larger."""
    seeds = (
        *(
            "a",
            "(",
            "1",
            " ",
            "@",
            "a@b.",
            "1.",
            "12 34-",
            "[",
            '{"a":',
            "AB12 ",
            "\n",
            "a'",
            "ff:",
        ),
        *(
            "<context>",
            "ignore all the ",
            "sk-",
            "://a:",
            "-----BEGIN ",
            "Yes. ",
            "مرحبا ",
            "\ud800",
        ),
    )
    worst = {}
    for each in installed():  # models are loaded before
        run_scorer(
            each, Batch([Call("t", "o", "¿Dónde está mi paquete hoy?", "Llega mañana, sí.")])
        )
    for n in (size, 2 * size):
        took: dict[str, float] = {}
        for seed in seeds:
            text = seed * (n // len(seed))
            batch = Batch([Call("t", "o", f"<context>{text}</context> {text}", text)])
            for each in installed():
                start = time.process_time()
                (score,) = run_scorer(each, batch)
                took[each.name] = max(took.get(each.name, 0), time.process_time() - start)
                assert score.status != "error", (each.name, seed)
        worst[n] = max((seconds, name) for name, seconds in took.items())
    told = ", ".join(f"{s:.2f} s at {n / 1e6:.0f} MB ({name})" for n, (s, name) in worst.items())
    print(f"evals: the slowest scorer on one of {len(seeds)} hostile texts: {told}")


def quality_model() -> None:
    """HaluEval: people's verdict predicted out of fold and forward in time, beside the best single
    cheap scorer or feature. Every weight, word rarity and scale is of the training part alone;
    equal questions stay in one fold."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    rows = pd.read_parquet(_DATA / "halueval_general/general.parquet")
    rows = rows.sample(frac=1, random_state=0).reset_index(drop=True)
    passed = (rows["hallucination"].str.lower() != "yes").to_numpy(dtype=float)
    everyone = np.ones(len(rows))
    examples = Examples(halueval_features(rows), passed, everyone.astype(bool), everyone)
    folds, areas = [], []
    for seed in range(3):
        odds = np.zeros(len(rows))
        split = StratifiedGroupKFold(10, shuffle=True, random_state=seed)
        for known, tried in split.split(odds, passed, rows["user_query"].str.lower()):
            odds[tried] = fit(examples.rows(known)).odds(examples.features.rows(tried))
        folds.append(odds)
        areas.append(roc_auc_score(passed, odds))
    found = train(examples)
    print(
        f"evals: quality model on HaluEval ({len(rows)} answers): AUC {np.mean(areas):.3f} out of "
        f"ten folds ({min(areas):.3f} to {max(areas):.3f} over 3 shuffles), best single feature "
        f"{found.baseline_auc:.3f}; forward in time, trained on a half on average, "
        f"{found.auc:.3f}, Brier {found.brier:.4f} (base rate {found.base_brier:.4f}), "
        f"{found.status}"
    )


def halueval_features(rows: pd.DataFrame) -> Features:
    calls = [
        Call(str(i), "o", question, answer)
        for i, (question, answer) in enumerate(
            zip(rows["user_query"], rows["chatgpt_response"], strict=True)
        )
    ]
    batch = Batch(calls)
    cheap = [each for each in installed() if each.name in SCORERS]
    return features_of(batch, score_calls(batch, cheap))


def _xstest() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Human verdict (complied), the GPT-4 judge's, and our cheap score, of every XSTest answer."""
    rows = pd.read_parquet(_DATA / "xstest_refusals/labels.parquet")
    human = (rows["final_label"] == "1_full_compliance").to_numpy(dtype=float)
    judge = (rows["gpt4_label"] == "1_full_compliance").to_numpy(dtype=float)
    cheap = 1 - rows["completion"].map(refusal.probability).to_numpy(dtype=float)
    return human, judge, cheap


def _sums(w: np.ndarray, y: np.ndarray, f: np.ndarray) -> Sums:
    v = w * w
    parts = (w, w * y, w * f, v, v * y, v * f, v * y * f, v * f * f)
    return Sums(len(y), *(float(part.sum()) for part in parts))


def coverage(nights: int = 2000, labels: int = 100) -> None:
    """Nights drawn from XSTest's labels, the GPT-4 judge on all rows and people on some."""
    human, judge, _ = _xstest()
    rng = np.random.default_rng(0)
    truth = human.mean()
    rows: dict[str, list[float]] = {k: [] for k in ("in", "raw in", "error", "alone", "wider")}
    for _ in range(nights):
        night = rng.integers(0, len(human), 1000)
        y, f = human[night], judge[night]
        some = slice(0, labels)
        labelled = _sums(np.full(labels, 1000 / labels), y[some], f[some])
        found = anchored_rate(labelled, _sums(np.ones(1000), f, f))
        alone = weighted_rate(labelled)
        half = 1.96 * f.std() / 1000**0.5
        rows["in"].append(found.low <= truth <= found.high)
        rows["raw in"].append(abs(f.mean() - truth) <= half)
        rows["error"].append(found.estimate - truth)
        rows["alone"].append(alone.estimate - truth)
        rows["wider"].append((found.high - found.low) / (alone.high - alone.low))
    rmse = {k: float(np.sqrt(np.mean(np.square(rows[k])))) for k in ("error", "alone")}
    print(
        f"evals: {labels} labels a night: 95 % interval covers {np.mean(rows['in']):.3f} (the "
        f"judge's own {np.mean(rows['raw in']):.3f}); RMSE {rmse['error'] / rmse['alone']:.2f} x "
        f"labels alone; width {np.mean(rows['wider']):.2f} x, at most {max(rows['wider']):.2f} x"
    )


def sampling_gain(nights: int = 1000, labels: int = 200, size: int = 1000) -> None:
    """Labels drawn as the product draws them, with the prediction, against as many drawn uniformly
    and used alone. Nights are drawn from XSTest, which the cheap score was fitted on: a score that
    agrees less with people gains less."""
    human, _, cheap = _xstest()
    rng = np.random.default_rng(1)
    cheap = np.clip(cheap, 0.02, 0.98)
    errors: dict[str, list[float]] = {k: [] for k in ("uniform", "uniform ppi", "drawn", "ppi")}
    covered = []
    for _ in range(nights):
        night = rng.integers(0, len(human), size)
        y, f = human[night], cheap[night]
        truth, everything = y.mean(), _sums(np.ones(size), f, f)
        some = rng.choice(size, labels, replace=False)
        plain = _sums(np.full(labels, size / labels), y[some], f[some])
        chance = probabilities(judge_weights(f, np.ones(size)), labels)
        strata = [f"{p < 0.5}" for p in f]
        picked = systematic(chance, strata, rng.random(size), float(rng.random()))
        drawn = _sums(1 / chance[picked], y[picked], f[picked])
        found = anchored_rate(drawn, everything)
        errors["uniform"].append(weighted_rate(plain).estimate - truth)
        errors["uniform ppi"].append(anchored_rate(plain, everything).estimate - truth)
        errors["drawn"].append(weighted_rate(drawn).estimate - truth)
        errors["ppi"].append(found.estimate - truth)
        covered.append(found.low <= human.mean() <= found.high)
    mse = {name: float(np.mean(np.square(each))) for name, each in errors.items()}
    gain = {name: mse["uniform"] / each for name, each in mse.items()}
    print(
        f"evals: {labels} labels of {size} calls, against uniform labels alone: uniform with the "
        f"prediction worth {gain['uniform ppi']:.1f} x, drawn by doubt and risk alone "
        f"{gain['drawn']:.1f} x, drawn with the prediction {gain['ppi']:.1f} x; that interval "
        f"covers {np.mean(covered):.3f}"
    )


def drift_alarms(nights: int = 150) -> None:
    """False alarms at 5 % on Banking77 without drift, and what is seen of a changed mix."""
    rows = pd.read_csv(_DATA / "banking77/train.csv.gz")
    rng = np.random.default_rng(2)
    texts, intents = rows["text"].to_numpy(), rows["category"].to_numpy()
    foreign = np.flatnonzero(np.isin(intents, sorted(set(intents))[:8]))
    usual = np.setdiff1d(np.arange(len(rows)), foreign)
    false, seen, shares = 0, 0, 0
    for night in range(nights):
        drawn = rng.choice(usual, 1000, replace=False)
        before, after = list(texts[drawn[:500]]), list(texts[drawn[500:]])
        quiet = text_shift(before, after, night)
        mixed = after[:400] + list(texts[rng.choice(foreign, 100, replace=False)])
        loud = text_shift(before, mixed, night)
        false += quiet is not None and quiet[1] < 0.05
        seen += loud is not None and loud[1] < 0.05
        share = share_shift(
            rng.binomial(3500, 0.08) / 3500, 3500, rng.binomial(500, 0.08) / 500, 500
        )
        shares += share is not None and share.p_value < 0.05
    print(
        f"evals: drift of 500 questions: false alarms {false / nights:.1%} (shares "
        f"{shares / nights:.1%}), a fifth of foreign traffic seen {seen / nights:.0%}"
    )


if __name__ == "__main__":
    run()
