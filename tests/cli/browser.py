"""Headless Chromium, driven by the WebDriver protocol with nothing but the standard library."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    # Nothing but this machine has a name or an address: a page that needs more is seen to fail.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--proxy-server=direct://",
)


class Browser:
    """One window of a browser.

    Attributes:
      url: of the WebDriver session.
    """

    def __init__(self, url: str):
        self.url = url

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST with a body, else GET."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def script(self, code: str) -> Any:
        return self.call("/execute/sync", {"script": code, "args": []})

    def wait(self, expression: str, seconds: float = 60) -> Any:
        """The value of an expression of JavaScript, as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.script(f"return {expression};")):
            assert time.monotonic() < deadline, f"{expression}\n{self.text()}"
            time.sleep(0.1)
        return value

    def text(self) -> str:
        return self.script("return document.body.innerText;")

    def element(self, selector: str) -> str:
        """Path of an element."""
        found = self.call("/element", {"using": "css selector", "value": selector})
        return f"/element/{found[_ELEMENT]}"

    def keys(self, selector: str, text: str) -> None:
        """Types; into an <input type=file>, the path of a file."""
        self.call(self.element(selector) + "/value", {"text": text})

    def click(self, selector: str) -> None:
        self.call(self.element(selector) + "/click", {})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("/screenshot")))


@contextlib.contextmanager
def browser(folder: Path, width: int = 1400, height: int = 1000) -> Iterator[Browser]:
    """A browser with a profile in a folder; skips the test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: chromium chromium-driver)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [*_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    window = Browser(f"http://127.0.0.1:{port}")
    try:
        _until_ready(window)
        options = {"binary": chromium, "args": flags}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = window.call("/session", {"capabilities": {"alwaysMatch": wanted}})
        window.url += f"/session/{session['sessionId']}"
        yield window
        urllib.request.urlopen(urllib.request.Request(window.url, method="DELETE"), timeout=30)
    finally:
        process.terminate()
        process.wait()


def _until_ready(window: Browser) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            if window.call("/status")["ready"]:
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)
