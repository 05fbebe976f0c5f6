"""Prose, links and cells as HTML: every text is escaped here, and no address can run anything."""

from __future__ import annotations

from markupsafe import Markup, escape

from llmops_jobs.report.faces import svg
from llmops_jobs.report.model import Cell, Column, Prose, Table

GLYPHS = {"act": "✕", "watch": "!", "ok": "✓", "none": "–"}

# Columns whose cells the style sheet lays out by themselves.
_LAID_OUT = frozenset({"change", "difference", "day", "metric"})


def safe(address: str | None) -> str | None:
    """An address if it leads to the web or within the page."""
    if address is None or not address.startswith(("https://", "http://", "#")):
        return None
    return address


def link(address: str | None, text: str) -> str:
    checked = safe(address)
    if checked is None:
        return str(escape(text))
    return f'<a href="{escape(checked)}">{escape(text)}</a>'


def say(prose: Prose) -> Markup:
    parts = []
    for part in prose:
        if isinstance(part, str):
            parts.append(str(escape(part)))
        elif part.kind == "figure":
            parts.append(f"<b>{escape(part.text)}</b>")
        elif part.kind == "name":
            css = "" if " " in part.text else ' class="name"'
            parts.append(f"<bdi{css}>{escape(part.text)}</bdi>")
        else:
            parts.append(link(part.href, part.text))
    return Markup("".join(parts))


def badge(status: str, text: str) -> Markup:
    """A status that needs no colour: a mark and a word."""
    mark = f'<span aria-hidden="true">{GLYPHS[status]}</span>'
    return Markup(f'<span class="badge s-{status}">{mark} {escape(text)}</span>')


def table(block: Table) -> Markup:
    """Head, body and foot. Row n has the id `<table>.n`: its place in the export's `rows`.

    End tags of cells and rows, and quotes around plain words, are left out as HTML allows: a page
    has a thousand cells.
    """
    heads = "".join(_head(column) for column in block.columns)
    parts = [f"<thead><tr>{heads}<tbody>"]
    name = escape(block.id.replace(" ", "-"))
    for place, row in enumerate(block.rows):
        parts.append(f"<tr id={name}.{place}>{_cells(block.columns, row)}")
    if block.total:
        parts.append(f"<tfoot><tr>{_cells(block.columns, block.total)}</tfoot>")
    return Markup("".join(parts))


def _head(column: Column) -> str:
    css = " class=n" if column.numeric else ""
    told = f' title="{escape(column.help)}"' if column.help else ""
    return f"<th scope=col{css}{told}>{escape(column.label)}"


def _cells(columns: list[Column], row: list[Cell]) -> str:
    return "".join(
        _cell(column, cell, place == 0)
        for place, (column, cell) in enumerate(zip(columns, row, strict=True))
    )


def _cell(column: Column, cell: Cell, head: bool) -> str:
    words = ["n"] if column.numeric else []
    if column.key in _LAID_OUT:
        words.append(f"k-{column.key}")
    if cell.status and not head:
        words.append(f"s-{cell.status}")
    if len(cell.text) > 40:
        words.append("w")
    if cell.share is not None:
        words.append("b")
    quote = '"' if len(words) > 1 else ""
    css = f" class={quote}{' '.join(words)}{quote}" if words else ""
    return f"<{'th scope=row' if head else 'td'}{css}>{_content(column, cell)}"


def _content(column: Column, cell: Cell) -> str:
    parts = []
    if cell.share is not None:
        parts.append(svg.bar(cell.share))
    if cell.low is not None and cell.scale:
        status = cell.status or "none"
        parts.append(svg.interval(cell.value, cell.low, cell.high, cell.scale, status))
    if cell.status and column.key in ("status", "state"):
        parts.append(badge(cell.status, cell.text))
    elif cell.unit is not None:
        parts.append(link(cell.href, cell.text))
    elif cell.text:
        text = link(cell.href, cell.text)
        # Text of another direction must not turn what follows; plain ASCII cannot.
        parts.append(text if cell.text.isascii() else f"<bdi>{text}</bdi>")
    if cell.note:
        parts.append(f"<small>{say(cell.note)}</small>")
    if cell.spark:
        parts.append(svg.spark(cell.spark, area=False))
    return "".join(parts)
