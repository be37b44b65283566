"""The names in the exported graph: the network's own, for any network."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph
from alexnet.network.collapse import collapse_for_inference
from alexnet.network.model import VARIANTS, AlexNet
from alexnet.network.weights import ModelMetadata
from tests.artifacts import METADATA
from tests.conftest import CLASSES
from tests.runs import CPU, narrow


def exported(path, model, metadata=METADATA, **options):
    """The ONNX model of a network none of whose biases is zero, as in a trained one."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.rand_like(parameter))
    options = {"opset": 18, "collapse_fc1": False} | options
    graph.write_onnx(path, model, metadata, {}, **options)
    return onnx.load(path)


def without_work(model):
    """The layers that compute nothing in inference."""
    return {name for name, layer in model.named_children() if isinstance(layer, nn.Dropout)}


@pytest.mark.parametrize(
    ("variant", "collapsed"),
    [
        ("cifar", True),
        pytest.param("cifar", False, marks=pytest.mark.slow),
        pytest.param("imagenet-2012", False, marks=pytest.mark.slow),
        pytest.param("one-weird-trick", False, marks=pytest.mark.slow),
    ],
)
def test_nodes_values_and_weights_are_named_after_the_layers(tmp_path, variant, collapsed):
    model = narrow(variant=VARIANTS[variant]).eval()
    metadata = ModelMetadata(
        variant, CLASSES, VARIANTS[variant].image_size, (0.5,) * 3, (0.25,) * 3
    )
    found = exported(tmp_path / "model.onnx", model, metadata, collapse_fc1=collapsed).graph
    network = collapse_for_inference(model) if collapsed else model
    layers = [name for name, _ in network.named_children() if name not in without_work(network)]
    if collapsed or variant == "one-weird-trick":  # a pool that copies or keeps is no node
        layers.remove("avgpool")

    names = [node.name.split("/")[0] for node in found.node]
    assert list(dict.fromkeys(names)) == ["normalise", *layers, "softmax"]
    results = {node.name: list(node.output) for node in found.node}
    assert results.pop("fc3") == ["logits"]
    assert results.pop("softmax") == ["probabilities"]
    assert all(output == [name] for name, output in results.items())
    weights = {tensor.name: tensor.dims for tensor in found.initializer}
    for name, value in network.state_dict().items():
        assert weights.pop(name) == list(value.shape)
    assert weights.pop("normalise.shift") == weights.pop("normalise.scale") == [3]
    readers = {name: node.name for node in reversed(found.node) for name in node.input}
    assert all(name.startswith(f"{readers[name]}.") for name in weights), "constants"


class AlexNetOdd(AlexNet):
    """What a variant may do: layers in layers, one layer used twice, functions, unlucky names."""

    variant = "odd"
    image_size = smallest_size = 32

    def __init__(self) -> None:
        super().__init__(num_classes=10, in_channels=3)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
        self.relu = nn.ReLU()
        self.gain = nn.Parameter(torch.ones(8, 1, 1))
        self.fc1 = nn.Linear(8 * 4 * 4, 16)
        self.softmax = nn.Linear(16, 16)
        self.logits = nn.Linear(16, 10)

    def forward(self, x):
        x = self.relu(self.features(x)) * self.gain
        first, second = F.max_pool2d(x, 2).split(4, dim=1)
        x = torch.cat([first, 2 * second], dim=1).flatten(1)
        x = self.relu(self.softmax(self.relu(self.fc1(x))))
        return F.relu(self.logits(x))


@pytest.mark.slow
def test_a_variant_of_another_form(tmp_path, digits):
    """Each name is the network's own or an operator's, and there once; the logits are right."""
    model = AlexNetOdd().eval()
    path = tmp_path / "model.onnx"
    found = exported(path, model).graph
    assert [node.name for node in found.node] == [
        *("normalise/Cast", "normalise/Sub", "normalise/Div", "normalise"),
        *("features.0", "features.1", "features.2", "relu", "Mul", "MaxPool", "Split", "Mul_1"),
        *("Concat", "Reshape", "fc1", "relu_1", "softmax", "relu_2", "logits", "Relu", "softmax_1"),
    ]
    assert [name for node in found.node[4:] for name in node.output] == [
        *("features.0", "features.1", "features.2", "relu", "Mul", "MaxPool", "Split", "Split_1"),
        *("Mul_1", "Concat", "Reshape", "fc1", "relu_1", "softmax", "relu_2", "logits_1"),
        *("logits", "probabilities"),
    ]
    constants = {tensor.name for tensor in found.initializer}
    assert constants - {*model.state_dict(), "normalise.shift", "normalise.scale"} == {
        *("Mul_1.B", "Reshape.shape")
    }
    images = digits[0][:20]
    expected = logits_of(model, METADATA, images, CPU, 20).numpy()
    outputs = graph.run_onnx(path, images.numpy(), 20)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-4)
