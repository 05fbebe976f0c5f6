"""The text of one request: what was asked, what was found, what was answered.

Everything follows from the request's topic, language and defect and from eight numbers drawn with
it, so that any row of a trace can be written alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text import phrases
from llmops_jobs.demo.replay.text.handbook import LEAK, Fact, handbook, topic_in


@dataclass(frozen=True)
class Conversation:
    question: str
    documents: tuple[str, ...]
    answer: str


def slots(number: int) -> dict[str, object]:
    """Values for a template's slots, from one number."""
    return {
        "n": 2 + number % 27,
        "m": 3 + number // 27 % 41,
        "p": f"{4 + number // 1107 % 90}.{'90' if number & 1 else '50'}",
        "item": phrases.ITEMS[number // 31 % len(phrases.ITEMS)],
        "city": phrases.CITIES[number // 373 % len(phrases.CITIES)],
    }


def person(number: int) -> tuple[str, str, str]:
    """A made-up person: name, e-mail address and telephone number (ranges kept for fiction)."""
    first = phrases.FIRST_NAMES[number % 8]
    last = phrases.LAST_NAMES[number // 8 % 8]
    return (
        f"{first} {last}",
        f"{first}.{last}{number % 97}@example.org".lower(),
        f"+44 20 7946 {number % 10000:04d}",
    )


def converse(language: str, topic: int, defect: int, draws: list[int]) -> Conversation:
    """Question, sources and answer. draws: eight numbers of at least 30 bits."""
    book = handbook()[language]
    subject = topic_in(language, topic)
    fact = book[subject][0 if topic == LEAK else draws[0] % len(book[subject])]
    values = slots(draws[1])
    question = fact.questions[draws[2] % len(fact.questions)].format(**values)
    return Conversation(
        _asked(question, language, draws[3]),
        _documents(book, fact, values, draws[4]),
        _answer(language, subject, fact, values, defect, draws),
    )


def _asked(question: str, language: str, number: int) -> str:
    """Now and then with a greeting, personal data, an attack, or anger."""
    kind, rest = number % 1000, number // 1000
    if kind < 40:
        name, mail, phone = person(rest)
        return f"{question} My name is {name}, you reach me at {mail} or {phone}."
    if kind < 48:
        return f"{question} {phrases.INJECTIONS[rest % len(phrases.INJECTIONS)]}"
    if kind < 58:
        return f"{phrases.ANGER[rest % len(phrases.ANGER)]} {question}"
    if kind < 300 and language == "en":
        return f"{phrases.SMALL_TALK[rest % len(phrases.SMALL_TALK)]} {question}"
    return question


def _documents(
    book: dict[str, tuple[Fact, ...]], fact: Fact, values: dict[str, object], number: int
) -> tuple[str, ...]:
    """The passage that answers, among two others."""
    found = [fact.passage.format(**values)]
    groups = list(book.values())
    for turn in range(2):
        group = groups[(number >> (4 * turn)) % len(groups)]
        other = group[(number >> (8 + 3 * turn)) % len(group)]
        if other is not fact:
            found.append(other.passage.format(**slots(number >> (3 + turn))))
    if number % 3 == 0:
        found.reverse()
    return tuple(found)


def _answer(
    language: str,
    subject: str,
    fact: Fact,
    values: dict[str, object],
    defect: int,
    draws: list[int],
) -> str:
    number = draws[5]
    if defect == Defect.EMPTY:
        return ""
    if defect == Defect.REFUSAL:
        refusals = phrases.REFUSALS[language]
        return refusals[number % len(refusals)]
    if defect == Defect.LANGUAGE:
        return _elsewhere("de" if language == "en" else "en", "", number)
    if defect == Defect.IRRELEVANT or (defect == Defect.UNGROUNDED and number % 10 < 7):
        return _elsewhere(language, subject, number)
    if defect in (Defect.UNGROUNDED, Defect.WRONG):
        # The right sentence with the wrong numbers.
        return fact.answer.format(**slots(draws[1] + 1 + number % 10_000))
    answer = fact.answer.format(**values)
    if defect == Defect.TRUNCATED:
        return answer[: len(answer) * (45 + number % 40) // 100].rstrip()
    if defect == Defect.REPETITION:
        return " ".join([answer] * (5 + number % 5))
    if defect == Defect.PII:
        name, mail, phone = person(number)
        return f"{answer} The same was agreed with {name} ({mail}, {phone})."
    if language == "en":
        opening = phrases.OPENINGS[number % len(phrases.OPENINGS)]
        closing = phrases.CLOSINGS[number // 8 % len(phrases.CLOSINGS)]
        return " ".join(part for part in (opening, answer, closing) if part)
    return answer


def _elsewhere(language: str, subject: str, number: int) -> str:
    """A sentence or two about something else, with numbers from nowhere."""
    book = handbook()[language]
    others = [name for name in book if name != subject]
    facts = book[others[number % len(others)]]
    at = number // 16 % len(facts)
    first = facts[at].answer.format(**slots(number >> 4))
    if len(facts) == 1:
        return first
    second = facts[(at + 1) % len(facts)].answer.format(**slots(number >> 6))
    return f"{first} {second}"
