"""The pages in headless Chromium, used by pointer and by keys; axe-core finds no violation."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alexnet.report.compare import write_comparison
from alexnet.report.examples import cells_with_examples
from alexnet.report.sweep import write_sweep
from tests.inference.browser import NEEDS
from tests.live.driver import install_packages, use

from .conftest import METRICS, write_page
from .test_compare import IMAGES, OURS, THEIRS
from .test_sweep import TRIALS

DRIVE = Path(__file__).with_name("drive.mjs")
pytestmark = NEEDS


@pytest.fixture(scope="module")
def folder(run, drawn, tmp_path_factory) -> Path:
    install_packages()
    folder = tmp_path_factory.mktemp("pages")
    images, actual, predicted = run.test_images, run.actual % 3, run.predicted % 3
    cells = cells_with_examples(images, actual, predicted, run.confidence)
    write_page(folder / "report.html", run, drawn, cells=cells)
    write_comparison(folder / "compare.html", OURS, THEIRS, IMAGES)
    write_sweep(folder / "sweep.html", TRIALS)
    return folder


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
@pytest.mark.parametrize("page", ["report", "compare", "sweep"])
def test_a_reader_at_work(folder, page, width, scheme):
    seen = use(folder, DRIVE, query=f"{page}.html", width=width, scheme=scheme)
    results = seen.results
    assert seen.violations == []
    assert seen.messages == []
    (asked,) = {urlsplit(url).path for url in seen.requests if not url.startswith("data:")}
    assert asked == f"/{page}.html"
    assert results["overflow"] == 0
    if page == "sweep":
        assert results["lit"] == "1"
        return
    readings = [words for _, words in results["shares"]]
    assert (results["hovered"], results["next"]) == (readings[1], readings[2])
    assert results["home"] == readings[0]
    assert readings[0].startswith("epoch 1: ")
    if page == "report":
        one, two, _ = METRICS.per_class
        assert results["cell"].startswith(f"true: {one}, predicted: {two}")
        assert len(results["images"]) == 8
        assert all(results["images"])
        assert results["below"] == f"true: {two}, predicted: {two}"
        assert results["stops"] == 1
