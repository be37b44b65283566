"""The stages that use a GPU, as commands, with the project's own parameters on few images."""

import os
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

SIZES = {"cifar": 32, "imagenet-2012": 227, "one-weird-trick": 224}


@pytest.mark.slow
@pytest.mark.parametrize("variant", SIZES)
def test_the_stages_run_from_train_to_plot(null_gpu, tmp_path, variant):
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["data"].update(name="digits", image_size=SIZES[variant])
    params["model"].update(variant=variant)
    params["train"].update(epochs=3)
    yaml.dump(params, tmp_path / "params.yaml")
    for stage in ("download", "preprocess"):  # neither uses the device
        command = [sys.executable, "-m", f"stages.{stage}"]
        variables = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True)
    variables = {"ALEXNET_CHECKPOINTS": str(tmp_path / "checkpoints")}
    stages = null_gpu("stages", "train", "profile", "evaluate", "plot", cwd=tmp_path, **variables)
    for stage, found in stages.items():
        assert found["violations"] == [], stage
        assert found["launches"] > 0, f"{stage} ran on the GPU"
    assert stages["train"]["graphs"] == 2
    assert (tmp_path / "reports" / "report.html").exists()
