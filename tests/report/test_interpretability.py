"""What is seen inside the network is what is there, by another hand."""

import copy

import numpy as np
import pytest
import torch

from alexnet.report.interpretability import FeatureExtractor, TopActivations, convolutions, tapped
from tests.runs import ON_CPU, narrow


@pytest.fixture
def model():
    torch.manual_seed(0)
    return narrow().eval()


@pytest.fixture
def looking(model, metadata):
    return FeatureExtractor(model, metadata, ON_CPU)


def normalised(images, metadata):
    x = images.double() / 255
    return (
        ((x - torch.tensor(metadata.mean)) / torch.tensor(metadata.std)).permute(0, 3, 1, 2).float()
    )


def ignore(number):
    pass


def test_a_layer_is_tapped_behind_its_relu(model):
    x = torch.randn(2, 3, 32, 32)
    with tapped(model, ["conv1", "relu2", "pool5", "fc3"]) as outputs:
        logits = model(x)
    assert torch.equal(outputs["conv1"], model.conv1(x).relu())
    assert torch.equal(outputs["relu2"], model.conv2(outputs["conv1"]).relu())
    assert outputs["pool5"].shape[1:] == (16, 1, 1)
    assert torch.equal(outputs["fc3"], logits)
    assert not any(layer._forward_hooks for layer in model.modules())


def test_maps_and_probabilities(looking, model, metadata, digits):
    images = digits[0][:3]
    maps, probabilities = looking.maps(images, ["conv1", "pool2"])
    expected = model.conv1(normalised(images, metadata)).relu().detach().numpy()
    np.testing.assert_allclose(maps["conv1"], expected, rtol=1e-4, atol=1e-5)
    assert maps["pool2"].shape == (3, 16, 3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_peaks_are_the_largest_value_of_each_map_and_its_place(
    looking, model, metadata, digits, monkeypatch
):
    monkeypatch.setattr("alexnet.report.interpretability.BATCH", 4)
    done = []
    peaks = looking.peaks(digits[0][:10], done.append)
    assert done == [4, 4, 2]
    assert list(peaks) == convolutions(model) == [f"conv{k}" for k in range(1, 6)]
    maps = model.conv1(normalised(digits[0][:10], metadata)).relu().detach().numpy()
    for image in range(10):
        for channel in range(6):
            one = maps[image, channel]
            assert peaks["conv1"].values[image, channel] == pytest.approx(one.max(), rel=1e-4)
            row, column = divmod(peaks["conv1"].places[image, channel], peaks["conv1"].width)
            assert one[row, column] == pytest.approx(one.max(), rel=1e-4)


def test_channels_that_stand_out_and_their_strongest_images():
    values = np.ones((30, 3), np.float32)
    values[[4, 7], 1] = [50, 90]  # of the three, the one with something to tell
    values[:, 2] = 5
    places = np.zeros((30, 3), np.int64)
    places[7, 1] = 13
    peaks = TopActivations(values, places, width=8)
    assert peaks.selective(1) == [1]
    assert peaks.strongest(1, 2) == [(7, 1, 5), (4, 0, 0)]


def test_nearest_are_those_of_smallest_distance_in_fc2(looking, metadata, model, digits):
    images = digits[0]
    queries, gallery = images[[5, 8]], torch.cat([images[100:130], images[[5]]])
    found = looking.nearest(queries, gallery, 4, ignore)
    with tapped(model, ["fc2"]) as outputs, torch.no_grad():
        model(normalised(torch.cat([queries, gallery]), metadata))
    features = outputs["fc2"].double().numpy()
    for row, query in zip(found, features[:2], strict=True):
        distances = np.sqrt(((features[2:] - query) ** 2).sum(axis=1))
        np.testing.assert_allclose(distances[row], np.sort(distances)[:4], rtol=1e-3, atol=1e-4)
    assert found[0, 0] == 30, "the image itself"


def test_the_gradient_is_how_the_logit_changes(looking, model, metadata, digits):
    images, classes = digits[0][:2], torch.tensor([3, 8])
    gradients = looking.gradient(images, classes)
    twin = copy.deepcopy(model).double()
    x = normalised(images, metadata).double()
    for row, column in ((10, 12), (20, 16), (15, 15)):
        slopes = []
        for colour in range(3):
            ends = []
            for step in (-1e-5, 1e-5):
                moved = x.clone()
                moved[1, colour, row, column] += step
                ends.append(twin(moved)[1, 8].item())
            slopes.append(abs(ends[1] - ends[0]) / 2e-5)
        assert gradients[1, row, column] == pytest.approx(max(slopes), rel=1e-2, abs=1e-5)


def test_occlusion_is_the_probability_with_a_square_of_the_mean_there(
    looking, model, metadata, digits
):
    image = digits[0][3]
    found = looking.occlusion(image, 3, side=8, stride=4)
    assert found.shape == (8, 8)
    x = normalised(image[None], metadata)
    for i, j in ((0, 0), (2, 5), (7, 7)):
        hidden = x.clone()
        top, left = -4 + 4 * i, -4 + 4 * j
        hidden[0, :, max(0, top) : top + 8, max(0, left) : left + 8] = 0
        expected = model(hidden).softmax(dim=1)[0, 3].item()
        assert found[i, j] == pytest.approx(expected, rel=1e-4)
