"""The documentation as a site: all pages, their links, and nothing asked of other servers."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from chromium import asked, chromium, look
from doc_pages import DOCS, PAGES, ROOT, headings

pytest.importorskip("material", reason="pip install 'freqprep[docs]'")

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "link": "href",
}
"""Element -> attribute with an address that a browser loads by itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


class Page(HTMLParser):
    """Links, loaded addresses and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.loaded, self.anchors = path, [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in LOADED and LOADED[tag] in found:
            self.loaded.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_each_page_is_there_once(site, pages):
    beside = {ROOT / "README.md": "index", ROOT / "CONTRIBUTING.md": "contributing"}
    beside[ROOT / "CHANGELOG.md"] = "changelog"
    names = {
        beside.get(page) or page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES
    }
    made = {path.relative_to(site).with_suffix("").as_posix() for path in pages}
    assert made == {*names, "404"}
    for page in PAGES:
        path = site / f"{beside.get(page) or page.relative_to(DOCS).with_suffix('')}.html"
        assert '<h1 id="' in path.read_text() and headings(page)
        menu = (site / "index.html").read_text()
        assert f'href="{path.relative_to(site).as_posix()}"' in menu.replace('"."', '"index.html"')


def test_pages_load_nothing_from_elsewhere(site, pages):
    for page in pages.values():
        for address in page.loaded:
            parts = urlsplit(address)
            assert not parts.scheme and not parts.netloc, f"{page.path.name} loads {address}"
            root = site if page.path.name == "404.html" else page.path.parent
            assert (root / parts.path.lstrip("/")).is_file(), f"{page.path.name}: {address}"
    for style in site.rglob("*.css"):
        for address in re.findall(r"url\(['\"]?([^)'\"]+)", style.read_text()):
            assert address.startswith("data:") or (style.parent / address).is_file(), address


def test_links_inside_the_site_lead_somewhere(site, pages):
    checked = 0
    for page in pages.values():
        if page.path.name == "404.html":
            continue  # it is shown at any address, so its links begin at the server's root
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = page.path.parent / unquote(parts.path) if parts.path else page.path
            path = (path / "index.html" if path.is_dir() else path).resolve()
            assert path.is_file(), f"{page.path.name} links to {link}"
            if parts.fragment and path.suffix == ".html":
                assert unquote(parts.fragment) in pages[path].anchors | {"__skip"}, link
            checked += 1
    assert checked > 1000


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def opened(browser, path: Path):
    """A page, loaded from its file."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(path.as_uri())
    ready = "return document.readyState === 'complete'"
    WebDriverWait(browser, 60).until(lambda page: page.execute_script(ready))
    return browser


def test_search_works_from_the_file_system_and_asks_nobody(site, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    look(browser)
    asked(browser)
    browser.get_log("browser")
    opened(browser, site / "how-to/convert.html")
    field = browser.find_element(By.CSS_SELECTOR, "[data-md-component=search-query]")
    field.click()
    field.send_keys("orientation")
    results = ".md-search-result__item a"
    WebDriverWait(browser, 60).until(lambda page: page.find_elements(By.CSS_SELECTOR, results))
    found = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, results)]
    assert any("format.html" in link for link in found)
    assert browser.get_log("browser") == []
    urls = asked(browser)
    assert len(urls) > 3
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("name", ["index", "how-to/layouts", "api", "benchmarks"])
def test_no_page_is_wider_than_the_window(site, browser, name, width):
    look(browser, width=width)
    page = opened(browser, site / f"{name}.html")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    inside = page.execute_script(
        "return [...document.querySelectorAll('.md-content p, .md-content h2, .md-content pre,"
        " .md-typeset__scrollwrap')].every(e => e.getBoundingClientRect().right <= arguments[0])",
        width,
    )
    assert inside


def test_colours_are_those_of_the_system(site, browser):
    light, dark = (brightness(site, browser, scheme) for scheme in ("light", "dark"))
    assert light > 200 > 80 > dark


def brightness(site, browser, scheme: str) -> float:
    look(browser, scheme=scheme)
    opened(browser, site / "api.html")
    script = "return getComputedStyle(document.body).backgroundColor"
    return float(
        np.mean([int(part) for part in re.findall(r"\d+", browser.execute_script(script))])
    )
