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


def test_without_cuda_the_rest_of_the_lock_and_its_pytorch_are_installed():
    """What `make venv TORCH=cpu` would run; PyTorch's own index is asked for nothing else."""
    command = ["make", "--dry-run", "--always-make", "venv", "TORCH=cpu"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (left,) = re.findall(r"^(awk .*) >\.venv", shown, re.MULTILINE)
    (torch,) = re.findall(r"--torch-backend=cpu (.*)", shown)

    def output(script: str) -> list[str]:
        command = ["bash", "-c", script]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.split("\n")

    def names(lines: list[str]) -> set[str]:
        return {line.partition("==")[0] for line in lines if re.match("[a-z]", line)}

    every = names((ROOT / "requirements.lock").read_text().splitlines())
    cuda = every - names(output(left))
    assert {"torch", "torchvision", "triton"} < cuda
    rest = cuda - {"torch", "torchvision", "triton"}
    assert all(name.startswith(("cuda-", "nvidia-")) for name in rest)
    (pins, _) = output(f"echo {torch}")
    assert re.fullmatch(r"torch==[\d.]+\+cpu torchvision==[\d.]+\+cpu", pins)
