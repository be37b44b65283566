"""Frozen layers: their bytes stay, they cost no backward, and what they give can be kept."""

import re
from functools import partial

import pytest
import torch
from torch import nn

from alexnet.errors import UserError
from alexnet.network.collapse import collapse_for_training
from alexnet.network.freezing import TrainedPart, frozen_layers
from alexnet.network.model import VARIANTS, AlexNetCifar
from alexnet.training import loader
from tests.conftest import METADATA, real_digits
from tests.runs import CPU, EVERYTHING, MUON, narrow, seeded, settings, train, trainer_of

CONVOLUTIONS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
FROZEN = {"features": CONVOLUTIONS, "all_but_last": [*CONVOLUTIONS, "fc1", "fc2"]}
# All that moves weights, and what stands between the network as written and the one that trains.
CASES = {
    "sgd": EVERYTHING,
    "folded": EVERYTHING | MUON | {"batch_norm": "folded", "init": "whitened"},
    "as written": EVERYTHING | MUON | {"batch_norm": "folded", "collapse_fc1": "off"},
    "kept": EVERYTHING | MUON | {"batch_norm": "folded", "augmentation": "none"},
}
each_freeze = pytest.mark.parametrize("freeze", FROZEN)
# Small steps: the weights behind random features would grow without limit.
SMALL = {"learning_rate": 1e-4, "augmentation": "none"}


@each_freeze
@pytest.mark.parametrize("case", CASES)
def test_frozen_layers_keep_every_bit_and_the_others_train(case, freeze):
    model = seeded(dropout=0.5)
    # Whitening is part of the start; frozen, it would not be trained.
    params = settings(**CASES[case] | {"freeze": freeze, "init": "default"})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run = train(model, params)
    kept = {name for name, value in run.model.state_dict().items() if value.equal(before[name])}
    names = {name for name in before if name.split(".")[0] in FROZEN[freeze]}
    assert kept == names
    trainer = run.trainer
    assert trainer.networks.keeps_outputs == (case == "kept")
    for part in ("optimizer", "average", "monitor", "network"):
        assert not [key for key in trainer.state.tensors() if key.startswith(f"{part}.conv")]
    trained = {id(each) for group in trainer.optimizer.param_groups for each in group["params"]}
    assert trained == {id(each) for each in trainer.network.parameters()}
    assert {row.layer for row in trainer.state.layer_rows} == {
        name.split(".")[0] for name in before if name not in names
    }


@each_freeze
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_two_parts_compute_what_the_network_does(variant, freeze):
    torch.manual_seed(0)
    model = narrow(variant=VARIANTS[variant], dropout=0.5).eval()
    size = model.image_size
    x = torch.rand(3, 3, size, size)
    part = TrainedPart(model, freeze).eval()
    assert part(x).equal(model(x))
    part.train()  # dropout is random behind the frozen layers, and off among them
    outputs = part.frozen(x)
    assert outputs.equal(part.frozen(x))
    assert not outputs.requires_grad
    assert frozen_layers(part.frozen) == FROZEN[freeze]
    assert not isinstance(part.frozen[-1], nn.Dropout)  # one before a layer that trains is its own
    part.takes_outputs = True
    assert part.eval()(outputs).equal(model(x))
    part(outputs).sum().backward()
    graded = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert graded == {
        name for name in dict(model.named_parameters()) if name in dict(part.named_parameters())
    }


@each_freeze
@pytest.mark.parametrize("options", [{}, MUON | {"batch_norm": "folded", "ema_decay": 0.8}])
def test_kept_outputs_give_the_same_bytes_as_computing_them_in_each_step(
    monkeypatch, freeze, options
):
    """Batches of 16, and a last one of 12, against one of all images."""
    params = settings(**SMALL | options | {"freeze": freeze})
    kept = train(seeded(dropout=0.5), params)
    monkeypatch.setattr(loader, "KEPT_BYTES", 0)
    computed = train(seeded(dropout=0.5), params)
    assert (kept.trainer.networks.keeps_outputs, computed.trainer.networks.keeps_outputs) == (
        True,
        False,
    )
    assert kept.results == computed.results
    assert kept.losses == computed.losses
    line = "what the frozen layers give "
    assert any(each.startswith(f"{line}was computed once (") for each in kept.lines)
    assert f"{line}is computed in each step" in computed.lines


def test_the_steps_are_those_of_a_plain_loop():
    """PyTorch's own SGD on fc1, fc2 and fc3, and the network's own forward."""
    params = settings(**SMALL | {"freeze": "features", "epochs": 1, "collapse_fc1": "off"})
    model, plain = seeded(), seeded()
    trainer = trainer_of(model, params, num_images=64)
    batches = [step.clone() for step in trainer.plan(0).order.split(16)]
    images, labels = real_digits()
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in METADATA.normalisation)
    groups = [
        {"params": [plain.fc1.weight], "lr": 1e-4 / 36},
        {"params": [plain.fc1.bias, *plain.fc2.parameters(), *plain.fc3.parameters()]},
    ]
    sgd = torch.optim.SGD(groups, lr=1e-4, momentum=0.9, nesterov=True)
    for rows in batches:
        x = (images[rows].movedim(3, 1) / 255 - mean) / std
        sgd.zero_grad()
        nn.functional.cross_entropy(plain(x), labels[rows]).backward()
        sgd.step()
    trainer.fit(lambda row, seconds: None)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=1e-7)
    assert not model.fc1.weight.equal(seeded().fc1.weight)


@pytest.mark.parametrize("optimizer", [{}, {"muon_lr": 1e-3}], ids=["sgd", "muon"])
def test_without_copies_fc1_trains_the_same_behind_frozen_layers(optimizer):
    options = SMALL | {"freeze": "features", "batch_norm": "folded"} | optimizer
    full = train(seeded(), settings(**options, collapse_fc1="off"))
    collapsed = train(seeded(), settings(**options, collapse_fc1="auto"))
    assert collapsed.trainer.train.images.shape == (76, 16)  # without copies: a 36th
    x = torch.rand(20, 3, 32, 32)
    torch.testing.assert_close(
        collapsed.model.eval()(x), full.model.eval()(x), rtol=1e-4, atol=1e-5
    )


def test_too_many_outputs_are_computed_in_each_step(monkeypatch):
    whole = collapse_for_training(seeded())
    num_bytes = 4 * whole.fc1.in_features * (76 + 30)
    for limit, kept in ((num_bytes, True), (num_bytes - 1, False)):
        monkeypatch.setattr(loader, "KEPT_BYTES", limit)
        params = settings(**SMALL | {"freeze": "features"})
        assert trainer_of(seeded(), params).networks.keeps_outputs == kept


def test_each_process_keeps_all_outputs(monkeypatch):
    monkeypatch.setattr(loader, "KEPT_BYTES", 32)
    split = loader.Split(torch.arange(32).view(4, 8).byte(), torch.arange(4))
    (kept,) = loader.kept_outputs(torch.neg, [split], 3)
    assert kept.images.equal(-split.images)
    assert kept.labels.equal(split.labels)
    assert loader.kept_outputs(torch.neg, [split], 3, num_processes=2) is None


@pytest.mark.parametrize("freeze", ["features", "all_but_last"])
def test_with_augmentation_outputs_are_not_kept(freeze):
    params = settings(**EVERYTHING | {"freeze": freeze})
    assert not trainer_of(seeded(), params).networks.keeps_outputs


def test_bf16_keeps_outputs_in_that_type():
    from alexnet.training.device import DeviceConfig

    params = settings(**SMALL | {"freeze": "features"})
    trainer = trainer_of(seeded(), params, device_config=DeviceConfig(CPU, torch.bfloat16))
    assert trainer.train.images.dtype == torch.bfloat16


class AlexNetWithSkip(AlexNetCifar):
    """Does more than to apply its layers in order."""

    variant = "skip"

    def forward(self, x):
        for name, layer in self.named_children():
            x = x + layer(x) if name == "conv4" else layer(x)
        return x


def test_a_network_that_is_more_than_its_layers_in_order_is_not_divided():
    params = settings(**SMALL | {"freeze": "features"})
    model = seeded(make=partial(narrow, variant=AlexNetWithSkip))
    with pytest.raises(UserError, match=r"train.freeze: features: the variant skip does more than"):
        trainer_of(model, params)
    trainer_of(model, params.model_copy(update={"freeze": "none"}))


def test_the_header_says_what_trains_and_what_that_costs():
    """With a fc1 that is frozen without its copies, whose operations are forward alone."""
    params = settings(**SMALL | {"freeze": "all_but_last", "batch_norm": "folded"})
    lines = train(seeded(), params).lines
    forward, both = re.search(r"([\d.]+) MFLOP .* ([\d.]+) forward and back", lines[1]).groups()
    assert float(both) - float(forward) < 0.02
    assert not any("batch normalisation" in line or "copies" in line for line in lines)
    params = settings(**SMALL | {"freeze": "features", "batch_norm": "folded"})
    lines = train(seeded(), params).lines
    assert "batch normalisation after fc1, fc2, folded into it at the end" in lines
