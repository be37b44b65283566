"""The training loop: what it promises, held by equality.

`python -m tests.test_train` writes golden_losses.json anew, which a change that is meant
to alter the steps has to do.
"""

import ast
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from alexnet import device
from alexnet.augment import draw
from alexnet.checkpoint import Checkpoints
from alexnet.errors import UserError
from alexnet.model import AlexNetCifar
from alexnet.randomness import seed_for
from alexnet.train import epoch_order
from tests.conftest import CLASSES, ROOT, real_digits
from tests.making import EVERYTHING, narrow, record_losses, settings, train, trainer_of


def seeded(seed=0, dropout=0.0, make=narrow):
    """A network of the weights that a seed gives it."""
    torch.manual_seed(seed)
    return make(dropout=dropout)


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


# As a newcomer reads it


def test_a_step_reads_as_the_five_verbs_in_order():
    """The loop stands in plain sight: forward, loss, zero_grad, backward, step."""
    tree = ast.parse((ROOT / "alexnet/train.py").read_text())
    (step,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "train_step"
    ]
    calls = [node.func for node in ast.walk(step) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.end_col_offset))
    names = [call.attr for call in calls if isinstance(call, ast.Attribute)]
    verbs = ["forward", "criterion", "zero_grad", "backward", "step"]
    assert [name for name in names if name in verbs] == verbs
    assert len(ast.unparse(step).splitlines()) < 20


# What the seed decides


def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(card, digits):
    params = settings(**EVERYTHING)
    first = train(seeded(dropout=0.5), card, digits, params)
    torch.rand(1000)
    torch.empty(100, 100).normal_()
    model = seeded(dropout=0.5)
    torch.manual_seed(12345)  # a step's numbers are of its own, not of what is left over
    second = train(model, card, digits, params)
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert first.rows == second.rows
    assert first.losses == second.losses


def test_the_seed_decides_the_order_the_augmentation_and_the_dropout(card, digits):
    """Two runs of other seeds on the same initial weights: each of the three differs."""
    seen = {}
    for seed in (0, 1):
        trainer = trainer_of(seeded(dropout=0.5), card, digits, settings(seed=seed, **EVERYTHING))
        seen[seed] = record_steps(trainer)
        trainer.fit(ignore)
    for seed in (0, 1):
        given = [seed_for(seed, "step", step, 0) for step in range(10)]
        drawn = [number for number, _, _ in seen[seed]]
        assert [(a - b) % 2**64 for a, b in zip(drawn, given, strict=True)] == [0] * 10
    # Images are told apart by their bytes; what is done to one is looked up by them.
    orders = [[image for _, images, _ in seen[seed][:5] for image in images] for seed in (0, 1)]
    assert set(orders[0]) == set(orders[1])
    assert orders[0] != orders[1]
    done = [
        dict(zip(order, [d for _, _, draws in seen[seed][:5] for d in draws], strict=True))
        for seed, order in enumerate(orders)
    ]
    same = [done[0][image] == done[1][image] for image in done[0]]
    assert not any(same)


def test_each_epoch_has_an_order_and_an_augmentation_of_its_own(card, digits):
    trainer = trainer_of(seeded(), card, digits, settings(**EVERYTHING))
    seen = record_steps(trainer)
    trainer.fit(ignore)
    images = [image for _, images, _ in seen for image in images]
    draws = [row for _, _, draws in seen for row in draws]
    assert sorted(images[:76]) == sorted(images[76:])
    assert len(set(images[:76])) > 70, "76 digits, few of which are the same"
    assert images[:76] != images[76:]
    assert set(draws[:76]).isdisjoint(draws[76:])


def test_the_order_of_an_epoch_is_a_permutation():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in range(3)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_order(1000, 1, 2), orders[5])


@pytest.mark.parametrize("batch_size", [16, 38])
def test_how_it_is_cut_into_batches_changes_nothing_about_an_image(card, digits, batch_size):
    params = settings(batch_size=batch_size, epochs=1, **EVERYTHING)
    trainer = trainer_of(seeded(), card, digits, params)
    seen = record_steps(trainer)
    trainer.fit(ignore)
    order = epoch_order(76, params.seed, 0)
    expected = draw(digits[0][:76], 32, params, 0).take(order)
    assert [row for _, _, draws in seen for row in draws] == rows_of(expected)


def record_steps(trainer):
    """Of each step: torch's seed, the images' bytes, and what is done to each of them."""
    seen, take_step = [], trainer.take_step

    def recording(batch):
        images = [image.numpy().tobytes() for image in batch.images]
        seen.append((torch.initial_seed(), images, rows_of(batch.draws)))
        take_step(batch)

    trainer.take_step = recording
    return seen


def rows_of(draws):
    return list(zip(*(map(str, tensor.tolist()) for tensor in draws.tensors()), strict=True))


def ignore(row, seconds):
    pass


# What a step and an epoch do


def test_steps_go_down_the_gradient_of_the_mean_loss(card, digits):
    """By autograd on the model itself: w - rate g, fc1 with a 36th of the rate.

    Two steps, the second on the four images that are left, which count as much.
    """
    params = settings(
        fold="off", epochs=1, momentum=0.0, nesterov=False, label_smoothing=0.1, learning_rate=0.36
    )
    model, twin = seeded(), seeded()
    train(model, card, digits, params, num_images=20)
    for step in epoch_order(20, params.seed, 0).split(16):
        images, labels = digits[0][step], digits[1][step]
        # (1 - e) of the loss for the label, e / 10 of it for each class.
        logs = twin(by_torchvision(images, card)).log_softmax(dim=1)
        loss = -(0.9 * logs[range(len(step)), labels] + 0.1 * logs.mean(dim=1)).mean()
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                parameter -= (0.01 if name == "fc1.weight" else 0.36) * parameter.grad
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def by_torchvision(images, card):
    """Images as the network takes them, by another hand."""
    return normalize(images.permute(0, 3, 1, 2).float() / 255, card.mean, card.std)


def test_an_epochs_figures_are_those_of_its_images(card, digits):
    """The mean over the images, not over the batches: the last batch has 12 of 76."""
    run = train(seeded(), card, digits, settings(label_smoothing=0.1))
    for epoch, row in enumerate(run.rows):
        losses = run.losses[epoch * 5 : epoch * 5 + 5]
        mean = np.average(losses, weights=[16, 16, 16, 16, 12])
        assert row.train_loss == pytest.approx(mean, rel=1e-6)
        assert row.epoch == epoch + 1
        assert row.train_accuracy * 76 == pytest.approx(round(row.train_accuracy * 76))


def test_the_rate_of_a_row_is_that_of_its_last_step(card, digits):
    params = settings(schedule="linear", learning_rate=0.1, warmup_fraction=0.2)
    run = train(seeded(), card, digits, params)
    # Two steps of warm-up, then eight that fall: the 5th has 6/8, the 10th 1/8 of the peak.
    assert [row.learning_rate for row in run.rows] == pytest.approx([0.075, 0.0125])


def test_each_epoch_is_told_with_its_seconds(card, digits):
    told = []
    trainer = trainer_of(seeded(), card, digits, settings(epochs=3))
    trainer.fit(lambda row, seconds: told.append((row.epoch, seconds)))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert all(0 < seconds < 60 for _, seconds in told)
    assert trainer.total_seconds == pytest.approx(sum(seconds for _, seconds in told))


@pytest.mark.parametrize("muon", [None, 0.02])
def test_one_batch_of_real_images_is_learned_by_heart(card, digits, muon):
    params = settings(
        epochs=40, muon_learning_rate=muon, learning_rate=0.05, clip_norm=2.0, schedule="linear"
    )
    run = train(seeded(), card, digits, params, num_images=16)
    assert run.rows[0].train_loss == pytest.approx(math.log(10), abs=0.3)
    assert run.rows[-1].train_loss < 0.001
    assert run.rows[-1].train_accuracy == 1.0


# Folded or not, averaged or not


@pytest.mark.parametrize("muon", [None, 0.02])
def test_folded_or_as_it_is_written_the_run_is_the_same(card, digits, muon):
    """Up to rounding; test_fold.py holds it in float64."""
    plain = EVERYTHING | {"weight_decay": 0.0, "muon_learning_rate": muon}
    folded = train(seeded(), card, digits, settings(fold="auto", **plain))
    full = train(seeded(), card, digits, settings(fold="off", **plain))
    assert (folded.trainer.folds, full.trainer.folds) == (True, False)
    before = seeded().state_dict()
    for name, value in full.model.state_dict().items():
        moved = (value - before[name]).abs().max().item()
        assert moved > 1e-4, name
        difference = (folded.model.state_dict()[name] - value).abs().max().item()
        assert difference < 0.01 * moved, name
    assert folded.losses == pytest.approx(full.losses, rel=1e-3)
    assert all(parameter.device.type == "cpu" for parameter in folded.model.parameters())


def test_without_copies_nothing_is_folded(digits):
    """At 48x48 pixels pool5 leaves 2x2 positions."""
    from alexnet.weights import Card

    card = Card("cifar", CLASSES, 48, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    images = torch.nn.functional.pad(digits[0], (0, 0, 8, 8, 8, 8))
    trainer = trainer_of(seeded(), card, (images, digits[1]), settings())
    assert not trainer.folds
    assert trainer.network is trainer.model


def test_the_result_is_the_average_of_the_weights_written_out(card, digits):
    decay = 0.8
    trainer = trainer_of(seeded(), card, digits, settings(fold="off", ema_decay=decay))
    after_steps, take_step = [], trainer.take_step

    def recording(batch):
        take_step(batch)
        after_steps.append(weights_of(trainer.network))

    trainer.take_step = recording
    trainer.fit(ignore)
    counts = np.array([decay ** (9 - step) for step in range(10)])
    for name, value in trainer.model.state_dict().items():
        stacked = np.stack([weights[name].double().numpy() for weights in after_steps])
        expected = np.tensordot(counts / counts.sum(), stacked, axes=1)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-4, atol=1e-7)
        assert not torch.equal(value, after_steps[-1][name])


@pytest.mark.parametrize("ema_decay", [0.0, 0.8])
@pytest.mark.parametrize("fold", ["auto", "off"])
def test_validation_is_of_images_as_they_are_and_of_the_weights_that_result(
    card, digits, monkeypatch, ema_decay, fold
):
    """In batches, without augmentation, dropout or smoothing; the middle of larger images."""
    monkeypatch.setattr("alexnet.train.VALIDATION_BATCH", 7)
    larger = torch.nn.functional.pad(digits[0], (0, 0, 5, 3, 4, 4))  # 40x40
    params = settings(**(EVERYTHING | {"ema_decay": ema_decay, "fold": fold, "crop_size": 32}))
    run = train(seeded(dropout=0.5), card, (larger, digits[1]), params)
    x = by_torchvision(larger[-30:, 4:36, 4:36], card)
    with torch.inference_mode():
        logits = run.model.eval()(x)
    expected = torch.nn.functional.cross_entropy(logits, digits[1][-30:]).item()
    assert run.rows[-1].val_loss == pytest.approx(expected, rel=1e-4)
    accuracy = (logits.argmax(1) == digits[1][-30:]).double().mean().item()
    assert run.rows[-1].val_accuracy == pytest.approx(accuracy)


def test_training_goes_on_as_training_after_a_validation(card, digits):
    """Else dropout would end with the first epoch."""
    trainer = trainer_of(seeded(dropout=0.5), card, digits, settings(clip_norm=2.0))
    modes, take_step = [], trainer.take_step

    def recording(batch):
        modes.append(trainer.network.training)
        take_step(batch)

    trainer.take_step = recording
    trainer.fit(ignore)
    assert modes == [True] * 10


# What a run says, and when it stops


def test_a_run_says_what_it_is_about_to_do(card, digits):
    """On the network as it is, with figures that were worked out elsewhere."""
    run = train(seeded(make=AlexNetCifar), card, digits, settings(epochs=1, batch_size=20), 20)
    assert run.lines[:-1] == [
        f"device cpu ({torch.get_num_threads()} threads), float32",
        "variant cifar: 58,322,314 parameters, 247.98 MFLOP an image forward, "
        "739.47 forward and backward",
        # 58,322,314 without 35 of fc1's 36 weights on each of 256 values
        f"fc1 without its copies while training: {58_322_314 - 35 * 256 * 4096:,} numbers to learn",
        "20 images, 20 a step, 1 steps an epoch, 1 epochs",
    ]
    initial, expected = run.lines[-1].removeprefix("initial loss ").split(", log(10) = ")
    assert float(expected) == 2.303
    assert float(initial) == pytest.approx(2.303, abs=0.1)


def test_the_initial_loss_is_of_the_first_batch_before_any_step(card, digits):
    run = train(seeded(), card, digits, settings(epochs=1), num_images=16)
    assert f"initial loss {run.losses[0]:.3f}," in run.lines[-1], "one batch: the same images"


def test_training_leaves_the_number_of_threads_alone(card, digits):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)  # a number that only this test asks for
    try:
        train(seeded(), card, digits, settings(epochs=1))
        assert torch.get_num_threads() == before + 2
    finally:
        torch.set_num_threads(before)


def test_a_batch_larger_than_the_data_set_is_refused(card, digits):
    with pytest.raises(UserError, match=r"batch_size: 77 is more than the 76 training images"):
        trainer_of(seeded(), card, digits, settings(batch_size=77))
    assert trainer_of(seeded(), card, digits, settings(batch_size=76)).steps_per_epoch == 1


def test_a_rate_that_is_far_too_high_names_the_step(card, digits):
    losses = []
    trainer = trainer_of(seeded(), card, digits, settings(learning_rate=1e12))
    record_losses(trainer, losses)
    with pytest.raises(UserError, match=r"lower train\.learning_rate") as told:
        trainer.fit(ignore)
    first = next(step for step, loss in enumerate(losses) if not math.isfinite(loss))
    assert f"not finite at step {first}:" in str(told.value)
    assert 0 < first < 5


def test_a_divergence_in_a_later_epoch_is_named_by_its_step_in_the_run(card, digits):
    trainer = diverging(card, digits, settings(epochs=3), at_step=8)
    rows = []
    with pytest.raises(UserError, match="not finite at step 8:"):
        trainer.fit(lambda row, seconds: rows.append(row))
    assert [row.epoch for row in rows] == [1]


def test_a_divergence_is_seen_while_the_epoch_runs(card, digits, monkeypatch):
    """Not an hour later, when it ends: here each step is looked at."""
    monkeypatch.setattr("alexnet.train.LOOK_SECONDS", 0.0)
    trainer = diverging(card, digits, settings(epochs=3), at_step=6)
    with pytest.raises(UserError, match="not finite at step 6:"):
        trainer.fit(ignore)
    assert trainer.step == 7


def test_what_has_diverged_is_not_kept(card, digits, tmp_path, monkeypatch):
    """A checkpoint of it would be taken up again, and diverge again."""
    checkpoints = Checkpoints(tmp_path, {})
    params = settings(epochs=3, checkpoint_seconds=1e-9)
    trainer = diverging(card, digits, params, at_step=7, checkpoints=checkpoints)
    with pytest.raises(UserError, match="not finite at step 7:"):
        trainer.fit(ignore)
    assert checkpoints.newest(print).step == 7, "of the seven steps before"
    checkpoints.close()


def diverging(card, digits, params, at_step, **options):
    """A trainer whose loss is infinite from one step on."""
    trainer = trainer_of(seeded(), card, digits, params, **options)
    criterion = trainer.criterion

    def infinite(logits, labels):
        loss = criterion(logits, labels)
        return loss * math.inf if trainer.step >= at_step else loss

    trainer.criterion = infinite
    return trainer


def test_running_out_of_memory_in_a_step_says_what_to_do(card, digits):
    trainer = trainer_of(seeded(), card, digits, settings())

    def too_large(x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has")

    trainer.forward = too_large
    with (
        pytest.raises(UserError, match=r"batch_size 16: 1\.50 GiB could not be had at once"),
        device.explaining_memory(16),
    ):
        trainer.fit(ignore)


# Losses of real runs, step by step, as they were when last looked at

GOLDEN = Path(__file__).parent / "golden_losses.json"


def golden_runs(card, digits):
    """{name: the losses of 50 steps}, fp32 on one thread.

    `sgd` is the network as it is under the plainest of its optimisers; `everything` a narrow
    one with Muon, dropout and each kind of augmentation. Their rates are low enough for
    rounding, which differs between processors, not to grow.
    """
    plain = settings(
        epochs=5, learning_rate=0.005, clip_norm=1.0, warmup_fraction=0.4, schedule="linear"
    )
    full = settings(epochs=5, learning_rate=0.01, muon_learning_rate=0.002, **EVERYTHING)
    return {
        "sgd": train(seeded(make=AlexNetCifar), card, digits, plain, 160).losses,
        "everything": train(seeded(dropout=0.2), card, digits, full, 160).losses,
    }


@pytest.mark.slow
def test_the_losses_of_50_steps_are_those_of_before(card, digits):
    """Whatever changes a step, meant or not, shows here.

    golden_losses.json was written with PyTorch 2.14 on one thread of a processor with
    AVX-512. On the same one held to SSE 4.1 the losses differ by 2e-5 at most.
    """
    stored = json.loads(GOLDEN.read_text())
    found = golden_runs(card, digits)
    assert found.keys() == stored.keys()
    for name, losses in found.items():
        assert len(losses) == 50
        assert losses == pytest.approx(stored[name], rel=1e-4), name
    assert np.mean(found["sgd"][-10:]) < 0.75 * np.mean(found["sgd"][:10]), "it learns"


def write_golden():
    from alexnet.weights import Card

    assert torch.get_num_threads() == 1
    card = Card("cifar", CLASSES, 32, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
    runs = golden_runs(card, real_digits())
    GOLDEN.write_text(json.dumps(runs, indent=1) + "\n")


@pytest.mark.gpu
@pytest.mark.slow
def test_a_run_on_the_gpu_learns(card, digits):
    from alexnet.device import Machine

    machine = Machine(torch.device("cuda:0"), torch.bfloat16)
    params = settings(epochs=40, clip_norm=2.0)
    run = train(seeded(make=AlexNetCifar), card, digits, params, num_images=64, machine=machine)
    assert run.lines[0].startswith("device cuda")
    assert run.rows[-1].train_accuracy == 1.0
    assert all(parameter.device.type == "cpu" for parameter in run.model.parameters())


if __name__ == "__main__":
    write_golden()
