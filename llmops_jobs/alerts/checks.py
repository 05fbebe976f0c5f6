"""What is wrong with the channels, found without sending anything."""

from __future__ import annotations

import importlib.util

from llmops_jobs.alerts.channels import missing_variables
from llmops_jobs.alerts.settings import AlertSettings


def problems(settings: AlertSettings) -> list[str]:
    """One sentence per mistake; [] when every channel could be used."""
    found = []
    for channel in settings.channels:
        if missing := missing_variables(channel):
            found.append(f"channel {channel.name}: {' and '.join(missing)} not set")
        if channel.kind == "notify" and importlib.util.find_spec("apprise") is None:
            found.append(f"channel {channel.name}: needs pip install 'llmops-jobs[notify]'")
    if not any("critical" in channel.severities for channel in settings.channels):
        found.append("no channel takes critical messages")
    return found


def described(settings: AlertSettings) -> str:
    """The channels, and how many rules there are."""
    from llmops_jobs.alerts.defaults import NAMES

    channels = ", ".join(f"{channel.name} ({channel.kind})" for channel in settings.channels)
    own = len(settings.rules) + len(settings.slos)
    built_in = len(NAMES) - len(set(settings.disable)) if settings.built_in else 0
    return f"{channels or 'no channel'}; {built_in} built-in rules, {own} of your own"
