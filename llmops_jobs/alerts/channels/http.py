"""POST to an address that people configured, without becoming a way into the network.

The host is resolved once, its addresses are checked, and the connection goes to the checked one, so
that a name cannot change between check and use. Redirects are not followed. Link-local addresses
(where clouds keep credentials) are never spoken to; loopback and private ones where the channel
says `allow_private`.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from llmops_jobs.alerts.channels.errors import RefusedError, RetryLaterError
from llmops_jobs.alerts.settings import Channel

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
# Reached by way of private ranges, but as telling as link-local ones.
_METADATA = {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}
_LATER = (408, 425, 429)


def post(channel: Channel, address: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Posts and returns when the receiver answered 2xx.

    Raises RetryLaterError (no connection, timeout, 408, 425, 429, 5xx) or RefusedError.
    """
    import httpx

    headers = {"Content-Type": "application/json", "User-Agent": "llmops-jobs", **headers}
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        raise RefusedError(f"{channel.name}: {_named(channel)} is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise RefusedError(f"{channel.name}: {_named(channel)} is not a web address")
    pinned, extensions = url, {}
    if not _by_proxy(url):
        ip = _checked_address(channel, url)
        pinned = url.copy_with(host=ip)
        headers["Host"] = url.netloc.decode()
        extensions = {"sni_hostname": url.host}
    try:
        with (
            httpx.Client(timeout=TIMEOUT) as client,
            client.stream(
                "POST", pinned, content=body, headers=headers, extensions=extensions
            ) as answer,
        ):
            _judge(channel, answer)
    except httpx.HTTPError as error:
        raise RetryLaterError(f"{channel.name}: {type(error).__name__}") from None


def _named(channel: Channel) -> str:
    return f"the address in {channel.url_env}"


def _by_proxy(url: httpx.URL) -> bool:
    """A proxy resolves and connects itself; it has rules of its own."""
    return url.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(url.host)


def _checked_address(channel: Channel, url: httpx.URL) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RetryLaterError(f"{channel.name}: the host of its address is not found") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        plain = getattr(address, "ipv4_mapped", None) or address
        if plain.is_link_local or plain in _METADATA or plain.is_multicast or plain.is_unspecified:
            raise RefusedError(
                f"{channel.name}: {_named(channel)} leads to a link-local or metadata address"
            )
        if not plain.is_global and not channel.allow_private:
            raise RefusedError(
                f"{channel.name}: {_named(channel)} leads into a private network: set "
                "allow_private on the channel if that is meant"
            )
    return str(addresses[0])


def _judge(channel: Channel, answer: httpx.Response) -> None:
    if answer.is_success:
        return
    text = f"{channel.name}: HTTP {answer.status_code}"
    if answer.status_code in _LATER or answer.status_code >= 500:
        raise RetryLaterError(text, _seconds(answer.headers.get("retry-after", "")))
    raise RefusedError(text + (" (redirects are not followed)" if answer.is_redirect else ""))


def _seconds(asked: str) -> float | None:
    """Retry-After, which is seconds or a date."""
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
