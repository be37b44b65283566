"""The stages record the parameters that they read, for the page and the manifest."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alexnet import config
from alexnet.errors import UserError
from stages import paths
from stages.params import RECORDED, as_recorded, load, read_records, record
from tests.conftest import ROOT, write_params


@pytest.fixture
def recorded(tmp_path, monkeypatch) -> config.Params:
    """Parameters that each stage has recorded, in the current directory."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, train__seed=7, train__epochs=3, model__dropout=0.5)
    values = load(paths.PARAMS)
    for path in RECORDED:
        record(path, values)
    return values


@pytest.mark.parametrize("path", RECORDED)
def test_a_record_has_what_dvc_tracks(path, recorded):
    """So a stage runs again, and writes it anew, whenever one of its values changes."""
    stage = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][path.parent.name]
    assert path.as_posix() in stage["outs"]
    found = json.loads(path.read_text())
    keys = {f"{section}.{key}" for section, values in found.items() for key in values}
    tracked = [key for key in stage["params"] if "." in key]
    whole = {key for key in keys if key.split(".")[0] in stage["params"]}
    assert keys == {*tracked, *whole}
    assert keys


@pytest.mark.parametrize("stage", ["plot", "export"])
def test_what_describes_a_run_depends_on_the_records(stage):
    deps = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]["deps"]
    assert {path.as_posix() for path in RECORDED} <= set(deps)


def test_a_run_is_described_by_its_records(recorded):
    write_params(
        Path(),
        **{"train__epochs": 9, "train__tensorboard": True, "evaluate__device": "cuda"},
        **{"evaluate__calibration_bins": 3, "plot__num_mistakes": 5, "data__image_size": 64},
    )
    present = load(paths.PARAMS)
    described = as_recorded(present)
    assert described.model == recorded.model
    assert described.train == recorded.train.model_copy(update={"tensorboard": True})
    assert described.evaluate == recorded.evaluate.model_copy(update={"device": "cuda"})
    assert described.plot == present.plot, "it is plot's own"
    settings = read_records()
    assert list(settings) == ["data", "model", "train", "evaluate"]
    assert settings["train"]["epochs"] == 3
    assert settings["data"]["image_size"] == recorded.data.image_size
    assert not {"source", "sha256"} & settings["data"].keys(), "no path of this machine"


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values["train"].pop("seed"),
        lambda values: values["train"].update(new_key=1),
        lambda values: values.pop("model"),
        lambda values: values.update(train=None),
    ],
)
def test_a_record_of_another_version_is_an_error(change, recorded):
    values = json.loads(paths.TRAIN_PARAMS.read_text())
    change(values)
    paths.TRAIN_PARAMS.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"^reports/train/params\.json: (train|model)"):
        as_recorded(recorded)


def test_a_missing_record_is_an_error(recorded):
    paths.EVALUATE_PARAMS.unlink()
    with pytest.raises(UserError, match=r"params.json does not exist; run the stage that writes"):
        as_recorded(recorded)
