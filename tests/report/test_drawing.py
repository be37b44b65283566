"""The pictures of a run, drawn again and of large photographs."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from alexnet.evaluation.results import ClassMetrics
from alexnet.network.model import AlexNetOneWeirdTrick
from alexnet.report.draw import draw_all
from alexnet.report.examples import cells_with_examples
from alexnet.report.interpretability import FeatureExtractor

from .conftest import METRICS, run_of, write_page

pytestmark = pytest.mark.slow


def test_bytes_do_not_depend_on_the_users_settings(run, drawn, tmp_path):
    settings = {"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": None}
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        draw_all(tmp_path, run)
        assert dict(matplotlib.rcParams) == before  # and these stay as they are
    for file in drawn.rglob("*.*"):
        again = tmp_path / file.relative_to(drawn)
        assert file.read_bytes() == again.read_bytes(), file.name


def test_the_page_stays_small_with_large_photographs(tmp_path, monkeypatch):
    """Of 224 pixels: crops of leaves, roofs and petals, which compress badly."""
    crops = [
        photograph[180 + row : 404 + row, column : column + 224]
        for photograph in load_sample_images().images
        for row in (0, 10, 20)
        for column in range(0, 400, 20)
    ]
    images = torch.from_numpy(np.stack(crops)[::2])
    labels = torch.arange(len(images)) % 10
    model = AlexNetOneWeirdTrick(10, 3, 0.0)
    # 289 forward passes an image, for a map of 17 by 17.
    monkeypatch.setattr(FeatureExtractor, "occlusion", lambda *_, **__: np.eye(17))
    run = run_of(model, (images, labels), len(images))
    versions = torch.stack([images[:10].roll(shift, dims=1) for shift in range(4)])
    run = replace(
        run,
        samples=images[:10].numpy(),
        augmented=versions.numpy(),
        sample_labels=run.actual[:10],
        predicted=np.where(np.arange(len(images)) % 2, run.actual, (run.actual + 1) % 10),
        num_mistakes=24,
    )
    draw_all(tmp_path, run)
    cells = cells_with_examples(run.test_images, run.actual, run.predicted, run.confidence)
    classes = dict.fromkeys(run.classes, ClassMetrics(0.5, 0.5, 1))
    changes = {"cells": cells, "metrics": replace(METRICS, per_class=classes)}
    assert len(write_page(tmp_path / "report.html", run, tmp_path, **changes)) < 15_000_000
