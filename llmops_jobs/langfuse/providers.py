"""Who serves a model: what a provider is called, and what a model's name tells of it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: First part of a name -> provider, by its well-known name where there is one.
HOSTS: Final = {
    "azure": "azure.ai.openai",
    "azure_text": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    **dict.fromkeys(("bedrock", "bedrock_converse", "bedrock_mantle"), "aws.bedrock"),
    "sagemaker": "aws.sagemaker",
    **dict.fromkeys(("vertex_ai", "vertex_ai_beta"), "gcp.vertex_ai"),
    "watsonx": "ibm.watsonx.ai",
    **dict.fromkeys(("fireworks", "fireworks_ai"), "fireworks_ai"),
    **dict.fromkeys(("together", "together_ai"), "together_ai"),
    **{
        name: name
        for name in (
            *(
                "groq",
                "openrouter",
                "perplexity",
                "cerebras",
                "cloudflare",
                "databricks",
                "novita",
                "baseten",
            ),
            *("ovhcloud", "deepinfra", "nebius", "replicate", "hyperbolic", "sambanova", "nscale"),
            *("lambda_ai", "anyscale", "wandb", "friendliai", "gmi", "crusoe", "gradient_ai"),
            *("snowflake", "oci", "scaleway", "nvidia_nim", "github", "github_copilot"),
            *("huggingface", "featherless_ai", "siliconflow"),
            # On machines of one's own.
            *("ollama", "ollama_chat", "hosted_vllm", "vllm", "lm_studio", "llamafile"),
            *("xinference", "lemonade", "docker_model_runner", "sglang"),
        )
    },
}


#: OpenRouter's routes, behind a name with a maker: `openai/gpt-4o:nitro`.
ROUTES: Final = "free|beta|thinking|extended|nitro|floor|exacto|online|batch"


def host_of(model: str) -> str:
    """The provider that a name's path tells; '' where it tells none."""
    name = model.lower()
    if name.startswith("accounts/fireworks/"):
        return "fireworks_ai"
    if name.startswith("@cf/"):
        return "cloudflare"
    first, slash, _ = name.partition("/")
    return HOSTS.get(first, "") if slash else ""


# Other spellings of a provider -> the well-known name of the GenAI conventions (1.4x).
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google.generative-ai": "gcp.gemini",
    "gcp.gen_ai": "gcp.gen_ai",
    "xai": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "chatopenai": "openai",
    "chatanthropic": "anthropic",
}
# A model's name -> who serves it, when nothing else says so. First match wins.
_BY_MODEL: Final = tuple(
    (re.compile(pattern), provider)
    for pattern, provider in (
        (r"^(?:(?:us|us-gov|eu|apac|global|jp|au|ca)\.)?"
         r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|qwen|openai|writer)\.[a-z]"
         r"|^arn:aws", "aws.bedrock"),
        (r"^projects/.*publishers/|^publishers/|^claude.*@\d{8}$", "gcp.vertex_ai"),
        (rf"^[^/]+/.+:({ROUTES})$", "openrouter"),
        # Models that anybody may host do not tell who does: a size behind a colon, open weights.
        (r":(latest|(\d+x)?\d+(\.\d+)?[bm]\b)|gpt-oss|gemma|llama|mixtral|mistral-(7b|nemo)"
         r"|deepseek-(r1|v[23]|ai)|distill|gguf", ""),
        (r"(^|/)(gpt-|chatgpt|o[1345](-|$)|text-embedding-|davinci|whisper|tts-|dall-e)"
         r"|^ft:(gpt-|o\d|babbage|davinci)", "openai"),
        (r"(^|/)claude", "anthropic"),
        (r"(^|/)(models/)?(gemini|text-embedding-00|embedding-00)", "gcp.gemini"),
        (
            r"^(mistral(ai)?/)?(mistral|codestral|ministral|pixtral|magistral|devstral)",
            "mistral_ai",
        ),
        (r"(^|/)(command|embed-(english|multilingual)|rerank-)", "cohere"),
        (r"^(deepseek/)?deepseek", "deepseek"),
        (r"(^|/)grok", "x_ai"),
        (r"(^|/)sonar", "perplexity"),
        (r"^ibm/", "ibm.watsonx.ai"),
    )
)  # fmt: skip


@lru_cache(maxsize=1024)
def provider_name(text: str) -> str:
    """The well-known name of a provider: `openai.chat` -> `openai`, `xai` -> `x_ai`."""
    name = text.strip().lower()
    if name in _PROVIDERS:
        return _PROVIDERS[name]
    for suffix in (".chat", ".responses", ".completion", ".embedding", ".messages"):
        if name.endswith(suffix):
            return provider_name(name.removesuffix(suffix))
    return name


def short_model(model: str) -> str:
    """A model's name without the path that Vertex and the Gemini API put before it."""
    return re.sub(r"^(projects/.*/)?(publishers/[^/]+/)?models/", "", model.strip())


@lru_cache(maxsize=4096)
def provider_of_model(model: str) -> str:
    """Who most likely serves a model of this name; '' when the name does not tell."""
    host = host_of(model)
    if host:
        return host
    name = model.strip().lower()
    for pattern, provider in _BY_MODEL:
        if pattern.search(name):
            return provider
    return ""
