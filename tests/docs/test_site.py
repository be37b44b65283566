"""The docs site in headless Chromium: accessible, silent, and no wider than the window."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT
from tests.inference.browser import NEEDS
from tests.live.driver import install_packages, use

DRIVE = Path(__file__).with_name("drive.mjs")
MAIN = ["index", "pipeline", "data", "tour", "network", "live/index", "results", "use", "develop"]


def build(folder: Path, **environment: str) -> str:
    """Build the site into a folder; what mkdocs says of it."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, f"--site-dir={folder}"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    return folder


def test_every_page_is_there_and_the_readme_is_the_first(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    assert (site / "live/index.html").exists()
    assert not (site / "live/live.js").exists()
    assert "make demo" in (site / "index.html").read_text()


def test_a_link_to_a_file_of_the_repository_is_its_text_or_its_address(site, tmp_path):
    text = (site / "network.html").read_text()
    assert "<code>alexnet/network/model.py</code>" in text
    assert "model.py</code></a>" not in text
    build(tmp_path, SOURCE_URL="https://example.org/alexnet/blob/main/")
    text = (tmp_path / "network.html").read_text()
    assert 'href="https://example.org/alexnet/blob/main/alexnet/network/model.py"' in text


class TestBrowser:
    pytestmark = NEEDS

    @pytest.fixture(scope="class", autouse=True)
    def packages(self):
        install_packages()

    @pytest.mark.parametrize("width", [400, 1400])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_a_reader_sees_the_pages(self, site, scheme, width):
        seen = use(site, DRIVE, pages=MAIN, width=width, scheme=scheme)
        assert seen.violations == []
        assert seen.messages == []
        assert {urlsplit(url).hostname for url in seen.requests} == {"127.0.0.1"}
        assert seen.results["overflows"] == []
        (ground,) = set(seen.results["grounds"])
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_missing_place_is_an_error(tmp_path):
    """A page, a section or a file that a link names, and a page without a place in the menu."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "ci", tmp_path / "ci")
    for name in ("README.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docs/new.md").write_text("# N\n[a](no.md) [b](use.md#no) [c](../alexnet/no.py)\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    for name in ("new.md\n", "'no.md'", "'use.md#no'", "'../alexnet/no.py'"):
        assert name in done.stderr, name
