"""The stages that use a GPU, as commands, with the project's own parameters on few images."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

SIZES = {"cifar": 32, "imagenet-2012": 227, "one-weird-trick": 224}


@pytest.fixture
def processed(tmp_path):
    """Prepare a data set of digits in `tmp_path` for a variant; return the stages' variables."""

    def prepare(variant: str) -> dict[str, str]:
        yaml = YAML()
        params = yaml.load(ROOT / "params.yaml")
        params["data"].update(name="digits", image_size=SIZES[variant])
        params["model"].update(variant=variant)
        params["train"].update(epochs=3)
        params["repeat"].update(seeds=[1])
        yaml.dump(params, tmp_path / "params.yaml")
        for stage in ("pretrained", "download", "preprocess"):  # none uses the device
            command = [sys.executable, "-m", f"stages.{stage}"]
            variables = os.environ | {"PYTHONPATH": str(ROOT)}
            subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True)
        return {"ALEXNET_CHECKPOINTS": str(tmp_path / "checkpoints")}

    return prepare


@pytest.mark.slow
@pytest.mark.parametrize("variant", SIZES)
def test_the_stages_run_from_train_to_plot(null_gpu, processed, tmp_path, variant):
    variables = processed(variant)
    names = ("train", "profile", "evaluate", "repeat", "plot")
    stages = null_gpu("stages", *names, cwd=tmp_path, **variables)
    for stage, found in stages.items():
        assert found["violations"] == [], stage
        assert found["launches"] > 0, f"{stage} ran on the GPU"
    assert stages["train"]["graphs"] == stages["repeat"]["graphs"] == 2
    assert (tmp_path / "reports" / "report.html").exists()


@pytest.mark.slow
def test_two_processes_train_on_two_gpus(null_gpu, processed, tmp_path):
    """As torchrun starts them; gloo between them is real, and NCCL's functions are stubs."""
    variables = processed("cifar") | {"TORCHELASTIC_RUN_ID": "test", "NULL_GPU_DEVICES": "2"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}

    def start(rank: str) -> dict[str, Any]:
        return null_gpu("stages", "train", cwd=tmp_path, **variables, RANK=rank, LOCAL_RANK=rank)[
            "train"
        ]

    with ThreadPoolExecutor() as pool:
        for found in pool.map(start, "01"):
            assert found["violations"] == []
            assert found["graphs"] == 2
            assert found["replays"] > 0
    assert (tmp_path / "models" / "weights.safetensors").exists()
