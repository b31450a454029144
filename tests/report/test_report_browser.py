"""The report in a real browser: it loads alone, sorts, prints, and fits light, dark and phone."""

import base64
import io
import re

import numpy as np
import pytest
from chromium import asked, chromium, look
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from freqprep.report import write_report


@pytest.fixture(scope="module")
def address(with_network, split, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(with_network, split, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def opened(browser, address):
    """The report, freshly loaded, light and 1280 pixels wide."""
    look(browser)
    browser.get("about:blank")
    open_page(browser, address)
    return browser


def open_page(browser, address: str) -> None:
    """Load the report; on a busy machine the driver may come back before it is there."""
    browser.get(address)
    script = (
        "return document.readyState === 'complete'"
        " && document.querySelectorAll('table.sortable tbody tr').length === 192"
    )
    WebDriverWait(browser, 60).until(lambda page: page.execute_script(script))


def shot(browser) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB"))


def head_of(browser, name: str):
    heads = browser.find_elements(By.CSS_SELECTOR, "table.sortable thead th")
    return next(
        (place, head)
        for place, head in enumerate(heads)
        if head.find_element(By.TAG_NAME, "button").get_attribute("textContent").strip() == name
    )


def column(browser, place: int) -> list[float]:
    script = (
        "return [...document.querySelectorAll('table.sortable tbody tr')]"
        ".map(row => Number(row.cells[arguments[0]].dataset.value))"
    )
    return browser.execute_script(script, place)


def test_it_loads_without_errors_and_asks_nobody(browser, address):
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get_log("browser")
    look(browser)
    open_page(browser, address)
    assert browser.title.startswith("Frequency channels of fit.zarr")
    assert browser.get_log("browser") == []
    urls = asked(browser)
    assert address in urls
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert {url for url in urls if url.startswith("file:")} == {address}


def test_every_picture_is_decoded(opened):
    script = "return [...document.images].map(image => image.complete && image.naturalWidth > 0)"
    found = opened.execute_script(script)
    assert len(found) >= 3 * 6 + 3 and all(found)


def test_a_click_sorts_and_another_turns_it_round(opened):
    place, head = head_of(opened, "entropy")
    button = head.find_element(By.TAG_NAME, "button")
    before = column(opened, place)
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(opened, place) == sorted(before, reverse=True)
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(opened, place) == sorted(before)
    assert len(opened.find_elements(By.CSS_SELECTOR, "[aria-sort]")) == 1


def test_numbers_are_sorted_as_numbers(opened):
    place, head = head_of(opened, "rank")
    assert head.get_attribute("aria-sort") == "ascending"
    head.find_element(By.TAG_NAME, "button").click()
    assert column(opened, place) == list(range(192, 0, -1))


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_the_keyboard_sorts(opened, key):
    place, head = head_of(opened, "KB")
    button = head.find_element(By.TAG_NAME, "button")
    opened.execute_script("arguments[0].focus()", button)
    opened.switch_to.active_element.send_keys(key)
    assert head.get_attribute("aria-sort") == "descending"
    found = column(opened, place)
    assert found == sorted(found, reverse=True)


def test_the_names_can_be_copied(opened, with_network):
    opened.find_element(By.ID, "copy").click()
    selected = opened.execute_script("return getSelection().toString()")
    assert selected == ",".join(with_network.choice.selection.names)
    assert opened.find_element(By.ID, "copied").text


def test_light_and_dark_are_two_pictures(opened):
    light = shot(opened)
    look(opened, scheme="dark")
    dark = shot(opened)
    for picture in (light, dark):
        assert picture.std() > 5
    assert light.mean() > 200 > 80 > dark.mean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(opened, scheme):
    """Contrast of at least 4.5 to 1 (WCAG AA) of each text colour on page and cards."""
    look(opened, scheme=scheme)
    script = (
        "const style = getComputedStyle(document.documentElement);"
        "return arguments[0].map(name => style.getPropertyValue('--' + name).trim())"
    )
    names = ["page", "card", "ink", "muted", "curve", "chosen"]
    page, card, *texts = map(luminance, opened.execute_script(script, names))
    for text in texts:
        for back in (page, card):
            assert (max(text, back) + 0.05) / (min(text, back) + 0.05) >= 4.5


def luminance(color: str) -> float:
    red, green, blue = (int(part, 16) / 255 for part in re.findall("[0-9a-f]{2}", color))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_nothing_is_wider_than_the_window(opened, width):
    look(opened, width=width)
    script = "return document.documentElement.scrollWidth"
    assert opened.execute_script(script) <= width
    inside = opened.execute_script(
        "return [...document.querySelectorAll('figure, .card, header > *, p, h2')]"
        ".every(e => e.getBoundingClientRect().right <= arguments[0])",
        width,
    )
    assert inside


def test_the_head_of_the_table_stays_in_view(opened):
    top = opened.execute_script(
        "const box = document.querySelector('.tall'); box.scrollTop = 600;"
        "return box.querySelector('thead th').getBoundingClientRect().top"
        " - box.getBoundingClientRect().top"
    )
    assert 0 <= top <= 2


def test_it_prints(opened):
    look(opened, scheme="dark", media="")
    settings = {"printBackground": True, "preferCSSPageSize": True}
    data = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", settings)["data"])
    assert data.startswith(b"%PDF-")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 5 <= pages <= 40
    look(opened, scheme="dark", media="print")
    assert shot(opened).mean() > 200
    script = "return getComputedStyle(document.querySelector('.tall')).maxHeight"
    assert opened.execute_script(script) == "none"
