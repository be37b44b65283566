"""Batch size and thresholds against the number of images: values that fit are quiet, and named."""

import logging

import pytest

from alexnet.errors import UserError
from stages.data_checks import check_against_data
from tests.conftest import write_params
from tests.data.making import make_files, write_folder


@pytest.fixture
def warnings(params, caplog):
    """What is said of values, for 140 training images and 40 test images."""
    counts = {"train": {"cat": 80, "dog": 60}, "test": {"cat": 30, "dog": 10}}

    def warnings(batch_size=16, counts=counts, **thresholds):
        caplog.clear()
        gate = params.gate.model_copy(update={"min_accuracy": None} | thresholds)
        train = params.train.model_copy(update={"batch_size": batch_size})
        check_against_data(params.model_copy(update={"gate": gate, "train": train}), counts)
        assert all(record.levelno == logging.WARNING for record in caplog.records)
        return caplog.messages

    return warnings


def test_the_batch_size_that_a_message_names_fits(warnings):
    advice = "up to 34 gives 5 steps or more"
    with pytest.raises(UserError) as error:
        warnings(141)
    assert str(error.value) == (
        "train.batch_size: 141 is more than the 140 training images, so that an epoch would be one "
        f"short step; {advice}"
    )
    of = "an epoch of the 140 training images is"
    assert warnings(140) == [f"train.batch_size: with 140 {of} a single step; {advice}"]
    assert warnings(35) == [f"train.batch_size: with 35 {of} 4 steps; {advice}"]
    assert warnings(34) == []
    few = {split: {"cat": 3, "dog": 2} for split in ("train", "test")}
    (few_steps,) = warnings(3, few)
    assert few_steps.endswith("images is 2 steps; 2 gives 3: add images")
    assert warnings(2, few) == [], "none that is smaller can be normalised over"


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ({"min_accuracy": 0.75}, ["standard error at 0.75 is 0.068", "always predicting cat"]),
        ({"min_accuracy": 0.8}, ["with 40 test images the standard error at 0.8 is 0.063"]),
        ({"min_accuracy": 0.9}, []),
        ({"min_accuracy": 0.98}, ["0.98 allows no mistake in the 40 test images: one is 0.025"]),
        ({"min_accuracy": 1.0}, []),
        ({"min_accuracy": 0.0}, []),
        ({"min_class_recall": 0.5}, ["gate.min_class_recall: with 10 test images of dog the"]),
    ],
)
def test_a_threshold_that_says_little_is_named(warnings, thresholds, expected):
    found = warnings(**thresholds)
    assert len(found) == len(expected)
    assert all(part in message for part, message in zip(expected, found, strict=True))


def test_preprocess_and_train_check_the_batch_size(tmp_path, run):
    """train too: by itself it reruns when the batch size has changed."""
    write_folder(tmp_path / "images", make_files(30))
    values = {"data__name": "folder", "data__source": "images", "train__epochs": 1}
    message = (
        "is more than the 42 training images, so that an epoch would be one short step; up to 10"
    )
    write_params(tmp_path, **values, train__batch_size=512)
    assert run("download").returncode == 0
    early = run("preprocess")
    assert (early.returncode, message in early.stderr) == (1, True)
    assert not (tmp_path / "data/processed").exists(), "nothing was decoded"
    write_params(tmp_path, **values, train__batch_size=6)
    assert run("preprocess").returncode == 0
    write_params(tmp_path, **values, train__batch_size=512)
    late = run("train")
    assert (late.returncode, message in late.stderr) == (1, True)
