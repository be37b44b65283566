"""Each probe compared with the same quantity computed in another way."""

import copy

import numpy as np
import pytest
import torch

from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize
from alexnet.report.interpretability import (
    FeatureExtractor,
    TopActivations,
    activation_layer,
    capture_outputs,
    last_hidden_layer,
)
from tests.batch_norm import AlexNetBatchNorm
from tests.runs import ON_CPU, narrow


@pytest.fixture(params=["narrow", "batch norm"])
def model(request):
    torch.manual_seed(0)
    model = narrow() if request.param == "narrow" else AlexNetBatchNorm()
    for buffer in model.buffers():  # running means and variances as training leaves them
        if buffer.is_floating_point():
            buffer.uniform_(0.01, 0.1)
    return model.eval()


@pytest.fixture
def extractor(model, metadata):
    return FeatureExtractor(model, metadata, ON_CPU)


@pytest.fixture
def conv1(model, metadata):
    """conv1's activations, layer by layer: with batch normalisation if the network has it."""

    def activations(images):
        x = model.conv1(normalised(images, metadata))
        x = model.bn1(x) if isinstance(model, AlexNetBatchNorm) else x
        return x.relu().detach()

    return activations


def normalised(images, metadata):
    x = images.double() / 255
    return (
        ((x - torch.tensor(metadata.mean)) / torch.tensor(metadata.std)).permute(0, 3, 1, 2).float()
    )


def ignore(number):
    pass


def test_the_activation_of_a_layer_is_taken_after_its_relu():
    layers = summarize(AlexNetBatchNorm())
    assert activation_layer(layers, "conv1") == "relu1"  # bn1 stands between
    assert activation_layer(layers, "fc1") == "relu6"
    assert activation_layer(layers, "fc3") == "fc3"
    assert last_hidden_layer(layers) == "fc1"
    no_relu = [layer for layer in layers if layer.name != "relu1"]
    assert activation_layer(no_relu, "conv1") == "conv1", "relu5 is another layer's"
    conv1, bn1, relu1, pool2, *rest = layers
    assert activation_layer([conv1, bn1, pool2, relu1, *rest], "conv1") == "relu1"
    for network in VARIANTS.values():
        with torch.device("meta"):
            layers = summarize(network())
        assert [activation_layer(layers, f"conv{k}") for k in range(1, 6)] == [
            f"relu{k}" for k in range(1, 6)
        ]
        assert last_hidden_layer(layers) == "fc2"


def test_captured_outputs_and_probabilities(extractor, model, conv1, digits):
    images = digits[0][:3]
    outputs, probabilities = extractor.outputs(images, ["relu1", "pool2", "fc3"])
    np.testing.assert_allclose(outputs["relu1"], conv1(images), rtol=1e-4, atol=1e-5)
    assert outputs["pool2"].shape[2:] == (3, 3)
    logits = torch.from_numpy(outputs["fc3"])
    np.testing.assert_allclose(probabilities, logits.softmax(dim=1), rtol=1e-5)
    assert not any(layer._forward_hooks for layer in model.modules())


def test_top_activations_are_the_largest_values_of_each_map(extractor, conv1, digits, monkeypatch):
    monkeypatch.setattr("alexnet.report.interpretability.BATCH_SIZE", 4)
    done = []
    top = extractor.top_activations(digits[0][:10], done.append)
    assert done == [4, 4, 2]
    assert list(top) == [layer.name for layer in extractor.layers if layer.kind == "conv"]
    maps = conv1(digits[0][:10])
    np.testing.assert_allclose(top["conv1"].values, maps.amax(dim=(2, 3)), rtol=1e-4, atol=1e-6)
    positions = torch.from_numpy(top["conv1"].positions)
    rows, columns = positions // top["conv1"].width, positions % top["conv1"].width
    i, c = torch.meshgrid(torch.arange(10), torch.arange(maps.shape[1]), indexing="ij")
    np.testing.assert_allclose(
        maps[i, c, rows, columns], maps.amax(dim=(2, 3)), rtol=1e-4, atol=1e-6
    )


def test_selective_channels_and_their_strongest_images():
    values = np.ones((30, 3), np.float32)
    values[[4, 7], 1] = [50, 90]  # the only selective channel of the three
    values[:, 2] = 5
    positions = np.zeros((30, 3), np.int64)
    positions[7, 1] = 13
    top = TopActivations(values, positions, width=8)
    assert top.selective_channels(1, num_images=2) == [1]
    assert top.strongest(1, 2) == [(7, 1, 5), (4, 0, 0)]


def test_selective_channels_share_no_image_as_long_as_there_are_others():
    values = np.ones((30, 4), np.float32)
    for channel, images, strength in ((0, [4, 7], 90), (1, [7, 9], 80), (3, [2, 5], 70)):
        values[images, channel] = strength
    values[:, 2] = 0  # dead
    top = TopActivations(values, np.zeros((30, 4), np.int64), width=8)
    chosen = [top.selective_channels(number, num_images=2) for number in (1, 2, 3, 4)]
    assert chosen == [[0], [0, 3], [0, 1, 3], [0, 1, 2, 3]]


def test_neighbours_have_the_smallest_distance_in_the_last_hidden_layer(
    extractor, metadata, model, digits
):
    images = digits[0]
    queries, gallery = images[[5, 8]], torch.cat([images[100:130], images[[5]]])
    found = extractor.nearest(queries, gallery, 4, ignore)
    layer = "relu6" if isinstance(model, AlexNetBatchNorm) else "relu7"
    with capture_outputs(model, [layer]) as outputs, torch.no_grad():
        model(normalised(torch.cat([queries, gallery]), metadata))
    features = outputs[layer].double().numpy()
    for row, query in zip(found, features[:2], strict=True):
        distances = np.sqrt(((features[2:] - query) ** 2).sum(axis=1))
        np.testing.assert_allclose(distances[row], np.sort(distances)[:4], rtol=1e-3, atol=1e-4)
    assert found[0, 0] == 30, "the image itself"


def test_the_gradient_is_the_slope_of_the_logit(extractor, model, metadata, digits):
    images, classes = digits[0][:2], torch.tensor([3, 8])
    gradients = extractor.gradient(images, classes)
    double = copy.deepcopy(model).double()
    x = normalised(images, metadata).double()
    for row, column in ((10, 12), (20, 16), (15, 15)):
        steps = torch.zeros(3, *x.shape[1:], dtype=torch.double)  # one for each colour
        steps[range(3), range(3), row, column] = 1e-5
        change = double(x[[1]] + steps)[:, 8] - double(x[[1]] - steps)[:, 8]
        slope = change.abs().max().item() / 2e-5
        assert gradients[1, row, column] == pytest.approx(slope, rel=1e-2, abs=1e-5)


def test_occlusion_is_the_probability_with_a_square_of_the_mean(extractor, model, metadata, digits):
    image = digits[0][3]
    found = extractor.occlusion(image, 3, side=8, stride=4)
    assert found.shape == (8, 8)
    x = normalised(image[None], metadata)
    for i, j in ((0, 0), (2, 5), (7, 7)):
        occluded = x.clone()
        top, left = -4 + 4 * i, -4 + 4 * j
        occluded[0, :, max(0, top) : top + 8, max(0, left) : left + 8] = 0
        expected = model(occluded).softmax(dim=1)[0, 3].item()
        assert found[i, j] == pytest.approx(expected, rel=1e-4)
