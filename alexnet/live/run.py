"""A run as the page shows it, read from the files of its stages."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from alexnet.data.dataset import Meta, load_meta, load_split
from alexnet.errors import UserError
from alexnet.evaluation.results import ADVICE, Metrics, read_metrics
from alexnet.evaluation.warm_start import RETRAIN
from alexnet.files import read_rows, sha256
from alexnet.network.inputs import centre_crop
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata, load_weights
from alexnet.training.filter_history import load_filters
from alexnet.training.history import Epoch


@dataclass(frozen=True)
class Files:
    """The files of a run: of preprocess, train and evaluate, relative to its folder."""

    processed: Path = Path("data/processed")
    weights: Path = Path("models/weights.safetensors")
    history: Path = Path("reports/train/history.csv")
    filters: Path = Path("reports/train/filters.safetensors")
    metrics: Path = Path("reports/evaluate/metrics.json")


@dataclass(frozen=True)
class LiveRun:
    """Images are uint8 (N, H, W, C) in the size that the network takes; labels int64 (N).

    filters: conv1's after each of `filter_epochs` (0: before the first), of any float type:
    (snapshots, out, in, k, k).
    """

    meta: Meta
    model: AlexNet
    metadata: ModelMetadata
    weights_sha256: str
    metrics: Metrics
    history: list[Epoch]
    filter_epochs: list[int]
    filters: Tensor
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def read_live_run(files: Files) -> LiveRun:
    """Raises UserError if a file is missing, damaged or of another run."""
    model, metadata = load_weights(files.weights)
    digest = sha256(files.weights)
    metrics = read_metrics(files.metrics)
    if metrics.weights_sha256 != digest:
        raise UserError(f"{files.metrics}: is of other weights than {files.weights}; {ADVICE}")
    meta = load_meta(files.processed)
    given = (meta.classes, meta.channels)
    if given != (metadata.classes, metadata.channels) or meta.image_size < metadata.image_size:
        raise UserError(
            f"{files.processed}: is of other classes, channels or sizes of images than "
            f"{files.weights}; run the stage preprocess again, then train: `dvc repro`"
        )
    epochs, filters = _filters(files.filters, model)
    train, test = (
        (centre_crop(images, metadata.image_size), labels)
        for images, labels in (load_split(files.processed, split) for split in ("train", "test"))
    )
    return LiveRun(
        meta=meta,
        model=model,
        metadata=metadata,
        weights_sha256=digest,
        metrics=metrics,
        history=read_rows(files.history, Epoch, RETRAIN),
        filter_epochs=epochs,
        filters=filters,
        train=train,
        test=test,
    )


def _filters(path: Path, model: AlexNet) -> tuple[list[int], Tensor]:
    """The snapshots of conv1; none of a run from before they were kept."""
    shape = model.conv1.weight.shape
    if not path.exists():
        return [], model.conv1.weight.new_zeros(0, *shape)
    epochs, filters = load_filters(path)
    if epochs and filters.shape[1:] != shape:
        raise UserError(f"{path}: is of another network than the weights; {RETRAIN}")
    return epochs, filters.float()
