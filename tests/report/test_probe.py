"""The choice of images, and the probes of a whole network, batch normalisation included."""

import logging

import numpy as np
import pytest

from alexnet.report.draw import WRITTEN, draw_all
from alexnet.report.probe import (
    crop_receptive_field,
    evenly_spaced,
    first_of_each_class,
    median_confidence_images,
    sample_indices,
)
from alexnet.report.sections import PICTURES
from tests.batch_norm import AlexNetBatchNorm
from tests.runs import narrow

from .conftest import of_unknown_kind, run_of, write_page


def test_of_each_class_the_correct_image_of_median_confidence_is_taken():
    actual = np.array([0, 0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 0, 1, 1, 1, 0])
    confidence = np.array([0.9, 0.5, 0.7, 0.99, 0.8, 0.6, 0.4])
    assert median_confidence_images(actual, predicted, confidence, 6) == [2, 4]
    assert median_confidence_images(actual, predicted, confidence, 1) == [2]
    nothing_correct = median_confidence_images(actual, 1 + actual, confidence, 2)
    assert nothing_correct == [0, 1]


def test_queries_are_the_first_of_their_classes_right_or_wrong():
    assert first_of_each_class(np.array([3, 3, 1, 0, 1]), 3) == [3, 2, 0]


def test_samples_are_evenly_spaced(monkeypatch):
    assert evenly_spaced(list("abcde"), 3) == ["a", "c", "e"]
    assert sample_indices(7, 10_000).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert sample_indices(47_999, 10_000).tolist()[-1] == 47_998
    monkeypatch.setattr("alexnet.report.probe.MAX_IMAGES", 3)
    assert sample_indices(7, 3).tolist() == [0, 3, 6]


def test_a_patch_is_the_receptive_field_of_its_value():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    middle = crop_receptive_field(image, 1, 2, field=3, stride=2, start=-1)[..., 0]
    np.testing.assert_array_equal(middle, image[1:4, 3:6, 0])
    corner = crop_receptive_field(image, 0, 0, field=3, stride=2, start=-1)[..., 0]
    np.testing.assert_array_equal(corner, [[228, 228, 228], [228, 0, 1], [228, 8, 9]])
    assert crop_receptive_field(image, 2, 2, field=9, stride=2, start=-4) is image


@pytest.mark.parametrize("make", [narrow, AlexNetBatchNorm])
def test_a_network_is_probed_layer_by_layer(make, digits, caplog):
    with caplog.at_level(logging.INFO, "alexnet.report"):
        run = run_of(make(), digits)
    assert "nearest neighbours among 200 training images" in caplog.messages
    probes, layers = run.probes, {layer.name: layer for layer in run.layers}
    unchanged = {"dropout", "flatten", "identity"}
    assert set(probes.outputs) == {n for n, x in layers.items() if x.kind not in unchanged}
    for name, values in probes.outputs.items():
        assert values.shape == (len(probes.probed), *layers[name].output_shape)
    assert [(row.layer, row.field) for row in probes.patches] == [
        (name, x.receptive_field) for name, x in layers.items() if x.kind == "conv"
    ]
    assert probes.hidden_layer == ("fc1" if make is AlexNetBatchNorm else "fc2")
    # The queries are among the training images here: each is its own nearest neighbour.
    np.testing.assert_array_equal(probes.neighbours[:, 0], run.test_images[probes.queries])


@pytest.mark.slow
def test_pictures_and_page_of_a_network_with_batch_normalisation(digits, tmp_path):
    run = run_of(AlexNetBatchNorm(), digits)
    assert set(draw_all(tmp_path, run)) == {picture.name for picture in PICTURES}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(WRITTEN.fullmatch(str(path.relative_to(tmp_path))) for path in files)
    assert (tmp_path / "layers" / "bn1_maps.svg").exists()
    page = tmp_path / "report.html"
    assert "batch normalisation" in write_page(page, run, tmp_path)
    with pytest.raises(ValueError, match="layer head of kind 'attention'"):
        write_page(page, run, tmp_path, layers=of_unknown_kind(run.layers))
