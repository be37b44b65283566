"""The page in headless Chromium, used as by a reader; its numbers against PyTorch's.

The network has the real sizes and random weights; the images are real digits.
"""

import subprocess
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import pytest
import torch
from torch.nn import functional as F

from alexnet.live.build import build_live
from alexnet.live.page import find_source
from alexnet.live.run import LiveRun
from alexnet.network.model import AlexNetImageNet2012
from alexnet.network.weights import ModelMetadata
from tests.artifacts import METADATA, confident_model
from tests.inference.browser import NEEDS
from tests.live.driver import PAGE, install_packages, use
from tests.live.expected import (
    TOLERANCE,
    Expected,
    check_unit,
    check_why,
    mean_colour,
    near,
    probabilities,
)
from tests.runs import narrow

pytestmark = NEEDS


@pytest.fixture(scope="module", autouse=True)
def packages():
    install_packages()


def test_types():
    """The modules keep to the types that their comments state."""
    command = ["node_modules/.bin/tsc", "--project", "jsconfig.json"]
    done = subprocess.run(command, cwd=PAGE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


def of_2012(run: LiveRun) -> LiveRun:
    """The run with the 2012 paper's network, a 16th as wide: LRN, groups, maps before fc1."""
    metadata = replace(METADATA, variant="imagenet-2012", image_size=227)
    torch.manual_seed(0)
    model = narrow(variant=AlexNetImageNet2012).eval()
    with torch.no_grad():
        model.fc3.weight.normal_(std=0.1)
    images = F.interpolate(run.test[0].permute(0, 3, 1, 2).float(), 227).round().byte()
    split = images.permute(0, 2, 3, 1).contiguous(), run.test[1]
    return replace(
        run,
        meta=replace(run.meta, image_size=256),
        model=model,
        metadata=metadata,
        train=split,
        test=split,
        filter_epochs=[],
    )


def of_channels(run: LiveRun, channels: int) -> LiveRun:
    """The run with a network of the real sizes, for images in colour or in grey."""
    mean, std = METADATA.mean[:channels], METADATA.std[:channels]
    metadata = ModelMetadata("cifar", METADATA.classes, 32, mean, std)
    model = confident_model(metadata)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("bias"):
                values.uniform_(-0.3, 0.3)
    return replace(
        run,
        meta=replace(run.meta, channels=channels, mean=mean, std=std),
        model=model,
        metadata=metadata,
        train=(run.train[0][..., :channels].contiguous(), run.train[1]),
        test=(run.test[0][..., :channels].contiguous(), run.test[1]),
        filters=torch.randn(2, *model.conv1.weight.shape),
    )


@pytest.mark.parametrize(
    ("make", "width", "scheme"),
    [
        (partial(of_channels, channels=3), 1400, "light"),
        (partial(of_channels, channels=1), 400, "dark"),
        (of_2012, 1400, "dark"),
    ],
    ids=["colour", "grey", "2012"],
)
def test_a_reader_at_work(live_run, tmp_path, make, width, scheme):
    run = make(live_run)
    folder = tmp_path / "live"
    build_live(folder, run, find_source())
    seen = use(folder, width=width, scheme=scheme)
    results = seen.results

    assert seen.messages == []
    assert seen.violations == []
    hosts = {urlsplit(url).hostname for url in seen.requests if not url.startswith("blob:")}
    assert hosts == {"127.0.0.1"}
    assert results["overflow"] == 0

    expected = Expected(folder, run)
    assert len(results["samples"]) == len(expected.about["samples"]) == 10
    for number, answer in enumerate(results["samples"]):
        assert answer["truth"] is None, "a file that is dropped has no label"
        if run.meta.image_size == run.metadata.image_size:  # else it is enlarged and cropped again
            outputs = expected.outputs(expected.pixels(number))
            assert probabilities(answer) == pytest.approx(
                outputs["probabilities"].tolist(), abs=TOLERANCE
            )
    outputs = expected.outputs(expected.pixels(1))
    assert probabilities(results["clicked"]) == pytest.approx(
        outputs["probabilities"].tolist(), abs=TOLERANCE
    )
    label = expected.about["samples"][1]["label"]
    assert results["clicked"]["truth"].endswith(f"shows {METADATA.classes[label]}")
    pixels = expected.pixels(0)
    outputs = expected.outputs(pixels)
    image, *units = results["units"]
    assert [unit["block"] for unit in units] == [
        layer["name"] for layer in expected.about["layers"]
    ]
    colour = 0
    near(image["value"], outputs["image"][colour, image["row"], image["column"]])
    near(image["named"]["mean"], run.metadata.mean[colour])
    for unit in units:
        check_unit(unit, expected, outputs)
    moved = results["moved"]
    assert abs(moved["after"]["row"] - moved["before"]["row"]) == 1
    check_unit({"block": "conv1", **moved["after"]}, expected, outputs)

    # What if: the same done to PyTorch's network.
    channel = int(results["muted"]["unit"].split()[-1])

    def mute(block, value):
        if block == "conv2":
            value = value.clone()
            value[:, channel] = 0
        return value

    def average(block, value):
        return F.avg_pool2d(outputs[source], 3, 2)[None] if block == "pool2" else value

    source = next(each["input"] for each in expected.about["layers"] if each["name"] == "pool2")
    for name, changed in (
        ("muted", expected.outputs(pixels, mute)),
        ("pool", expected.outputs(pixels, average)),
    ):
        assert probabilities(results[name]) == pytest.approx(
            changed["probabilities"].tolist(), abs=TOLERANCE
        ), name
        before, after = (each["fc2"] for each in (outputs, changed))
        share = 100 * float((after - before).norm() / before.norm())
        assert results[name]["changes"]["fc2"] == f"changed by {share:.1f}\u00a0%", name
        assert results[name]["changes"]["conv1"] == "changed by 0.0\u00a0%"
    relu = expected.model.relu3
    expected.model.relu3 = torch.nn.Identity()
    without = expected.outputs(pixels)["probabilities"]
    expected.model.relu3 = relu
    assert probabilities(results["relu"]) == pytest.approx(without.tolist(), abs=TOLERANCE)

    shifted = torch.cat([pixels[:, :, :1], pixels[:, :, :-1]], dim=2)
    expected_answer = expected.outputs(shifted)["probabilities"].tolist()
    assert probabilities(results["shifted"]) == pytest.approx(expected_answer, abs=TOLERANCE)
    hidden = shifted.clone()
    mean = mean_colour(run)
    size = run.metadata.image_size
    side = round(size / 4)
    start = (size - side) // 2
    hidden[:, start : start + side, start : start + side] = mean
    expected_answer = expected.outputs(hidden)["probabilities"].tolist()
    assert probabilities(results["hidden"]) == pytest.approx(expected_answer, abs=TOLERANCE)
    assert len(results["noise"]["experiments"]) == 3
    assert results["undone"]["experiments"] == []
    assert probabilities(results["undone"]) == probabilities(results["opened"])

    check_why(results["why"], expected, outputs)

    # Drawing changes the answer, by the pointer and by the keyboard.
    drawn = [probabilities(each) for each in (results["drawn"]["blank"], results["drawn"])]
    drawn.append(probabilities(results["byKeyboard"]))
    assert drawn[0] != drawn[1] != drawn[2]
    assert results["drawn"]["truth"] is None
    assert results["epoch"] == (
        "0: before the first step" if run.filter_epochs else results["epoch"]
    )


def test_on_a_gpu(live_run, tmp_path):
    """Chromium's software GPU, which the page takes only if it is asked to."""
    run = of_channels(live_run, 3)
    build_live(tmp_path / "live", run, find_source())
    gpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    seen = use(tmp_path / "live", query="?device=gpu", args=gpu, isFirstEnough=True)
    assert "GPU (WebGPU)" in seen.results["took"]
    assert any("jspi" in url for url in seen.requests)
    expected = Expected(tmp_path / "live", run)
    outputs = expected.outputs(expected.pixels(0))
    shown = probabilities(seen.results["opened"])
    assert shown == pytest.approx(outputs["probabilities"].tolist(), abs=TOLERANCE)


def test_a_gpu_that_fails_is_not_used(live_run, tmp_path):
    build_live(tmp_path / "live", of_channels(live_run, 3), find_source())
    seen = use(tmp_path / "live", query="?device=gpu", args=["--disable-gpu"], isFirstEnough=True)
    assert "processor (WebAssembly). The GPU is not used: " in seen.results["took"]


def test_pictures_of_224_pixels(live_run, tmp_path):
    """The page works, and says what it cannot show."""
    images = torch.nn.functional.interpolate(live_run.test[0].permute(0, 3, 1, 2).float(), 224)
    images = images.round().byte().permute(0, 2, 3, 1).contiguous()
    metadata = replace(METADATA, variant="one-weird-trick", image_size=224)
    run = replace(
        live_run,
        meta=replace(live_run.meta, image_size=224),
        model=confident_model(metadata),
        metadata=metadata,
        train=(images, live_run.test[1]),
        test=(images, live_run.test[1]),
        filter_epochs=[],
    )
    build_live(tmp_path / "live", run, find_source())
    seen = use(tmp_path / "live", isFirstEnough=True)
    assert seen.messages == seen.violations == []
    assert "The lesson of fc1's copies is not shown" in seen.results["limits"]
    assert "larger than 30 MB" in seen.results["limits"]
    expected = Expected(tmp_path / "live", run)
    outputs = expected.outputs(expected.pixels(0))
    shown = probabilities(seen.results["opened"])
    assert shown == pytest.approx(outputs["probabilities"].tolist(), abs=TOLERANCE)
