"""Whether the answer is in the language of the question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from llmops_jobs.evals.batch import Batch, words
from llmops_jobs.evals.scorer import Score, scorer, skipped

# Words too common in one language, and too rare in the others here, to be wrong together: most
# traffic is told apart by them, better than by a model where texts are short.
_COMMON = {
    "en": "the and is that you with this what how can your have not from was my would should does "
    "when where which they there will please it if been are to of",
    "fr": "le la les des est une pour dans que qui vous je nous pas sur avec mon ma votre quand "
    "comment sont ce cette aux ne puis au ou où du et",
    "de": "der die das und ist nicht ich sie wie mein meine ein eine für mit auf von zu wann wo "
    "wird werden kann haben bitte auch dem den im es wir",
    "es": "el los las una para que mi su cuando cuándo cómo como por está puedo usted se con del "
    "dónde donde pero más es y al le qué hasta",
    "it": "il gli una per che sono mio mia come quando dove della delle nel con si può non è di "
    "questo ho ha anche più un mi",
    "pt": "o os uma para que meu minha como quando onde não está você com dos das ao seu sua é em "
    "por mais um foi são eu posso",
    "nl": "de het een en niet ik je mijn hoe wanneer waar voor met van op wordt kan zijn ook dat "
    "dit uw naar is bij",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _code, _list in _COMMON.items():
    for _word in words(_list):
        _LANGUAGES_OF.setdefault(_word, []).append(_code)
_HEAD = 60
_READ = 240
_MIN_LETTERS = 20
# Kana beside Chinese characters is Japanese.
_SCRIPTS = (
    ("\u3040", "\u30ff", "ja"),
    ("\u4e00", "\u9fff", "zh"),
    ("\uac00", "\ud7a3", "ko"),
    ("\u0e01", "\u0e5b", "th"),
    ("\u0370", "\u03ff", "el"),
    ("\u0590", "\u05ff", "he"),
    ("\u10a0", "\u10ff", "ka"),
    ("\u0531", "\u058f", "hy"),
    ("\u0980", "\u09ff", "bn"),
    ("\u0b80", "\u0bff", "ta"),
    ("\u0c00", "\u0c7f", "te"),
)
_MIN_LETTERS_OF_SCRIPT, _MOST, _MIXED = 4, 0.7, 0.2
#: Below this probability the detector is taken not to know.
MIN_CONFIDENCE = 0.9
# Standards and dialects that the detector confuses, and that readers share.
_SAME = {"nb": "no", "nn": "no", "hr": "sh", "sr": "sh", "bs": "sh", "ms": "id", "gl": "pt"}


@scorer("language", version="2", needs={"question", "answer"}, whole_batch=True)
def language(batch: Batch) -> Iterator[Score]:
    """Value 1 when question and answer are in the same language; the label is the answer's.

    Skipped where either is too short, is mostly code or digits, or is not told apart for certain,
    and where the question asks for another language or for a translation.
    """
    for question, answer, q_words, a_words in zip(
        batch.questions, batch.answers, batch.question_words, batch.answer_words, strict=True
    ):
        asked = detect(question, q_words)
        given = detect(answer, a_words) if asked else ""
        if not asked or not given:
            yield skipped("language not certain")
        elif asked != given and _names_language(q_words):
            yield skipped("the question names a language")
        else:
            same = asked == given
            reason = "" if same else f"asked in {asked}, answered in {given}"
            yield Score(float(same), passed=same, label=given, reason=reason)


def detect(text: str, found: Sequence[str]) -> str:
    """ISO 639-1 code of a text's language, '' when not certain. `found` are the text's words."""
    decided = by_words(found)
    text = text[:_READ]
    if decided:
        return "" if _is_mixed(text) else decided
    written = by_script(text)
    if written:
        return written
    if sum(map(str.isalpha, text)) < _min_letters(text):
        return ""
    code, confidence = _model().classify(text)
    # Nobody answers in Latin: names of plants and lorem ipsum look like it.
    sure = confidence >= MIN_CONFIDENCE and code != "la"
    return _SAME.get(code, code) if sure else ""


def by_words(found: Sequence[str]) -> str:
    """The language whose common words lead clearly; '' when none does."""
    found = found[:_HEAD]
    votes = Counter(
        [code for word in found if word in _LANGUAGES_OF for code in _LANGUAGES_OF[word]]
    )
    (first, n), (_, second) = [*votes.most_common(2), ("", 0), ("", 0)][:2]
    return first if n >= 2 and n >= 0.15 * len(found) and n >= 2 * second else ""


def by_script(text: str) -> str:
    """The language of a script that has but one (or one that is written in it far more than
    others); '' for other scripts and for mixtures."""
    if text.isascii():
        return ""
    letters = [c for c in text if c.isalpha()]
    counts = Counter(code for c in letters for first, last, code in _SCRIPTS if first <= c <= last)
    if not counts or len(letters) < _MIN_LETTERS_OF_SCRIPT:
        return ""
    if counts["ja"] and counts["ja"] + counts["zh"] >= _MOST * len(letters):
        return "ja"
    code, n = counts.most_common(1)[0]
    return code if n >= _MOST * len(letters) else ""


def _is_mixed(text: str) -> bool:
    """Whether a text in Latin letters says a good part of what it says in another script too."""
    if text.isascii():
        return False
    letters = [c for c in text if c.isalpha()]
    return sum(c >= "\u0370" for c in letters) > _MIXED * len(letters)


def _min_letters(text: str) -> int:
    """A Chinese or Japanese sentence needs fewer letters than a Spanish one."""
    dense = sum("\u3040" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7a3" for c in text)
    return 6 if dense > 3 else _MIN_LETTERS


_LANGUAGE_WORDS = frozenset(
    words(
        "translate translation language english spanish french german italian portuguese "
        "dutch chinese mandarin japanese korean arabic hebrew hindi russian polish turkish "
        "swedish greek latin traduce traducir traduis traduire übersetze übersetzen englisch "
        "englische inglés anglais français deutsch español italiano português 英語 英语 翻訳 翻译"
    )
)


def _names_language(found: Sequence[str]) -> bool:
    return any(word in _LANGUAGE_WORDS for word in found)


@cache
def _model() -> Any:
    """Loaded once, and only when a text needs it: two tenths of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
