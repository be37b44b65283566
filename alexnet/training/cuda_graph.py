"""A training step on a GPU as a CUDA graph: captured once, then replayed.

A step of this network is a hundred or more small kernels; launching each from Python takes
longer than most of them run. A graph launches all of them at once. It reads and writes the same
memory each time: the loader fills it with each batch.
"""

from collections import Counter
from collections.abc import Callable

import torch

from alexnet.training.loader import Batch

NUM_WARM_UP = 2  # steps before a capture: compilation, buffers, the choice of kernels


class CUDAGraphStep:
    """Calls `step(batch)`, which returns nothing; replays it as a graph after the warm-up.

    Every call is one real step: the first ones run eagerly, and the capture itself takes none.
    Each kind of step has a graph of its own: one for each number of images (the last batch of an
    epoch may be shorter), and for steps that `is_recorded()` and those that are not. At the end
    of its context the graphs are released.
    """

    def __init__(
        self, step: Callable[[Batch], None], is_recorded: Callable[[], bool] = lambda: False
    ) -> None:
        self.step, self.is_recorded = step, is_recorded
        self.num_eager: Counter[tuple[int, bool]] = Counter()  # by kind
        self.graphs: dict[tuple[int, bool], torch.cuda.CUDAGraph] = {}
        self.stream = torch.cuda.Stream()

    def __call__(self, batch: Batch) -> None:
        kind = batch.num_images, self.is_recorded()
        if self.num_eager[kind] < NUM_WARM_UP:
            self.num_eager[kind] += 1
            return self._run_on_side_stream(batch)
        if kind not in self.graphs:
            self.graphs[kind] = self._capture(batch)
        self.graphs[kind].replay()

    def __enter__(self) -> "CUDAGraphStep":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """NCCL closes no connection while there is a graph that holds its kernels.

        Nothing is released after an error of the GPU or of another process: the GPU might never
        end the work that it has.
        """
        if kind is None or not issubclass(kind, RuntimeError):
            torch.cuda.synchronize()
            for graph in self.graphs.values():
                graph.reset()

    def _capture(self, batch: Batch) -> torch.cuda.CUDAGraph:
        """All graphs share one pool of memory: only one of them runs at a time."""
        graph = torch.cuda.CUDAGraph()
        pool = next((other.pool() for other in self.graphs.values()), None)
        # Another thread may pin memory meanwhile, for the next epoch's random numbers.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self.step(batch)
        return graph

    def _run_on_side_stream(self, batch: Batch) -> None:
        """On a stream of its own, as the capture will be."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.step(batch)
        torch.cuda.current_stream().wait_stream(self.stream)
