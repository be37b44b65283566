"""The page that runs the model in a browser, used as a person would, in headless Chromium."""

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
from tests.conftest import ROOT
from tests.handing import small_handoff

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
    """A copy of the page with what its lock names, and the folder that it looks for."""
    site = tmp_path_factory.mktemp("site")
    page = site / "deploy" / "browser"
    shutil.copytree(PAGE, page, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts"], cwd=page, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    small_handoff(
        site / "artifacts",
        precisions=["fp32", "fp16", "int8"],
        max_changed=1.0,
        max_accuracy_drop=1.0,
        num_calibration_images=32,
    )
    return site


@pytest.fixture(scope="module")
def use(site):
    """Do steps on the page; what it showed after each and at the end, and what it asked for."""
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
        answer = json.loads(done.stdout)
        return answer["results"], answer["asked"]

    yield use
    server.shutdown()
    server.server_close()


def expected(site, precision="fp32"):
    name = "expected.json" if precision == "fp32" else f"expected.{precision}.json"
    return json.loads((site / "artifacts" / "samples" / name).read_text())


def hold(shown, row, tolerance):
    """What the page showed to what the artifact says."""
    assert shown["state"] == "ready", shown["message"]
    assert shown["visible"]
    assert shown["best"].startswith(row["label"])
    wanted = sorted(row["probabilities"].items(), key=lambda item: -item[1])[:5]
    assert [guess["label"] for guess in shown["guesses"]] == [label for label, _ in wanted]
    for guess, (_, probability) in zip(shown["guesses"], wanted, strict=True):
        assert guess["probability"] == pytest.approx(probability, abs=tolerance)


def test_the_samples_are_classified_as_expected(site, use):
    """Chosen as files, dropped, and clicked on."""
    rows = expected(site)
    folder = site / "artifacts" / "samples"
    first = base64.b64encode((folder / rows[0]["file"]).read_bytes()).decode()
    dropped = {"name": "a.png", "type": "image/png", "base64": first}
    steps = [("choose", str(folder / row["file"])) for row in rows]
    steps += [("drop", dropped), *(("sample", index) for index in range(len(rows)))]
    results, asked = use(*steps)
    for shown, row in zip(results, [*rows, rows[0], *rows], strict=False):
        hold(shown, row, 1e-5)
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("blob:", "data:"))}
    assert hosts == {"127.0.0.1"}, "nothing leaves the machine"


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 1e-2), ("int8", 5e-2)])
def test_the_other_precisions(site, use, precision, tolerance):
    row = expected(site, precision)[1]
    results, asked = use(("precision", precision), ("sample", 1))
    assert any(url.endswith(MODEL_FILENAMES[precision]) for url in asked)
    shown = {guess["label"]: guess["probability"] for guess in results[1]["guesses"]}
    for label, probability in shown.items():
        assert probability == pytest.approx(row["probabilities"][label], abs=tolerance)


def images():
    """Of every kind that is prepared in another way, as PNG: there all browsers agree."""
    turned = Image.Exif()
    turned[0x0112] = 6
    see_through = PHOTO.convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    for name, image, exif in (
        ("wide", PHOTO, None),
        ("tall", PHOTO.crop((100, 0, 301, 427)), None),
        ("small", PHOTO.resize((20, 25)), None),
        ("turned", PHOTO, turned),
        ("palette", PHOTO.convert("P"), None),
        ("see-through", see_through, None),
    ):
        content = io.BytesIO()
        image.save(content, "PNG", exif=exif)
        yield name, content.getvalue()


def test_pixels_are_those_of_pillow(site, use, tmp_path):
    """Resized and cropped as training did, to a few steps of 255 here and there."""
    predictor = Predictor(site / "artifacts")
    steps, expected = [], {}
    for name, content in images():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        for channels in (1, 3):
            asked = {"resize": 48, "crop": 32, "channels": channels}
            predictor.resize, predictor.crop, predictor.channels = asked.values()
            expected[name, channels] = predictor.prepare(path).astype(int)
            given = {"base64": base64.b64encode(content).decode(), "preprocessing": asked}
            steps.append(("prepare", given))
    results, _ = use(*steps)
    for (key, wanted), values in zip(expected.items(), results, strict=False):
        difference = np.abs(np.array(values).reshape(wanted.shape) - wanted)
        # Of a tall image Pillow rounds in another order; colours that are seen through are
        # stored multiplied.
        assert difference.max() <= 4, key
        inexact = {"tall": 0.3, "turned": 0.3, "see-through": 0.5}
        assert difference.mean() < inexact.get(key[0], 0.02), key


def test_what_is_no_image_is_told_and_the_next_one_is_classified(site, use, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    results, _ = use(("choose", str(tmp_path / "text.png")), ("sample", 0))
    assert results[0]["state"] == "error"
    assert results[0]["message"] == "text.png is not an image that this browser can read"
    assert not results[0]["visible"]
    hold(results[1], expected(site)[0], 1e-5)


def test_a_missing_artifact_is_told(use):
    (shown,), _ = use(query="?artifact=/none")
    assert shown["state"] == "error"
    assert shown["message"] == "/none/manifest.json is not there (404)"
