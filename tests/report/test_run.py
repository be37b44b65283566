from dataclasses import asdict

import pytest

from alexnet.errors import UserError
from alexnet.evaluation.layer_profile import LayerTime
from alexnet.files import write_json, write_rows
from alexnet.report.run import read_device, read_profile


def test_the_device_of_a_stage_is_read_or_asked_for(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"device": "cpu (2 threads), float32", "epoch": 3})
    assert read_device(path, "train") == "cpu (2 threads), float32"
    write_json(path, {"epoch": 3})
    with pytest.raises(UserError, match=r"has no 'device': .* run the stage profile again"):
        read_device(path, "profile")


def test_a_profile_of_other_layers_is_an_error(run, tmp_path):
    path = tmp_path / "layers.csv"
    rows = [LayerTime(layer.name, 1e-5, 3e-5) for layer in run.layers]
    write_rows(path, LayerTime, rows)
    assert read_profile(path, run.layers) == [asdict(row) for row in rows]
    with pytest.raises(UserError, match="other layers than the network's; run the stage profile"):
        read_profile(path, run.layers[1:])
