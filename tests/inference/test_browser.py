"""The page that runs the model in a browser, used as by a person, in headless Chromium."""

import base64
import functools
import io
import json
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from tests.artifacts import LAX, export_small
from tests.conftest import ROOT
from tests.names import REQUESTING

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAGE = ROOT / "deploy" / "browser"
PHOTO = Image.fromarray(load_sample_images().images[1])  # 640x427

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm (Debian's package npm)"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A copy of the page with its locked packages, and the artifact beside it."""
    site = tmp_path_factory.mktemp("site")
    page = site / "deploy" / "browser"
    shutil.copytree(PAGE, page, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts"], cwd=page, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    export_small(site / "artifacts", precisions=list(MODEL_FILENAMES), **LAX)
    return site


@pytest.fixture(scope="module")
def use(site):
    """Perform steps on the page; returns its state after each and at the end, and its requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def use(*steps, query=""):
        url = f"http://127.0.0.1:{server.server_port}/deploy/browser/{query}"
        todo = [{"action": action, "value": value} for action, value in steps]
        done = subprocess.run(
            ["node", "check.js", CHROMIUM],
            cwd=site / "deploy" / "browser",
            input=json.dumps({"url": url, "steps": todo}),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        output = json.loads(done.stdout)
        return output["results"], output["requests"]

    yield use
    server.shutdown()
    server.server_close()


def expected(site, precision="fp32"):
    name = "expected.json" if precision == "fp32" else f"expected.{precision}.json"
    return json.loads((site / "artifacts" / "samples" / name).read_text())


def assert_shows(shown, row, tolerance=1e-5):
    """The page shows the expected output of a sample."""
    assert shown["state"] == "ready", shown["message"]
    assert shown["visible"]
    assert shown["best"].startswith(row["label"])
    best = sorted(row["probabilities"].items(), key=lambda item: -item[1])[:5]
    assert [shown_row["label"] for shown_row in shown["predictions"]] == [
        label for label, _ in best
    ]
    for shown_row, (_, probability) in zip(shown["predictions"], best, strict=True):
        assert shown_row["probability"] == pytest.approx(probability, abs=tolerance)


def test_the_samples_are_classified_as_expected(site, use):
    """Chosen as files, dropped, and clicked on."""
    rows = expected(site)
    folder = site / "artifacts" / "samples"
    first = base64.b64encode((folder / rows[0]["file"]).read_bytes()).decode()
    dropped = {"name": "a.png", "type": "image/png", "base64": first}
    steps = [("choose", str(folder / row["file"])) for row in rows]
    steps += [("drop", dropped), *(("sample", index) for index in range(len(rows)))]
    results, requests = use(*steps)
    for shown, row in zip(results, [*rows, rows[0], *rows], strict=False):
        assert_shows(shown, row)
    hosts = {urlsplit(url).hostname for url in requests if not url.startswith(("blob:", "data:"))}
    assert hosts == {"127.0.0.1"}, "nothing leaves the machine"


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 1e-2), ("int8", 5e-2)])
def test_the_other_precisions(site, use, precision, tolerance):
    row = expected(site, precision)[1]
    results, requests = use(("precision", precision), ("sample", 1))
    assert any(url.endswith(MODEL_FILENAMES[precision]) for url in requests)
    shown = {row["label"]: row["probability"] for row in results[1]["predictions"]}
    for label, probability in shown.items():
        assert probability == pytest.approx(row["probabilities"][label], abs=tolerance)


def test_names_are_not_executed(site, use):
    """Of classes, and of the data set."""
    hostile = shutil.copytree(site / "artifacts", site / "hostile")
    names = json.loads((hostile / "labels.json").read_text())
    names = dict(zip(names, [*REQUESTING, "<b>", "&amp;", "\\u001b"], strict=True))
    for path in (hostile / "labels.json", hostile / "samples/expected.json"):
        text = path.read_text()
        for name, other in names.items():
            text = text.replace(json.dumps(name), json.dumps(other))
        path.write_text(text)
    manifest = json.loads((hostile / "manifest.json").read_text())
    manifest["data"]["name"] = "".join(REQUESTING)
    (hostile / "manifest.json").write_text(json.dumps(manifest))
    results, requests = use(("sample", 0), query="?artifact=../../hostile")
    assert_shows(results[0], json.loads((hostile / "samples/expected.json").read_text())[0])
    assert not [url for url in requests if "stolen" in url]


def images():
    """One for each branch of the preprocessing, as PNG, which all browsers decode alike."""
    rotated = Image.Exif()
    rotated[0x0112] = 6
    transparent = PHOTO.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    for name, image, exif in (
        ("wide", PHOTO, None),
        ("tall", PHOTO.crop((100, 0, 301, 427)), None),
        ("small", PHOTO.resize((20, 25)), None),
        ("rotated", PHOTO, rotated),
        ("palette", PHOTO.convert("P"), None),
        ("transparent", transparent, None),
    ):
        content = io.BytesIO()
        image.save(content, "PNG", exif=exif)
        yield name, content.getvalue()


def test_preprocessing_equals_pillows(site, use, tmp_path):
    """Resized and cropped as in training, to a few steps of 255 in a few pixels."""
    predictor = Predictor(site / "artifacts")
    steps, expected = [], {}
    for name, content in images():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        for channels in (1, 3):
            preprocessing = {"resize": 48, "crop": 32, "channels": channels}
            predictor.resize, predictor.crop, predictor.channels = preprocessing.values()
            expected[name, channels] = predictor.prepare(path).astype(int)
            encoded = base64.b64encode(content).decode()
            steps.append(("prepare", {"base64": encoded, "preprocessing": preprocessing}))
    results, _ = use(*steps)
    for (key, pixels), values in zip(expected.items(), results, strict=False):
        difference = np.abs(np.array(values).reshape(pixels.shape) - pixels)
        # Pillow rounds a tall image in another order; the canvas stores colours multiplied
        # with alpha.
        assert difference.max() <= 4, key
        inexact = {"tall": 0.3, "rotated": 0.3, "transparent": 0.5}
        assert difference.mean() < inexact.get(key[0], 0.02), key


def test_an_error_for_a_file_that_is_no_image_and_then_the_next_image(site, use, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    results, _ = use(("choose", str(tmp_path / "text.png")), ("sample", 0))
    assert results[0]["state"] == "error"
    assert results[0]["message"] == "text.png is not an image that this browser can read"
    assert not results[0]["visible"]
    assert_shows(results[1], expected(site)[0])


def test_an_error_for_a_missing_artifact(use):
    (shown,), _ = use(query="?artifact=/none")
    assert shown["state"] == "error"
    assert shown["message"] == "/none/manifest.json was not found (404)"
