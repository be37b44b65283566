"""A run as its pictures need it: read from the files that training and evaluation wrote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet import config
from alexnet.data.dataset import load_meta, load_split
from alexnet.errors import UserError
from alexnet.evaluation import layer_profile as timing
from alexnet.evaluation.evaluate import read_predictions
from alexnet.files import read_json
from alexnet.network.collapse import can_collapse, collapse_for_inference
from alexnet.network.inputs import centre_crop, denormalise
from alexnet.network.summary import Layer, summarize
from alexnet.network.weights import build, load_weights
from alexnet.progress import progress
from alexnet.report.curves import History
from alexnet.report.interpretability import FeatureExtractor
from alexnet.report.probe import Inside, look_inside, num_looked_at
from alexnet.training import history
from alexnet.training.augmentation import Augmentation, describe_augmentation
from alexnet.training.device import DeviceConfig, resolve_device, resolve_dtype

NUM_AUGMENTED = 4
CPU = torch.device("cpu")
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Files:
    """Where the stages before have put a run. `metrics` is training's."""

    processed: Path
    weights: Path
    history: Path
    layers: Path
    timing: Path
    metrics: Path
    predictions: Path


@dataclass(frozen=True)
class Run:
    """What the pictures are drawn from.

    `actual`, `predicted` (indices into `classes`) and `confidence` (of the answer) are (N), one
    for each of `test_images` uint8 (N, H, W, C). `samples` and `augmented` are as
    `samples.training_samples` takes them. `weights`: by layer, as trained. `layers`: of the
    network as written; `trained_layers`: as it computes in training, which `times` are of.
    `conditions` say what was trained, on what, for how long.
    """

    title: str
    conditions: Mapping[str, str]
    classes: list[str]
    variant: str
    input_shape: tuple[int, int, int]
    layers: list[Layer]
    trained_layers: list[Layer]
    history: History
    layer_rows: Sequence[Mapping[str, Any]]
    times: Sequence[Mapping[str, Any]]
    timed_on: str
    weights: Mapping[str, NDArray[np.float32]]
    conv1_before: NDArray[np.float32]
    samples: NDArray[np.uint8]
    augmented: NDArray[np.uint8]
    sample_labels: Ints
    augmentation: str
    test_images: NDArray[np.uint8]
    actual: Ints
    predicted: Ints
    confidence: NDArray[np.float64]
    calibration_bins: int
    num_mistakes: int
    inside: Inside


def read_run(files: Files, params: config.Params, say: Callable[[str], None]) -> Run:
    """Read a run, and look into its network; `say` is told how far that has come.

    Raises UserError if a file is missing, damaged or of another run.
    """
    meta = load_meta(files.processed)
    seconds, trained_on = training_facts(files.metrics)
    model, metadata = load_weights(files.weights)
    classes, size = list(metadata.classes), metadata.image_size
    predictions = read_predictions(files.predictions, metadata.classes)
    layers = summarize(model, size)
    images, labels = load_split(files.processed, "train")
    test_images = centre_crop(load_split(files.processed, "test")[0], size)
    torch.manual_seed(params.train.seed)
    fresh = build(metadata, params.model.dropout)  # as training began
    collapses = params.train.collapse_fc1 == "auto" and can_collapse(model, size)

    # Spread over the split, so that the samples are of several classes.
    chosen = torch.linspace(0, len(images) - 1, params.plot.num_samples).long()
    augmentation = Augmentation(images, metadata.mean, metadata.std, params.train, CPU)
    device = resolve_device(params.evaluate.device)
    with progress("look inside", num_looked_at(len(test_images), len(images))) as advance:
        inside = look_inside(
            FeatureExtractor(model, metadata, DeviceConfig(device, resolve_dtype("auto", device))),
            layers,
            (test_images, predictions.actual),
            (predictions.predicted, predictions.confidence),
            (centre_crop(images, size), labels),
            classes,
            say,
            advance,
        )
    model.to(CPU)
    epochs = [asdict(epoch) for epoch in history.read(files.history)]
    return Run(
        title=f"AlexNet on {meta.title}",
        conditions={
            "data set": meta.title,
            "variant": metadata.variant,
            "training images": f"{len(images):,}",
            "test images": f"{len(test_images):,}",
            "epochs": str(len(epochs)),
            "training time": f"{seconds:,.0f} s",
            "trained on": trained_on,
        },
        classes=classes,
        variant=metadata.variant,
        input_shape=(metadata.channels, size, size),
        layers=layers,
        trained_layers=summarize(collapse_for_inference(model), size) if collapses else layers,
        history=epochs,
        layer_rows=[asdict(row) for row in history.read_layers(files.layers)],
        times=[asdict(row) for row in timing.read(files.timing)],
        timed_on=trained_on,
        weights={
            name: layer.weight.detach().numpy()
            for name, layer in model.named_children()
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
        },
        conv1_before=fresh.conv1.weight.detach().numpy(),
        samples=centre_crop(images[chosen], size).numpy(),
        augmented=_augmented(augmentation, images, chosen),
        sample_labels=labels[chosen].numpy(),
        augmentation=describe_augmentation(params.train),
        test_images=test_images.numpy(),
        actual=predictions.actual,
        predicted=predictions.predicted,
        confidence=predictions.confidence,
        calibration_bins=params.evaluate.calibration_bins,
        num_mistakes=params.plot.num_mistakes,
        inside=inside,
    )


def _augmented(augmentation: Augmentation, images: Tensor, chosen: Tensor) -> NDArray[np.uint8]:
    """The chosen images as the first epochs change them: uint8 (epochs, N, H, W, C)."""
    epochs = []
    for epoch in range(NUM_AUGMENTED):
        sampled = augmentation.sample(len(images), epoch).index_select(chosen)
        x = augmentation(images[chosen], sampled)
        epochs.append(denormalise(x, augmentation.mean, augmentation.std))
    return torch.stack(epochs).numpy()


def training_facts(metrics: Path) -> tuple[float, str]:
    """(seconds of training, what it ran on). Raises UserError if the file does not say them."""
    facts = read_json(metrics)
    try:
        return float(facts["seconds"]), str(facts["device"])
    except KeyError as missing:
        raise UserError(
            f"{metrics} does not say {missing}: another version of train wrote it; run train again"
        ) from None
