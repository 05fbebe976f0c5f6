"""The user's own price file: contracts, discounts, self-hosted models.

    prices:
      - match: {model: "gpt-4o.*", provider: openai}   # regular expressions, the whole name
        from: 2026-09-01                               # first UTC day; absent = always
        to: 2027-01-01                                 # first day it no longer holds; absent = open
        per_million_tokens: {input: 2.0, cache_read: 1.0, output: 8.0}
        tiers: [{above_input_tokens: 200000, per_million_tokens: {input: 4.0}}]
        per_request: 0.001
        per_piece: {web_search: 0.01}
        when: {service_tier: flex}                     # only calls made that way
        currency: EUR                                  # with usd_rate: dollars for one unit of it
        usd_rate: 1.08
      - match: {model: "claude-.*"}
        discount: 0.15                                 # 15 % off the bundled price instead
      - match: {model: "support-bot-eu"}
        price_as: azure/gpt-4o                         # a deployment's name: the list price of this

Entries are tried from top to bottom and the first that matches wins; two entries with the same
`match` and `when` must not overlap in time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from llmops_jobs.errors import ConfigError
from llmops_jobs.ledger.units import PIECE_TYPES, TOKEN_TYPES, to_femto
from llmops_jobs.settings import Section

_CONTEXT_KEYS = ("service_tier", "processing", "speed", "search_type", "route")


class _Match(Section):
    model: str
    provider: str | None = None


class _Tier(Section):
    above_input_tokens: int = Field(gt=0)
    per_million_tokens: dict[str, Decimal]


class _Entry(Section):
    match: _Match
    from_: date | None = Field(None, alias="from")
    to: date | None = None
    per_million_tokens: Mapping[str, Decimal] = Field(default_factory=dict)
    tiers: tuple[_Tier, ...] = ()
    per_request: Decimal | None = None
    per_piece: Mapping[str, Decimal] = Field(default_factory=dict)
    discount: Decimal | None = Field(None, ge=0, le=1)
    price_as: str = ""
    when: Mapping[str, str] = Field(default_factory=dict)
    currency: str = "USD"
    usd_rate: Decimal | None = Field(None, gt=0)
    note: str = ""


class _File(Section):
    prices: tuple[_Entry, ...] = ()


@dataclass(frozen=True)
class Override:
    """One entry of the file, checked and compiled."""

    price_id: str
    model: re.Pattern[str]
    provider: re.Pattern[str] | None
    first: date | None
    end: date | None  # exclusive
    when: Mapping[str, str]
    per_unit: Mapping[str, int]  # femto-dollars a unit, by usage type
    tiers: tuple[tuple[int, Mapping[str, int]], ...]  # (above input tokens, prices that change)
    discount: Decimal | None
    price_as: str  # the model whose list price holds; '' = its own
    note: str

    def applies(self, provider: str, model: str, day: date, context: Mapping[str, str]) -> bool:
        return (
            (self.first is None or day >= self.first)
            and (self.end is None or day < self.end)
            and self.model.fullmatch(model) is not None
            and (self.provider is None or self.provider.fullmatch(provider) is not None)
            and all(context.get(key) == value for key, value in self.when.items())
        )


def read_overrides(path: Path) -> tuple[Override, ...]:
    """The entries of a price file, in its order.

    Raises ConfigError that names the file, the entry, the key and what to write: not YAML, an
    unknown key or usage type, a bad pattern, a negative price, dates that overlap or are turned
    round, a currency without a rate.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"ledger.price_file names {path}, which does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"price file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"price file {path} is not YAML: {error}") from error
    try:
        entries = _File.model_validate(content or {}).prices
    except ValidationError as error:
        raise ConfigError("\n".join(_told(path, item) for item in error.errors())) from None
    overrides = tuple(_compile(path, number, entry) for number, entry in enumerate(entries))
    _refuse_overlaps(path, entries)
    return overrides


def _told(path: Path, item: Any) -> str:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"]).lstrip(".")
    if item["type"] == "extra_forbidden":
        valid = ", ".join(sorted(field.alias or name for name, field in _known(item["loc"])))
        return f"price file {path}: unknown key {where}: valid are {valid}"
    return f"price file {path}: {where or 'content'}: {item['msg']} (found {item['input']!r})"


def _known(location: tuple[int | str, ...]) -> list[tuple[str, Any]]:
    sections: dict[str, type[Section]] = {"prices": _Entry, "match": _Match, "tiers": _Tier}
    named = [sections[str(part)] for part in location[:-1] if str(part) in sections]
    return list((named[-1] if named else _File).model_fields.items())


def _compile(path: Path, number: int, entry: _Entry) -> Override:
    place = f"price file {path}: prices[{number}]"
    rate = _usd_rate(place, entry)
    if entry.from_ and entry.to and entry.to <= entry.from_:
        raise ConfigError(f"{place}: to {entry.to} must be after from {entry.from_} (exclusive)")
    for key in entry.when:
        if key not in _CONTEXT_KEYS:
            raise ConfigError(f"{place}.when: unknown {key}: valid are {', '.join(_CONTEXT_KEYS)}")
    per_unit = _per_million(f"{place}.per_million_tokens", entry.per_million_tokens, rate)
    pieces = {"request": entry.per_request} if entry.per_request is not None else {}
    for kind, price in {**entry.per_piece, **pieces}.items():
        if kind not in PIECE_TYPES:
            raise ConfigError(
                f"{place}.per_piece: unknown {kind}: valid are {', '.join(PIECE_TYPES)}"
            )
        per_unit[kind] = to_femto(_not_negative(f"{place}.{kind}", price) * rate, 1)
    if bool(per_unit) == (entry.discount is not None or bool(entry.price_as)):
        raise ConfigError(
            f"{place} needs prices (per_million_tokens, per_request, per_piece) or a discount or "
            "price_as, and not both"
        )
    return Override(
        price_id=f"own/{entry.match.model}@{entry.from_ or 'always'}"
        + "".join(f"#{key}={value}" for key, value in sorted(entry.when.items())),
        model=_pattern(f"{place}.match.model", entry.match.model),
        provider=_pattern(f"{place}.match.provider", entry.match.provider)
        if entry.match.provider
        else None,
        first=entry.from_,
        end=entry.to,
        when=entry.when,
        per_unit=per_unit,
        tiers=tuple(
            (
                tier.above_input_tokens,
                _per_million(f"{place}.tiers[{index}]", tier.per_million_tokens, rate),
            )
            for index, tier in enumerate(
                sorted(entry.tiers, key=lambda tier: tier.above_input_tokens)
            )
        ),
        discount=entry.discount,
        price_as=_listed(place, entry),
        note=entry.note,
    )


def _listed(place: str, entry: _Entry) -> str:
    from llmops_jobs.ledger.bundled import bundled_book

    if entry.price_as and bundled_book().find("", entry.price_as) is None:
        raise ConfigError(
            f"{place}: price_as {entry.price_as!r} is not in the bundled book; ask "
            "`llmops prices` for a name that is, such as azure/gpt-4o"
        )
    return entry.price_as


def _usd_rate(place: str, entry: _Entry) -> Decimal:
    if entry.currency.upper() == "USD":
        return Decimal(1)
    if entry.usd_rate is None:
        raise ConfigError(
            f"{place}: currency {entry.currency} needs usd_rate: the dollars for one of it"
        )
    return entry.usd_rate


def _per_million(place: str, prices: Mapping[str, Decimal], rate: Decimal) -> dict[str, int]:
    for kind in prices:
        if kind not in TOKEN_TYPES:
            raise ConfigError(f"{place}: unknown {kind}: valid are {', '.join(TOKEN_TYPES)}")
    return {
        kind: to_femto(_not_negative(f"{place}.{kind}", usd) * rate, 1_000_000)
        for kind, usd in prices.items()
    }


def _not_negative(place: str, usd: Decimal) -> Decimal:
    if not usd.is_finite() or usd < 0 or usd > 1_000_000:
        raise ConfigError(f"{place}: {usd} is not a price in dollars, 0 or more")
    return usd


def _pattern(place: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"{place}: {text!r} is not a regular expression: {error}") from None


def _refuse_overlaps(path: Path, entries: tuple[_Entry, ...]) -> None:
    for (i, a), (j, b) in combinations(enumerate(entries), 2):
        same = a.match == b.match and a.when == b.when
        starts_before_end = (a.to is None or b.from_ is None or b.from_ < a.to) and (
            b.to is None or a.from_ is None or a.from_ < b.to
        )
        if same and starts_before_end:
            raise ConfigError(
                f"price file {path}: prices[{i}] and prices[{j}] both price {a.match.model!r} "
                f"on the same days ({_span(a)} and {_span(b)}): end one where the other begins"
            )


def _span(entry: _Entry) -> str:
    return f"{entry.from_ or 'always'} to {entry.to or 'open'}"
