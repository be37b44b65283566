"""The diffs of docs/extending.md apply to this repository, and what they add runs."""

import gzip
import json
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, STAGES
from tests.data.making import digits
from tests.stages.conftest import data  # noqa: F401 (a fixture)
from tests.stages.projects import call, copy_code

PAGE = (ROOT / "docs/extending.md").read_text()
DIFFS = dict(re.findall(r"^## An? (.+?)$.*?^```diff\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def project(tmp_path):
    """Apply a diff to a copy of the code; returns a function that runs Python on it."""

    def project(name: str):
        copy_code(tmp_path)
        for file in (
            "README.md",
            "params.yaml",
            "demo/params.yaml",
            "tests/conftest.py",
            "tests/making.py",
        ):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / file, tmp_path / file)
        (tmp_path / "change.diff").write_text(DIFFS[name])
        call(tmp_path, "git", "apply", "-p0", "change.diff")
        assert not list(tmp_path.rglob("*.rej"))

        def python(*arguments: object) -> str:
            result = call(tmp_path, sys.executable, *arguments, PYTHONPATH=str(tmp_path))
            return result.stdout

        return python

    return project


def set_params(folder: Path, **changes: object) -> None:
    """The changed demo/params.yaml as params.yaml, with values given as section__key=value."""
    yaml = YAML()
    values = yaml.load(folder / "demo/params.yaml")
    for name, value in changes.items():
        section, key = name.split("__")
        values[section][key] = value
    yaml.dump(values, folder / "params.yaml")


def test_every_section_has_a_diff():
    assert set(DIFFS) == {"data set", "augmentation", "variant", "stage"}


def test_the_data_set_is_received_and_indexed(project, tmp_path):
    """In files as they are published, but of smaller images."""
    python = project("data set")
    source = tmp_path / "mirror"
    source.mkdir()
    for prefix, n in (("train", 60_000), ("t10k", 10_000)):
        images, labels = np.resize(digits(), (n, 8, 8)), np.arange(n, dtype=np.uint8) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            content = gzip.compress(head + values.tobytes(), compresslevel=1)
            (source / f"{prefix}-{kind}-ubyte.gz").write_bytes(content)
    set_params(tmp_path, data__name="kmnist", data__source=str(source))
    assert "kmnist: 4 file(s), " in python("-m", "stages.download")
    script = """
from pathlib import Path
from alexnet.data.preprocess import read_index
from alexnet.export.dataset_cards import DATASET_CARDS
index = read_index("kmnist", Path("data/raw/files"))
assert list(index.split).count("test") == 10_000
print(len(index), index.classes[9], DATASET_CARDS["kmnist"].terms)
"""
    assert python("-c", script) == "70000 wo CC BY-SA 4.0.\n"


def test_the_augmentation_makes_images_grey(project, tmp_path):
    python = project("augmentation")
    set_params(tmp_path, train__grayscale_prob=0.5)
    script = """
import torch
from pathlib import Path
from alexnet import config
from alexnet.training.augmentation import Augmentation
params = config.load(Path("params.yaml")).train.model_copy(update={"crop_padding": 0})
images = torch.randint(256, (200, 32, 32, 3), dtype=torch.uint8)
augmentation = Augmentation(images, (0.5,) * 3, (0.25,) * 3, params, torch.device("cpu"))
x = augmentation(images, augmentation.sample(200, epoch=0))
grey = (x.amax(dim=1) - x.amin(dim=1)).amax(dim=(1, 2)) < 1e-5
print(len(augmentation.transforms), int(grey.sum()))
"""
    transforms, grey = map(int, python("-c", script).split())
    assert transforms == 1
    assert 70 < grey < 130
    tracked = YAML(typ="safe").load(tmp_path / "dvc.yaml")["stages"]["train"]["params"]
    assert "train.grayscale_prob" in tracked


def test_the_variant_has_the_parameters_that_its_docstring_gives(project):
    python = project("variant")
    table = python("-m", "alexnet.cli.main", "summary", "--variant", "cifar-small", "--json")
    totals = json.loads(table)
    assert (totals["parameters"], totals["macs"]) == (8_734_090, 74_406_912)
    assert f"{totals['parameters']:,} parameters" in DIFFS["variant"]
    assert f"| 32x32 | {totals['parameters']:,} | {totals['macs']:,} |" in DIFFS["variant"]


@pytest.mark.slow
def test_the_variant_goes_through_the_pipeline(project, tmp_path):
    python = project("variant")
    small = {"data__val_fraction": 0.4, "data__test_fraction": 0.4, "train__epochs": 1}
    set_params(tmp_path, model__variant="cifar-small", **small, gate__min_accuracy=0.0)
    for stage in STAGES:
        python("-m", f"stages.{stage}")
    python("-m", "alexnet.cli.main", "verify", "artifacts")


def test_the_stage_runs_under_dvc(project, tmp_path, data):  # noqa: F811
    project("stage")
    shutil.copytree(data / "data", tmp_path / "data")
    set_params(tmp_path)
    output = call(tmp_path, "dvc", "repro", "--single-item", "balance").stdout
    assert "the rarest class has 9" in output
    shares = json.loads((tmp_path / "reports/balance.json").read_text())
    assert len(shares) == 10
    assert sum(shares.values()) == pytest.approx(1)
