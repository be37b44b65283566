"""A small made-up run with real images: all that the pictures are drawn from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alexnet.evaluation.repeats import Repeats, SeedResult
from alexnet.evaluation.results import ClassMetrics, Metrics
from alexnet.network.model import AlexNet
from alexnet.network.summary import summarize
from alexnet.network.weights import ModelMetadata
from alexnet.report.draw import draw_all
from alexnet.report.html_report import write_report
from alexnet.report.interpretability import FeatureExtractor
from alexnet.report.probe import probe_network
from alexnet.report.run import Run
from tests.runs import ON_CPU, narrow

WEIGHTED = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"]
LONG = "a wholly unreasonable class name that no picture has room for"


def make_history(num_epochs: int) -> list[dict[str, float]]:
    """Curves of a usual training; the best epoch is the last but one."""
    epochs = np.arange(1, num_epochs + 1)
    done = epochs / num_epochs
    slip = 0.01 * (done == 1)
    columns = {
        "epoch": epochs,
        "learning_rate": 0.05 * (1 - 0.9 * done),
        "train_loss": 2.3 - 1.9 * done,
        "train_accuracy": 0.1 + 0.85 * done,
        "val_loss": 2.2 - 1.6 * done + 3 * slip * num_epochs,
        "val_accuracy": 0.15 + 0.7 * done - slip * num_epochs,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def make_layer_rows(num_epochs: int) -> list[dict[str, Any]]:
    """Gradients an order of magnitude apart, fc2 with a quarter of its ReLUs dead."""
    keys = ("epoch", "layer", "gradient_norm", "weight_norm", "update_ratio", "dead_relus")
    dead = dict.fromkeys(WEIGHTED, 0.0) | {"fc2": 0.25, "fc3": None}
    rows = [
        (epoch, name, 10.0**-depth / epoch, 5.0 + depth, 1e-3 / epoch / (1 + depth), dead[name])
        for epoch in range(1, num_epochs + 1)
        for depth, name in enumerate(WEIGHTED)
    ]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def run_of(model: AlexNet, data: tuple[Tensor, Tensor], number: int = 200) -> Run:
    """An untrained network, probed with 200 images; every tenth prediction is wrong."""
    torch.manual_seed(0)
    images, labels = data[0][:number], data[1][:number]
    size = images.shape[1]
    layers, classes = summarize(model), [f"digit {number}" for number in range(10)]
    actual = labels.numpy()
    predicted = actual.copy()
    predicted[::10] = (actual[::10] + 1) % 10
    confidence = np.linspace(0.5, 0.99, number)
    metadata = ModelMetadata(model.variant, tuple(classes), size, (0.5,) * 3, (0.25,) * 3)
    return Run(
        title="AlexNet on digits",
        conditions={"data set": "digits"},
        counts={},
        classes=classes,
        variant=model.variant,
        input_shape=(3, size, size),
        layers=layers,
        trained_layers=layers,
        history=make_history(5),
        layer_rows=make_layer_rows(5),
        times=[
            {"layer": layer.name, "forward_seconds": 1e-5, "backward_seconds": 3e-5}
            for layer in layers
        ],
        profiled_on="cpu (2 threads), float32",
        weights={
            name: layer.weight.detach().numpy()
            for name, layer in model.named_children()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        },
        initial_conv1=np.random.default_rng(0).normal(size=model.conv1.weight.shape),
        num_whitened=0,
        is_folded=False,
        is_grey=True,
        samples=images[:6].numpy(),
        augmented=torch.stack([images[:6].flip(2), images[:6].roll(1, dims=1)]).numpy(),
        sample_labels=actual[:6],
        augmentation="mirrored at random",
        test_images=images.numpy(),
        actual=actual,
        predicted=predicted,
        confidence=confidence,
        calibration_bins=10,
        num_mistakes=7,
        probes=probe_network(
            FeatureExtractor(model, metadata, ON_CPU),
            (images, actual),
            (predicted, confidence),
            (images, labels),
        ),
    )


@pytest.fixture(scope="session")
def run(digits: tuple[Tensor, Tensor]) -> Run:
    """The default variant, narrow; the outputs of some layers are left out, to save time."""
    run = run_of(narrow(), digits)
    kept = ("conv1", "relu1", "relu2", "relu3", "relu4", "relu5", "fc3")
    outputs = {name: run.probes.outputs[name] for name in kept}
    return replace(run, probes=replace(run.probes, outputs=outputs))


@pytest.fixture(scope="session")
def drawn(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every picture of `run`."""
    folder = tmp_path_factory.mktemp("figures")
    draw_all(folder, run)
    return folder


def of_unknown_kind(layers: list) -> list:
    """The same layers, the last one of a kind that the report does not know."""
    return [*layers[:-1], replace(layers[-1], name="head", kind="attention")]


METRICS = Metrics(
    n=10000,
    accuracy=0.8793,
    loss=0.4123,
    calibration_error=0.0213,
    per_class={
        "<b>&": ClassMetrics(0.75, 0.5, 1000),
        "never predicted": ClassMetrics(0.0, 0.0, 900),
        "absent": ClassMetrics(0.0, None, 0),
    },
    weights_sha256="0" * 64,
)

ONE_SEED = Repeats(
    (SeedResult(seed=0, train_accuracy=1, val_accuracy=1, test_accuracy=1, test_loss=0),)
)


def write_page(path: Path, run: Run, figures: Path, **changes: Any) -> str:
    """Write the page of `run`, and return it."""
    names = list(changes.get("metrics", METRICS).per_class)
    counts = {split: dict.fromkeys(names, 1000) for split in ("train", "val", "test")}
    arguments = {
        "counts": counts,
        "classes": names,
        "title": "AlexNet on <digits>",
        "conditions": {"device": "CPU"},
        "settings": {"train": {"nesterov": True, "schedule": {"name": "linear"}}, "seed": None},
        "metrics": METRICS,
        "repeats": ONE_SEED,
        "layers": run.layers,
        "trained_layers": run.trained_layers,
        "input_shape": run.input_shape,
        "history": run.history,
        "cells": [],
        "figures": figures,
    }
    write_report(path, **(arguments | changes))
    return path.read_text(encoding="utf-8")


@pytest.fixture
def write(run, drawn, tmp_path):
    def write_with(figures=drawn, **changes) -> str:
        return write_page(tmp_path / "report.html", run, figures, **changes)

    return write_with
