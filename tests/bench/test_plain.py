"""The network of the baselines: ours, with PyTorch's own layers."""

import pytest
import torch

from alexnet.network.model import VARIANTS
from alexnet.network.summary import num_parameters
from alexnet.network.weights import ModelMetadata, build
from bench.plain import build_plain
from tests.conftest import CLASSES


def test_every_layer_is_pytorchs_own():
    for name, variant in VARIANTS.items():
        metadata = ModelMetadata(name, CLASSES, variant.image_size, (0.5,) * 3, (0.25,) * 3)
        with torch.device("meta"):
            model = build_plain(metadata, dropout=0.5)
        modules = {type(layer).__module__.split(".")[0] for layer in model.children()}
        assert modules == {"torch"}, name


@pytest.mark.slow
def test_it_is_the_same_network(metadata):
    x, logits = torch.randn(2, 3, 32, 32), []
    for function in (build, build_plain):
        torch.manual_seed(0)
        model = function(metadata, dropout=0.0)
        with torch.no_grad():
            logits.append(model(x))
    assert num_parameters(model) == 58_322_314
    torch.testing.assert_close(*logits)
