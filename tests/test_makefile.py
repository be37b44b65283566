"""make help: each target once, in a terminal of 80 columns."""

import re
import subprocess

from tests.conftest import ROOT


def test_help_names_each_target_in_80_columns():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    targets = [line.split()[0] for line in lines if line.startswith("  ")]
    (phony,) = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.M)
    assert sorted(targets) == sorted(phony.replace("\\\n", "").split())
    assert targets[:3] == ["help", "demo", "own"], "what a newcomer needs comes first"
