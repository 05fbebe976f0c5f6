"""Text of users as a report may show it: cleaned, masked, cut; only where the configuration allows.

The detectors are those of the scorers: personal data with a form of its own (e-mail, phone, card,
IBAN, IP address, US SSN) becomes its kind in brackets; a text that holds what looks like a
credential is withheld as a whole. Names and street addresses are not found: see docs/security.md.
"""

from __future__ import annotations

from llmops_jobs.evals.scorers.pii import find_pii
from llmops_jobs.evals.scorers.secrets import find_secrets
from llmops_jobs.report.words import clean

WITHHELD = "(withheld: it looks like it holds a credential)"
_READ = 4_000


def masked(text: str, limit: int) -> str:
    """At most `limit` characters of the text's beginning.

    It is cleaned before it is searched, so that an invisible character hides nothing, and searched
    before it is cut, so that no half of an address is left at the end.
    """
    whole = clean(text, _READ)
    if find_secrets(whole):
        return WITHHELD
    parts, end = [], 0
    for piece in find_pii(whole):
        parts += [whole[end : piece.start], f"[{piece.kind}]"]
        end = piece.end
    shown = "".join([*parts, whole[end:]])
    return shown if len(shown) <= limit else f"{shown[: limit - 1].rstrip()}…"
