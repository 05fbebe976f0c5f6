"""By which finish reasons an answer was cut off at a limit of tokens."""

from __future__ import annotations

from typing import Final

#: In lower case and with `_`; of OpenAI, Anthropic, Gemini, Mistral, Cohere, Bedrock, watsonx,
#: Vercel's SDK and vLLM.
TRUNCATED: Final = (
    "length",
    "max_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_token",
    "model_length",
    "token_limit",
    "context_length",
    "context_length_exceeded",
    "model_context_window_exceeded",
    "max_tokens_reached",
)
