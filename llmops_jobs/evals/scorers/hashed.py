"""Small linear models on hashed words: what scorers of wording share.

Of a model only its larger weights are kept, as JSON beside the scorer; words are hashed, so that
the file spells none of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

PLACES = 1 << 14


def words(texts: Sequence[str], length: int, places: int = PLACES) -> Any:
    """Sparse rows of the words in the first `length` characters of each text, of length one."""
    return _vectorizer(places).transform([text[:length] for text in texts])


def probabilities(name: str, rows: Any) -> np.ndarray:
    """What the model `name` says of each row, 0 to 1: rows of `words`, or longer ones."""
    weights, intercept = _weights(name, rows.shape[1])
    odds = rows @ weights + intercept
    found: np.ndarray = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return found


def keep(name: str, about: str, model: Any, smallest: float) -> int:
    """Writes a fitted `LogisticRegression` as the model `name`; how many weights it has."""
    weights = model.coef_[0].round(2)
    places = np.flatnonzero(np.abs(weights) >= smallest)
    content = {
        "about": about,
        "intercept": round(float(model.intercept_[0]), 3),
        "places": places.tolist(),
        "weights": [round(float(w), 2) for w in weights[places]],
    }
    target = Path(__file__).with_name(f"{name}.json")
    target.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    _weights.cache_clear()
    return len(places)


@cache
def _vectorizer(places: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=places, alternate_sign=False, norm="l2", binary=True)


@cache
def _weights(name: str, places: int) -> tuple[np.ndarray, float]:
    model = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    weights = np.zeros(places)
    weights[model["places"]] = model["weights"]
    return weights, float(model["intercept"])
