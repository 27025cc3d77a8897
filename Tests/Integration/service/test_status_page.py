"""The page at /: what it says, that it is one safe file, and that it fits a phone."""

import base64
import hashlib
import json
import shutil
import subprocess
import urllib.request
from html.parser import HTMLParser

import pytest
from bus.dry import PASSWORD, busy_worker
from lab.processes import free_port, until
from service.bench import dry_worker

HOSTILE = "<script>document.title='taken'</script>"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The page's structure: every tag is closed where it should be."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.text, self.style = [], [], [], "", ""
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


@pytest.fixture
def busy(second_worker):
    """A worker with swaps in every list of the page, one of them of an instance with a hostile name."""
    named = {"instance": {"uuid": None, "name": HOSTILE}, "old_volume_id": "x" * 200}
    return busy_worker(second_worker, named, bandwidth_mib_s=1)


def test_what_the_page_says(busy):
    worker, rpc, swaps = busy
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.http}/", timeout=10) as answer:
        headers, html = answer.headers, answer.read().decode()
    page = Page(html)
    assert headers["Content-Type"] == "text/html; charset=utf-8" and headers["Cache-Control"] == "no-store"
    assert "script" not in page.tags and page.tags.count("style") == 1 and HOSTILE in page.text
    assert not {name for name, _ in page.attributes} & {"src", "style", "onclick", "action"}
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policy = headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    for words in ("ready", "Running", "Waiting", "Recent", "limit 1.0 MiB/s", "waits for slot", "on the old volume", "dry-run"):
        assert words in page.text, words
    assert all(swap["request_token"] in page.text for swap in swaps)
    assert PASSWORD not in html
    for name, path in page.attributes:
        assert name != "href" or worker.get(path)[0] == 200, path

    rpc.call("pause_queue")
    assert ">paused<" in worker.get("/")[1]
    rpc.call("resume_queue")
    worker.restart_hard()
    until(lambda: swaps[0]["request_token"] in worker.get("/")[1], 30, lambda: worker.get("/")[1])


def test_the_page_of_a_worker_that_is_not_ready(lab):
    """It says why, and answers 200: it is for people."""
    with dry_worker(lab, {"transport_url": f"rabbit://guest:guest@127.0.0.1:{free_port()}/"}, start=False) as worker:
        worker.start(ready=False)
        until(lambda: "bus: no broker" in worker.get("/")[1], 60, lambda: f"{worker.get('/')}")
        status, html = worker.get("/")
        assert status == 200 and "not ready" in Page(html).text


class Browser:
    """Headless Chromium, by chromedriver's own protocol."""

    def __init__(self, directory, width: int, height: int):
        self.port = free_port()
        self.log = open(directory / "chromedriver.log", "ab")
        argv = ["chromedriver", f"--port={self.port}", "--allowed-ips=127.0.0.1"]
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        until(lambda: self.ready() or self.process.poll() is not None, 60, "chromedriver does not start")
        options = {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.0, "touch": False}},
        }
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def ready(self) -> bool:
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.ask("POST", f"/session/{self.session}/url", {"url": url})

    def evaluate(self, expression: str):
        body = {"script": f"return {expression}", "args": []}
        return self.ask("POST", f"/session/{self.session}/execute/sync", body)

    def complaints(self) -> list[str]:
        """What its console says against the page."""
        entries = self.ask("POST", f"/session/{self.session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if "favicon" not in entry["message"]]

    def close(self) -> None:
        self.ask("DELETE", f"/session/{self.session}")
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs the package chromium-driver")
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)], ids=["phone", "desktop"])
def test_the_page_in_a_browser(busy, width, height):
    """It fits the width, its style holds under its policy, no script runs, and it reloads by itself."""
    worker, _, swaps = busy
    browser = Browser(worker.directory, width, height)
    try:
        browser.open(f"http://127.0.0.1:{worker.http}/")
        assert browser.evaluate("window.innerWidth") == width
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
        wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth).length"
        assert browser.evaluate(wide) == 0
        assert browser.evaluate("getComputedStyle(document.querySelector('.swaps li')).borderRadius") == "8px", "no style"
        assert browser.evaluate("document.title") == f"pivotd on {worker.host}"
        assert browser.evaluate("document.querySelector('progress').position >= 0")
        assert browser.complaints() == []
        browser.evaluate("document.title = 'before'")
        until(lambda: browser.evaluate("document.title") != "before", 60, "it does not reload")
        assert browser.evaluate("document.title") == f"pivotd on {worker.host}"
    finally:
        browser.close()
