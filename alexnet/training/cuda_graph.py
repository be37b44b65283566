"""A training step on a GPU as a CUDA graph: captured once, then replayed.

A step of this network is some hundred small kernels; launching each from Python takes longer
than most of them run. A graph launches all of them at once. It always reads and writes the
same memory, so each batch is copied to where the capture found the first one.
"""

from collections.abc import Callable

import torch

from alexnet.training.loader import Batch

NUM_WARM_UP = 3  # steps before the capture: compilation, buffers, the choice of kernels


class CUDAGraphStep:
    """Calls `step(batch)`, which returns nothing; replays it as a graph after the warm-up.

    Every call is one real step: the first few run eagerly, and the capture itself takes none.
    A batch of another shape than the first (the last of an epoch) runs eagerly, and so does a
    step for which `run_eagerly()` is true, such as one that a monitor records.
    """

    def __init__(
        self, step: Callable[[Batch], None], run_eagerly: Callable[[], bool] = lambda: False
    ) -> None:
        self.step, self.run_eagerly = step, run_eagerly
        self.num_calls = 0
        self.batch: Batch | None = None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()

    def __call__(self, batch: Batch) -> None:
        if self.batch is None:
            self.batch = batch.clone()
        if batch.images.shape != self.batch.images.shape or self.run_eagerly():
            return self.step(batch)
        for target, tensor in zip(self.batch.tensors(), batch.tensors(), strict=True):
            target.copy_(tensor)
        if self.num_calls < NUM_WARM_UP:
            self._run_on_side_stream(self.batch)
        else:
            if self.graph is None:
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self.step(self.batch)
            self.graph.replay()
        self.num_calls += 1

    def _run_on_side_stream(self, batch: Batch) -> None:
        """On a stream of its own, as the capture will be."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.step(batch)
        torch.cuda.current_stream().wait_stream(self.stream)
