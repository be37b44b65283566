"""A run as its pictures need it, read from the files of the stages before."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet import config
from alexnet.data.dataset import Meta, load_meta, load_split
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import read_predictions
from alexnet.evaluation.layer_profile import LayerTime
from alexnet.evaluation.results import ADVICE
from alexnet.evaluation.warm_start import RETRAIN
from alexnet.files import abbreviate, read_record, read_rows
from alexnet.network.collapse import can_collapse, collapse_for_inference
from alexnet.network.inputs import centre_crop, denormalise
from alexnet.network.parent import ParentNetwork
from alexnet.network.summary import Layer, summarize
from alexnet.network.weights import ModelMetadata, build, load_weights
from alexnet.report.curves import History
from alexnet.report.interpretability import FeatureExtractor
from alexnet.report.names import for_figure
from alexnet.report.probe import ProbeResults, probe_network, sample_indices
from alexnet.training.augmentation import Augmentation, describe_augmentation
from alexnet.training.device import DeviceConfig, resolve_device, resolve_dtype
from alexnet.training.history import Epoch, LayerEpoch
from alexnet.training.whitening import whiten_first_layer

NUM_AUGMENTED = 4  # epochs
CHECKED = 256  # images at a time, for colours
CPU = torch.device("cpu")
PROFILE_AGAIN = "run the stage profile again"
Ints = NDArray[np.int64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """The files of a run: of preprocess, train, profile and evaluate."""

    processed: Path
    weights: Path
    history: Path
    layers: Path
    train_metrics: Path
    profile: Path
    profile_metrics: Path
    predictions: Path


@dataclass(frozen=True)
class RanOn:
    """Of a stage's metrics, what the pictures name."""

    device: str


@dataclass(frozen=True)
class Run:
    """The data that the pictures are drawn from.

    `counts`: images of each class, for each split. `classes`: their names as `names.for_figure`
    gives them. `is_grey`: no image has colours.

    `actual`, `predicted` (indices into `classes`) and `confidence` (of the prediction) are (N),
    one for each of `test_images` uint8 (N, H, W, C). `samples` and `augmented` are as
    `samples.training_samples` takes them. `weights`: by layer, as trained. `layers`: of the
    network as written; `trained_layers`: of the network in training, whose `times` were
    measured on `profiled_on`. `conditions`: the data set, the variant, the device.
    """

    title: str
    conditions: Mapping[str, str]
    counts: Mapping[str, Mapping[str, int]]
    classes: list[str]
    variant: str
    input_shape: tuple[int, int, int]
    layers: list[Layer]
    trained_layers: list[Layer]
    history: History
    layer_rows: Sequence[Mapping[str, Any]]
    times: Sequence[Mapping[str, Any]]
    profiled_on: str
    weights: Mapping[str, NDArray[np.float32]]
    initial_conv1: NDArray[np.float32]
    num_whitened: int  # filters of conv1 (train.init)
    is_folded: bool  # train.batch_norm
    is_grey: bool
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
    probes: ProbeResults


def read_run(files: Files, params: config.Params, parent: ParentNetwork | None = None) -> Run:
    """Read a run, which started from the parent, if any, and probe its network.

    Raises UserError if a file is missing, damaged or of another run.
    """
    meta = load_meta(files.processed)
    epochs = [asdict(row) for row in read_rows(files.history, Epoch, RETRAIN)]
    layer_rows = [asdict(row) for row in read_rows(files.layers, LayerEpoch, RETRAIN)]
    trained_on = read_record(files.train_metrics, RanOn, RETRAIN).device
    profiled_on = read_record(files.profile_metrics, RanOn, PROFILE_AGAIN).device
    times = [asdict(row) for row in read_rows(files.profile, LayerTime, PROFILE_AGAIN)]
    model, metadata = load_weights(files.weights)
    classes, warning = for_figure(metadata.classes)
    if warning:
        logger.warning(warning)
    size = metadata.image_size
    predictions = read_predictions(files.predictions, metadata.classes)
    layers = summarize(model, size)
    if [row["layer"] for row in times] != [layer.name for layer in layers]:
        raise UserError(f"{files.profile}: is of other layers than the network's; {PROFILE_AGAIN}")
    images, labels = load_split(files.processed, "train")
    test_images, test_labels = load_split(files.processed, "test")
    test_images = centre_crop(test_images, size)
    if not np.array_equal(predictions.actual, test_labels):
        raise UserError(f"{files.predictions}: is of other images than the test split; {ADVICE}")
    initial_conv1, num_whitened = _initial_conv1(params, metadata, images, parent)
    collapses = params.train.collapse_fc1 == "auto" and can_collapse(model, size)

    # Evenly spaced over the split, so that the samples are of several classes.
    chosen = sample_indices(len(images), params.plot.num_samples)
    augmentation = Augmentation(images, metadata.mean, metadata.std, params.train, CPU)
    device = resolve_device(params.evaluate.device)
    probes = probe_network(
        FeatureExtractor(model, metadata, DeviceConfig(device, resolve_dtype("auto", device))),
        (test_images, predictions.actual),
        (predictions.predicted, predictions.confidence),
        (centre_crop(images, size), labels),
    )
    model.to(CPU)
    return Run(
        title=f"AlexNet on {meta.title}",
        conditions={
            "data set": meta.title,
            "variant": metadata.variant,
            "training images": f"{len(images):,}",
            "test images": f"{len(test_images):,}",
            "epochs": str(len(epochs)),
            "trained on": trained_on,
            **skipped_images(meta),
        },
        counts=meta.counts,
        classes=classes,
        variant=metadata.variant,
        input_shape=(metadata.channels, size, size),
        layers=layers,
        trained_layers=summarize(collapse_for_inference(model), size) if collapses else layers,
        history=epochs,
        layer_rows=layer_rows,
        times=times,
        profiled_on=profiled_on,
        weights={
            name: layer.weight.detach().numpy()
            for name, layer in model.named_children()
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)
        },
        initial_conv1=initial_conv1.numpy(),
        num_whitened=num_whitened,
        is_folded=params.train.batch_norm == "folded",
        is_grey=is_grey(images),
        samples=centre_crop(images[chosen], size).numpy(),
        augmented=_augmented(augmentation, images, chosen, min(NUM_AUGMENTED, len(epochs))),
        sample_labels=labels[chosen].numpy(),
        augmentation=describe_augmentation(params.train),
        test_images=test_images.numpy(),
        actual=predictions.actual,
        predicted=predictions.predicted,
        confidence=predictions.confidence,
        calibration_bins=params.evaluate.calibration_bins,
        num_mistakes=params.plot.num_mistakes,
        probes=probes,
    )


def _initial_conv1(
    params: config.Params, metadata: ModelMetadata, images: Tensor, parent: ParentNetwork | None
) -> tuple[Tensor, int]:
    """conv1's weights before training, and how many of its filters were whitened."""
    if parent:
        return parent.model.conv1.weight.detach(), 0
    torch.manual_seed(params.train.seed)
    initial = build(metadata, params.model.dropout)
    random = initial.conv1.weight.detach().clone()
    if params.train.init == "whitened":
        whiten_first_layer(initial, images, metadata)
    num_whitened = int((initial.conv1.weight != random).flatten(1).any(dim=1).sum())
    return initial.conv1.weight.detach(), num_whitened


def is_grey(images: Tensor) -> bool:
    """Whether none of the images uint8 (N, H, W, C) has colours; in one channel or in three."""
    return all(bool((some == some[..., :1]).all()) for some in images.split(CHECKED))


def skipped_images(meta: Meta) -> dict[str, str]:
    """The images that preprocess has left out: their number and the first names, if any."""
    names = [image.name for image in meta.skipped]
    return {"images left out": f"{len(names):,}: {abbreviate(names)}"} if names else {}


def _augmented(
    augmentation: Augmentation, images: Tensor, chosen: Tensor, num_epochs: int
) -> NDArray[np.uint8]:
    """The chosen images as the first epochs change them: uint8 (epochs, N, H, W, C)."""
    epochs = []
    for epoch in range(num_epochs):
        sampled = augmentation.sample(len(images), epoch)[chosen]
        x = augmentation(images[chosen], sampled)
        epochs.append(denormalise(x, augmentation.mean, augmentation.std))
    return torch.stack(epochs).numpy()
