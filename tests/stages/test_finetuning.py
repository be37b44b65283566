"""The five commands of docs/finetuning.md, on two hundred real photographs.

ImageNet's weights cannot be downloaded here: a state dict of torchvision's initialisation stands in
for them, whose size and digest the clone takes for the published ones.
"""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images
from torchvision.models import alexnet

from alexnet.files import sha256
from alexnet.pretrained.published import NAMES, NUM_BYTES, SHA256
from tests.conftest import ROOT
from tests.stages.projects import call

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/finetuning.md").read_text()
CLONE, ENVIRONMENT, COPY, PRESET, REPRO = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[
    0
].splitlines()


def write_photographs(folder: Path) -> None:
    """A hundred parts of each of two photographs, of 120 to 400 pixels."""
    random = np.random.default_rng(0)
    for name, photo in zip(("china", "flower"), load_sample_images().images, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(100):
            height, width = random.integers(120, 400, 2)
            y, x = (random.integers(side) for side in (428 - height, 641 - width))
            part = Image.fromarray(photo[y : y + height, x : x + width])
            part.save(folder / name / f"{number}.jpg", quality=90)


def write_stand_in(path: Path) -> dict[str, torch.Tensor]:
    """Of He's variance, 6 times PyTorch's: activations keep their size, as trained ones do."""
    torch.manual_seed(0)
    state = {name: 6**0.5 * value for name, value in alexnet().state_dict().items()}
    torch.save(state, path)
    return state


def test_two_hundred_photographs_become_an_artifact(tmp_path):
    write_photographs(tmp_path / "photographs")
    state = write_stand_in(tmp_path / "weights.pth")
    assert ENVIRONMENT == "make venv && source .venv/bin/activate"  # the tests' own is used
    clone = CLONE.replace("<this repository>", str(ROOT))
    call(tmp_path, "bash", "-ec", clone)
    project = tmp_path / "alexnet"
    call(project, "bash", "-ec", f"{COPY}\n{PRESET}", HOME=str(tmp_path))

    facts = project / "alexnet/pretrained/published.py"
    text = facts.read_text().replace(
        f"{NUM_BYTES:_}", str((tmp_path / "weights.pth").stat().st_size)
    )
    facts.write_text(text.replace(SHA256, sha256(tmp_path / "weights.pth")))
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("start_source:", "start_source: ../weights.pth"))
    # The project's own code: PYTHONPATH would name the checkout's.
    output = call(project, "bash", "-ec", REPRO, PYTHONPATH=str(project), HOME=str(tmp_path)).stdout
    assert "Running stage 'export'" in output

    trained = load_file(project / "models/weights.safetensors")
    frozen = [name for name in NAMES if name.startswith("features")]
    assert all(trained[NAMES[name]].equal(state[name]) for name in frozen)
    assert not trained["fc2.weight"].equal(state["classifier.4.weight"])
    metrics = json.loads((project / "reports/evaluate/metrics.json").read_text())
    assert min(metrics["accuracy"], metrics["linear_probe_accuracy"]) > 0.8
    manifest = json.loads((project / "artifacts/manifest.json").read_text())
    start = manifest["warm_start"]
    assert (start["parent"]["kind"], start["new"]) == ("imagenet", ["china", "flower"])
    assert (manifest["preprocessing"]["resize"], manifest["preprocessing"]["crop"]) == (256, 224)
    assert manifest["preprocessing"]["filter"] == "bilinear"

    files = sorted((tmp_path / "photographs").glob("*/9*.jpg"))
    command = ["alexnet", "predict", "artifacts", *files, "--json", "--top", "1"]
    rows = json.loads(call(project, *command).stdout)
    right = [row["predictions"][0]["label"] == Path(row["file"]).parent.name for row in rows]
    assert np.mean(right) > 0.8
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=project / "artifacts", check=True
    )
