"""What users ask about: clusters of questions with readable names and ids that stay.

TF-IDF, latent semantic analysis (truncated SVD) and k-means over two weeks of questions; k by
silhouette. A topic is named by its class-based TF-IDF words (Grootendorst 2022, arXiv 2203.05794).
A fit is made once a week, on a day that the calendar fixes, so that a backfill makes the same; its
clusters keep the ids of the earlier topics whose words they share. Names are words of users, so
only words that many users wrote become names: nobody's secret is a topic.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from llmops_jobs.evals.versions import content_version

#: Fewer questions than this make no topics.
MIN_QUESTIONS = 200
_MAX_FIT = 1500
_CANDIDATES = (6, 10, 15)
_DIMENSIONS = 40
_TERMS = 30
#: The id of what is unlike every topic, and its share at the fit.
OTHER = "other"
_UNLIKE = 0.05
#: Cosine of two topics' words from which they are the same topic.
SAME = 0.35


@dataclass(frozen=True)
class Topics:
    """A fitted clustering: `names`, `ids` and `terms` are parallel, one per cluster, and last the
    questions that are unlike every cluster. A name is '' when too few users share its words;
    terms are hashed words, which the next fit's can be matched with and nobody reads."""

    ids: list[str]
    names: list[str]
    terms: list[dict[str, float]]
    _vectorizer: Any
    _reduce: Any
    _clusters: Any
    _alike: float  # below this a question belongs to no cluster

    def assign(self, texts: Sequence[str]) -> np.ndarray:
        """The index of every text's topic."""
        if not texts:
            return np.zeros(0, dtype=int)
        alike = _alike(self._vectorizer, self._reduce, self._clusters, texts)
        found: np.ndarray = alike.argmax(axis=1)
        found[alike.max(axis=1) < self._alike] = len(self.ids) - 1
        return found


def fit(
    texts: Sequence[str],
    users: Sequence[str],
    known: Mapping[str, Mapping[str, float]],
    seed: int,
    floor: int,
) -> Topics | None:
    """Topics of some questions; None when there are too few. `known` maps ids to their terms, and
    a word names a topic when at least `floor` of `users`, who asked, wrote it."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.metrics import silhouette_score

    texts, users = _sample(texts, users, _MAX_FIT)
    if len(texts) < MIN_QUESTIONS:
        return None
    vectorizer = _vectorizer()
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError:  # no word occurs twice
        return None
    size = min(_DIMENSIONS, matrix.shape[1] - 1, len(texts) - 1)
    if size < 2:
        return None
    reduce = TruncatedSVD(size, random_state=seed, n_iter=3).fit(matrix)
    points = _unit(reduce.transform(matrix))
    distinct = len(np.unique(points.round(6), axis=0))
    best, best_value = None, -2.0
    for k in (k for k in _CANDIDATES if 3 * k <= distinct):
        clusters = KMeans(k, random_state=seed, n_init=2, max_iter=50).fit(points)
        value = silhouette_score(points, clusters.labels_, sample_size=600, random_state=seed)
        if value > best_value + 0.01:
            best, best_value = clusters, float(value)
    if best is None:
        return None
    words = _terms(texts, best.labels_, best.n_clusters)
    common = _shared(texts, users, {word for each in words for word in each}, floor)
    terms = [{_hashed(word): weight for word, weight in each.items()} for each in words]
    alike = _alike(vectorizer, reduce, best, texts).max(axis=1)
    return Topics(
        [*_ids(terms, known), OTHER],
        [*(_name(each, common) for each in words), "unlike any topic"],
        [*terms, {}],
        vectorizer,
        reduce,
        best,
        float(np.quantile(alike, _UNLIKE)),
    )


def telling_words(
    texts: Sequence[str], users: Sequence[str], inside: np.ndarray, floor: int
) -> str:
    """The words that tell the texts of the mask from the others, for a name; '' when fewer than
    `floor` users share them."""
    if not inside.any():
        return ""
    try:
        words = _terms(texts, np.where(inside, 0, 1), 2)[0]
    except ValueError:  # no word occurs twice
        return ""
    return _name(words, _shared(texts, users, set(words), floor))


def rows(topics: Topics, known: pd.DataFrame, day: Any) -> pd.DataFrame:
    """Rows of the table `topic` after a fit on `day`."""
    first = dict(zip(known["topic_id"], known["first_seen"], strict=True))
    return pd.DataFrame(
        {
            "topic_id": topics.ids,
            "name": topics.names,
            "terms": [json.dumps(each, ensure_ascii=False) for each in topics.terms],
            "first_seen": [first.get(each, day) for each in topics.ids],
            "last_seen": day,
        }
    )


def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        sublinear_tf=True, min_df=2, max_df=0.4, max_features=6000, token_pattern=_TOKEN
    )


_TOKEN = r"(?u)\b[^\W\d_]{3,}\b"


def _alike(vectorizer: Any, reduce: Any, clusters: Any, texts: Sequence[str]) -> np.ndarray:
    """Similarity of texts (rows) and clusters: the cosine, less what the reduction leaves out, so
    that a text of words that were rare in the fit is like nothing."""
    points = reduce.transform(vectorizer.transform(texts))
    found: np.ndarray = points @ _unit(clusters.cluster_centers_).T
    return found


def _unit(points: np.ndarray) -> np.ndarray:
    norms: np.ndarray = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.maximum(norms, 1e-9)


def _sample(texts: Sequence[str], users: Sequence[str], n: int) -> tuple[list[str], list[str]]:
    """At most n texts with their users, chosen by hash: the same in any order."""
    pairs = sorted(zip(texts, users, strict=True))
    if len(pairs) > n:
        digest = [
            hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
            for text, _ in pairs
        ]
        chosen = sorted(range(len(pairs)), key=lambda i: (digest[i], i))[:n]
        pairs = sorted(pairs[i] for i in chosen)
    return [text for text, _ in pairs], [user for _, user in pairs]


def _shared(
    texts: Sequence[str], users: Sequence[str], words: AbstractSet[str], floor: int
) -> set[str]:
    """Those of the words that at least `floor` users wrote; none when the floor is 0."""
    writers: dict[str, set[str]] = {word: set() for word in words}
    for text, user in zip(texts, users, strict=True):
        for word in words & set(re.findall(_TOKEN, text.lower())):
            writers[word].add(user)
    return {word for word, known in writers.items() if 0 < floor <= len(known)}


def _hashed(word: str) -> str:
    return hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _terms(texts: Sequence[str], labels: np.ndarray, k: int) -> list[dict[str, float]]:
    """Each cluster's words by class-based TF-IDF: frequent in the cluster, rare over all."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    counter = CountVectorizer(
        token_pattern=_TOKEN, stop_words=list(ENGLISH_STOP_WORDS), min_df=2, max_features=8000
    )
    counts = counter.fit_transform(texts)
    by_class = np.vstack([np.asarray(counts[labels == c].sum(axis=0)).ravel() for c in range(k)])
    totals = by_class.sum(axis=1, keepdims=True)
    rarity = np.log(1 + totals.mean() / np.maximum(by_class.sum(axis=0), 1e-9))
    weights = by_class / np.maximum(totals, 1) * rarity
    names = counter.get_feature_names_out()
    found = []
    for row in weights:
        top = np.argsort(-row, kind="stable")[:_TERMS]
        found.append({str(names[i]): round(float(row[i]), 5) for i in top if row[i] > 0})
    return found


def _name(words: Mapping[str, float], common: AbstractSet[str]) -> str:
    return ", ".join([word for word in words if word in common][:3])


def _ids(
    terms: Sequence[Mapping[str, float]], known: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Ids of the known topics that the clusters continue, and new ids for the others."""
    from scipy.optimize import linear_sum_assignment

    ids = [""] * len(terms)
    names = list(known)
    if names:
        alike = np.array([[_cosine(a, known[name]) for name in names] for a in terms])
        for i, j in zip(*linear_sum_assignment(-alike), strict=True):
            if alike[i, j] >= SAME:
                ids[i] = names[j]
    taken = set(ids) | set(names)
    for i, each in enumerate(terms):
        if not ids[i]:
            new, salt = content_version([sorted(each), 0], 8), 0
            while new in taken:
                salt += 1
                new = content_version([sorted(each), salt], 8)
            ids[i] = new
            taken.add(new)
    return ids


def _cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    dot = sum(value * b.get(word, 0.0) for word, value in a.items())
    norms = sum(v * v for v in a.values()) * sum(v * v for v in b.values())
    return float(dot / norms**0.5) if norms else 0.0
