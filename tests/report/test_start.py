"""What the report shows of a run that started from other weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet.errors import UserError
from alexnet.evaluation.repeats import TrainingResult
from alexnet.evaluation.warm_start import require_parent
from alexnet.network.parent import Parent, ParentNetwork
from alexnet.report.draw import WRITTEN, draw_all
from alexnet.report.sections import FROZEN_FILTERS, PARENT_NEIGHBOURS, PICTURES
from alexnet.report.start import compare_start
from alexnet.training.history import Epoch
from alexnet.training.warm_start import WarmStart
from tests.conftest import METADATA
from tests.runs import narrow

from .conftest import METRICS, ONE_SEED, make_history, write_page

WEIGHTS = Parent("weights", "ab" * 32)
START = WarmStart(WEIGHTS, ("zero", "one"), ("two",), ("ten",), "none")
PROBED = replace(METRICS, linear_probe_accuracy=0.8125)
FROM_NOTHING = TrainingResult(
    replace(ONE_SEED.runs[0], test_accuracy=0.625), tuple(Epoch(**row) for row in make_history(5))
)


@pytest.fixture(scope="module")
def parent() -> ParentNetwork:
    torch.manual_seed(1)
    return ParentNetwork(WEIGHTS, narrow().eval(), METADATA)


@pytest.fixture
def compare(run, parent, digits):
    """`compare_start` of the run, with changes of its arguments."""
    train = (digits[0][:200], digits[1][:200])

    def compare_with(start=START, metrics=PROBED, repeats=ONE_SEED, run=run, parent=parent):
        return compare_start(run, parent, start, train, metrics, repeats, "cpu")

    return compare_with


def test_neighbours_are_those_of_the_parents_features(compare, run, parent, digits):
    """By a forward pass of its own, up to the average pool."""
    images = digits[0][:200]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (METADATA.mean, METADATA.std))
    x = (images.permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        for name, layer in parent.model.named_children():
            if name == "avgpool":
                break
            x = layer(x)
    features = x.flatten(1).double().numpy()
    start = compare()
    for row, query in enumerate(run.probes.queries):
        distances = np.linalg.norm(features - features[query], axis=1)
        nearest = np.argsort(distances)[:6]
        assert sorted(start.neighbour_labels[row]) == sorted(digits[1][nearest].tolist())
        np.testing.assert_array_equal(start.neighbours[row, 0], images[query].numpy())


@pytest.mark.slow
def test_pictures_and_page_name_the_parent(compare, run, tmp_path):
    start = compare(repeats=replace(ONE_SEED, from_nothing=FROM_NOTHING))
    names = draw_all(tmp_path, run, start)
    assert {*names} == {picture.name for picture in (*PICTURES, PARENT_NEIGHBOURS)}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(WRITTEN.fullmatch(str(path.relative_to(tmp_path))) for path in files)
    page = " ".join(write_page(tmp_path / "report.html", run, tmp_path, start=start).split())
    for text in (
        "Training started from the weights of another training.",
        "classifies 81.25 % correctly, and a training of all layers from nothing, with the same "
        "parameters, 62.50 %.",
        "<dt>started from</dt><dd>the weights of another training (SHA-256 abababababab…)</dd>",
        "<dt>classes matched</dt><dd>2 of 3, by name</dd>",
        "<dt>new classes</dt><dd>two</dd>",
        "<dt>dropped classes</dt><dd>ten</dd>",
        "<dt>frozen layers</dt><dd>none</dd>",
        PARENT_NEIGHBOURS.sentence,
    ):
        assert text in page
    assert FROZEN_FILTERS not in page


def test_a_frozen_conv1_and_imagenets_classes_are_told(compare, run, parent):
    of_parent = parent.model.conv1.weight.detach().numpy()
    frozen = replace(run, initial_conv1=of_parent, weights=run.weights | {"conv1": of_parent})
    imagenet = Parent("imagenet", "cd" * 32)
    start = WarmStart(imagenet, (), ("two", "three"), (), "features")
    found = compare(start, run=frozen, parent=parent._replace(parent=imagenet))
    assert found.is_conv1_frozen
    assert not compare().is_conv1_frozen
    assert found.owner == "ImageNet's"
    assert found.conditions == {
        "started from": "ImageNet's weights (SHA-256 cdcdcdcdcdcd…)",
        "classes matched": "none of 2: the last layer starts anew",
        "frozen layers": "the convolutions",
    }


def test_files_of_another_start_are_refused(compare, parent):
    with pytest.raises(UserError, match="no linear probe; run the stage evaluate again"):
        compare(metrics=METRICS)
    assert require_parent(parent, START) is parent
    for found in (None, parent._replace(parent=Parent("weights", "0" * 64))):
        with pytest.raises(UserError, match=r"other weights than the parent's; run the stage"):
            require_parent(found, START)
