"""The cost of a network, against sums by hand and what PyTorch saves on real tensors."""

import pytest
import torch

from alexnet.network.cost import layer_costs, saved_activation_bytes, training_memory
from alexnet.network.model import VARIANTS, AlexNetCifar
from alexnet.network.summary import summarize


def on_meta(variant):
    with torch.device("meta"):
        return VARIANTS[variant]()


def test_saved_activations_by_hand():
    """Numbers of values for an image; a max pool saves the indices of its maxima, 8 bytes each."""
    expected = {
        "conv1": 3 * 32 * 32,  # its input, the image
        "relu1": 96 * 8 * 8,  # its output, which is conv2's input
        "relu2": 256 * 8 * 8,
        "pool2": 2 * 256 * 3 * 3,
        "conv3": 256 * 3 * 3,  # its input, which pool2 does not need
        "relu3": 384 * 3 * 3,
        "relu4": 384 * 3 * 3,
        "relu5": 256 * 3 * 3,
        "pool5": 2 * 256,
        "dropout1": 9216,  # its mask
        "fc1": 9216,  # its input, of which some are 0
        "relu6": 4096,
        "dropout2": 4096,
        "fc2": 4096,
        "relu7": 4096,
    }
    found = saved_activation_bytes(on_meta("cifar"), 32, 1)
    assert {name: number / 4 for name, number in found.items() if number} == expected
    assert sum(expected.values()) == 77_056
    assert saved_activation_bytes(on_meta("cifar"), 32, 7) == {k: 7 * v for k, v in found.items()}


@pytest.mark.parametrize("variant", ["cifar", "imagenet-2012"])
def test_saved_activations_of_a_forward_pass_on_real_tensors(variant):
    """All layers in one go, as in training, and counted by the tensors' own memory."""
    model = VARIANTS[variant](num_classes=2)
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    memory = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            memory[storage.data_ptr()] = storage.nbytes()
        return tensor

    size = model.image_size
    x = torch.zeros(1, 3, size, size)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(x)  # holds the graph, so that no memory is freed yet
    assert logits.grad_fn is not None
    assert sum(saved_activation_bytes(model, size, 1).values()) == sum(memory.values())


def test_training_memory():
    memory = training_memory(on_meta("cifar"), 32, 10)
    assert memory.weights == memory.gradients == memory.optimizer == 4 * 58_322_314
    assert memory.activations == 10 * 4 * 77_056
    assert memory.total == 3 * 4 * 58_322_314 + 10 * 4 * 77_056


def test_arithmetic_intensity_by_hand():
    """fc1 of one image: 2 operations for each of its weights' 4 bytes, and little else."""
    model = AlexNetCifar()
    layers = summarize(model)
    fc1 = [layer.name for layer in layers].index("fc1")
    one, many = (layer_costs(model, layers, 32, number)[fc1] for number in (1, 512))
    weights = 9216 * 4096
    assert one.arithmetic_intensity == pytest.approx(
        2 * weights / (4 * (9216 + 4096 + weights + 4096))
    )
    assert many.arithmetic_intensity == pytest.approx(
        512 * 2 * weights / (4 * (512 * (9216 + 4096) + weights + 4096))
    )
    assert one.arithmetic_intensity < 0.5 < 200 < many.arithmetic_intensity


@pytest.mark.parametrize("variant", VARIANTS)
def test_shares_sum_to_one(variant):
    model = on_meta(variant)
    costs = layer_costs(model, summarize(model), model.image_size, 2)
    assert sum(cost.parameters_share for cost in costs) == pytest.approx(1)
    assert sum(cost.macs_share for cost in costs) == pytest.approx(1)
    assert costs[-1].activation_bytes == 4 * 2 * model.num_classes
