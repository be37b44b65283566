"""Mean loss and accuracy, and the step at which the loss stopped being finite."""

import math

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.running_metrics import RunningMetrics, check_finite, loss_and_accuracy

CPU = torch.device("cpu")
LOGITS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
LABELS = torch.tensor([0, 1, 1])


def meter_of(*losses):
    metrics = RunningMetrics(CPU)
    for loss in losses:
        metrics.add(LOGITS, LABELS, torch.tensor(loss))
    return metrics


def test_batches_count_by_their_size():
    metrics = RunningMetrics(CPU)
    metrics.add(LOGITS, LABELS, torch.tensor(2.0))  # the sum of three images' losses
    metrics.add(LOGITS[:1], LABELS[:1], torch.tensor(6.0))
    assert loss_and_accuracy(metrics.sums.tolist()) == ((2.0 + 6.0) / 4, 3 / 4)
    check_finite(metrics.sums[None], first_step=40)


def test_after_a_reset_nothing_is_left():
    metrics = meter_of(2.0, math.inf)
    kept = metrics.sums
    metrics.reset()
    assert metrics.sums is kept, "a recorded step goes on writing there"
    metrics.add(LOGITS, LABELS, torch.tensor(3.0))
    assert loss_and_accuracy(metrics.sums.tolist()) == (1.0, 2 / 3)


def test_many_small_losses_are_summed_exactly():
    """float32 would lose them: 1e8 + 1 is 1e8 there."""
    metrics = RunningMetrics(CPU)
    for loss in (1e8, 1.0, 1.0, 1.0):
        metrics.add(LOGITS, LABELS, torch.tensor(loss))
    assert metrics.sums[0].item() == 1e8 + 3


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_the_first_step_whose_loss_is_not_finite_is_named(bad):
    metrics = meter_of(2.0, 6.0, bad, 1.0, bad, 2.0)
    with pytest.raises(UserError, match=r"not finite at step 42: .*lower train\.learning_rate"):
        check_finite(metrics.sums[None], first_step=40)


def test_of_several_processes_the_first_to_diverge_is_named():
    """Each counts its own steps; they are not to be added up."""
    meters = [meter_of(1.0, 1.0, 1.0, 1.0), meter_of(1.0, 1.0, math.nan, math.nan)]
    with pytest.raises(UserError, match="not finite at step 12:"):
        check_finite(torch.stack([metrics.sums for metrics in meters]), first_step=10)
    both = torch.stack([meters[0].sums, meters[0].sums])
    check_finite(both, first_step=10)
    assert loss_and_accuracy(both.sum(0).tolist()) == loss_and_accuracy(both[0].tolist())


def test_the_meter_keeps_no_graph():
    metrics = RunningMetrics(CPU)
    logits = LOGITS.clone().requires_grad_()
    metrics.add(logits, LABELS, torch.nn.functional.cross_entropy(logits, LABELS, reduction="sum"))
    assert not metrics.sums.requires_grad
