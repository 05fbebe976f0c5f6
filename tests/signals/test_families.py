"""Families: the same id for the same error, night after night; no words of users."""

from __future__ import annotations

import random
import re
import uuid

from llmops_jobs.signals.families import MASK, family
from tests.signals.test_taxonomy import labelled

EVERY = [
    text
    for name in ("provider_errors.tsv", "errors_of_threads.tsv", "errors_unseen.tsv")
    for _, text in labelled(name)
]


def varied(text: str, generator: random.Random) -> str:
    """The message as another night would show it: other numbers, ids, names in quotation marks."""

    def other(found: re.Match[str]) -> str:
        return (
            "".join(generator.choice("0123456789") if c.isdigit() else c for c in found[0])
            or found[0]
        )

    # Statuses and versions say what the error is; the other numbers vary.
    text = re.sub(r"(?<![\w.:/-])\d{4,}\b(?![.])|\b\d+ms\b|\b\d+\.\d+s\b", other, text)
    text = re.sub(r"org-\w+", f"org-{uuid.UUID(int=generator.getrandbits(128)).hex[:12]}", text)
    text = re.sub(r"`[^`]+`", lambda _: f"`{generator.choice(['alpha', 'beta_2', 'x-y.z'])}`", text)
    return re.sub(r"https?://[^\s'\"]+", f"https://h{generator.random()}.example/v1", text)


def test_variable_parts_do_not_change_the_family_over_ten_nights() -> None:
    for text in EVERY:
        generator = random.Random(text)
        nights = {family(varied(text, generator)).id for _ in range(10)}
        assert nights == {family(text).id}, text


def test_different_errors_are_different_families() -> None:
    ids = {}
    for text in EVERY:
        ids.setdefault(family(text).id, []).append(text)
    largest = max(ids.values(), key=len)
    assert len(ids) > 0.85 * len(EVERY), largest


def test_a_wrapper_does_not_make_a_new_family() -> None:
    inner = "The server had an error while processing your request. Sorry about that!"
    wrapped = f"Error code: 500 - {{'error': {{'message': '{inner}', 'type': 'server_error'}}}}"
    assert family(inner).id == family(wrapped).id
    assert (
        family("Request timed out.").id == family("openai.APITimeoutError: Request timed out.").id
    )


def test_what_stands_in_quotation_marks_alone_is_still_read() -> None:
    """Servers that answer {"error": "..."} or with one quoted sentence."""
    ended = family('{"error":"Your request has ended: no credits"}')
    invalid = family('{"error":"The API key is invalid"}')
    quoted = family('400 "The request cannot be validated, it is incorrect"')
    assert len({ended.id, invalid.id, quoted.id}) == 3
    assert invalid.template == "the api key is invalid"
    assert "cannot be" in quoted.template


def test_templates_hold_no_word_of_a_user() -> None:
    found = family("Tool search failed: no results found for Anneliese Kowalczyk, Hauptstrasse 5")
    assert "kowalczyk" not in found.template.lower()
    assert "hauptstrasse" not in found.template.lower()
    assert MASK in found.template
    assert found.id == family("Tool search failed: no results found for Bo Li, Ringweg 77").id


def test_messages_outside_the_lexicon_still_tell_families_apart() -> None:
    first, second = family("Es ist ein Fehler aufgetreten"), family("Verbindung unterbrochen")
    assert first.id != second.id
    assert first.template == second.template == MASK


def test_an_empty_message_is_a_family_of_its_own() -> None:
    assert family("").id != family("Error").id or family("").template == MASK
    assert family("").error_type == "unknown"
