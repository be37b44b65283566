"""Eight processes average their gradients within the captured step."""

import pytest


# Of the gradients; of batch normalisation behind 7 layers, the mean and the variance, and what
# their gradient needs.
@pytest.mark.slow
@pytest.mark.parametrize(("batch_norm", "all_reduces"), [("none", 1), ("folded", 1 + 7 * 3)])
def test_a_step_of_8_processes_is_a_graph(null_gpu, batch_norm, all_reduces):
    results = null_gpu("processes", {"batch_norm": batch_norm})
    assert results["violations"] == []
    full, short = results["graphs"]
    for graph in (full, short):
        assert graph["replays"] > 0
        nccl = [name for name in graph["operations"] if "nccl" in name]
        assert nccl == ["ncclAllReduce"] * all_reduces
    # From the first replay on, but for the last full step, in which the monitor copies the weights.
    waits = [step["syncs"] for step in results["steps"] if step["launches"] <= 6]
    assert len(waits) > 10
    assert not any(waits)
