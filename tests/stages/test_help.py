"""Every stage is a command of its own, whose help names its files."""

import re

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_help(run, stage):
    result = run(stage, "--help")
    assert result.returncode == 0, result.stderr
    assert "--params" in result.stdout
    words = re.findall(r"[\w./:]+", result.stdout)
    declared = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]
    outputs = [each for kind in ("outs", "metrics") for each in declared.get(kind, [])]
    names = {next(iter(each)) if isinstance(each, dict) else each for each in outputs}
    inputs = {
        path for path in declared["deps"] if path.startswith(("data/", "models/", "reports/"))
    }
    assert names <= {*words[words.index("Writes:") :]}
    assert inputs <= {*words[: words.index("Writes:")]}
    assert not any(word.startswith(("stages/", "alexnet/")) for word in words), "code is no input"
