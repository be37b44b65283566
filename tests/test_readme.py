"""The README's commands work as written, and what it points to exists."""

import os
import re
import shlex

import pytest

from alexnet.network.model import VARIANTS
from stages.runtime.runner import RUNTIMES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
LINES = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines()]


def commands(program: str) -> list[list[str]]:
    return [line[1:] for line in LINES if line and line[0] == program]


def test_no_command_is_left_out():
    known = {"git", "make", "source", "alexnet", "dvc", "gto", "torchrun", "export", "podman"}
    known |= {"openssl", "model_signing"}  # tests/inference/test_signature.py uses them
    known |= {"npm", "python"}  # tests/inference/test_browser.py does
    assert {line[0] for line in LINES if line} <= known


@pytest.mark.parametrize("target", sorted({line[0] for line in commands("make")}))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}: .*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [line for line in commands("alexnet") if line[0] in {"summary", "diagram"}],
    ids=" ".join,
)
def test_alexnet_commands_run(run, arguments):
    result = run(*arguments)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "arguments",
    [line for line in commands("alexnet") if line[0] in {"verify", "predict"}],
    ids=" ".join,
)
def test_a_receivers_commands_reach_for_what_they_name(run, arguments):
    """Their options are accepted; only the artifact is missing here."""
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    result = run(*arguments)
    assert result.returncode == 1
    missing = {
        "verify": "artifacts is not a folder",
        "predict": "artifacts/model.onnx does not exist",
    }
    assert missing[arguments[0]] in result.stderr


def test_the_runtime_that_is_exported_is_one():
    (assignment,) = (line[0] for line in commands("export"))
    name, value = assignment.split("=")
    assert name == "STAGE_RUNTIME"
    assert value in RUNTIMES


def test_the_image_that_serves_is_the_one_that_is_built():
    (words,) = commands("podman")
    image = words[words.index("alexnet") - 1]
    target = image.removeprefix("localhost/alexnet-")
    assert f"AS {target}\n" in (ROOT / "Dockerfile").read_text()
    assert "for target in train serve;" in (ROOT / "Makefile").read_text()
    assert target == "serve"


DEEP = {"artifacts", "exp", "metrics", "plots", "remote"}  # commands that have commands


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [["dvc", *a] for a in commands("dvc")] + [["gto", *a] for a in commands("gto")],
    ids=" ".join,
)
def test_dvc_and_gto_commands_are_theirs(line):
    import subprocess
    import sys
    from pathlib import Path

    words = line[: 3 if line[1] in DEEP else 2]
    options = [word for word in line if word.startswith("-")]
    result = subprocess.run(
        [Path(sys.executable).with_name(words[0]), *words[1:], "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
    )
    assert result.returncode == 0, result.stderr
    assert all(option in result.stdout for option in options)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", commands("python"), ids=" ".join)
def test_the_jobs_commands_have_their_options(arguments):
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, *arguments[:2], "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert arguments[0] == "-m"
    options = [word for word in arguments[2:] if word.startswith("--")]
    assert all(option in result.stdout for option in options)


def test_the_jobs_steps_are_those_of_the_workflow():
    workflow = (ROOT / ".github/workflows/retrain.yml").read_text()
    (block,) = [block for block in BLOCKS if "ci.pull" in block]
    commands = [" ".join(line.split()[:3]) for line in block.splitlines()]
    places = [workflow.index(command) for command in commands]
    assert places == sorted(places)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_table_of_variants_is_the_networks(run):
    import torch

    from alexnet.network.summary import summarize, totals

    for name, variant in VARIANTS.items():
        with torch.device("meta"):
            sums = totals(summarize(variant()))
        size = f"{variant.image_size}x{variant.image_size}"
        row = f"| `{name}` | {size} | {sums['parameters']:,} | {sums['macs']:,} |"
        assert row in README


def test_each_paper_has_its_own_link():
    citation = (ROOT / "CITATION.cff").read_text()
    for text in (README, citation):
        assert "papers.nips.cc/paper/4824-" in text
        assert "arxiv.org/abs/1404.5997" in text
    assert not re.search(r"ImageNet Classification[^\]]*\]\([^)]*1404", README)
