"""What the page should show: PyTorch's numbers, of the network with the page's weights."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from alexnet.export.blocks import without_average_pool
from alexnet.live.run import LiveRun
from alexnet.live.tensors import dequantise
from alexnet.network.inputs import normalise
from alexnet.report.interpretability import capture_outputs

# The blocks of the page, by the layer whose output they show.
OUTPUTS = {f"conv{k}": f"relu{k}" for k in range(1, 6)} | {"fc1": "relu6", "fc2": "relu7"}
OUTPUTS |= {name: name for name in ("lrn1", "pool1", "lrn2", "pool2", "pool5", "fc3")}
TOLERANCE = 1e-3


class Expected:
    """PyTorch's network with the page's weights, on one of its samples."""

    def __init__(self, folder: Path, run: LiveRun) -> None:
        self.about = json.loads((folder / "run" / "run.json").read_text())
        self.folder, self.run = folder, run
        blob = gzip.decompress((folder / "run" / "tensors.bin.gz").read_bytes())
        self.model = without_average_pool(run.model, run.metadata).eval()
        state = self.model.state_dict()
        for name in state:
            entry = self.about["tensors"][name]
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(blob, entry["dtype"], count, entry["offset"])
            values = values.reshape(entry["shape"])
            if name.endswith("weight"):
                scale = self.about["tensors"][name.replace("weight", "scale")]
                scales = np.frombuffer(blob, "float32", scale["shape"][0], scale["offset"])
                values = dequantise(values, scales)
            state[name] = torch.from_numpy(values.copy())
        self.model.load_state_dict(state)

    def pixels(self, number: int) -> torch.Tensor:
        file = self.folder / "run" / self.about["samples"][number]["file"]
        size = self.run.metadata.image_size
        return torch.from_numpy(np.array(Image.open(file))).reshape(1, size, size, -1)

    @torch.inference_mode()
    def outputs(self, pixels: torch.Tensor, change=lambda name, value: value):
        """By block, and the probabilities; `change` may replace a layer's output."""
        layers = {block: layer for block, layer in OUTPUTS.items() if hasattr(self.model, layer)}
        with capture_outputs(self.model, list(layers.values())) as captured:
            hooks = [
                self.model.get_submodule(layer).register_forward_hook(
                    lambda module, given, value, block=block: change(block, value)
                )
                for block, layer in layers.items()
            ]
            x = normalise(pixels, self.run.metadata.mean, self.run.metadata.std)
            logits = self.model(x)
            for hook in hooks:
                hook.remove()
        outputs = {block: captured[layer][0] for block, layer in layers.items()}
        return outputs | {"image": x[0], "probabilities": logits.softmax(dim=1)[0]}


def near(shown, expected):
    assert shown == pytest.approx(float(expected), abs=TOLERANCE)


def check_unit(seen: dict, expected: Expected, outputs: dict) -> None:
    """Every number that is shown of a unit."""
    block = seen["block"]
    row, column = seen["row"], seen["column"]
    name = seen["title"].split(": ")[1]
    classes = expected.about["classes"]
    channel = classes.index(name) if name in classes else int(name.split()[-1])
    value = outputs[block].reshape(len(outputs[block]), -1)[channel]
    value = value[row * outputs[block].shape[-1] + column] if value.numel() > 1 else value[0]
    near(seen["value"], value)
    near(seen["named"]["value"], value)
    layer = next(each for each in expected.about["layers"] if each["name"] == block)
    x = outputs[layer["input"]]
    if layer["kind"] == "max pool":
        k, s = layer["kernel"], layer["stride"]
        window = x[channel, row * s : row * s + k, column * s : column * s + k]
        near(seen["named"]["max"], window.max())
        near(seen["named"]["mean"], window.mean())
        assert seen["window"] == pytest.approx(window.flatten().tolist(), abs=TOLERANCE)
        return
    if layer["kind"] == "lrn":
        near(seen["named"]["input"], x[channel, row, column])
        near(seen["named"]["divisor"], x[channel, row, column] / value)
        return
    weight = expected.model.get_parameter(f"{block}.weight").detach()[channel]
    bias = expected.model.get_parameter(f"{block}.bias").detach()[channel]
    near(seen["named"]["bias"], bias)
    if layer["kind"] == "fc":
        products = x.flatten() * weight
        near(seen["named"]["sum"], products.sum())
        largest = products.abs().argsort(descending=True)[:6]
        *shown, (_, rest) = seen["inputs"]
        for (text, a, b, product), i in zip(shown, largest.tolist(), strict=True):
            height, width = ([*layer["input_shape"], 1, 1])[1:3]
            place = f", row {i % (height * width) // width}, column {i % width}"
            source = i // (height * width)
            assert text.endswith(f" {source}{place}" if height * width > 1 else f" {source}")
            near(a, x.flatten()[i])
            near(b, weight[i])
            near(product, products[i])
        near(rest, products.sum() - products[largest].sum())
    else:
        k, s, p = layer["kernel"], layer["stride"], layer["padding"]
        first = channel * layer["groups"] // layer["output_shape"][0] * len(weight)
        padded = F.pad(x[first : first + len(weight)], (p, p, p, p))
        window = padded[:, row * s : row * s + k, column * s : column * s + k]
        sums = (window * weight).sum(dim=(1, 2))
        near(seen["named"]["sum"], sums.sum())
        near(seen["named"]["total"], sums.sum() + bias)
        order = sums.abs().argsort(descending=True)
        colours = ["red", "green", "blue"] if len(x) == 3 else ["grey"]
        maps = [
            colours.index(text) if text in colours else int(text.split()[-1])
            for text, _ in seen["lines"]
        ]
        maps = [number - first for number in maps]
        assert [number for _, number in seen["lines"]] == pytest.approx(
            sums[maps].tolist(), abs=TOLERANCE
        )
        assert sums[maps].abs().tolist() == pytest.approx(
            sums[order[: len(maps)]].abs().tolist(), abs=TOLERANCE
        ), "the largest come first"
        a, b = window[maps[0]].flatten(), weight[maps[0]].flatten()
        rows = [row * s - p + i // k for i in range(k * k)]
        assert [cell[0] for cell in seen["cells"]] == rows
        for place, numbers in ((2, a), (3, b), (4, a * b)):
            shown = [cell[place] for cell in seen["cells"]]
            assert shown == pytest.approx(numbers.tolist(), abs=TOLERANCE)
    if block == "fc3":
        near(seen["named"]["probability"], outputs["probabilities"][channel])


def mean_colour(run: LiveRun) -> torch.Tensor:
    return (torch.tensor(run.metadata.mean, dtype=torch.float64) * 255 + 0.5).floor().byte()


def check_why(seen: dict, expected: Expected, outputs: dict) -> None:
    """The occlusion of the first sample, and its neighbours among all images of the gallery."""
    run, size = expected.run, expected.run.metadata.image_size
    side = round(size / 4)
    mean = mean_colour(run)
    best = int(outputs["probabilities"].argmax())
    starts = [int(np.floor(k * size / 8 - side / 2 + 0.5)) for k in range(9)]
    falls = []
    for top in starts:
        for left in starts:
            hidden = expected.pixels(0).clone()
            hidden[:, max(0, top) : top + side, max(0, left) : left + side] = mean
            answer = expected.outputs(hidden)["probabilities"]
            falls.append(float(outputs["probabilities"][best] - answer[best]))
    assert seen["falls"] == pytest.approx(falls, abs=TOLERANCE)
    gallery = [expected.outputs(image[None])["fc2"] for image in run.train[0]]
    distances = (torch.stack(gallery) - outputs["fc2"]).norm(dim=1)
    nearest = distances.argsort()[:6].tolist()
    assert len(set(seen["neighbours"]) & set(nearest)) >= 4, "48 components hold most of it"
    assert seen["neighbours"][0] == nearest[0]


def probabilities(answer: dict) -> list[float]:
    return [row["probability"] for row in answer["rows"]]
