"""The tools, run as their user would, and the package that installs them."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages
from typer.testing import CliRunner

import alexnet
from alexnet.cli.main import app
from tests.conftest import ROOT, STAGES
from tests.reports import METRICS, write_report

TOOLS = [
    "summary",
    "diagram",
    "report",
    "sweep",
    "live",
    "checkpoints",
    "predict",
    "verify",
    "serve",
]


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_has_help(tool):
    result = CliRunner().invoke(app, [tool, "--help"])
    assert result.exit_code == 0
    assert f"{tool} [OPTIONS]" in result.stdout


def test_help_lists_the_tools_alone_and_needs_no_torch(run, tmp_path):
    """The receiver of a model has not installed it; `verify` and `predict` are tested without."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    result = run("--help", fresh=True)
    assert result.returncode == 0
    for tool in TOOLS:
        assert f" {tool} " in result.stdout
    for stage in STAGES:
        assert f" {stage} " not in result.stdout


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [("cifar", 58_322_314), ("imagenet-2012", 60_965_224), ("one-weird-trick", 61_100_840)],
)
def test_summary(run, variant, parameters):
    result = run("summary", "--variant", variant)
    assert result.returncode == 0, result.stderr
    assert f"{parameters:,}" in result.stdout
    assert "…" not in result.stdout, "nothing is cut off"
    assert "\x1b" not in result.stdout, "no colours into a pipe"


def test_summary_of_another_shape(run):
    network = json.loads(
        run("summary", "--image-size", 64, "--num-classes", 3, "--channels", 1, "--json").stdout
    )
    assert network["parameters"] == sum(layer["parameters"] for layer in network["layers"])
    assert network["input_shape"] == [1, 64, 64]
    assert network["layers"][0]["parameters"] == 96 * 11 * 11 + 96
    assert network["layers"][-1]["output_shape"] == [3]


def test_summary_of_a_batch(run):
    """512 images at 32x32, by hand: three times the weights, and the saved activations."""
    batch = ["--batch-size", 512]
    network = json.loads(run("summary", *batch, "--json").stdout)
    step = network["training_step"]
    assert step["flops"] == 512 * network["training_flops"]
    assert step["memory_bytes"]["weights"] == 4 * 58_322_314
    assert step["memory_bytes"]["total"] == 3 * 4 * 58_322_314 + 512 * 4 * 77_056
    assert step["memory_bytes_fc1_collapsed"]["weights"] == 4 * (58_322_314 - 35 * 256 * 4096)
    text = run("summary", *batch).stdout
    assert "A training step takes 378.61 GFLOP and 858 MB" in text
    markdown = run("summary", *batch, "--markdown").stdout
    assert "| conv2 | 614,656 | 1.1 % | 39,321,600 | 31.7 % | 33.6 MB |  | 829 |" in markdown
    assert "**Cost of a batch of 512 images in float32**" in markdown


def test_summary_with_frozen_layers(run):
    """By hand: they are computed forward alone, and fc1, the first that trains, twice backward."""
    network = json.loads(run("summary", "--freeze", "features", "--json").stdout)
    fc1, fc2, fc3 = (2 * n for n in (9216 * 4096, 4096 * 4096, 4096 * 10))
    assert network["training_flops"] == network["flops"] + fc1 + 2 * (fc2 + fc3)
    frozen = [layer["name"] for layer in network["layers"] if layer["frozen"]]
    assert frozen == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    memory = network["training_step"]["memory_bytes"]
    assert memory["weights"] == 4 * network["parameters"]
    assert memory["gradients"] == memory["optimizer"] == 4 * (37_752_832 + 16_781_312 + 40_970)
    text = run("summary", "--freeze", "all_but_last").stdout
    assert "conv5     conv, frozen" in text
    assert "gradients and momentum of those that train 164 kB each" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--variant", "vgg"],
            "--variant vgg: choose one of cifar, imagenet-2012, one-weird-trick",
        ),
        (["--image-size", "26"], "takes images of at least 27x27 pixels, got 26x26"),
        (["--variant", "imagenet-2012", "--image-size", "224"], "227x227 to 258x258 pixels"),
        (["--num-classes", "1"], "at least 2 classes"),
        (["--channels", "0"], "--channels 0: an image has at least 1 channel"),
        (["--batch-size", "0"], "--batch-size 0: a batch has at least 1 image"),
        (["--json", "--markdown"], "--json and --markdown: choose one of them"),
    ],
)
def test_summary_of_wrong_values(run, arguments, message):
    result = run("summary", *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_diagram(run, tmp_path, suffix):
    result = run("diagram", f"network.{suffix}")
    assert result.returncode == 0, result.stderr
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix]
    assert (tmp_path / f"network.{suffix}").read_bytes().startswith(magic)


def test_horizontal_diagram(run, tmp_path):
    """It is wider than high, unlike the diagram from top to bottom."""
    result = run("diagram", "network.svg", "--horizontal")
    assert result.returncode == 0, result.stderr
    svg = (tmp_path / "network.svg").read_text()
    assert float(svg.split('width="')[1].split("pt")[0]) > float(
        svg.split('height="')[1].split("pt")[0]
    )


def test_diagram_of_another_file_type(run, tmp_path):
    result = run("diagram", "network.gif")
    assert result.returncode == 1
    assert "has to end in .png, .svg or .pdf" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_tool_whose_packages_are_not_installed(run, tmp_path):
    """`pip install .` brings no PyTorch: an error with the remedy, not a traceback."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no', name='torch')")
    result = run("summary", fresh=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: this command needs torch")
    assert "pip install '.[train]'" in result.stderr


def test_report_prints_the_path_of_the_page_and_opens_it(run, tmp_path, monkeypatch):
    missing = run("report")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: reports/report.html does not exist; `dvc repro plot`")
    write_report(tmp_path / "reports/report.html", "<title>a page</title>")
    write_report(tmp_path / "reports/evaluate/metrics.json", METRICS)
    # A browser that writes the address (%s) to a file.
    monkeypatch.setenv("BROWSER", f"sh -c 'echo %s > {tmp_path}/opened'")
    page = tmp_path / "reports/report.html"
    assert run("report").stdout == f"{page}: accuracy 75.00% on 2,000 test images\n"
    assert not (tmp_path / "opened").exists()
    assert run("report", "--open").returncode == 0
    assert (tmp_path / "opened").read_text().strip() == page.as_uri()


def test_version(run):
    assert run("--version").stdout == f"alexnet {alexnet.__version__}\n"


def test_a_defect_of_ours_keeps_its_traceback():
    """Only users' mistakes end without one."""
    script = "from alexnet.cli.app import run\ndef defect() -> None:\n    [].pop()\nrun(defect)"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert "IndexError" in result.stderr
    assert "Traceback" in result.stderr


def test_the_package_installs_alexnet_alone():
    """Every module and template of it, and nothing of the stages."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    installed = find_packages(ROOT, include=settings["packages"]["find"]["include"])
    listed = subprocess.run(
        ["git", "ls-files", "alexnet"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    folders = {str(Path(name).parent) for name in listed if name.endswith(".py")}
    assert {name.replace(".", "/") for name in installed} == folders
    data = {
        str(path.relative_to(ROOT))
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    assert data == {name for name in listed if not name.endswith(".py")}
