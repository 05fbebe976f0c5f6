"""Model names as traces write them -> who sells the model, and the names to look it up by.

A name may carry its seller (`azure/gpt-4o`, `accounts/fireworks/models/...`, a Bedrock ARN), a
route (`:free`, `:nitro`) or a region with a price of its own. A list price is that of one seller: a
model whose weights are open costs what its host charges, and nothing is guessed for a host that is
not told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from llmops_jobs.langfuse.providers import HOSTS, ROUTES, host_of

#: Software that serves models on the user's own machines: no list price of anybody holds.
_SELF_HOSTED: Final = re.compile(
    r"vllm|ollama|sglang|llama\.?_?cpp|llamafile|lm.?studio|\btgi\b|triton|xinference|lemonade"
    r"|local|docker_model",
    re.IGNORECASE,
)
# Hosts whose prices the book does not have: they are not those of the models' makers.
_UNKNOWN_HOSTS: Final = frozenset(HOSTS.values()) - {
    *("azure.ai.openai", "azure.ai.inference", "aws.bedrock", "gcp.vertex_ai", "fireworks_ai"),
    *("together_ai", "groq", "openrouter", "cerebras", "cloudflare", "databricks", "novita"),
    *("baseten", "ovhcloud", "github_copilot", "perplexity"),
}
# Weights that anybody may serve and whose maker sells them under no such name.
_OPEN: Final = (
    r"gpt-oss|gemma|llama|qwen|qwq|mixtral|mistral-(?:7b|nemo|small-\d+b)|deepseek-(?:r1|v[23]|ai)"
    r"|distill|\bphi-?\d|granite|gguf"
)
# ... and those that their makers sell too: at another price than an unknown host's.
_ALSO_OPEN: Final = r"deepseek|glm-|kimi|minimax|mistral|ministral|magistral|devstral|codestral"
_OPEN_WEIGHTS: Final = re.compile(_OPEN, re.IGNORECASE)
_ANY_OPEN_WEIGHTS: Final = re.compile(f"{_OPEN}|{_ALSO_OPEN}", re.IGNORECASE)
# Ollama's tags: a size or a quantization behind a colon.
_TAG: Final = re.compile(r":(?:latest|(?:\d+x)?\d+(?:\.\d+)?[bm]\b|[^/]*\bq\d)", re.IGNORECASE)
_ROUTE: Final = re.compile(rf"^(?P<base>[^/]+/.+):(?P<route>{ROUTES})$")
_SAME_PRICE: Final = {"beta", "thinking"}
_OTHER_HOST: Final = {"nitro", "floor", "exacto"}
_ARN: Final = re.compile(r"arn:aws[\w-]*:bedrock:[^/]*:(?:foundation-model|inference-profile)/(.+)")
_BEDROCK: Final = re.compile(
    r"(?:(?P<region>us-gov|[a-z]{2,6})\.)?"
    r"(?:anthropic|amazon|meta|cohere|mistral|ai21|deepseek|qwen|openai|writer)\.[a-z]"
)
# Amazon's and Meta's models cost more there than in the United States, and the list has one price.
_DEARER_ABROAD: Final = re.compile(r"(?:eu|apac|jp|au|ca)\.(?:amazon|meta)\.")
# Models of users' own: a fine-tuned deployment, a custom model, a share of capacity.
_OWN: Final = re.compile(
    r"^arn:|\.ft-|-ft-|^accounts/(?!fireworks/)|/endpoints/\d|commitment", re.IGNORECASE
)
# Part of a path that says where: prices of these regions are not those of the list.
_ELSEWHERE: Final = re.compile(
    r"^(?:eu|us|apac|claude_platform|us-gov[\w-]*|(?!us-east-1$|us-west-2$)[a-z]{2}(?:-[a-z]+)+-\d)$"
)


@dataclass(frozen=True)
class Named:
    """What a name says. Without `names` no list price can hold for the model."""

    seller: str = ""  # as the trace or the name tells it; '' where neither does
    names: tuple[str, ...] = ()  # to look up, the most exact first
    free: bool = False  # a route that costs nothing


_NOBODY: Final = Named()


def named(provider: str, model: str) -> Named:
    """Who sells a model and what it may be called in that seller's list."""
    seller, name = provider.strip(), model.strip()
    if _SELF_HOSTED.search(seller) or seller.lower() in _UNKNOWN_HOSTS:
        return _NOBODY
    told = _ARN.match(name)
    if told:
        seller, name = "aws", told[1]
    if _OWN.search(name):
        return _NOBODY
    route = _ROUTE.match(name.lower())
    if route and not _is_host(seller):
        return _routed(name, route["base"], route["route"])
    *path, last = name.split("/")
    host = host_of(name)
    if _SELF_HOSTED.search(host) or host in _UNKNOWN_HOSTS or any(map(_ELSEWHERE.match, path[1:])):
        return _NOBODY
    if host and seller.lower() != "openrouter":
        seller = host
        path = path if path[0] == "accounts" or path[0] == "@cf" else path[1:]
    bedrock = _BEDROCK.match(last.lower())
    if bedrock:
        if bedrock["region"] == "us-gov" or _DEARER_ABROAD.match(last.lower()):
            return _NOBODY
        seller = seller if _is_host(seller) else "aws"
    if _TAG.search(last) and not _is_host(seller):
        return _NOBODY
    names = ["/".join([*path, last]), name, last]
    plain = re.sub(r"@(?:default|latest)$", "", last)
    return Named(seller, tuple(dict.fromkeys([*names, plain])))


def only_hosted(name: str) -> bool:
    """Whether the model's maker sells it under no such name: a price needs the host."""
    return _OPEN_WEIGHTS.search(name) is not None


def anybody_hosts(name: str) -> bool:
    """Whether others than the model's maker serve it too, each at a price of their own."""
    return _ANY_OPEN_WEIGHTS.search(name) is not None


def _routed(name: str, base: str, route: str) -> Named:
    names = [name]
    if route in _SAME_PRICE or (route in _OTHER_HOST and not _ANY_OPEN_WEIGHTS.search(base)):
        names.append(base)
    names = [each.removeprefix("openrouter/") for each in names]
    return Named("openrouter", tuple(names), free=route == "free")


def _is_host(seller: str) -> bool:
    """Whether a trace's provider is one that serves models of others at prices of its own."""
    return re.match(_HOST_NAMES, seller.lower()) is not None


_HOST_NAMES: Final = "|".join(
    sorted({re.split("[._]", name)[0] for name in HOSTS.values()} - {"openrouter"})
)
