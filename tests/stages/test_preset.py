"""A preset changes its own values in params.yaml, and nothing else."""

import difflib
from pathlib import Path

import pytest
from dvc.utils.serialize._yaml import dumps_yaml, parse_yaml_for_update
from ruamel.yaml import YAML

from alexnet import config
from alexnet.errors import UserError
from stages import paths
from stages.preset import preset, with_values

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PRESETS.mkdir()
    paths.PARAMS.write_text((PROJECT / paths.PARAMS).read_text())
    return tmp_path


@pytest.mark.parametrize("name", [path.stem for path in (PROJECT / "presets").glob("*.yaml")])
def test_each_line_that_changes_is_a_value_of_the_preset(name, project):
    source = PROJECT / "presets" / f"{name}.yaml"
    (paths.PRESETS / source.name).write_text(source.read_text())
    before, were = paths.PARAMS.read_text(), config.load(paths.PARAMS).model_dump()
    preset(name)
    after, found = paths.PARAMS.read_text(), config.load(paths.PARAMS).model_dump()
    values = YAML(typ="safe").load(source)
    differing = []
    for section, changes in values.items():
        assert changes.items() <= found[section].items()
        differing += [each for each in changes.items() if were[section][each[0]] != each[1]]
    changed = [
        line[1:]
        for line in difflib.ndiff(before.splitlines(), after.splitlines())
        if line[0] == "+"
    ]
    expected = {
        f"   {key}:" + (f" {value}" if value is not None else "") for key, value in differing
    }
    assert set(changed) == expected


@pytest.mark.parametrize("file", ["params.yaml", "demo/params.yaml"])
def test_an_experiment_keeps_the_form_of_the_file(file):
    """`dvc exp run -S` writes all of it anew, as here."""
    text = (PROJECT / file).read_text()
    assert dumps_yaml(parse_yaml_for_update(text, file)) == text


def test_null_and_comments_stay():
    text = "a:\n  # why\n  b:  # behind\n  c: 1e-4\nd: {e: 1}\n"
    assert with_values(text, {"d": {"e": None}}) == text.replace("e: 1", "e: null")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("slow", None, "there is no preset slow in presets/; there are wrong"),
        ("wron", None, "there is no preset wron in presets/; did you mean wrong?"),
        ("wrong", "train: {epoch: 3}", "train.epoch: no such key; did you mean train.epochs?"),
        ("wrong", "gate: {min_accuracy: 2}", "presets/wrong.yaml: gate.min_accuracy: "),
        ("wrong", "[", "presets/wrong.yaml is not valid YAML"),
        ("wrong", "train: 3", "presets/wrong.yaml should hold values by section"),
        ("wrong", "", "presets/wrong.yaml should hold values by section"),
    ],
)
def test_a_preset_that_does_not_fit_changes_nothing(name, values, message, project):
    (paths.PRESETS / "wrong.yaml").write_text(values or "")
    before = paths.PARAMS.read_bytes()
    with pytest.raises(UserError) as error:
        preset(name)
    assert message in str(error.value)
    assert paths.PARAMS.read_bytes() == before
