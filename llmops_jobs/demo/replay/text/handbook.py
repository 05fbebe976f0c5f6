"""The shop's handbook, read from `handbook.yaml`: facts by language and topic."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final, NamedTuple

import yaml

TOPICS: Final = (
    "billing",
    "delivery",
    "returns",
    "account-security",
    "travel",
    "internet-setup",
    "payroll",
    "data-export",
)
SECURITY: Final = TOPICS.index("account-security")
#: Of the security topic only what its first fact answers.
LEAK: Final = len(TOPICS)


class Fact(NamedTuple):
    questions: tuple[str, ...]
    passage: str
    answer: str


Handbook = dict[str, dict[str, tuple[Fact, ...]]]


@cache
def handbook() -> Handbook:
    """Facts by language and topic; languages other than English lack some topics."""
    text = (resources.files(__package__) / "handbook.yaml").read_text(encoding="utf-8")
    return {
        language: {
            topic: tuple(Fact(tuple(f["ask"]), f["passage"], f["answer"]) for f in facts)
            for topic, facts in topics.items()
        }
        for language, topics in yaml.safe_load(text).items()
    }


def topic_in(language: str, topic: int) -> str:
    """The topic's name; where the language lacks it, another one, never the security topic."""
    name = TOPICS[SECURITY if topic == LEAK else topic]
    known = handbook()[language]
    if name in known:
        return name
    others = [other for other in known if other != TOPICS[SECURITY]]
    return others[topic % len(others)]
