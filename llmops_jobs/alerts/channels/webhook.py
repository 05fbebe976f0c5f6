"""Any endpoint of yours: the message as JSON, signed as the Standard Webhooks specification says.

Headers: `webhook-id` (the event key: drop repeats by it), `webhook-timestamp` (Unix seconds),
`webhook-signature` (`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`), `Idempotency-Key`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmops_jobs.alerts.channels.errors import variable
from llmops_jobs.alerts.channels.http import post
from llmops_jobs.alerts.settings import Channel
from llmops_jobs.errors import ConfigError


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    plain = {name: value for name, value in message.items() if name != "faces"}
    body = json.dumps({"event_key": key, **plain}, sort_keys=True).encode()
    headers = {"webhook-id": key, "Idempotency-Key": key}
    if channel.secret_env:
        moment = str(int(now.timestamp()))
        headers["webhook-timestamp"] = moment
        secret = variable(channel, channel.secret_env)
        headers["webhook-signature"] = signature(secret, key, moment, body, channel.name)
    post(channel, variable(channel, channel.url_env), body, headers)


def signature(secret: str, key: str, moment: str, body: bytes, name: str = "") -> str:
    """`v1,…`. A secret that begins with `whsec_` is base64, any other is taken as it is."""
    raw = secret.encode()
    if secret.startswith("whsec_"):
        try:
            raw = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ConfigError(f"channel {name}: the secret is no base64 behind whsec_") from None
    signed = hmac.new(raw, f"{key}.{moment}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
