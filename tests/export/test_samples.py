"""The samples: their files, their labels, and which images they are."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from alexnet.evaluation.evaluate import logits_of
from alexnet.export.samples import choose_samples
from alexnet.inference.predictor import Predictor
from alexnet.network.weights import ModelMetadata
from tests.artifacts import export_model
from tests.conftest import CLASSES
from tests.runs import CPU, narrow


@pytest.fixture(scope="module", params=[3, pytest.param(1, marks=pytest.mark.slow)])
def exported(request, tmp_path_factory, digits):
    """An artifact with five samples, their images as stored (5, 48, 48, C), and the classes of
    these: export_model takes the model to be wrong about every second image, the first included.
    """
    channels = request.param
    tint = torch.tensor([1.0, 0.8, 0.5])[:channels] * torch.linspace(0.5, 1, 48)[:, None, None]
    images = digits[0][:5].repeat_interleave(2, 1).repeat_interleave(2, 2)[:, 8:56, 8:56]
    images = (images[..., :channels] * tint + 20).clamp(0, 255).byte()
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5,) * channels, (0.25,) * channels)
    folder = tmp_path_factory.mktemp("samples") / "artifacts"
    torch.manual_seed(0)
    model = narrow(channels=channels).eval()
    export_model(folder, model, metadata, images, num_samples=5)
    predicted = logits_of(model, metadata, images[:, 8:40, 8:40], CPU, 5).argmax(1).tolist()
    labels = [CLASSES[(k + 1 - index % 2) % 10] for index, k in enumerate(predicted)]
    return folder, images.numpy(), labels


def test_each_file_decodes_to_the_stored_image(exported):
    """But for the JPEG's rounding and the white corner; each is in a form of its own."""
    folder, stored, _ = exported
    names = ["00.png", "01.png", "02.jpg", "03.png", "04.png"]
    files = [folder / "samples" / name for name in names]
    assert sorted(folder.glob("samples/[0-9]*")) == files
    predictor = Predictor(folder)
    prepared = [predictor.prepare(file).astype(int) for file in files]
    centre = stored[:, 8:40, 8:40].astype(int)
    for index in (0, 1, 4):
        np.testing.assert_array_equal(prepared[index], centre[index])
    assert np.abs(prepared[2] - centre[2]).max() <= 6
    assert (prepared[3][:4, :4] == 255).all(), "of 12, as the centre begins at 8"
    np.testing.assert_array_equal(prepared[3][4:], centre[3][4:])
    np.testing.assert_array_equal(prepared[3][:, 4:], centre[3][:, 4:])

    lying, corner, wide = (Image.open(io.BytesIO(file.read_bytes())) for file in files[2:])
    assert lying.getexif()[ExifTags.Base.Orientation] == 6
    raw = np.asarray(lying).reshape(stored[2].shape).astype(int)
    assert np.abs(np.rot90(raw, -1) - stored[2]).max() <= 6
    alpha = np.asarray(corner.getchannel("A"))
    assert set(alpha.flat) == {0, 255}, "nothing to blend, which programs round in their own ways"
    assert (np.asarray(corner)[alpha == 0] == 0).all(), "white comes of the alpha alone"
    assert wide.size == (96, 48)


def test_rows_have_the_predicted_and_the_true_label(exported):
    folder, _, labels = exported
    rows = json.loads((folder / "samples" / "expected.json").read_text())
    assert [row["true_label"] for row in rows] == labels
    predictor = Predictor(folder)
    for row in rows:
        (best,) = predictor.classify(folder / "samples" / row["file"], top=1)
        assert row["label"] == best.label
        assert row["probabilities"][best.label] == pytest.approx(best.probability, abs=1e-6)
    assert rows[0]["label"] != rows[0]["true_label"]
    assert rows[1]["label"] == rows[1]["true_label"]


@pytest.mark.parametrize(
    ("num_images", "right", "num_samples", "chosen"),
    [
        (100, range(100), 5, [0, 24, 49, 74, 99]),
        (100, [24], 5, [0, 24, 49, 74, 99]),
        (100, [7, 74, 80], 5, [7, 24, 49, 74, 99]),  # 74 is in another form
        (100, [], 5, [0, 24, 49, 74, 99]),
        (3, [2], 8, [2, 1, 2]),
        (1, [], 4, [0]),
    ],
)
def test_a_sample_as_stored_is_right_if_any_image_is(num_images, right, num_samples, chosen):
    is_right = np.isin(np.arange(num_images), list(right))
    assert choose_samples(is_right, num_samples).tolist() == chosen
