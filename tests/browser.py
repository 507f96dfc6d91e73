"""A browser as people have it, without a window: Debian's Chromium, by Debian's driver for it.

It reaches nothing but this host, and keeps what it asked for and what it
complained of, for a test to look at. Pictures of the pages are for people:
in ``build/screenshots``, or in the folder that ``CYME_SCREENSHOTS`` names.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.wait import WebDriverWait

from tests.services import program
from tests.support import eventually

#: What the pages have to fit on, and a desk's screen.
NARROW, WIDE = 390, 1280
HEIGHT = 900
SCHEMES = ("light", "dark")
WITHIN_S = 20.0
_FLAGS = (
    "--headless=new",
    # For root, who has no other way, and nothing but our own pages is shown.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # The browser itself has nothing to ask anybody.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
    "--metrics-recording-only",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    # A page in the background is a page all the same.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)
_NOT_NOW = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
_FETCH = """
const [path, method, done] = arguments;
fetch(path, {method}).then((answer) => done(answer.status), () => done(0));
"""
_FOCUSED = """
const it = document.activeElement;
if (it === document.body) return ["", ""];
return [getComputedStyle(it).outlineStyle, it.innerText || it.name || it.tagName];
"""


class Browser:
    """One that looks at the pages of one server."""

    def __init__(self, driver: webdriver.Chrome, origin: str) -> None:
        self.driver = driver
        self.origin = origin
        self.expected = ""
        self.screenshots = Path(os.environ.get("CYME_SCREENSHOTS", "build/screenshots"))

    # Looking

    def open(self, path: str) -> None:
        self.driver.get(self.origin + path)
        # A page that is loaded anew does not have it.
        self.run("window.isTheSame = true")

    def leave(self) -> None:
        """For a page of nobody, which asks for nothing."""
        self.driver.get("about:blank")

    @property
    def is_the_same(self) -> bool:
        """Whether the page that was opened is still there, not loaded anew."""
        return bool(self.run("return window.isTheSame === true"))

    @property
    def path(self) -> str:
        return urlsplit(self.driver.current_url).path

    def arrives(self, path: str) -> None:
        """Wait until it has gone to that page by itself."""
        eventually(lambda: self.path == path, WITHIN_S, every_s=0.1)

    def text(self, of: str = "main") -> str:
        """What is to be read in what a CSS selector finds first."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", of))

    def row(self, name: str) -> str:
        """What is to be read in the row of a table whose first cell begins with *name*."""
        try:
            return self._row(name).text
        except _NOT_NOW:
            return ""

    def sees(self, text: str, row: str = "", within_s: float = WITHIN_S, of: str = "main") -> None:
        """Wait until *text* is on the page, in that row of it or in what a selector finds."""

        def is_there() -> bool:
            found = self.row(row) if row else self.text(of)
            assert text in found, f"no {text!r} in: {found}"
            return True

        eventually(is_there, within_s, every_s=0.1)

    def buttons(self) -> list[str]:
        found = self.run(
            "return [...document.querySelectorAll('main button')].map((e) => e.innerText)"
        )
        return [str(each) for each in found]

    def focused(self) -> str:
        """The text of what has the keyboard, which must be seen to have it."""
        style, text = self.run(_FOCUSED)
        assert not text or style != "none", f"the focus on {text!r} is not to be seen"
        return str(text)

    # Acting

    def click(self, word: str, row: str = "", within: str = "body") -> None:
        """The button or link with this text, in the row of *row* or *within* what is selected."""
        path = f".//*[self::button or self::a][normalize-space()={_quoted(word)}]"

        def clicked() -> bool:
            place = self._row(row) if row else self.driver.find_element(By.CSS_SELECTOR, within)
            place.find_element(By.XPATH, path).click()
            return True

        self._when_there(clicked, f"{word!r} to click" + (f" at {row!r}" if row else ""))

    def answer(self, text: str | None = None, agrees: bool = True) -> str:
        """Answer the question that is asked; what it was."""
        asked = WebDriverWait(self.driver, WITHIN_S).until(alert_is_present())
        question = str(asked.text)
        if text is not None:
            asked.send_keys(text)
        (asked.accept if agrees else asked.dismiss)()
        return question

    def fill(self, name: str, value: str | bool, within: str = "body") -> None:
        """The field of that name, in what the selector *within* finds."""
        selector = f"{within} [name={json.dumps(name)}]"

        def filled() -> bool:
            _enter(self.driver.find_element(By.CSS_SELECTOR, selector), value)
            return True

        self._when_there(filled, f"a field {selector}")

    def send(self, form: str, word: str, **values: str | bool) -> None:
        """Unfold the form with that id, fill in these fields, and press the button."""
        self.unfold(form)
        for name, value in values.items():
            self.fill(name, value, f"#{form}")
        self.click(word, within=f"#{form}")

    def unfold(self, form: str) -> None:
        def unfolded() -> bool:
            details = self.driver.find_element(By.ID, form)
            if details.get_attribute("open") is None:
                details.find_element(By.TAG_NAME, "summary").click()
            return details.get_attribute("open") is not None

        self._when_there(unfolded, f"form {form}")

    def press(self, *keys: str) -> None:
        """On whatever has the keyboard."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def block(self, *urls: str) -> None:
        """Have what matches these never be answered from now on."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(urls)})

    def fetch(self, path: str, method: str = "POST") -> int:
        """The status that a script of the page at hand is answered with."""
        return int(self.driver.execute_async_script(_FETCH, path, method))

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    # How it looks

    def appear(self, scheme: str = "light", width: int = WIDE) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        metrics = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        # They would be cut off what is captured, and would have had their place.
        self.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})

    def screenshot(self, name: str, scheme: str, width: int) -> Path:
        """The whole of the page, as it is in that scheme and width."""
        self.appear(scheme, width)
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        )
        path = self.screenshots / f"{name}-{scheme}-{width}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def sticks_out(self) -> list[str]:
        """What makes the page as a whole scroll sideways."""
        return list(
            self.run(
                "const width = document.documentElement.clientWidth;"
                "if (document.documentElement.scrollWidth <= width) return [];"
                "return [...document.querySelectorAll('body *')]"
                ".filter((e) => e.getBoundingClientRect().right > width && !e.closest('.wide'))"
                ".map((e) => e.outerHTML.slice(0, 120))"
            )
        )

    # What it has kept

    def faults(self) -> list[str]:
        """What the console has since this was last called: errors, and what the policy forbids.

        Without those that match ``expected``: it tells of each answer that is an error, too.
        """
        return [
            f"{one['level']}: {one['message']}"
            for one in self.driver.get_log("browser")
            if one["level"] in ("SEVERE", "WARNING")
            and not (self.expected and re.search(self.expected, one["message"]))
        ]

    def asked(self) -> list[str]:
        """The URLs that pages asked for since this was last called."""
        messages = [
            json.loads(one["message"])["message"] for one in self.driver.get_log("performance")
        ]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def asked_others(self) -> list[str]:
        """Those of them that are not of the server whose pages they are."""
        return [url for url in self.asked() if _origin(url) != self.origin]

    def _row(self, name: str) -> WebElement:
        path = f"//main//tr[td[1][starts-with(normalize-space(), {_quoted(name)})]]"
        return self.driver.find_element(By.XPATH, path)

    def _when_there(self, act: Callable[[], bool], what: str) -> None:
        """*act*, again while what it needs is not there or just being replaced."""

        def acted() -> bool:
            try:
                return act()
            except _NOT_NOW as exc:
                raise AssertionError(f"no {what}: {exc.msg}") from None

        eventually(acted, WITHIN_S, every_s=0.1)


@contextmanager
def browser(origin: str) -> Iterator[Browser]:
    """One with a profile of its own, which knows nobody yet."""
    # Short: there will be a unix socket in it.
    with TemporaryDirectory(prefix="cy", dir="/tmp") as name:
        service = Service(program("chromedriver", "chromium-driver"), env=_environment(Path(name)))
        driver = webdriver.Chrome(_options(Path(name)), service)
        try:
            driver.set_page_load_timeout(60)
            driver.set_script_timeout(30)
            made = Browser(driver, origin)
            made.appear()
            # Its own first page is none of ours.
            made.leave()
            made.asked()
            yield made
        finally:
            driver.quit()


def _options(folder: Path) -> Options:
    options = Options()
    options.binary_location = program("chromium", "chromium")
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return options


def _environment(folder: Path) -> dict[str, str]:
    """Without proxies; what Chromium puts into its home goes with the rest of it."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TMPDIR": str(folder)}


def _origin(url: str) -> str:
    found = urlsplit(url)
    return f"{found.scheme}://{found.hostname}:{found.port}" if found.hostname else url


def _enter(field: WebElement, value: str | bool) -> None:
    if isinstance(value, bool):
        if field.is_selected() != value:
            field.click()
    elif field.tag_name == "select":
        field.find_element(By.XPATH, f"./option[normalize-space()={_quoted(value)}]").click()
    else:
        # As somebody types: a field that is emptied in another way is touched by nobody, and
        # gets back what is stored when the page is shown anew.
        if field.get_attribute("value"):
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(Keys.DELETE)
        field.send_keys(value)


def _quoted(text: str) -> str:
    """As XPath has strings: with no way to escape a quote in them."""
    return f"'{text}'" if "'" not in text else f'"{text}"'
