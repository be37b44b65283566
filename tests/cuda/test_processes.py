"""Eight processes average their gradients within the captured step."""

import pytest


@pytest.mark.slow
def test_a_step_of_8_processes_is_a_graph_with_one_all_reduce(null_gpu):
    results = null_gpu("processes")
    assert results["violations"] == []
    full, short = results["graphs"]
    for graph in (full, short):
        assert graph["replays"] > 0
        assert [name for name in graph["operations"] if "nccl" in name] == ["ncclAllReduce"]
    # From the first replay on, but for the last full step, in which the monitor copies the weights.
    waits = [step["syncs"] for step in results["steps"] if step["launches"] <= 6]
    assert len(waits) > 10
    assert not any(waits)
