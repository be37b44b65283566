"""The commands, as typed by a person."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import alexnet
from alexnet.cli.main import app
from tests.conftest import ROOT, STAGES

TOOLS = ["summary", "diagram", "report", "predict", "verify"]


def test_help_lists_the_tools_alone(run):
    result = run("--help")
    assert result.returncode == 0
    assert [command.callback.__name__ for command in app.registered_commands] == TOOLS
    for tool in TOOLS:
        assert f" {tool} " in result.stdout
    for stage in STAGES:
        assert f" {stage} " not in result.stdout


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_has_help(tool):
    result = CliRunner().invoke(app, [tool, "--help"])
    assert result.exit_code == 0
    assert f"{tool} [OPTIONS]" in result.stdout


def test_help_needs_no_torch(run, tmp_path):
    """Someone who has only received a model has not installed it."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    assert run("--help").returncode == 0
    for command in ("verify", "predict"):
        assert run(command, "--help").returncode == 0


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
    """512 images at 32x32: three times the weights, by hand, and what forward keeps."""
    batch = ["--batch-size", 512]
    network = json.loads(run("summary", *batch, "--json").stdout)
    step = network["training_step"]
    assert step["flops"] == 512 * network["training_flops"]
    assert step["memory_bytes"]["weights"] == 4 * 58_322_314
    assert step["memory_bytes"]["total"] == 3 * 4 * 58_322_314 + 512 * 4 * 77_312
    folded = step["memory_bytes_folded"]
    assert folded["weights"] == 4 * (58_322_314 - 35 * 256 * 4096)
    text = run("summary", *batch).stdout
    assert "A step of training takes 378.61 GFLOP and 858 MB" in text
    markdown = run("summary", *batch, "--markdown").stdout
    assert "| conv2 | 614,656 | 1.1 % | 39,321,600 | 31.7 % | 33.6 MB |  | 829 |" in markdown
    assert "**What a batch of 512 images costs in float32**" in markdown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "vgg"], "--variant vgg: there are cifar, imagenet-2012, one-weird-trick"),
        (["--image-size", "26"], "takes images of at least 27x27 pixels, got 26x26"),
        (["--variant", "imagenet-2012", "--image-size", "224"], "227x227 to 258x258 pixels"),
        (["--num-classes", "1"], "at least 2 classes"),
        (["--channels", "0"], "--channels 0: an image has at least 1 channel"),
        (["--batch-size", "0"], "--batch-size 0: a batch has at least 1 image"),
        (["--json", "--markdown"], "--json and --markdown: choose one of them"),
    ],
)
def test_summary_refuses(run, arguments, message):
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
    """Another picture than the one from top to bottom, which has a column of MFLOP."""
    result = run("diagram", "network.svg", "--horizontal")
    assert result.returncode == 0, result.stderr
    svg = (tmp_path / "network.svg").read_text()
    assert float(svg.split('width="')[1].split("pt")[0]) > float(
        svg.split('height="')[1].split("pt")[0]
    )


def test_diagram_refuses_other_files(run, tmp_path):
    result = run("diagram", "network.gif")
    assert result.returncode == 1
    assert "ends in .png, .svg or .pdf" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_command_whose_packages_are_not_installed(run, tmp_path):
    """`pip install alexnet` brings no PyTorch; its absence is told, not traced."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no', name='torch')")
    result = run("summary")
    assert result.returncode == 1
    assert result.stderr.startswith("error: this command needs torch")
    assert "pip install '.[train]'" in result.stderr


def test_report_says_where_the_page_lies_and_opens_it(run, tmp_path, monkeypatch):
    missing = run("report")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: reports/report.html does not exist; `dvc repro plot`")
    (tmp_path / "reports/evaluate").mkdir(parents=True)
    (tmp_path / "reports/report.html").write_text("<title>a page</title>")
    metrics = {"accuracy": 0.875, "n": 1000}
    (tmp_path / "reports/evaluate/metrics.json").write_text(json.dumps(metrics))
    # A browser that writes down what it is asked to show; %s is the address.
    monkeypatch.setenv("BROWSER", f"sh -c 'echo %s > {tmp_path}/opened'")
    page = tmp_path / "reports/report.html"
    assert run("report").stdout == f"{page}: accuracy 87.50% on 1,000 test images\n"
    assert not (tmp_path / "opened").exists()
    assert run("report", "--open").returncode == 0
    assert (tmp_path / "opened").read_text().strip() == page.as_uri()


def test_version(run):
    assert run("--version").stdout == f"alexnet {alexnet.__version__}\n"


def test_a_defect_of_ours_keeps_its_traceback(tmp_path):
    """Only mistakes of the user's are told without one."""
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
