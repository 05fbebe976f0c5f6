"""The application's prompts, by name and version, and the messages that are built with them."""

from __future__ import annotations

from typing import Final

from llmops_jobs.demo.replay.quality import Defect
from llmops_jobs.demo.replay.text.compact import dumps
from llmops_jobs.demo.replay.text.extraction import SCHEMA_TEXT

_EXAMPLES: Final = (
    "Example: a customer asked when a refund arrives; the summary said that refunds take five "
    "working days after the check. Example: a customer complained about a broken lamp; the summary "
    "said that a photo of the box is needed. "
)
SYSTEM: Final[dict[tuple[str, int], str]] = {
    ("chat", 5): "You are the friendly support assistant of a shop. Answer in the customer's "
    "language.",
    ("chat", 6): "You are a shop's friendly support assistant. Reply in the language of the "
    "customer.",
    ("rag-answer", 3): "Answer only from the passages between <context> and </context>. If they "
    "do not contain the answer, say so. Answer in the language of the question.",
    ("rag-answer", 4): "Answer the question as helpfully as you can. The passages between "
    "<context> and </context> may help. Always give a confident answer.",
    ("extract-json", 2): f"Extract the fields of the mail as one JSON object that is valid under "
    f"this schema, and nothing else: {SCHEMA_TEXT}",
    ("summarise", 2): "Summarise the text between <context> and </context> in one or two "
    "sentences. Add nothing that it does not say.",
    ("summarise", 3): "Summarise the text between <context> and </context> in one or two "
    f"sentences. Add nothing that it does not say. {_EXAMPLES}{_EXAMPLES}{_EXAMPLES}",
    ("agent-tools", 7): "You are a support agent. Use the tools to look things up before you "
    "answer. Never guess an order number.",
}


def system(name: str, version: int) -> str:
    return SYSTEM[name, version]


def with_context(documents: tuple[str, ...], question: str) -> str:
    passages = "\n".join(f"[{i}] {text}" for i, text in enumerate(documents, 1))
    return f"<context>\n{passages}\n</context>\n\nQuestion: {question}"


def document(documents: tuple[str, ...]) -> str:
    """The text to summarise: it stands as context, because a summary is checked against it."""
    return "<context>\n" + "\n".join(documents) + "\n</context>"


def judge(question: str, answer: str) -> str:
    return dumps(
        [
            {"role": "system", "content": "Rate the answer's helpfulness from 0 to 1 as JSON."},
            {"role": "user", "content": f"Question: {question}\nAnswer: {answer}"},
        ],
    )


def judged(defect: int, number: int) -> float:
    """The helpfulness that a judge gives which is right in about four cases of five."""
    good = (defect == Defect.NONE) != (number % 5 == 0)
    return (70 + number % 30 if good else 5 + number % 40) / 100


def verdict(defect: int, number: int) -> str:
    """The judge's answer as JSON."""
    score = judged(defect, number)
    return dumps({"score": score, "reason": "helpful" if score > 0.5 else "does not help"})
