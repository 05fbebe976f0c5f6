"""E-mail over SMTP: text and HTML, one thread per incident.

`url_env` holds `smtp://user:password@host:port` (STARTTLS wherever the server offers it; required
with `?starttls=required`) or `smtps://…`. The message id follows from the event key, by which mail
systems may drop a repeat.
"""

from __future__ import annotations

import html
import smtplib
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from llmops_jobs.alerts.channels import words
from llmops_jobs.alerts.channels.errors import RefusedError, RetryLaterError, variable
from llmops_jobs.alerts.channels.http import TIMEOUT
from llmops_jobs.alerts.settings import Channel

_COLOUR = {"critical": "#b3261e", "warning": "#9a6700", "info": "#3b5f8a"}


def send(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> None:
    mail = compose(channel, key, message, now)
    try:
        address = urlsplit(variable(channel, channel.url_env))
        host, port = address.hostname, address.port
    except ValueError:
        host, port, address = None, None, urlsplit("")
    if address.scheme not in ("smtp", "smtps") or not host:
        raise RefusedError(f"{channel.name}: {channel.url_env} must be smtp://… or smtps://…")
    secure = ssl.create_default_context()
    try:
        server = (
            smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT, context=secure)
            if address.scheme == "smtps"
            else smtplib.SMTP(host, port or 25, timeout=TIMEOUT)
        )
        with server:
            if address.scheme == "smtp":
                _start_tls(channel, server, secure, parse_qs(address.query))
            if address.username:
                server.login(unquote(address.username), unquote(address.password or ""))
            # Some of several recipients refused is no reason to send to the others again.
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _by_code(channel, max(codes, default=550)) from None
    except smtplib.SMTPResponseException as error:
        raise _by_code(channel, error.smtp_code) from None
    except ssl.SSLCertVerificationError:
        raise RefusedError(f"{channel.name}: the server's certificate is not valid") from None
    except (OSError, smtplib.SMTPException) as error:
        raise RetryLaterError(f"{channel.name}: {type(error).__name__}") from None


def _start_tls(
    channel: Channel, server: smtplib.SMTP, secure: ssl.SSLContext, query: dict[str, list[str]]
) -> None:
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=secure)
        server.ehlo()
    elif query.get("starttls") == ["required"]:
        raise RefusedError(f"{channel.name}: the server offers no STARTTLS, which is required")


def _by_code(channel: Channel, code: int) -> Exception:
    text = f"{channel.name}: SMTP {code}"
    return RefusedError(text) if code >= 500 else RetryLaterError(text)


def compose(channel: Channel, key: str, message: Mapping[str, Any], now: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = words.subject(message)
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Date"] = format_datetime(now)
    domain = channel.sender.rpartition("@")[2].strip(" >") or "llmops"
    mail["Message-ID"] = f"<{_id(key)}@{domain}>"
    first = f"<{_id(str(message['dedup_key']) + ':open')}@{domain}>"
    if message["kind"] not in ("open", "test", "digest"):
        mail["In-Reply-To"] = mail["References"] = first
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text(message))
    mail.add_alternative(page(message), subtype="html")
    return mail


def _id(key: str) -> str:
    return key.replace(":", ".")


def text(message: Mapping[str, Any]) -> str:
    if ready := words.face(message, "text"):
        return str(ready)
    lines = [words.subject(message, 1000), ""]
    lines += [f"{name + ':':<15}{value}" for name, value in words.facts(message)]
    if rest := words.also(message):
        lines += ["", f"{words.also_title(message)}:", *(f"- {line}" for line in rest)]
    lines += ["", *(f"{name}: {link}" for name, link in words.links(message))]
    if command := words.command(message):
        lines += ["", f"To take it on: {command}"]
    return "\n".join(lines).rstrip() + "\n"


def page(message: Mapping[str, Any]) -> str:
    """The same as HTML; every value escaped, no image, nothing fetched."""
    if ready := words.face(message, "html"):
        return str(ready)
    resolved = message["kind"] == "resolve"
    colour = "#2e6b3a" if resolved else _COLOUR.get(str(message["severity"]), "#3b5f8a")
    rows = "".join(
        f'<tr><td style="padding:2px 14px 2px 0;color:#666">{html.escape(name)}</td>'
        f"<td>{html.escape(value)}</td></tr>"
        for name, value in words.facts(message)
    )
    rest = "".join(f"<li>{html.escape(line)}</li>" for line in words.also(message))
    links = " · ".join(
        f'<a href="{html.escape(link, quote=True)}">{html.escape(name)}</a>'
        for name, link in words.links(message)
    )
    command = words.command(message)
    return (
        '<html><body style="font:15px/1.45 sans-serif;color:#1c1c1c">'
        f'<p style="border-left:4px solid {colour};padding-left:10px;font-weight:600">'
        f"{html.escape(words.subject(message, 1000))}</p>"
        f'<table style="border-collapse:collapse">{rows}</table>'
        + (f"<p>{words.also_title(message)}:</p><ul>{rest}</ul>" if rest else "")
        + (f"<p>{links}</p>" if links else "")
        + (f"<p>To take it on: <code>{html.escape(command)}</code></p>" if command else "")
        + "</body></html>"
    )
