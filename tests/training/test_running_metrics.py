"""Mean loss and accuracy, and the step at which the loss stopped being finite."""

import math

import pytest
import torch

from alexnet.errors import UserError
from alexnet.training.running_metrics import RunningMetrics, check_finite, loss_and_accuracy

LOGITS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
LABELS = torch.tensor([0, 1, 1])


def metrics_of(*losses):
    metrics = RunningMetrics(torch.device("cpu"))
    for loss in losses:
        metrics.add(LOGITS, LABELS, torch.tensor(loss))
    return metrics


def test_each_image_counts_once():
    metrics = metrics_of(2.0)  # the sum of three images' losses
    metrics.add(LOGITS[:1], LABELS[:1], torch.tensor(6.0))
    assert loss_and_accuracy(metrics.sums.tolist()) == ((2.0 + 6.0) / 4, 3 / 4)
    check_finite(metrics.sums[None], first_step=40)


def test_a_reset_clears_the_sums_in_place():
    metrics = metrics_of(2.0, math.inf)
    sums = metrics.sums
    metrics.reset()
    assert metrics.sums is sums, "a CUDA graph writes there"
    metrics.add(LOGITS, LABELS, torch.tensor(3.0))
    assert loss_and_accuracy(metrics.sums.tolist()) == (1.0, 2 / 3)


def test_many_small_losses_are_summed_exactly():
    """float32 would lose them: 1e8 + 1 is 1e8 there."""
    assert metrics_of(1e8, 1.0, 1.0, 1.0).sums[0].item() == 1e8 + 3


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_the_error_names_the_first_step_whose_loss_is_not_finite(bad):
    metrics = metrics_of(2.0, 6.0, bad, 1.0, bad, 2.0)
    with pytest.raises(UserError, match=r"not finite at step 42: .*lower train\.learning_rate"):
        check_finite(metrics.sums[None], first_step=40)


def test_of_several_processes_the_first_to_diverge_counts():
    """Each counts its own steps; the counts are not added."""
    finite, diverged = metrics_of(1.0, 1.0, 1.0, 1.0), metrics_of(1.0, 1.0, math.nan, math.nan)
    with pytest.raises(UserError, match="not finite at step 12:"):
        check_finite(torch.stack([finite.sums, diverged.sums]), first_step=10)
    both = torch.stack([finite.sums, finite.sums])
    check_finite(both, first_step=10)
    assert loss_and_accuracy(both.sum(0).tolist()) == loss_and_accuracy(both[0].tolist())


def test_the_sums_keep_no_autograd_graph():
    metrics = metrics_of()
    logits = LOGITS.clone().requires_grad_()
    metrics.add(logits, LABELS, torch.nn.functional.cross_entropy(logits, LABELS, reduction="sum"))
    assert not metrics.sums.requires_grad
