"""The run key of a checkpoint: parameters, data, code and hardware."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from alexnet import config
from alexnet.errors import UserError
from alexnet.training.device import DeviceConfig
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from stages import paths
from stages import train as stage
from tests.conftest import write_params
from tests.runs import ON_CPU, flip_a_bit
from tests.stages.attempts import SMALL, TRAIN
from tests.training.test_checkpoint import state


@pytest.fixture
def values(project) -> config.Params:
    write_params(project, **SMALL | TRAIN)
    return config.load(paths.PARAMS)


def folder_of(
    values: config.Params,
    device_config: DeviceConfig = ON_CPU,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> Path:
    checkpoints = stage._checkpoints(values, device_config, distributed)
    checkpoints.close()
    return checkpoints.folder


def changed(values: config.Params, section: str, **update: object) -> config.Params:
    part = getattr(values, section).model_copy(update=update)
    return values.model_copy(update={section: part})


def another(section: config.Section, key: str) -> object:
    """A value of the same type, other than the section's."""
    value = getattr(section, key)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    literals = get_args(type(section).model_fields[key].annotation)
    return next((name for name in literals if isinstance(name, str) and name != value), 2)


def test_the_same_run_finds_its_checkpoints(values):
    assert folder_of(values) == folder_of(values)


def test_every_parameter_of_train_is_in_the_key_but_those_of_execution(values):
    keys = config.Train.model_fields
    others = {key: changed(values, "train", **{key: another(values.train, key)}) for key in keys}
    assert all(other != values for other in others.values())
    own = folder_of(values)
    same = {key for key, other in others.items() if folder_of(other) == own}
    assert same == config.EXECUTION_ONLY & keys.keys()


@pytest.mark.parametrize(
    ("section", "key", "value", "same"),
    [
        ("model", "variant", "one-weird-trick", False),
        ("model", "dropout", 0.1, False),
        ("model", "ops", "reference", False),
        ("data", "source", "elsewhere", True),  # the preprocessed data is in the key
        ("evaluate", "batch_size", 7, True),
        ("export", "opset", 19, True),
    ],
)
def test_of_the_other_sections_only_model_is_in_the_key(values, section, key, value, same):
    assert (folder_of(changed(values, section, **{key: value})) == folder_of(values)) == same


@pytest.mark.parametrize(
    ("name", "same"),
    [
        *((f"{split}.safetensors", split == "test") for split in ("train", "val", "test")),
        ("meta.json", False),
    ],
)
def test_all_data_but_the_test_split_is_in_the_key(values, name, same):
    before = folder_of(values)
    flip_a_bit(paths.PROCESSED / name)
    assert (folder_of(values) == before) == same


def test_the_code_of_training_is_in_the_key(values, project, monkeypatch):
    before = folder_of(values)
    library = shutil.copytree(
        Path(config.__file__).parent, project / "alexnet", ignore=shutil.ignore_patterns("*.onnx")
    )
    monkeypatch.setattr(config, "__file__", str(library / "config.py"))
    assert folder_of(values) == before, "wherever it lies"
    for module in ("report/sections.py", "export/graph.py", "evaluation/evaluate.py", "cli/app.py"):
        append(library / module)
    assert folder_of(values) == before
    for module in (
        *("training/augmentation.py", "training/new_module.py", "network/model.py"),
        *("network/reference/pooling.py", "data/splits.py", "seeding.py"),
    ):
        append(library / module)
        assert folder_of(values) != before, module
        before = folder_of(values)


def append(module: Path) -> None:
    with module.open("a") as file:
        file.write("# a change\n")


def test_hardware_and_precision_are_in_the_key(values):
    before = folder_of(values)
    assert folder_of(values, DeviceConfig(ON_CPU.device, torch.bfloat16)) != before
    assert folder_of(values, replace(ON_CPU, compiles=True)) != before
    assert folder_of(values, distributed=DistributedContext(0, 2)) != before


def test_a_second_process_in_the_same_run_is_an_error(values):
    first = stage._checkpoints(values, ON_CPU, SINGLE_PROCESS)
    with pytest.raises(UserError, match="another process is training this very run"):
        stage._checkpoints(values, ON_CPU, SINGLE_PROCESS)
    first.close()


def test_an_interrupted_run_that_is_not_resumed_is_named_with_what_differs(values, caplog):
    caplog.set_level("INFO", logger="stages.train")
    for step in (100, 120):
        interrupted = stage._checkpoints(values, ON_CPU, SINGLE_PROCESS, num_steps=180)
        interrupted.save(state(step))
        interrupted.close()
    assert not caplog.messages, "it is resumed"
    folder_of(changed(values, "train", seed=1))
    (line,) = caplog.messages
    assert line.startswith("the checkpoint of step 120 of 180 (")
    assert line.endswith(
        "is not used: it was made with train.seed 0 (now 1); it resumes with train.seed: 0"
    )
