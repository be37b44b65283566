import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet.data.index import DatasetIndex
from alexnet.data.splits import count_images, split_dataset
from alexnet.errors import UserError

from .making import make_config


def make_index(sizes, split=None):
    """An index of classes with `sizes` images, all in `train` unless `split` lists others."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    classes = tuple(f"class{k}" for k in range(len(sizes)))
    return DatasetIndex(classes, labels, np.array(split or ["train"] * len(labels)), list)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(12, 60), min_size=2, max_size=5),
    val=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 2**40),
)
def test_splits_are_stratified_by_class(sizes, val, test, seed):
    data = make_config(val_fraction=val, test_fraction=test, split_seed=seed)
    index = make_index(sizes)
    counts = count_images(split_dataset(index, data), index.labels, index.classes)
    for name, size in zip(index.classes, sizes, strict=True):
        assert counts["test"][name] == max(1, round(size * test))
        assert counts["val"][name] == max(1, round(size * val))
        assert counts["train"][name] == size - counts["test"][name] - counts["val"][name]


def test_splits_are_a_function_of_the_seed():
    index = make_index([30, 30])
    first, again, other = (split_dataset(index, make_config(split_seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_splits_of_the_source_are_kept_and_the_others_drawn():
    test_only = (["train"] * 16 + ["test"] * 4) * 2
    index = make_index([20, 20], test_only)
    splits = split_dataset(index, make_config())
    np.testing.assert_array_equal(splits == "test", np.array(test_only) == "test")
    assert count_images(splits, index.labels, index.classes)["val"] == {"class0": 4, "class1": 4}

    all_splits = ["train", "val", "test"] * 8
    index = make_index([12, 12], all_splits)
    np.testing.assert_array_equal(split_dataset(index, make_config()), all_splits)


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(UserError, match=r"class class1 has 2 image\(s\), too few for train, test"):
        split_dataset(make_index([9, 2]), make_config())
    split_dataset(make_index([9, 3]), make_config())  # one for each split
    fitting = r"or lower data.val_fraction and data.test_fraction \(0.33 is an image\)"
    with pytest.raises(UserError, match=rf"3 image\(s\), .* {fitting}"):
        split_dataset(make_index([9, 3]), make_config(val_fraction=0.3, test_fraction=0.6))


def test_a_split_that_is_too_small_is_named_with_a_share_that_fits(caplog):
    split_dataset(make_index([100, 100]), make_config(val_fraction=0.04, test_fraction=0.2))
    assert caplog.messages == [
        "data.val_fraction: 0.04 gives 8 images, each of them 0.125 of the val accuracy; 0.1 gives "
        "20 or so"
    ]
    caplog.clear()
    split_dataset(make_index([100, 100]), make_config(val_fraction=0.1, test_fraction=0.2))
    assert not caplog.messages


def test_a_class_missing_from_a_split_is_named():
    with pytest.raises(UserError, match="class b has no image in the val split"):
        count_images(np.array(["train", "train", "val"]), np.array([0, 1, 0]), ["a", "b"])
