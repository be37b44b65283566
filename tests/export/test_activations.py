"""The graph of activations against PyTorch's own modules, and its what-if inputs against hooks."""

from contextlib import ExitStack

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from alexnet.errors import UserError
from alexnet.export.activations import activation_graph, unchanged, weights_of, with_weights
from alexnet.export.blocks import blocks_of, without_average_pool
from alexnet.inference.session import open_session
from alexnet.network.inputs import normalise
from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize
from alexnet.network.weights import ModelMetadata
from alexnet.report.interpretability import activation_layer, capture_outputs
from tests.batch_norm import AlexNetBatchNorm
from tests.conftest import CLASSES
from tests.network.test_any_layers import inserted
from tests.runs import narrow

# 64 and 96: the average pool copies 3x3 values, and averages 5x5; 256: 7x7.
SIZES = [("cifar", 32), ("cifar", 64), ("cifar", 96), ("imagenet-2012", 227)]
SIZES += [("one-weird-trick", 224), ("one-weird-trick", 256)]


def metadata_of(variant: str, size: int) -> ModelMetadata:
    return ModelMetadata(variant, CLASSES, size, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def with_biases(model):
    """A network in eval mode, of which no bias is zero, so that a missing one shows."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("bias"):
                values.uniform_(-0.1, 0.1)
        model.fc3.weight.normal_(std=0.05)
    return model.eval()


def network_of(variant: str):
    torch.manual_seed(0)
    return with_biases(narrow(variant=VARIANTS[variant]))


def enlarged(images: torch.Tensor, size: int) -> torch.Tensor:
    times = -(-size // images.shape[1])
    larger = images.repeat_interleave(times, 1).repeat_interleave(times, 2)
    return larger[:, :size, :size].contiguous()


class Activations:
    """A network's graph of activations in onnxruntime, beside the network itself in PyTorch."""

    def __init__(self, model, metadata):
        self.model, self.metadata = model, metadata
        compact = without_average_pool(model, metadata)
        self.blocks = blocks_of(compact, metadata)
        graph, weights = activation_graph(compact, metadata)
        self.session = open_session(with_weights(graph, weights_of(compact, weights)))

    def computed(self, images, **changes):
        """By onnxruntime; `changes` of the what-if inputs, with _ for the point."""
        feeds = unchanged(self.blocks)
        feeds |= {
            name.replace("_", "."): np.asarray(value, np.float32) for name, value in changes.items()
        }
        names = [output.name for output in self.session.get_outputs()]
        values = self.session.run(names, feeds | {"images": images.numpy()})
        return dict(zip(names, map(torch.from_numpy, values), strict=True))

    @torch.inference_mode()
    def expected(self, images, **hooks):
        """By PyTorch; a hook gets a layer's input and output, and returns another output."""
        layers = summarize(self.model, self.metadata.image_size)
        sources = {
            block.name: activation_layer(layers, block.name) if block.relu else block.name
            for block in self.blocks
        }
        with ExitStack() as stack:
            for name, hook in hooks.items():
                layer = self.model.get_submodule(name)
                stack.enter_context(
                    layer.register_forward_hook(lambda _, x, y, hook=hook: hook(x[0], y))
                )
            captured = stack.enter_context(capture_outputs(self.model, [*sources.values()]))
            x = normalise(images, self.metadata.mean, self.metadata.std)
            logits = self.model(x)
        outputs = {name: captured[source] for name, source in sources.items()}
        return outputs | {"probabilities": logits.softmax(dim=1)}


def assert_equal(computed, expected):
    assert computed.keys() == expected.keys()
    for name, value in expected.items():
        assert value.std() > 0, f"{name} decides nothing"
        torch.testing.assert_close(computed[name], value, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize(("variant", "size"), SIZES)
def test_every_layers_activations_are_pytorchs(tinted_digits, variant, size):
    """With groups, response normalisation, and average pools that copy and that average."""
    network = Activations(network_of(variant), metadata_of(variant, size))
    images = enlarged(tinted_digits[:3], size)
    assert_equal(network.computed(images), network.expected(images))
    weighted = [block.name for block in network.blocks if block.is_weighted]
    assert weighted == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"]
    assert [block.relu for block in network.blocks if block.is_weighted] == [True] * 7 + [False]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_activations_of_the_variants_at_their_full_width(tinted_digits, variant):
    torch.manual_seed(0)
    size = VARIANTS[variant].image_size
    network = Activations(with_biases(VARIANTS[variant](10)), metadata_of(variant, size))
    images = enlarged(tinted_digits[:2], size)
    assert_equal(network.computed(images), network.expected(images))


def test_what_if_inputs_change_what_hooks_on_pytorchs_modules_change(tinted_digits):
    """A muted channel and unit, ReLUs removed and leaking, and average pooling: together."""
    network = Activations(network_of("imagenet-2012"), metadata_of("imagenet-2012", 227))
    images = enlarged(tinted_digits[:2], 227)
    before = network.expected(images)
    # The strongest of each, so that each mutes something.
    channel = int(before["conv2"].amax((0, 2, 3)).argmax())
    unit = int(before["fc2"].amax(0).argmax())
    kept_channels, kept_units = torch.ones(16), torch.ones(256)
    kept_channels[channel], kept_units[unit] = 0, 0
    computed = network.computed(
        images,
        conv2_keep=kept_channels,
        fc2_keep=kept_units,
        conv3_slope=1,
        fc1_slope=0.25,
        pool1_average=1,
    )
    expected = network.expected(
        images,
        relu2=lambda x, y: y * kept_channels[:, None, None],
        relu7=lambda x, y: y * kept_units,
        relu3=lambda x, y: x,
        relu6=lambda x, y: F.leaky_relu(x, 0.25),
        pool1=lambda x, y: F.avg_pool2d(x, 3, 2),
    )
    assert_equal(computed, expected)
    assert computed["conv2"][:, channel].abs().max() == 0
    assert computed["conv3"].min() < 0
    assert (computed["fc3"] - before["fc3"]).abs().max() > 0.01


def test_the_weights_belong_where_the_file_says(tmp_path, digits):
    """Of the weights one after the other, onnx reads each in its place."""
    model, metadata = network_of("cifar"), metadata_of("cifar", 32)
    compact = without_average_pool(model, metadata)
    graph, weights = activation_graph(compact, metadata)
    onnx.checker.check_model(with_weights(graph, weights_of(compact, weights)), full_check=True)
    values = weights_of(compact, weights)
    (tmp_path / "network.onnx").write_bytes(graph.SerializeToString())
    (tmp_path / "weights").write_bytes(b"".join(value.tobytes() for value in values.values()))
    loaded = onnx.load(tmp_path / "network.onnx")
    read = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in loaded.graph.initializer}
    assert {"fc1.weight", "conv5.bias"} < values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(read[name], value)
    assert (tmp_path / "network.onnx").stat().st_size < 10_000
    assert model.fc1.in_features == 16 * 36, "the network itself stays as it is"


@pytest.mark.parametrize(
    ("after", "layer", "message"),
    [
        ("pool2", nn.ReLU(), r"layer extra \(relu, from \(16, 3, 3\) to \(16, 3, 3\)\)"),
        ("conv1", nn.BatchNorm2d(6), r"layer extra \(batch norm"),
        ("avgpool", nn.BatchNorm2d(16), r"layer avgpool \(average pool, from .* to \(16, 6, 6\)\)"),
        ("relu1", nn.MaxPool2d(1, ceil_mode=True), r"extra \(max pool\): .* for ceil_mode=True"),
        ("relu1", nn.LocalResponseNorm(4), r"extra \(lrn\): .* made for size=4"),
        ("relu3", nn.Conv2d(24, 24, 1, bias=False), r"extra \(conv\): .* for bias=False"),
    ],
)
def test_a_layer_that_the_graph_has_no_place_for_is_named(after, layer, message):
    model, metadata = inserted(narrow(), after, layer), metadata_of("cifar", 32)
    with pytest.raises(UserError, match=message):
        activation_graph(without_average_pool(model, metadata), metadata)


def test_batch_normalisation_that_was_not_folded_is_named():
    with pytest.raises(UserError, match=r"layer bn1 \(batch norm"):
        blocks_of(AlexNetBatchNorm(), metadata_of("cifar", 32))
