"""Whether more of a metric is better: said by gate.yaml, or known from its name, else asked."""

from __future__ import annotations

import re

_LOWER_WORDS = """
cost costs usd price spend latency seconds duration time ttft delay error errors failure failures
timeout timeouts token tokens retries hallucination hallucinations toxicity bias pii secrets
injection refusal refusals repetition loss perplexity wer cer length
"""
_HIGHER_WORDS = """
pass passed passes success correct correctness accuracy accurate score quality rating groundedness
grounded faithfulness faithful relevance relevancy precision recall f1 bleu rouge similarity match
helpfulness helpful coherence fluency completeness conciseness citation citations positive thumbs
win wins
"""
_LOWER, _HIGHER = frozenset(_LOWER_WORDS.split()), frozenset(_HIGHER_WORDS.split())


def higher_is_better(metric: str) -> bool | None:
    """True or False where the words of the name leave no doubt, else None.

    `pass_rate:refusal` is a share that passes: what stands before the colon decides.
    """
    kind = metric.partition(":")[0]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind)
    words = set(re.findall(r"[a-z]+\d*", spaced.lower()))
    lower, higher = words & _LOWER, words & _HIGHER
    return None if bool(lower) == bool(higher) else bool(higher)
