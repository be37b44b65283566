"""The gallery: its picture, what excites a channel most, and its nearest neighbours."""

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet.live.gallery import MISSING, explore, gallery_size, write_atlas
from alexnet.live.neighbours import project
from alexnet.live.network import page_network
from alexnet.live.tensors import dequantise


@pytest.fixture(scope="module")
def explored(live_run):
    network = page_network(live_run.model, live_run.metadata)
    images = live_run.train[0].numpy()
    arrays, features = explore(network.rounded, images, "fc2")
    (outputs,) = network.rounded.run(images, [block.name for block in network.blocks])
    return arrays, features, outputs


@pytest.mark.parametrize("name", ["conv1", "conv5", "fc1", "fc3"])
def test_patches_are_where_a_channel_is_most_active(explored, name):
    """Found one by one in the maps, which are of 8x8 positions in conv1."""
    arrays, _, outputs = explored
    maps = outputs[name] if outputs[name].ndim == 4 else outputs[name][:, :, None, None]
    for channel in range(0, maps.shape[1], 3):
        strongest = maps[:, channel].reshape(len(maps), -1).max(axis=1)
        expected = -np.sort(-strongest)[:9]
        if name != "fc3":
            expected = np.maximum(expected, 0)
        np.testing.assert_array_equal(arrays[f"{name}.peaks"][channel], expected)
        patches = arrays[f"{name}.patches"][channel].tolist()
        for (image, row, column), peak in zip(patches, expected, strict=True):
            if image != MISSING:
                assert maps[image, channel, row, column] == peak
            else:
                assert peak == 0


def test_a_channel_that_is_never_active_has_no_patches(explored):
    """Logits need not be positive: each class has nine images."""
    arrays, _, outputs = explored
    assert (arrays["conv2.patches"][2, :, 0] == MISSING).all()
    assert (arrays["conv2.peaks"][2] == 0).all()
    assert (arrays["conv2.patches"][:2, 0, 0] != MISSING).any()
    assert outputs["fc3"].min() < 0
    assert (arrays["fc3.patches"][:, :, 0] != MISSING).all()


def test_neighbours_in_few_dimensions_are_those_of_all(explored):
    """A narrow network's fc2 has 256 units: 48 components hold nearly all of their variance."""
    _, features, _ = explored
    projection = project(features)
    arrays = projection.arrays
    assert projection.dimensions == 48
    components = dequantise(arrays["neighbours.components"], arrays["neighbours.components.scale"])
    np.testing.assert_allclose(components @ components.T, np.eye(48), atol=0.02)
    points = (features - arrays["neighbours.mean"]) @ components.T
    np.testing.assert_allclose(arrays["neighbours.points"], points, rtol=1e-5, atol=1e-5)
    centred = features - features.mean(axis=0)
    held = np.square(points).sum() / np.square(centred).sum()
    assert projection.variance == pytest.approx(held, abs=0.01)
    assert projection.variance > 0.9
    near = [nearest(arrays["neighbours.points"]), nearest(features)]
    assert (near[0] == near[1]).mean() > 0.9


def nearest(points):
    distances = torch.cdist(torch.tensor(points), torch.tensor(points)).fill_diagonal_(torch.inf)
    return distances.argmin(dim=1).numpy()


def test_activations_without_variance_have_no_components():
    projection = project(np.ones((20, 30), np.float32))
    assert (projection.dimensions, projection.variance) == (0, 0.0)
    assert projection.arrays["neighbours.points"].shape == (20, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_atlas_has_the_images_row_by_row(tmp_path, live_run, channels):
    images = live_run.train[0].numpy()[:70, ..., :channels]
    columns = write_atlas(tmp_path / "gallery.jpg", images)
    picture = Image.open(tmp_path / "gallery.jpg")
    assert (columns, picture.size) == (50, (1600, 64))
    assert picture.mode == ("L" if channels == 1 else "RGB")
    atlas = np.asarray(picture).reshape(64, 1600, channels).astype(int)
    for number in (0, 49, 50, 69):
        row, column = divmod(number, columns)
        tile = atlas[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        assert np.abs(tile - images[number]).mean() < 4  # of 255: JPEG's


def test_the_gallery_fits_what_a_browser_decodes(tmp_path):
    assert gallery_size(50_000, 32) == 2000
    assert gallery_size(100, 32) == 100
    assert gallery_size(50_000, 227) == 232
    images = np.zeros((40, 227, 227, 1), np.uint8)
    assert write_atlas(tmp_path / "gallery.jpg", images) == 35
    with Image.open(tmp_path / "gallery.jpg") as picture:
        assert picture.size == (35 * 227, 2 * 227)
