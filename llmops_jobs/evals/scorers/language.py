"""Whether the answer is in the language of the question."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from llmops_jobs.evals.batch import Batch, words
from llmops_jobs.evals.scorer import Score, scorer, skipped

# Too common in English prose, and too rare elsewhere, to be wrong together: most traffic is told
# apart by them, without the model.
_ENGLISH = frozenset(
    words(
        "the of and to in is that it for you with this are be what how can which your have "
        "not from was would should please does"
    )
)
_ENGLISH_SHARE = 0.12
_READ = 400
_MIN_LETTERS = 20
#: Below this probability the detector is taken not to know.
MIN_CONFIDENCE = 0.9
# Standards and dialects that the detector confuses, and that readers share.
_SAME = {"nb": "no", "nn": "no", "hr": "sh", "sr": "sh", "bs": "sh", "ms": "id", "gl": "pt"}


@scorer("language", needs={"question", "answer"}, whole_batch=True)
def language(batch: Batch) -> Iterator[Score]:
    """Value 1 when question and answer are in the same language; the label is the answer's.

    Skipped where either is too short, is mostly code or digits, or is not told apart for certain,
    and where the question asks for another language or for a translation.
    """
    for question, answer, q_words, a_words in zip(
        batch.questions, batch.answers, batch.question_words, batch.answer_words, strict=True
    ):
        if _english(a_words) and _english(q_words):
            yield Score(1.0, passed=True, label="en")
            continue
        asked, given = detect(question, tuple(q_words[:80])), detect(answer, tuple(a_words[:80]))
        if not asked or not given:
            yield skipped("language not certain")
        elif asked != given and _names_language(q_words):
            yield skipped("the question names a language")
        else:
            same = asked == given
            reason = "" if same else f"asked in {asked}, answered in {given}"
            yield Score(float(same), passed=same, label=given, reason=reason)


def detect(text: str, found: tuple[str, ...] = ()) -> str:
    """ISO 639-1 code of a text's language, '' when not certain."""
    if found and _english(list(found)):
        return "en"
    text = text[:_READ]
    if sum(map(str.isalpha, text)) < _min_letters(text):
        return ""
    code, confidence = _model().classify(text)
    return _SAME.get(code, code) if confidence >= MIN_CONFIDENCE else ""


def _min_letters(text: str) -> int:
    """A Chinese or Japanese sentence needs fewer letters than a Spanish one."""
    dense = sum("\u3040" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7a3" for c in text)
    return 6 if dense > 3 else _MIN_LETTERS


def _english(found: list[str]) -> bool:
    head = found[:80]
    return len(head) >= 6 and sum(w in _ENGLISH for w in head) >= _ENGLISH_SHARE * len(head)


_LANGUAGE_WORDS = frozenset(
    words(
        "translate translation language english spanish french german italian portuguese "
        "dutch chinese mandarin japanese korean arabic hebrew hindi russian polish turkish "
        "swedish greek latin traduce traducir traduis traduire übersetze übersetzen englisch "
        "englische inglés anglais français deutsch español italiano português 英語 英语 翻訳 翻译"
    )
)


def _names_language(found: list[str]) -> bool:
    return any(word in _LANGUAGE_WORDS for word in found)


@cache
def _model() -> Any:
    """Loaded once, and only when a text needs it: two tenths of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
