"""The layer table, against the design's numbers, PyTorch's own counter and hooks."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from alexnet.network.convolution import Conv2d
from alexnet.network.model import VARIANTS, AlexNetCifar
from alexnet.network.summary import num_parameters, summarize, totals, training_flops


def table(variant, *size, **options):
    with torch.device("meta"):
        return summarize(VARIANTS[variant](**options), *size)


def test_the_table_of_the_cifar_variant():
    windows = {
        row.name: (row.output_shape, row.kernel, row.stride, row.padding, row.parameters)
        for row in table("cifar")
        if row.parameters or row.kind.endswith("pool")
    }
    assert windows == {
        "conv1": ((96, 8, 8), 11, 4, 4, 34_944),
        "conv2": ((256, 8, 8), 5, 1, 2, 614_656),
        "pool2": ((256, 3, 3), 3, 2, 0, 0),
        "conv3": ((384, 3, 3), 3, 1, 1, 885_120),
        "conv4": ((384, 3, 3), 3, 1, 1, 1_327_488),
        "conv5": ((256, 3, 3), 3, 1, 1, 884_992),
        "pool5": ((256, 1, 1), 3, 2, 0, 0),
        "avgpool": ((256, 6, 6), None, None, None, 0),
        "fc1": ((4096,), None, None, None, 37_752_832),
        "fc2": ((4096,), None, None, None, 16_781_312),
        "fc3": ((10,), None, None, None, 40_970),
    }


@pytest.mark.parametrize(
    ("variant", "parameters", "macs"),
    [
        ("cifar", 58_322_314, 123_987_968),
        ("imagenet-2012", 60_965_224, 724_406_816),
        ("one-weird-trick", 61_100_840, 714_188_480),
    ],
)
def test_parameters_and_operations(variant, parameters, macs):
    with torch.device("meta"):
        model = VARIANTS[variant]()
    assert totals(summarize(model)) == {"parameters": parameters, "macs": macs, "flops": 2 * macs}
    assert num_parameters(model) == parameters
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_operations_equal_those_that_pytorch_counts_on_real_tensors(variant, monkeypatch):
    monkeypatch.setattr(Conv2d, "most_taps", 0)  # both count the taps on the padding, too
    model = VARIANTS[variant](num_classes=10)
    layers = summarize(model)
    x = torch.zeros(1, 3, model.image_size, model.image_size)
    with FlopCounterMode(display=False) as forward:
        model(x)
    assert totals(layers)["flops"] == forward.get_total_flops()
    if any(layer.groups not in (None, 1) for layer in layers):
        return  # PyTorch's counter takes the weight gradient of groups for that of the whole
    with FlopCounterMode(display=False) as both:
        model(x).sum().backward()
    assert training_flops(layers) == both.get_total_flops()


@pytest.mark.parametrize("variant", VARIANTS)
def test_order_shapes_and_operations_equal_those_of_hooks_on_real_tensors(variant):
    """Each output value of a convolution or product takes one weight row's multiply-adds."""
    model = VARIANTS[variant](num_classes=7).eval()
    ran = []

    def record(name):
        def hook(layer, args, output):
            row = layer.weight[0].numel() if hasattr(layer, "weight") else 0
            ran.append((name, tuple(output.shape[1:]), output[0].numel() * row))

        return hook

    for name, layer in model.named_children():
        layer.register_forward_hook(record(name))
    with torch.inference_mode():
        model(torch.zeros(1, 3, model.image_size, model.image_size))
    rows = table(variant, num_classes=7)
    assert ran == [(row.name, row.output_shape, row.macs) for row in rows]


def test_summarizing_leaves_the_model_as_it_was():
    model = AlexNetCifar()
    state = torch.get_rng_state()
    summarize(model)
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
