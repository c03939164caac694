"""The report in headless Chromium: figures, controls, no network requests, and names that contain markup."""

import base64
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.epigenomes import BINS, MARKS
from support.reports import ENDING, HOSTILE, hostile_run, pooled_run

from deepchrome.train.report.patterns import STABLE
from deepchrome.train.report.visualize import visualize

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (CHROMIUM and DRIVER):
        missing = "chromium and chromedriver are not installed (apt install chromium chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(f"{missing}; CI must test the report in a browser")
        pytest.skip(missing)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tempfile.mkdtemp(prefix="report-browser-")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = hostile_run(tmp_path_factory.mktemp("page"), epochs=5)
    return visualize(run, run.parent / "report", recipe=STABLE).report


@pytest.fixture(scope="module")
def pooled_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = pooled_run(tmp_path_factory.mktemp("pooled"))
    return visualize(run, run.parent / "report", recipe=replace(STABLE, steps=5, starts=1)).report


@pytest.fixture
def page(browser: Any, report: Path) -> Any:
    return open_page(browser, report)


@pytest.fixture
def pooled_page(browser: Any, pooled_report: Path) -> Any:
    return open_page(browser, pooled_report)


def open_page(browser: Any, report: Path) -> Any:
    """Open a report, and discard earlier browser logs."""
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(report.as_uri())
    wait_until(browser, "return document.body.dataset.ready === 'yes'")
    return browser


def wait_until(browser: Any, script: str) -> None:
    end = time.monotonic() + 30
    while not browser.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def requests(browser: Any) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def change(browser: Any, control: str, value: str) -> None:
    script = (
        "const c = document.getElementById(arguments[0]); c.value = arguments[1];"
        "c.dispatchEvent(new Event('input')); c.dispatchEvent(new Event('change'));"
    )
    browser.execute_script(script, control, value)


def colours(browser: Any) -> list[str]:
    script = (
        "return [...document.querySelector('#pair .map').querySelectorAll('g rect')].map(r => r.getAttribute('fill'))"
    )
    return list(browser.execute_script(script))


def text(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).textContent", selector))


@pytest.mark.campaign("names")
def test_page_opens_without_errors_or_network_requests(page: Any, report: Path) -> None:
    for control, value in (("class", "off"), ("source", "gradients"), ("style", "published"), ("gene", "GENE61")):
        change(page, control, value)
    page.execute_script("document.querySelector('#pair button').click()")
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert [url for url in requests(page) if not url.startswith("blob:")] == [report.as_uri()]


def shapes(browser: Any, selector: str) -> int:
    return int(browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector))


def test_page_of_a_pooled_model_opens_without_errors(pooled_page: Any, pooled_report: Path) -> None:
    for control, value in (("epigenome", "2"), ("source", "gradients"), ("contrast-a", "2"), ("contrast-b", "0")):
        change(pooled_page, control, value)
    assert [entry for entry in pooled_page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert [url for url in requests(pooled_page) if not url.startswith("blob:")] == [pooled_report.as_uri()]
    assert "held out" in text(pooled_page, "#table")
    assert "not measured" in text(pooled_page, "#pair .map")
    assert "not measured" in text(pooled_page, "#profile")
    change(pooled_page, "source", "pattern")
    assert text(pooled_page, "#pair strong").startswith("pooled model")


def test_yardsticks_show_all_epigenomes(pooled_page: Any) -> None:
    assert shapes(pooled_page, "#yardstick-figures figure") == 2
    # Each of the three epigenomes has a group. The nearest epigenome is unknown for the one that is held out.
    assert shapes(pooled_page, "#yardstick-figures figure:first-child g.bar") == 3
    assert shapes(pooled_page, "#yardstick-figures figure:first-child g.bar path") == 4 + 4 + 3
    assert shapes(pooled_page, "#yardstick-table tbody tr") == 3
    pooled_page.execute_script(
        "document.querySelector('#yardstick-figures g.bar:last-of-type').dispatchEvent(new Event('click'))"
    )
    chosen = text(pooled_page, "#yardstick-table tr.chosen td")
    assert text(pooled_page, "#calibration strong").startswith(chosen.split(" ")[0])


def test_contrast_follows_its_two_controls(pooled_page: Any) -> None:
    assert text(pooled_page, "#contrast-figure strong").startswith("E001 against E002")
    forwards = text(pooled_page, "#contrast-table tbody tr td:nth-child(2)")
    change(pooled_page, "contrast-a", "1")  # the other side: the two swap
    assert text(pooled_page, "#contrast-figure strong").startswith("E002 against E001")
    lowest = text(pooled_page, "#contrast-table tbody tr:last-child td:nth-child(2)")
    assert lowest == (forwards[1:] if forwards.startswith("\u2212") else f"\u2212{forwards}")
    change(pooled_page, "contrast-b", "2")
    assert text(pooled_page, "#contrast-figure strong").startswith("E002 against E003")
    assert shapes(pooled_page, "#contrast-figure g rect") > 5


def test_absent_sections_give_their_reason(page: Any) -> None:
    assert "task classify" in text(page, "#contrast > p:last-child")
    assert "task classify" in text(page, "#regression p")
    hidden = page.execute_script("return getComputedStyle(document.querySelector('#contrast .controls')).display")
    assert hidden == "none"


def test_map_follows_epigenome_class_and_source(page: Any) -> None:
    seen = {"at first": colours(page)}
    assert len(seen["at first"]) == len(MARKS) * BINS
    assert len(set(seen["at first"])) > 5
    for control, value in (("class", "off"), ("epigenome", "1"), ("source", "observed"), ("class", "difference")):
        change(page, control, value)
        seen[f"{control} {value}"] = colours(page)
    change(page, "source", "pattern")
    change(page, "style", "published")
    change(page, "class", "on")
    seen["four levels"] = colours(page)
    assert len(set(seen["four levels"])) <= 4
    assert len({tuple(fills) for fills in seen.values()}) == len(seen)


def test_two_epigenomes_are_compared(page: Any) -> None:
    change(page, "other", "1")
    titles = page.execute_script("return [...document.querySelectorAll('#pair strong')].map(e => e.textContent)")
    assert [title.split(":")[0][:4] for title in titles] == ["E001", "E002"]


def test_hover_and_arrow_keys_show_values(page: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    cell = page.find_elements(By.CSS_SELECTOR, "#pair .map g rect")[BINS + 3]
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cell)
    ActionChains(page).move_to_element(cell).perform()
    wait_until(page, "return !document.getElementById('tip').hidden")
    shown = text(page, "#tip")
    assert shown.startswith(MARKS[1])
    assert "kb" in shown
    assert "reads" in shown
    drawing = page.find_element(By.CSS_SELECTOR, "#pair .map")
    page.execute_script("arguments[0].focus()", drawing)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    after = text(page, "#tip")
    assert after != shown
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert text(page, "#tip") != after


def test_gene_is_found_by_id_and_symbol(page: Any) -> None:
    change(page, "gene", "gene75")
    assert text(page, "#gene-text").startswith("GENE75 (ENSG00000000075) in E001")
    assert "score" in text(page, "#gene-text")
    change(page, "gene", "ENSG00000000070")
    assert text(page, "#gene-text").startswith("GENE70 (")
    assert page.execute_script("return document.querySelectorAll('#track svg rect').length") > len(MARKS)
    change(page, "gene", "no such gene")
    assert "not in this report" in text(page, "#gene-status")
    assert text(page, "#gene-text").startswith("GENE70 (")


@pytest.mark.campaign("names")
@pytest.mark.parametrize("name", [HOSTILE, ENDING])
def test_hostile_name_creates_no_element(page: Any, name: str) -> None:
    scripts = page.execute_script("return document.scripts.length")
    change(page, "gene", name)
    assert text(page, "#gene-text").startswith(name)
    assert name in text(page, "#track strong")
    assert page.execute_script("return document.images.length") == 0
    assert page.execute_script("return document.scripts.length") == scripts == 2
    assert page.execute_script("return document.body.dataset.pwned ?? null") is None


def test_table_sorts_filters_and_selects(page: Any) -> None:
    first = "return [...document.querySelectorAll('#table tbody tr td:first-child')].map(e => e.textContent)"
    page.execute_script("document.querySelector('#table th button').click()")
    assert page.execute_script(first) == ["E001", "E002"]
    page.execute_script("document.querySelector('#table th button').click()")
    assert page.execute_script(first) == ["E002", "E001"]
    assert page.execute_script("return document.querySelector('#table th').getAttribute('aria-sort')") == "descending"
    change(page, "filter", "e002")
    assert page.execute_script(first) == ["E002"]
    page.execute_script("document.querySelector('#table td button').click()")
    assert text(page, "#pair strong").startswith("E002")


def test_downloads_contain_the_figure_and_its_data(page: Any) -> None:
    keep = (
        "window.kept = [];"
        "URL.createObjectURL = blob => { blob.text().then(t => window.kept.push(t)); return 'blob:x'; };"
        "HTMLAnchorElement.prototype.click = function () {};"
        "document.querySelectorAll('#pair figure:first-child button').forEach(b => b.click());"
    )
    page.execute_script(keep)
    wait_until(page, "return window.kept.length === 2")
    drawing, table = page.execute_script("return window.kept")
    assert drawing.startswith("<svg")
    assert drawing.count("<rect") > len(MARKS) * BINS
    rows = [line.split("\t") for line in table.strip().split("\n")]
    assert rows[0] == ["epigenome", "class", "mark", "bin", "value"]
    assert len(rows) == 1 + len(MARKS) * BINS
    assert all(0 <= float(row[4]) <= 1 for row in rows[1:])


def test_page_fits_a_phone(pooled_page: Any, tmp_path: Path) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    pooled_page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert pooled_page.execute_script("return document.documentElement.scrollWidth") <= 360
        shot = base64.b64decode(pooled_page.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
    finally:
        pooled_page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    (tmp_path / "phone.png").write_bytes(shot)
    assert shot.startswith(b"\x89PNG")
    assert len(shot) > 10_000
