"""Every operation of the three networks has a deterministic form on a GPU."""

import pytest

pytestmark = pytest.mark.slow


def test_every_variant_trains_with_deterministic_kernels_alone(null_gpu):
    """Compiled and not; PyTorch's own layers would be refused, with the parameter to change."""
    found = null_gpu("deterministic")
    assert found["ran"] == [
        *("cifar 32", "cifar collapsed 32", "cifar 48", "cifar 64"),
        *("imagenet-2012 227", "one-weird-trick 224", "one-weird-trick 255"),
    ]
    pool, norm = found["errors"]
    assert pool.startswith("train.deterministic: adaptive_avg_pool2d_backward_cuda has no ")
    assert norm.startswith("train.deterministic: avg_pool3d_backward_cuda has no ")
