"""A nightly snapshot of prompt labels: Langfuse keeps no history of them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from llmops_jobs.errors import SourceError
from llmops_jobs.langfuse.project import ProjectKeys

if TYPE_CHECKING:
    import pandas as pd

_PAGE = 100


def prompt_labels(keys: ProjectKeys) -> pd.DataFrame:
    """prompt_name, label, version and content_hash of every labelled prompt version, now.

    Read through the Langfuse SDK's generated client, which starts no threads. Raises SourceError.
    """
    import httpx
    import pandas as pd
    from langfuse.api import LangfuseAPI
    from langfuse.api.core import ApiError

    api = LangfuseAPI(base_url=keys.base_url, username=keys.public_key, password=keys.secret_key)
    rows = []
    try:
        page = 1
        while True:
            listed = api.prompts.list(page=page, limit=_PAGE)
            for meta in listed.data:
                for label in meta.labels:
                    prompt = api.prompts.get(meta.name, label=label)
                    content = json.dumps([prompt.prompt, prompt.config], default=str)
                    rows.append(
                        {
                            "prompt_name": meta.name,
                            "label": label,
                            "version": prompt.version,
                            "content_hash": hashlib.sha256(content.encode()).hexdigest()[:16],
                        }
                    )
            if page >= listed.meta.total_pages:
                break
            page += 1
    except ApiError as error:
        raise SourceError(f"{keys.base_url}: prompts: HTTP {error.status_code}") from error
    except httpx.HTTPError as error:
        raise SourceError(f"{keys.base_url}: prompts: {type(error).__name__}") from error
    return pd.DataFrame(rows, columns=["prompt_name", "label", "version", "content_hash"])
