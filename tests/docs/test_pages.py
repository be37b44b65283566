"""The docs site in headless Chromium: accessible, silent, and no wider than the window."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.inference.browser import NEEDS
from tests.live.driver import install_packages, use

DRIVE = Path(__file__).with_name("drive.mjs")
# Some of each kind of content.
MAIN = ["index", "pipeline", "data", "tour", "network", "live/index", "results", "use", "extending"]
MAIN += ["cifar10/report"]
pytestmark = NEEDS


@pytest.fixture(scope="module", autouse=True)
def packages():
    install_packages()


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_sees_the_pages(site, scheme, width):
    seen = use(site, DRIVE, pages=MAIN, width=width, scheme=scheme)
    assert seen.violations == []
    assert seen.messages == []
    assert {urlsplit(url).hostname for url in seen.requests} == {"127.0.0.1"}
    assert seen.results["overflows"] == []
    (ground,) = set(seen.results["grounds"])
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
