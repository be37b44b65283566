"""A network with buffers: averaged, kept in checkpoints, resumed to the same bytes."""

from dataclasses import replace

import pytest
import torch

from alexnet.signals import TrainingInterrupted
from alexnet.training.averaging import ExponentialMovingAverage
from tests.batch_norm import AlexNetBatchNorm
from tests.making import EVERYTHING, settings, trainer_of
from tests.training.test_resume import assert_equal, stop_after


def test_the_average_covers_running_statistics_and_takes_integers_as_they_are():
    model = AlexNetBatchNorm()
    average = ExponentialMovingAverage(model, 0.75)
    for mean in (1.0, 5.0):
        model.bn1.running_mean.fill_(mean)
        model.bn1.num_batches_tracked += 1
        average.update()
    result = average.averaged(2)
    expected = torch.full((8,), (0.75 * 1 + 5) / 1.75)
    torch.testing.assert_close(result["bn1.running_mean"], expected)
    assert result["bn1.num_batches_tracked"] == 2


@pytest.mark.parametrize("step", [3, 5])
def test_a_resumed_run_ends_in_the_same_bytes(metadata, digits, checkpoints, step):
    """In the middle of an epoch, and at its end."""
    params = settings(**EVERYTHING)
    metadata = replace(metadata, variant="batch-norm")

    def trained(checkpoints=None, interrupted_after=()):
        for last in (*interrupted_after, None):
            torch.manual_seed(0)
            model, rows = AlexNetBatchNorm(), []
            trainer = trainer_of(
                model,
                metadata,
                digits,
                params,
                checkpoints=checkpoints,
                after_step=stop_after(last),
            )
            if last is None:
                trainer.fit(lambda row, seconds, rows=rows: rows.append(row))
                return model.state_dict(), rows
            with pytest.raises(TrainingInterrupted):
                trainer.fit(lambda row, seconds: None)
            assert "network.bn1.running_var" in checkpoints.load_latest().tensors
        raise AssertionError

    whole = trained()
    assert whole[0]["bn1.num_batches_tracked"] == 10
    assert_equal(whole, trained(checkpoints, [step]))
