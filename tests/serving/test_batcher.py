"""Requests share runs of the network, and each gets the outputs of its own images."""

import asyncio
import threading

import numpy as np
import pytest

from alexnet.inference.predictor import Outputs
from alexnet.serving.batcher import Batcher


class Network:
    """Its outputs are an image's own number; `batches` are the runs. Waits until it may run."""

    def __init__(self):
        self.batches, self.may_run = [], threading.Event()

    def __call__(self, images):
        self.may_run.wait(10)
        self.batches.append(images.ravel().tolist())
        if 13 in images:
            raise RuntimeError("13")
        return Outputs(images.astype(np.float32), -images.astype(np.float32))


def images(*numbers):
    return np.array(numbers, np.uint8).reshape(-1, 1)


def run(requests, max_batch, max_delay_seconds=0.0, cancelled=()):
    """(batches, answers) of requests of which the first runs alone, before the others arrive."""
    network = Network()

    async def answer_all():
        async with Batcher(network, max_batch, max_delay_seconds) as batcher:
            tasks = []
            for numbers in requests:
                tasks.append(asyncio.create_task(batcher.infer(images(*numbers))))
                await asyncio.sleep(0.05)
            for index in cancelled:
                tasks[index].cancel()
            await asyncio.sleep(0)
            network.may_run.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    return network.batches, asyncio.run(answer_all())


def test_requests_that_arrive_during_a_run_share_the_next():
    requests = [[1], [2], [3, 4], [5], [6, 7, 8, 9], [10], [11]]
    batches, answers = run(requests, max_batch=4)
    # None is split: the fourth does not fit beside 6 to 9; a large one is not held back for ever.
    assert batches == [[1], [2, 3, 4, 5], [6, 7, 8, 9], [10, 11]]
    for numbers, outputs in zip(requests, answers, strict=True):
        assert outputs.logits.ravel().tolist() == numbers
        assert outputs.probabilities.ravel().tolist() == [-number for number in numbers]


def test_a_request_larger_than_a_batch_runs_alone():
    assert run([[1], [2], [3, 4, 5], [6]], max_batch=2)[0] == [[1], [2], [3, 4, 5], [6]]
    assert run([[1], [2], [3], [4]], max_batch=1)[0] == [[1], [2], [3], [4]]


def test_a_request_waits_for_others_as_long_as_it_may():
    assert run([[1], [2]], max_batch=8, max_delay_seconds=0.5)[0] == [[1, 2]]
    assert run([[1], [2]], max_batch=8, max_delay_seconds=0.01)[0] == [[1], [2]]


def test_one_that_nobody_waits_for_does_not_run():
    batches, answers = run([[1], [2], [3], [4]], max_batch=8, cancelled=[1, 3])
    assert batches == [[1], [3]]
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [0, 1, 0, 1]


def test_an_error_reaches_those_whose_batch_it_was():
    batches, answers = run([[1], [2], [13], [4, 5]], max_batch=2)
    assert batches == [[1], [2, 13], [4, 5]]
    assert [isinstance(answer, RuntimeError) for answer in answers] == [False, True, True, False]


@pytest.mark.parametrize("num_images", [1, 5])
def test_the_end_leaves_no_thread(num_images):
    before = threading.active_count()
    run([[1] * num_images], max_batch=4)
    assert threading.active_count() == before
