"""The page's resizing, by Node.js without a browser: Pillow's, bit for bit."""

import base64
import json
import subprocess

import numpy as np
import pytest

from alexnet.data.images import resize_and_crop
from alexnet.export.graph import preprocessing_of
from tests.artifacts import METADATA
from tests.data.test_torchvision import OTHERS, PHOTOS, TALL, WIDE, part
from tests.inference.browser import PAGE
from tests.inference.test_browser_choices import NODE

pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js")


def call(code, values):
    """What the code, with the page's prepare.js and `values`, returns."""
    script = f"""
        import {{ checkSteps, fit }} from "{(PAGE / "prepare.js").as_uri()}";
        import {{ readFileSync }} from "node:fs";
        const values = JSON.parse(readFileSync(0));
        console.log(JSON.stringify(values.map((value) => {{ {code} }})));
    """
    command = [str(NODE), "--no-warnings", "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("method", "kernel"), [("bicubic", "bicubic"), ("torchvision", "bilinear")]
)
def test_the_pixels_are_those_of_training(method, kernel, channels):
    images = [part(PHOTOS[0], size, channels) for size in WIDE + OTHERS + TALL]
    given = [
        {"width": i.width, "height": i.height, "values": base64.b64encode(i.tobytes()).decode()}
        for i in images
    ]
    code = f"""
        const values = Buffer.from(value.values, "base64");
        const fitted = fit({{ ...value, values, channels: {channels} }}, 64, "{kernel}");
        return Buffer.from(fitted.values).toString("base64");
    """
    for image, found in zip(images, call(code, given), strict=True):
        expected = resize_and_crop(image, 64, channels, method)
        pixels = np.frombuffer(base64.b64decode(found), np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(pixels, expected, str(image.size))


def test_steps_that_an_export_states_are_done_and_others_refused():
    bicubic, bilinear = (preprocessing_of(METADATA, 48, m) for m in ("bicubic", "torchvision"))
    old = {"resize": 48, "crop": 32, "channels": 3}
    mixed = [bicubic | {"filter": "bilinear"}, old | {"filter": "bilinear"}]
    refused = [*mixed, bilinear | {"filter": "bicubic"}, bicubic | {"filter": "lanczos"}]
    code = "try { checkSteps(value); return null; } catch (error) { return error.message; }"
    *done, first, second, third, fourth = call(code, [bicubic, bilinear, old, *refused])
    assert done == [None] * 3
    assert first == second
    assert first.startswith("The manifest asks for region: centre square, and this page does")
    assert third.endswith("half to even, and this page does centre square")
    assert fourth == "The manifest asks for filter: lanczos, and this page does bicubic or bilinear"
