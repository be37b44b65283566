"""The Python lines of the model card: on odd image files they give what `predict` gives."""

import contextlib
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.errors import UserError
from alexnet.inference.predictor import Predictor
from alexnet.network.weights import ModelMetadata
from tests.artifacts import export_model, export_small
from tests.conftest import CLASSES, real_digits
from tests.data.encoding import encode
from tests.data.odd_images import exact_inputs, refused_inputs
from tests.runs import narrow


def lines_of(folder):
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), re.DOTALL)
    return code


@pytest.fixture(scope="module", params=[3, "torchvision", pytest.param(1, marks=pytest.mark.slow)])
def folder(request, tmp_path_factory):
    """A model for the centre of larger images in colour (in either way), or for grey ones."""
    folder = tmp_path_factory.mktemp("card") / "artifacts"
    if request.param != 1:
        return export_small(folder, 48, "bicubic" if request.param == 3 else request.param)
    torch.manual_seed(0)
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5,), (0.25,))
    images = real_digits()[0][:8, :, :, :1].contiguous()
    export_model(folder, narrow(channels=1).eval(), metadata, images)
    return folder


@pytest.fixture
def run_lines(folder, monkeypatch):
    """Run the lines on a file; returns what they print, and the pixels that the model gets."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    code = lines_of(folder)

    def run_lines(path):
        variables, printed = {}, io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code.replace("samples/00.png", str(path)), variables)
        return printed.getvalue().split(), variables["images"]

    return run_lines


@pytest.fixture
def zoo(tmp_path):
    """Files by kind: the odd ones, and a photograph."""
    contents = {name: content for name, (content, _) in (exact_inputs() | refused_inputs()).items()}
    photo = Image.fromarray(load_sample_images().images[0])
    contents |= {"photo": encode(photo, "JPEG"), "tall": encode(photo.crop((9, 0, 210, 427)))}
    files = {name: tmp_path / f"{index}.image" for index, name in enumerate(contents)}
    for name, file in files.items():
        file.write_bytes(contents[name])
    return files


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of what is damaged and read all the same
def test_they_give_the_pixels_and_the_label_of_predict(folder, run_lines, zoo, run):
    predictor = Predictor(folder)
    printed = {}
    for name, file in zoo.items():
        expected = pixels = words = None
        with contextlib.suppress(UserError):
            expected = predictor.prepare(file)[None]
        with contextlib.suppress(Exception):
            words, pixels = run_lines(file)
        assert (pixels is None) == (expected is None), name
        if expected is not None:
            np.testing.assert_array_equal(pixels, expected, name)
            printed[str(file)] = words
    assert len(printed) == len(exact_inputs()) + 2
    done = run("predict", folder, *printed, "--top", 1, "--json", fresh=True)
    for row in json.loads(done.stdout):
        (best,) = row["predictions"]
        label, probability = printed[row["file"]]
        assert label == best["label"]
        assert float(probability) == pytest.approx(best["probability"], abs=1e-6)


def test_they_are_few_and_print_the_label_of_the_first_sample(folder, run_lines):
    code = lines_of(folder)
    assert len(code.splitlines()) <= 89
    assert "alexnet" not in code
    (label, _), _ = run_lines("samples/00.png")
    assert label == json.loads((folder / "samples" / "expected.json").read_text())[0]["label"]
