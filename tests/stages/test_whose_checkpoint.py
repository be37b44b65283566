"""Whose a checkpoint is: parameters, data, code and machine decide."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import alexnet.training.augmentation
from alexnet import config
from alexnet.errors import UserError
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.device import DeviceConfig
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from stages import paths
from stages import train as stage
from tests.conftest import write_params
from tests.stages.attempts import SMALL, TRAIN, flip_a_bit


@pytest.fixture
def values(project) -> config.Params:
    write_params(project, **SMALL | TRAIN)
    return config.load(paths.PARAMS)


ON_CPU = DeviceConfig(torch.device("cpu"), torch.float32)


def folder_of(
    values: config.Params,
    device_config: DeviceConfig = ON_CPU,
    processes: DistributedContext = SINGLE_PROCESS,
) -> Path:
    checkpoints: Checkpoints = stage._checkpoints(values, device_config, processes)
    checkpoints.close()
    return checkpoints.folder


def changed(values: config.Params, section: str, **update: object) -> config.Params:
    part = getattr(values, section).model_copy(update=update)
    return values.model_copy(update={section: part})


def test_the_same_run_finds_its_checkpoints(values):
    assert folder_of(values) == folder_of(values)


# What each key of train and model may be, other than in the demo.
OTHER = {
    "seed": 1,
    "device": "auto",
    "precision": "auto",
    "deterministic": False,
    "collapse_fc1": "off",
    "epochs": 7,
    "batch_size": 33,
    "learning_rate": 0.06,
    "muon_lr": 0.01,
    "muon_weight_decay": 0.1,
    "momentum": 0.8,
    "nesterov": False,
    "weight_decay": 0.1,
    "clip_norm": None,
    "schedule": "cosine",
    "warmup_fraction": 0.2,
    "ema_decay": 0.5,
    "label_smoothing": 0.2,
    "crop_size": 30,
    "crop_padding": 3,
    "hflip": "random",
    "scale": 0.1,
    "degrees": 5.0,
    "cutout": 4,
    "color_jitter": 0.1,
    "cutmix_prob": 0.3,
    "cutmix_end": 0.5,
    "random_erasing_prob": 0.5,
    "pca_lighting_std": 0.1,
    "num_processes": 2,
    "data_location": "host",
    "checkpoint_seconds": 3.0,
    "on_checkpoint_error": "stop",
    "tensorboard": True,
}


@pytest.mark.parametrize("key", config.Train.model_fields)
def test_the_parameters_decide_and_how_the_run_is_carried_out_does_not(values, key):
    other = changed(values, "train", **{key: OTHER[key]})
    assert other != values
    assert (folder_of(other) == folder_of(values)) == (key in config.EXECUTION_ONLY)


@pytest.mark.parametrize(
    ("section", "key", "value", "same"),
    [
        ("model", "variant", "one-weird-trick", False),
        ("model", "dropout", 0.1, False),
        ("model", "ops", "reference", False),
        ("data", "source", "elsewhere", True),  # what was made of it is looked at
        ("evaluate", "batch_size", 7, True),
        ("export", "opset", 19, True),
    ],
)
def test_of_the_other_sections_the_model_decides(values, section, key, value, same):
    assert (folder_of(changed(values, section, **{key: value})) == folder_of(values)) == same


@pytest.mark.parametrize("name", ["train.safetensors", "val.safetensors", "meta.json"])
def test_the_data_decides(values, name):
    before = folder_of(values)
    flip_a_bit(paths.PROCESSED / name)
    assert folder_of(values) != before


def test_the_test_images_do_not_decide(values):
    before = folder_of(values)
    flip_a_bit(paths.PROCESSED / "test.safetensors")
    assert folder_of(values) == before


def test_the_code_decides(values, project, monkeypatch):
    before = folder_of(values)
    library = shutil.copytree(Path(alexnet.augment.__file__).parent, project / "alexnet")
    monkeypatch.setattr(config, "__file__", str(library / "config.py"))
    assert folder_of(values) == before, "wherever it lies"
    with (library / "augment.py").open("a") as file:
        file.write("# a change\n")
    assert folder_of(values) != before


def test_what_a_command_happens_to_import_does_not_decide(values):
    """`alexnet train` imports more of the library than `python -m stages.train`."""
    script = (
        "{}; from pathlib import Path; from alexnet import config; import torch; "
        "from alexnet.training.device import Machine; "
        "from alexnet.training.distributed import ALONE; from stages import train; "
        "print(train._checkpoints(config.load(Path('params.yaml')), "
        "Machine(torch.device('cpu'), torch.float32), ALONE).folder)"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script.format(imports)], capture_output=True, text=True
        ).stdout
        for imports in ("import alexnet.cli.main", "import stages.train")
    ]
    assert found[0] == found[1] != ""


def test_the_machine_decides(values):
    before = folder_of(values)
    assert folder_of(values, DeviceConfig(ON_CPU.device, torch.bfloat16)) != before
    assert folder_of(values, processes=DistributedContext(0, 2)) != before


def test_a_run_that_is_under_way_is_refused(values):
    under_way = stage._checkpoints(values, ON_CPU, SINGLE_PROCESS)
    with pytest.raises(UserError, match="in the middle of this very run"):
        stage._checkpoints(values, ON_CPU, SINGLE_PROCESS)
    under_way.close()
