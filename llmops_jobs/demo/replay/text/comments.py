"""What users write under a thumb, and the issue they pick."""

from __future__ import annotations

from typing import Final

ISSUES: Final = {
    "UNGROUNDED": "wrong",
    "WRONG": "wrong",
    "REFUSAL": "refused",
    "LANGUAGE": "language",
    "TRUNCATED": "incomplete",
    "REPETITION": "format",
    "IRRELEVANT": "off_topic",
    "PII": "privacy",
    "INVALID_JSON": "format",
    "MISSING_FIELD": "incomplete",
    "EMPTY": "incomplete",
    "TOOL_MISUSE": "wrong",
    "slow": "slow",
    "lost": "no_answer",
    "NONE": "other",
}
CATEGORIES: Final = tuple(dict.fromkeys(ISSUES.values()))

_BY_ISSUE: Final = {
    "wrong": (
        "The number of days is wrong, the handbook says something else.",
        "That is simply not true.",
        "Wrong answer, I checked the contract.",
    ),
    "refused": ("Why can't you answer this? It is a normal question.", "It just refuses."),
    "language": ("I did not ask in that language.", "Please answer in my language."),
    "incomplete": ("The answer stops in the middle.", "Half of it is missing."),
    "format": ("It repeats itself over and over.", "The format is broken, my script fails."),
    "off_topic": ("That has nothing to do with my question.", "I asked something else."),
    "privacy": ("Why do I see somebody else's mail address?",),
    "slow": ("Took forever.", "Far too slow today."),
    "no_answer": ("I only got an error.", "No answer at all."),
    "other": ("Meh.", "Not what I hoped for."),
}
_HAPPY: Final = ("Thanks, exactly what I needed.", "Perfect.", "Quick and clear.", "Very helpful!")
_FOREIGN: Final = {
    "de": (("Danke, genau das habe ich gesucht.",), ("Das stimmt so nicht.",)),
    "es": (("Gracias, muy útil.",), ("Eso no es correcto.",)),
    "fr": (("Merci, très utile.",), ("Ce n'est pas correct.",)),
}


def issue(kind: str, number: int) -> str:
    """The category a user picks; one in eight picks any."""
    if number % 8 == 0:
        return CATEGORIES[number // 8 % len(CATEGORIES)]
    return ISSUES[kind]


def comment(happy: bool, kind: str, language: str, number: int) -> str:
    if language in _FOREIGN:
        return _FOREIGN[language][0 if happy else 1][number % len(_FOREIGN[language][0])]
    choices = _HAPPY if happy else _BY_ISSUE[ISSUES[kind]]
    return choices[number % len(choices)]
