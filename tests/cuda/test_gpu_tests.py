"""The tests that need a real GPU have no mistakes of their own: all but the values is tried."""

import pytest

from tests.conftest import ROOT

# All that may fail: what compares numbers that the null GPU has not computed.
OF_VALUES = {
    "assert replayed.state.layer_rows == eager.state.layer_rows",
    "assert [rate.item() for rate in rates] == pytest.approx([0.36, 0.01])",
    "assert run.rows[-1].train_accuracy == 1.0",
}


@pytest.mark.slow
def test_tests_for_a_gpu_fail_by_values_only(null_gpu, tmp_path):
    # bench's starts processes of its own, and its rehearsal runs it.
    files = [
        str(path)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "@pytest.mark.gpu" in path.read_text() and path.parent.name not in {"bench", "cuda"}
    ]
    results = null_gpu("gpu_tests", str(tmp_path / "gpu"), *files)
    assert results["num"] > 10
    failed = {name: why for name, why in results["failed"].items() if why not in OF_VALUES}
    assert failed == {}
    assert results["violations"] == []
