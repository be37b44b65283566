"""The layer table, against the design's figures and PyTorch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from alexnet.network.model import VARIANTS, AlexNetCifar
from alexnet.network.summary import summarize, totals, training_flops


def test_the_table_of_the_cifar_variant():
    with torch.device("meta"):
        rows = {row.name: row for row in summarize(AlexNetCifar())}
    window = {
        name: (row.output_shape, row.kernel, row.stride, row.padding, row.parameters)
        for name, row in rows.items()
        if row.parameters or row.kind.endswith("pool")
    }
    assert window == {
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
    ("variant", "macs"),
    [("cifar", 123_987_968), ("imagenet-2012", 724_406_816), ("one-weird-trick", 714_188_480)],
)
def test_operations(variant, macs):
    with torch.device("meta"):
        assert totals(summarize(VARIANTS[variant]()))["macs"] == macs


@pytest.mark.parametrize("variant", VARIANTS)
def test_operations_equal_what_pytorch_counts_on_real_tensors(variant):
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
def test_multiply_adds_of_each_layer_by_hooks_on_real_tensors(variant):
    """Each output value of a convolution or product takes one weight row's multiply-adds."""
    model = VARIANTS[variant](num_classes=10).eval()
    seen = {}
    for name, layer in model.named_children():
        weight = getattr(layer, "weight", None)
        layer.register_forward_hook(
            lambda layer, args, output, name=name, weight=weight: seen.update(
                {name: 0 if weight is None else output[0].numel() * weight[0].numel()}
            )
        )
    with torch.inference_mode():
        model(torch.zeros(1, 3, model.image_size, model.image_size))
    with torch.device("meta"):
        rows = summarize(VARIANTS[variant](num_classes=10))
    assert {row.name: row.macs for row in rows} == seen


def test_receptive_fields_by_hand():
    with torch.device("meta"):
        rows = {row.name: row.receptive_field for row in summarize(AlexNetCifar())}
    # conv1 sees its 11 pixels; conv2 reaches 4 more of its neighbours, each 4 pixels
    # apart; the pool 2 more; from then on neighbours are 8 pixels apart.
    assert rows["conv1"] == 11
    assert rows["conv2"] == 11 + 4 * 4
    assert rows["pool2"] == 27 + 2 * 4
    assert rows["conv3"] == 35 + 2 * 8
    assert rows["fc1"] is None


def test_describing_leaves_the_model_as_it_was():
    model = AlexNetCifar()
    state = torch.get_rng_state()
    summarize(model)
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
