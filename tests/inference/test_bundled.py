"""The model that comes with the package: its file, its card, its answers and its name."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from alexnet.bundled import CIFAR10, MODELS
from alexnet.inference import Predictor
from alexnet.inference.verification import MAX_DIFFERENCE

# Test images of CIFAR-10, and the probabilities that the export has measured for them.
SAMPLES = Path(__file__).with_name("cifar10")
EXPECTED = json.loads((SAMPLES / "expected.json").read_text())


def test_it_answers_as_it_did_where_it_was_exported():
    predictor = Predictor(CIFAR10)
    for row in EXPECTED:
        answer = predictor.classify(SAMPLES / row["file"], top=10)
        assert answer[0].label == row["label"]
        probabilities = {best.label: best.probability for best in answer}
        assert probabilities == pytest.approx(row["probabilities"], abs=MAX_DIFFERENCE["int8"])
    assert sum(row["label"] == row["true_label"] for row in EXPECTED) == 7


def test_its_card_names_its_digest_and_it_is_small():
    content = CIFAR10.read_bytes()
    assert f"`{hashlib.sha256(content).hexdigest()}`" in CIFAR10.with_name("cifar10.md").read_text()
    assert len(content) < 25e6


def test_its_name_stands_for_it_unless_a_path_has_that_name(run, artifact, tmp_path):
    image = SAMPLES / EXPECTED[0]["file"]
    by_name = run("predict", *MODELS, image, "--json")
    assert by_name.stdout == run("predict", CIFAR10, image, "--json").stdout
    assert EXPECTED[0]["label"] in by_name.stdout
    shutil.copytree(artifact, tmp_path / "cifar10")
    assert "nine" in run("predict", "cifar10", image, "--json", "--top", 10).stdout
