"""A warm start: whose weights each layer and each class begins with."""

from dataclasses import replace

import pytest
import torch

from alexnet.errors import UserError
from alexnet.network import weights as network_weights
from alexnet.network.parent import Parent, ParentNetwork, load_parent, save_parent
from alexnet.network.weights import save_weights
from alexnet.training.warm_start import start_from
from tests.conftest import METADATA
from tests.runs import MUON, narrow, seeded, settings, train, trainer_of

SHA256 = "ab" * 32
CLASSES = METADATA.classes
SMALL = {"learning_rate": 1e-3, "epochs": 1}


def parent_of(kind="weights", metadata=METADATA, model=None) -> ParentNetwork:
    model = model or narrow(len(metadata.classes), metadata.channels)
    torch.nn.init.normal_(model.fc3.bias)
    return ParentNetwork(Parent(kind, SHA256), model.eval(), metadata)


def started(classes, parent, freeze="none", start_fc3="by_class"):
    """A network for the classes, its own initial weights, and the start from the parent's."""
    metadata = replace(METADATA, classes=tuple(classes))
    model = narrow(len(classes)).eval()
    own = {name: value.clone() for name, value in model.state_dict().items()}
    start = start_from(model, metadata, parent, start_fc3=start_fc3, freeze=freeze)
    return model, own, start


@pytest.mark.parametrize(
    ("classes", "matched", "new", "dropped"),
    [
        (CLASSES, CLASSES, (), ()),
        (CLASSES[::-1], CLASSES[::-1], (), ()),
        (("cat", *CLASSES[2:], "one"), (*CLASSES[2:], "one"), ("cat",), ("zero",)),
        (("four", "dog"), ("four",), ("dog",), (*CLASSES[:4], *CLASSES[5:])),
    ],
    ids=["same", "reordered", "replaced", "fewer"],
)
def test_classes_are_matched_by_name(classes, matched, new, dropped):
    parent = parent_of()
    model, own, start = started(classes, parent)
    assert (start.matched, start.new, start.dropped) == (matched, new, dropped)
    assert start.fresh_layers == ({"fc3"} if new else set())
    x = torch.rand(4, 3, 32, 32)
    logits, theirs = model(x), parent.model(x)
    for row, name in enumerate(classes):
        if name in CLASSES:
            assert logits[:, row].allclose(theirs[:, CLASSES.index(name)], rtol=1e-5, atol=1e-6)
            assert model.fc3.weight[row].equal(parent.model.fc3.weight[CLASSES.index(name)])
        else:
            assert model.fc3.weight[row].equal(own["fc3.weight"][row])
            assert model.fc3.bias[row].equal(own["fc3.bias"][row])
    for name, value in parent.model.state_dict().items():
        assert name.startswith("fc3") or model.state_dict()[name].equal(value)


def test_of_imagenets_fc3_nothing_is_taken():
    """Also where a class has the name of one of its."""
    model, own, start = started(CLASSES, parent_of("imagenet"))
    assert (start.matched, start.new, start.dropped) == ((), CLASSES, ())
    assert model.fc3.weight.equal(own["fc3.weight"])
    assert start.describe() == "starts from ImageNet's weights; fc3 starts anew for 10 classes"


@pytest.mark.parametrize("classes", [CLASSES, ("a", "b")])
def test_fc3_starts_anew_for_all_classes_if_asked_to(classes):
    parent = parent_of()
    model, own, start = started(classes, parent, start_fc3="anew")
    assert (start.matched, start.new, start.dropped) == ((), classes, ())
    assert model.fc3.weight.equal(own["fc3.weight"])
    assert model.fc2.weight.equal(parent.model.fc2.weight)
    assert start.describe().startswith("starts from the weights abababababab; fc3 starts anew for ")


def test_what_is_matched_is_said():
    *_, start = started(("cat", *CLASSES[2:], "one"), parent_of())
    assert start.describe() == (
        "starts from the weights abababababab; 9 of 10 classes matched; new: cat; dropped: zero"
    )


def test_classes_that_match_none_are_refused():
    with pytest.raises(
        UserError, match=r"none of its classes .* Its are zero, .* set model.start_fc3 to anew"
    ):
        started(("a", "b"), parent_of())


def test_a_class_in_another_case_is_refused_not_new():
    with pytest.raises(
        UserError, match=r"case alone: Zero \(the parent's zero\); write them alike"
    ):
        started(("Zero", *CLASSES[1:]), parent_of())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"variant": "one-weird-trick"},
            "its variant is one-weird-trick, and .* set model.variant",
        ),
        (
            {"mean": (0.5,), "std": (0.2,)},
            "its number of channels is 1, and this network's 3; set data.chan",
        ),
        ({"image_size": 48}, "its image size is 48, and this network's 32; set train.crop_size"),
    ],
)
def test_weights_of_another_network_are_refused(change, message):
    with pytest.raises(UserError, match=f"model.start_from: {message}"):
        started(CLASSES, parent_of(metadata=replace(METADATA, **change)))


def test_the_files_of_a_parent_are_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(network_weights, "build", lambda metadata, dropout: narrow())
    weights, record = tmp_path / "w.safetensors", tmp_path / "w.json"
    model = narrow()
    save_parent(weights, record, parent_of("imagenet", model=model))
    parent, found, metadata = load_parent(weights, record)
    assert (parent, metadata) == (Parent("imagenet", SHA256), METADATA)
    assert found.fc3.bias.equal(model.fc3.bias)
    save_parent(weights, record, None)
    assert load_parent(weights, record) is None
    assert weights.stat().st_size  # DVC warns of empty files
    save_weights(weights, model, METADATA)
    with pytest.raises(UserError, match=r"has weights, where .* no parent; run the stage pretr"):
        load_parent(weights, record)
    save_parent(weights, record, parent_of(model=narrow()))
    save_weights(weights, model, METADATA)
    with pytest.raises(UserError, match=r"w.safetensors: holds other weights than .*w.json names;"):
        load_parent(weights, record)


@pytest.mark.parametrize("freeze", ["none", "features"])
def test_with_batch_norm_training_begins_as_the_parent(freeze):
    """Its scale and shift undo the normalisation: the first logits are the parent's."""
    params = settings(batch_norm="folded", freeze=freeze, **MUON)
    model, _, start = started(CLASSES, parent_of(), freeze)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = trainer_of(model, params, num_images=400, warm_start=start)  # a batch
    for name, value in trainer.result().items():
        expected = before[name]
        if name == "fc1.weight":  # without its copies, whose length is 6
            expected = expected.view(256, 16, 36).sum(2) / 6
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)


def test_what_was_trained_before_learns_at_its_own_rate():
    """fc3, where a class is new, at the whole rate."""
    *_, start = started((*CLASSES[1:], "cat"), parent_of())
    params = settings(pretrained_lr_scale=0.1, batch_norm="folded", **MUON)
    trainer = trainer_of(seeded(), params, warm_start=start)
    rates = {
        name: group["max_lr"]
        for name, parameter in trainer.network.named_parameters()
        for group in trainer.optimizer.param_groups
        if any(parameter is each for each in group["params"])
    }
    whole = {name for name, rate in rates.items() if rate == 0.05}
    assert whole == {"fc3.weight", "fc3.bias"}
    assert rates["conv1.weight"] == rates["fc1.weight"] == pytest.approx(0.002)
    assert rates["fc2.weight"] == rates["conv1.norm.weight"] == pytest.approx(0.005)
    (muon,) = [group for group in trainer.optimizer.param_groups if group["use_muon"]]
    assert len(muon["num_copies"]) == len(muon["params"]) == 6


def test_the_parents_conv1_is_not_whitened():
    model, _, start = started(CLASSES, parent_of())
    before = model.conv1.weight.clone()
    trainer = trainer_of(model, settings(init="whitened"), warm_start=start)
    assert model.conv1.weight.equal(before)
    run = train(model, settings(init="whitened", **SMALL), warm_start=start)
    assert any(line.startswith("starts from the weights ab") for line in run.lines)
    assert not any("whiten" in line for line in run.lines)
    assert trainer.warm_start is start
