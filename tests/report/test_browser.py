"""The page in a browser: no requests, no console messages, no overflow."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from alexnet.evaluation.results import ClassMetrics
from tests.names import REQUESTING

from .conftest import METRICS, write_page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=10000"),
]
LOCAL = ("file:", "data:", "chrome:")
SCHEMES = {"dark": 0, "light": 1}
# Opens every layer, and measures the rendered page.
MEASURE = """<script>
for (const layer of document.querySelectorAll("details")) {
  layer.removeAttribute("name"); // of those with one, only one is open at a time
  layer.open = true;
}
addEventListener("load", () => {
  const overflows = (part) => part.getBoundingClientRect().right > innerWidth + 1;
  const wide = [...document.querySelectorAll("body *")].filter(
    (part) => overflows(part) && !part.closest(".card, .scroll, nav"));
  parent.postMessage({
    width: innerWidth, scroll: document.documentElement.scrollWidth,
    wide: wide.map((part) => part.outerHTML.slice(0, 80)),
    ground: getComputedStyle(document.body).backgroundColor,
    broken: [...document.images].filter((image) => !image.naturalWidth).length,
    images: document.images.length,
  }, "*");
});
</script></body>"""
# A window is never narrower than 500 pixels, a frame is as wide as a phone. The measurements
# become the title of the document around it.
FRAME = """<!doctype html><iframe style="border: 0; width: {width}px; height: 900px" src="{page}">
</iframe><script>
addEventListener("message", (message) => { document.title = JSON.stringify(message.data); });
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium (Debian's package of that name)"),
]


@pytest.fixture(scope="module")
def page(run, drawn, tmp_path_factory) -> Path:
    """The report with the script that measures it."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = write_page(path, run, drawn)
    assert text.count("</body>") == 1
    path.write_text(text.replace("</body>", MEASURE), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_loads_silently_and_fits(page, tmp_path, width, scheme):
    colours = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    around = page.with_name(f"{width}-{scheme}.html")
    around.write_text(FRAME.replace("{width}", str(width)).replace("{page}", page.name))
    done = visit(around, tmp_path, "--window-size=1600,1000", colours)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, "the browser has messages about the page"
    (measured,) = re.findall(r"<title>(.*)</title>", done.stdout)
    found = json.loads(html.unescape(measured))
    assert found["width"] == width
    assert found["scroll"] <= width
    assert found["wide"] == []
    assert found["broken"] == 0
    assert found["images"] > 20
    dark = sum(map(int, re.findall(r"\d+", found["ground"]))) < 3 * 128
    assert dark == (scheme == "dark")
    assert addresses(tmp_path / "net.json") == set()


def test_names_are_not_executed(run, drawn, tmp_path):
    """In each place of the page where a name stands."""
    share = ClassMetrics(0.5, 0.5, 1)
    sizes = {name: 10 * number for number, name in enumerate(REQUESTING, 1)}
    page = tmp_path / "names.html"
    changes = {
        "title": "".join(REQUESTING),
        "conditions": {name: name for name in REQUESTING},
        "settings": {name: {name: name} for name in REQUESTING},
        "counts": dict.fromkeys(("train", "val", "test"), sizes),
        "metrics": replace(METRICS, per_class=dict.fromkeys(REQUESTING, share)),
    }
    write_page(page, run, drawn, **changes)
    done = visit(page, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr
    assert addresses(tmp_path / "net.json") == set()


@pytest.mark.parametrize("name", REQUESTING)
def test_names_would_be_executed_as_markup(tmp_path, name):
    """The test above can fail: for each name but the one that needs a click."""
    page = tmp_path / "names.html"
    page.write_text(f'<title>{name}</title>{name}<p title="{name}"></p>')
    visit(page, tmp_path)
    assert bool(addresses(tmp_path / "net.json")) is not name.startswith("javascript:")


def visit(page: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Print the page's document once loaded; its network requests are logged in net.json."""
    places = (f"--user-data-dir={folder}/profile", f"--log-net-log={folder}/net.json")
    return subprocess.run(
        [BROWSER, *QUIET, *places, *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
    )


def addresses(log: Path) -> set[str]:
    """The URLs that the page requested; the browser's own requests have priority IDLE."""
    asked = re.findall(r'\{"priority":"([A-Z]+)",[^{}]*"url":"([^"]*)"', log.read_text())
    return {url for priority, url in asked if priority != "IDLE" and not url.startswith(LOCAL)}


def test_a_request_is_detected(tmp_path):
    """The test above can fail: it does for a page that requests a picture."""
    page = tmp_path / "asking.html"
    page.write_text('<img src="http://localhost:9/picture.png">')
    visit(page, tmp_path)
    assert addresses(tmp_path / "net.json") == {"http://localhost:9/picture.png"}
