"""What stands written out comes to what it says: evaluated, and held to the network."""

import re

import pytest
import torch

from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize
from alexnet.report.arithmetic import written_out


def value_of(expression: str) -> float:
    text = expression.replace("·", "*").replace("−", "-").replace(",", "")
    text = re.sub(r"⌊(.*)/ (\d+)⌋", r"((\1)// \2)", text)
    return eval(re.sub(r"(bytes|pixels)", "", text))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_sum_is_right(variant):
    with torch.device("meta"):
        layers = summarize(VARIANTS[variant]())
    size = VARIANTS[variant].image_size
    lines = written_out(layers, (3, size, size))
    num_sums = 0
    for layer in layers:
        sums = dict(lines[layer.name])
        for text in sums.values():
            for part in text.split(";"):
                if "=" in part:
                    left, right = part.replace("the next value begins", "").split("=")
                    right = right.replace("further on", "")
                    assert value_of(left) == value_of(right), (layer.name, text)
                    num_sums += 1
        if layer.kind in ("conv", "fc"):
            assert sums["parameters"].endswith(f"= {layer.parameters:,}")
            assert sums["multiply-adds"].endswith(f"= {layer.macs:,}")
        if layer.kernel is not None:
            assert sums["side"].endswith(f"= {layer.output_shape[1]}")
            assert f"= {layer.receptive_field} pixels" in sums["sees"]
    assert num_sums > 40


def test_grouped_convolutions_say_so():
    with torch.device("meta"):
        layers = summarize(VARIANTS["imagenet-2012"]())
    sums = dict(written_out(layers, (3, 227, 227))["conv2"])
    assert sums["parameters"] == "256 · (96/2 · 5 · 5) + 256 = 307,456"
