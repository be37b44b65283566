"""Every stage is a command of its own."""

import pytest

from tests.conftest import STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_help(run, stage):
    result = run(stage, "--help")
    assert result.returncode == 0, result.stderr
    assert "--params" in result.stdout
