"""Each computation is evaluated, and compared with the network."""

import re
from dataclasses import replace

import pytest
import torch

from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize
from alexnet.report.arithmetic import layer_arithmetic
from tests.batch_norm import AlexNetBatchNorm


def value_of(expression: str) -> float:
    text = expression.replace("·", "*").replace("−", "-").replace(",", "")
    text = re.sub(r"⌊(.*)/ (\d+)⌋", r"((\1)// \2)", text)
    return eval(re.sub(r"(bytes|pixels|stride)", "", text))


@pytest.mark.parametrize("network", [*VARIANTS.values(), AlexNetBatchNorm])
def test_every_computation_is_right(network):
    with torch.device("meta"):
        layers = summarize(network())
    lines = layer_arithmetic(layers, (3, network.image_size, network.image_size))
    num_computations = 0
    for layer in layers:
        computations = dict(lines[layer.name])
        for text in computations.values():
            for part in text.split(";"):
                if "=" in part:
                    left, right = part.split("=")
                    assert value_of(left) == value_of(right), (layer.name, text)
                    num_computations += 1
        if layer.parameters:
            assert computations["parameters"].endswith(f"= {layer.parameters:,}")
        if layer.macs:
            assert computations["multiply-adds"].endswith(f"= {layer.macs:,}")
        if layer.kernel is not None:
            assert computations["side"].endswith(f"= {layer.output_shape[1]}")
            assert f"= {layer.receptive_field} pixels" in computations["receptive field"]
    assert num_computations > 2 * len(layers)


def test_groups_missing_biases_and_unexplained_parameters():
    with torch.device("meta"):
        layers = {layer.name: layer for layer in summarize(VARIANTS["imagenet-2012"]())}
    conv1, conv2 = layers["conv1"], layers["conv2"]

    def parameters(layer, before=(96, 27, 27)) -> str:
        return dict(layer_arithmetic([layer], before)[layer.name])["parameters"]

    assert parameters(conv2) == "256 · (96/2 · 5 · 5) + 256 = 307,456"
    without = replace(conv2, parameters=conv2.parameters - 256)
    assert parameters(without) == "256 · (96/2 · 5 · 5) = 307,200"
    for layer in (replace(conv2, parameters=7), replace(conv1, kind="lrn")):
        with pytest.raises(ValueError, match=f"no formula for .* of layer {layer.name}"):
            parameters(layer)
