"""The diffs of docs/extending.md: applied to a copy of the project, each does what it says."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from alexnet.network.weights import build, save_weights
from tests.conftest import ROOT, write_params

PAGE = (ROOT / "docs" / "extending.md").read_text()
DIFFS = dict(re.findall(r"^## (.+?)\n.*?```diff\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))


PREPARE = """
from stages import paths
from stages.download import download
from stages.preprocess import preprocess
download(paths.PARAMS)
preprocess(paths.PARAMS)
"""


@pytest.fixture
def copy(tmp_path):
    """A function: the project with one of the diffs applied."""

    def apply(heading: str) -> Path:
        subprocess.run(
            f"git ls-files -z alexnet stages demo '*.yaml' | xargs -0 cp --parents -t {tmp_path}",
            shell=True,
            cwd=ROOT,
            check=True,
        )
        subprocess.run(
            ["git", "apply", "--verbose"],
            cwd=tmp_path,
            input=DIFFS[heading],
            text=True,
            check=True,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        )
        return tmp_path

    return apply


def run(project: Path, *command: str) -> str:
    result = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def shapes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, 28, 28), a disc or a square in turn, of several sizes; and labels."""
    rows = np.arange(28) - 13.5
    distance = np.hypot(rows[:, None], rows), np.maximum(abs(rows[:, None]), abs(rows))
    images = [255 * (distance[i % 2] < 5 + i % 7) for i in range(n)]
    return np.array(images, dtype=np.uint8), np.arange(n, dtype=np.uint8) % 2


def idx_gz(values: np.ndarray) -> bytes:
    """An IDX file in gzip's stored form, whose bytes do not depend on a compressor."""
    content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    content += values.tobytes()
    size = len(content)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01" + struct.pack("<HH", size, size ^ 0xFFFF)
    packed = head + content + struct.pack("<II", zlib.crc32(content), size)
    assert gzip.decompress(packed) == content
    return packed


def test_a_data_set(copy, tmp_path_factory):
    project, mirror = copy("A data set"), tmp_path_factory.mktemp("mirror")
    for prefix, n in (("train", 60), ("t10k", 20)):
        images, labels = shapes(n)
        (mirror / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx_gz(images))
        (mirror / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx_gz(labels))
    write_params(project, data__name="shapes", data__source=str(mirror), train__batch_size=8)
    run(project, "-c", PREPARE)
    meta = json.loads((project / "data/processed/meta.json").read_text())
    assert meta["classes"] == ["disc", "square"]
    assert sum(meta["counts"]["test"].values()) == 20
    card = "from alexnet.export.dataset_cards import DATASET_CARDS as c; print(c['shapes'].terms)"
    assert run(project, "-c", card) == "CC0.\n"


@pytest.mark.slow
def test_an_augmentation(copy):
    """It acts, on the images that it has chosen, and is described for the report."""
    script = """
from pathlib import Path
import torch
from alexnet import config
from alexnet.training.augmentation import Augmentation, describe_augmentation
params = config.load(Path("params.yaml")).train
off = {"crop_padding": 0, "hflip": "none", "scale": 0.0, "degrees": 0.0, "color_jitter": 0.0}
off |= {"cutout": 0, "cutmix_prob": 0.0}
params = params.model_copy(update=off)
assert describe_augmentation(params) == "10 % without colours", describe_augmentation(params)
images = torch.randint(256, (500, 32, 32, 3), dtype=torch.uint8)
augmentation = Augmentation(images, (0.5,) * 3, (0.25,) * 3, params, torch.device("cpu"))
sampled = augmentation.sample(500, epoch=0)
x = augmentation(images, sampled)
is_gray = (x == x[:, :1]).all(dim=3).all(dim=2).all(dim=1)
assert torch.equal(is_gray, augmentation.select(sampled, "grayscale")[:, 0] == 1)
assert 0.05 < is_gray.float().mean() < 0.15
"""
    project = copy("An augmentation")
    run(project, "-c", script)
    listed = YAML(typ="safe").load(project / "dvc.yaml")["stages"]["train"]["params"]
    assert "train.grayscale_prob" in listed


@pytest.mark.slow
def test_a_variant(copy):
    summary = ("-m", "alexnet.cli.main", "summary", "--variant", "small-kernel", "--json")
    layers = json.loads(run(copy("A variant"), *summary))
    assert layers["parameters"] == 58_294_666
    assert layers["layers"][0]["output_shape"] == [96, 8, 8]
    assert (layers["layers"][0]["kernel"], layers["layers"][0]["padding"]) == (5, 1)


@pytest.mark.slow
def test_a_stage(copy, metadata):
    project = copy("A stage")
    write_params(project, data__test_fraction=0.1)
    run(project, "-c", PREPARE)
    torch.manual_seed(0)
    save_weights(project / "models/weights.safetensors", build(metadata, dropout=0.0), metadata)
    cmd = YAML(typ="safe").load(project / "dvc.yaml")["stages"]["noise"]["cmd"]
    run(project, *cmd.split()[1:])
    assert 0 <= json.loads((project / "reports/noise.json").read_text())["accuracy"] <= 1
