"""The page in a real browser: Debian's Chromium through Playwright. Pictures are kept in
`test-output/report/`, to be looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_jobs.report.build import build
from llmops_jobs.report.faces import html
from llmops_jobs.report.model import ReportModel
from llmops_jobs.report.publish import publish
from llmops_jobs.report.settings import ReportSettings
from llmops_jobs.report.site import Site
from llmops_jobs.store import Database
from tests import browser as chromium
from tests.conftest import ROOT
from tests.report.hostile import EVERYTHING, SCRIPTS, XSS
from tests.report.marts import LAST, PROJECT, fill
from tests.report.test_hostile import spoil

OUTPUT = ROOT / "test-output" / "report"
BIDI_NAMES = ["דוח-איכות", "تقرير الجودة", "chat 🚀👩🏽‍💻", "报告-生成", "Übersetzung"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with chromium.browser() as opened:
        yield opened


class Visit:
    """A page with everything that it did wrong."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._request)
        self.page.goto(path.as_uri())

    def _request(self, request: Any) -> None:
        if request.resource_type != "document" and not request.url.startswith("data:"):
            self.faults.append(f"request: {request.url}")

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.fixture(scope="module")
def pages(
    reports: dict[str, ReportModel], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for kind, report in reports.items():
        (folder / f"{kind}.html").write_text(html.render(report), encoding="utf-8")
    return {kind: folder / f"{kind}.html" for kind in reports}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_the_page_asks_for_nothing_and_fits_every_width(
    browser: Any, pages: dict[str, Path], width: int, theme: str
) -> None:
    size = {"width": width, "height": 900}
    with Visit(browser, pages["week"], viewport=size, color_scheme=theme) as visit:
        visit.page.screenshot(path=OUTPUT / f"week-{width}-{theme}.png", full_page=True)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.faults == []


def test_every_section_is_there_without_a_script(
    browser: Any, pages: dict[str, Path], reports: dict[str, ReportModel]
) -> None:
    for kind, path in pages.items():
        with Visit(browser, path, java_script_enabled=False) as visit:
            for section in reports[kind].sections:
                box = visit.page.locator(f"#{section.id}").bounding_box()
                assert box is not None, section.id
                assert box["height"] > 60, section.id
            assert visit.page.locator(".tile").count() == len(reports[kind].tiles)
            assert visit.faults == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_barrier(browser: Any, pages: dict[str, Path], theme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    # The page's own policy forbids scripts; axe has to be let in.
    for kind in ("day", "month"):
        with Visit(browser, pages[kind], color_scheme=theme, bypass_csp=True) as visit:
            found = axe.Axe().run(visit.page).response["violations"]
            told = [f"{one['id']}: {[n['target'] for n in one['nodes']][:3]}" for one in found]
            assert told == []


def test_the_colours_can_be_chosen_with_the_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["day"], color_scheme="light") as visit:
        look = "getComputedStyle(document.body).backgroundColor"
        light = visit.page.evaluate(look)
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("ArrowRight")
        visit.page.keyboard.press("ArrowRight")
        assert visit.page.evaluate(look) != light


def test_the_page_prints(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["week"], color_scheme="dark") as visit:
        data = visit.page.pdf(path=OUTPUT / "week.pdf", prefer_css_page_size=True)
        sheets = data.count(b"/Type /Page\n") or data.count(b"/Type /Page ")
        assert 2 <= sheets <= 9


def test_nothing_out_of_a_trace_is_executed(browser: Any, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/llmops.db")
    database.create()
    fill(database, days=2, features=EVERYTHING[:22], models=EVERYTHING[22:], tenants=("", XSS[2]))
    spoil(database)
    site = Site(str(tmp_path / "site"))
    list(publish(database, ReportSettings(rows=60, title=XSS[0]), site, [PROJECT], LAST, LAST))
    database.engine.dispose()
    for path in sorted((tmp_path / "site").rglob("*.html")):
        with Visit(browser, path) as visit:
            links = visit.page.evaluate("[...document.links].map(a => a.getAttribute('href'))")
            assert len(links) > 3
            assert not [link for link in links if link.startswith(("javascript", "data"))]
            assert visit.page.evaluate("window.hit") is None
            assert visit.faults == []
            assert "<script>window.hit=1</script>" in visit.page.locator("h1").inner_text()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("empty", {"only": ("project",)}),
        ("one-model", {"models": ["gpt-4o"], "features": ["chat"], "tenants": [""], "days": 3}),
        ("200-models", {"models": [f"model-{n}" for n in range(200)], "days": 3}),
        (
            "long-names",
            {"features": [f"{'long-feature-name-' * 3}{n}" for n in range(6)], "days": 9},
        ),
        ("scripts", {"features": SCRIPTS, "models": SCRIPTS, "tenants": SCRIPTS[:2], "days": 9}),
        ("right-to-left", {"features": BIDI_NAMES, "models": BIDI_NAMES, "days": 9}),
        ("no-forecast", {"only": ("project", "usage_daily", "latency_scope")}),
        ("broken", {"days": 40}),
    ],
)
def test_unusual_data_gives_a_sensible_page(
    browser: Any, database: Database, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    fill(database, **options)
    if name == "broken":
        _break(database)
    report = build(database, ReportSettings(), PROJECT, "day", LAST)
    path = tmp_path / "page.html"
    path.write_text(html.render(report), encoding="utf-8")
    assert path.stat().st_size < 200_000
    for width in (390, 1280):
        with Visit(browser, path, viewport={"width": width, "height": 900}) as visit:
            visit.page.screenshot(path=OUTPUT / f"{name}-{width}.png", full_page=True)
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
            assert visit.faults == []


def _break(database: Database) -> None:
    """Every call fails, nothing has a price, no row is where it should be, all budgets are over."""
    with database.engine.begin() as connection:
        for statement in (
            "UPDATE usage_daily SET errors = requests, cost_usd = 0, price_status = 'unpriced'",
            "UPDATE reconciliation SET status = 'differs', rows_here = 0, unexplained = 5204",
            "UPDATE budget_status SET status = 'over', probability_over = 1",
            "UPDATE incident SET state = 'open', severity = 'critical', resolved_at = NULL",
            "UPDATE quality_window SET estimate = 0, low = 0, high = 0.1",
            "UPDATE version_comparison SET verdict = 'worse'",
            "DELETE FROM latency_scope",
            "DELETE FROM period_forecast",
        ):
            connection.exec_driver_sql(statement)


def test_the_page_is_small_enough_to_be_interactive_at_once(
    browser: Any, pages: dict[str, Path]
) -> None:
    """Milliseconds depend on the machine and are kept beside the pictures; what they follow from
    is asserted: elements, bytes, and nothing to wait for."""
    measured = {}
    for kind, path in pages.items():
        with Visit(browser, path) as visit:
            timing = visit.page.evaluate(
                "(({responseEnd: a, domInteractive: b, loadEventEnd: c}) => [a, b, c])"
                "(performance.getEntriesByType('navigation')[0])"
            )
            elements = visit.page.evaluate("document.querySelectorAll('*').length")
            measured[kind] = dict(zip(("read", "interactive", "loaded"), timing, strict=True))
            measured[kind] |= {"elements": elements, "bytes": path.stat().st_size}
            assert elements < 5_000
            assert path.stat().st_size < 150 * 1024
            assert visit.faults == []
    (OUTPUT / "interactive.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")


def test_the_index_is_searched_as_one_types(browser: Any, own: Database, tmp_path: Path) -> None:
    list(publish(own, ReportSettings(), Site(str(tmp_path)), [PROJECT], LAST, LAST))
    with Visit(browser, tmp_path / "index.html") as visit:
        rows = visit.page.locator("tbody tr:visible")
        assert rows.count() >= 3
        visit.page.fill("#search", "month")
        assert rows.count() == 1
        visit.page.screenshot(path=OUTPUT / "index.png")
        visit.page.locator("tbody tr:visible a").click()
        assert "LLM quality & cost" in visit.page.title()
        assert visit.faults == []
    with Visit(browser, tmp_path / "index.html", java_script_enabled=False) as visit:
        assert not visit.page.locator("#search").is_visible()
        assert visit.page.locator("tbody tr").count() >= 3
