import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet.data.index import DatasetIndex
from alexnet.data.splits import count, split_dataset
from alexnet.errors import UserError

from .making import make_config


def make_listing(sizes: list[int], given: str | list[str] = "train") -> DatasetIndex:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    splits = np.array([given] * len(labels) if isinstance(given, str) else given)
    return DatasetIndex(
        tuple(f"class{k}" for k in range(len(sizes))), labels, splits, lambda: iter(())
    )


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(12, 60), min_size=2, max_size=5),
    val=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 2**40),
)
def test_every_class_is_shared_out_alike(
    sizes: list[int], val: float, test: float, seed: int
) -> None:
    data = make_config(val_fraction=val, test_fraction=test, split_seed=seed)
    listing = make_listing(sizes)
    counts = count(split_dataset(listing, data), listing.labels, listing.classes)
    for name, size in zip(listing.classes, sizes, strict=True):
        assert counts["test"][name] == max(1, round(size * test))
        assert counts["val"][name] == max(1, round(size * val))
        assert counts["train"][name] == size - counts["test"][name] - counts["val"][name]


def test_the_seed_alone_decides() -> None:
    listing = make_listing([30, 30])
    first, again, other = (
        split_dataset(listing, make_config(split_seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_given_splits_are_kept_and_only_the_missing_ones_drawn() -> None:
    given = (["train"] * 16 + ["test"] * 4) * 2
    listing = make_listing([20, 20], given)
    splits = split_dataset(listing, make_config())
    np.testing.assert_array_equal(splits == "test", np.array(given) == "test")
    assert count(splits, listing.labels, listing.classes)["val"] == {"class0": 4, "class1": 4}

    everything = (["train", "val", "test"] * 4) * 2
    np.testing.assert_array_equal(
        split_dataset(make_listing([12, 12], everything), make_config()), everything
    )


def test_too_few_images_name_the_class() -> None:
    with pytest.raises(UserError, match=r"class class1 has 2 image\(s\), too few for train, test"):
        split_dataset(make_listing([9, 2]), make_config())
    split_dataset(make_listing([9, 3]), make_config())  # one for each split


def test_a_class_missing_from_a_split_is_named() -> None:
    with pytest.raises(UserError, match="class b has no image in the val split"):
        count(np.array(["train", "train", "val"]), np.array([0, 1, 0]), ["a", "b"])
