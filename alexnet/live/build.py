"""The folder of the page, built from a run."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from alexnet.evaluation.evaluate import logits_of
from alexnet.export.activations import Arrays
from alexnet.export.graph import preprocessing_of
from alexnet.export.samples import as_stored
from alexnet.files import atomic_directory, write_json
from alexnet.live.description import describe_blocks, describe_copies
from alexnet.live.gallery import explore, gallery_size, write_atlas
from alexnet.live.neighbours import project
from alexnet.live.network import PageNetwork, page_network
from alexnet.live.page import PageSource, copy_page
from alexnet.live.run import LiveRun
from alexnet.live.tensors import compress, pack, quantise
from alexnet.report.interpretability import last_hidden_layer
from alexnet.report.probe import first_of_each_class, sample_indices

SCHEMA = 1
MIN_SAMPLES, MAX_SAMPLES = 8, 10
MAX_LOGIT_DIFFERENCE = 1e-3  # of the graph from PyTorch; of logits above 1, a share of the largest
RUN = Path("run")
DESCRIPTION = RUN / "run.json"
# The files of an earlier build, by their paths in the folder.
WRITTEN = re.compile(
    r"[^/]+\.(html|css|js)|ort/[^/]+\.(mjs|wasm\.gz)"
    r"|run/(run\.json|network\.onnx|tensors\.bin\.gz|gallery\.jpg|samples/\d+\.png)"
)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Rounding:
    """What the rounded weights change, over the whole test split."""

    accuracy: float
    label_agreement: float  # with the weights as trained: a share of the images
    num_images: int
    max_probability_difference: float


def build_live(out: Path, run: LiveRun, source: PageSource) -> Rounding:
    """Write the folder `out`, or replace one that this function has written.

    Raises UserError if `out` holds anything else, which stays as it is, or if the page cannot
    show a layer of the network.
    """

    def is_ours(name: str) -> bool:
        return (out / DESCRIPTION).is_file() and WRITTEN.fullmatch(name) is not None

    with atomic_directory(out, is_ours) as folder:
        copy_page(folder, source)
        (folder / RUN / "samples").mkdir(parents=True)
        return _write_run(folder / RUN, run)


def _write_run(folder: Path, run: LiveRun) -> Rounding:
    """Write what the page shows of the run."""
    network = page_network(run.model, run.metadata)
    samples = _write_samples(folder, run, network)
    rounding = measure_rounding(network, run.test[0].numpy(), run.test[1].numpy())
    gallery, found = _write_gallery(folder, run, network)
    arrays = network.arrays | found
    if run.filter_epochs:
        snapshots = [quantise(each) for each in run.filters.numpy()]
        arrays["filters.weight"] = np.stack([values for values, _ in snapshots])
        arrays["filters.scale"] = np.stack([scales for _, scales in snapshots])
    content, table = pack(arrays)
    (folder / "tensors.bin.gz").write_bytes(compress(content))
    (folder / "network.onnx").write_bytes(network.graph.SerializeToString(deterministic=True))
    metadata = run.metadata
    metrics = {"accuracy": run.metrics.accuracy, "n": run.metrics.n, "loss": run.metrics.loss}
    description = {
        "schema": SCHEMA,
        "title": f"AlexNet on {run.meta.title}",
        "data": run.meta.title,
        "variant": metadata.variant,
        "classes": metadata.classes,
        "weights_sha256": run.weights_sha256,
        "metrics": metrics,
        "rounding": asdict(rounding),
        "preprocessing": preprocessing_of(metadata, run.meta.image_size, run.meta.resize),
        "mean": metadata.mean,
        "std": metadata.std,
        "layers": describe_blocks(run.model, metadata, network.blocks),
        "copies": describe_copies(run.model, metadata),
        "history": [asdict(row) for row in run.history],
        "filters": {"epochs": run.filter_epochs},
        "samples": samples,
        **gallery,
        "tensors": table,
    }
    write_json(folder / DESCRIPTION.name, description)
    return rounding


def measure_rounding(network: PageNetwork, images: Pixels, labels: NDArray[np.int64]) -> Rounding:
    """Compare the network of the page with the one that was trained."""
    exact, rounded = network.exact.logits(images), network.rounded.logits(images)
    predicted = rounded.argmax(axis=1)
    difference = np.abs(_softmax(exact) - _softmax(rounded)).max()
    return Rounding(
        accuracy=float((predicted == labels).mean()),
        label_agreement=float((predicted == exact.argmax(axis=1)).mean()),
        num_images=len(images),
        max_probability_difference=float(difference),
    )


def choose_samples(labels: NDArray[np.int64]) -> list[int]:
    """Test images of as many classes as possible: the first of each, and others up to 8."""
    chosen = first_of_each_class(labels, MAX_SAMPLES)
    others = [i for i in sample_indices(len(labels), MAX_SAMPLES).tolist() if i not in chosen]
    return [*chosen, *others[: max(0, MIN_SAMPLES - len(chosen))]]


def _write_samples(folder: Path, run: LiveRun, network: PageNetwork) -> list[dict[str, Any]]:
    """Write the samples, on which the graph has to compute what PyTorch does."""
    images, labels = run.test
    chosen = choose_samples(labels.numpy())
    pixels = images[torch.tensor(chosen)].contiguous()
    with torch.inference_mode():
        expected = logits_of(run.model, run.metadata, pixels, torch.device("cpu"), len(pixels))
    difference = float(np.abs(network.exact.logits(pixels.numpy()) - expected.numpy()).max())
    largest = max(1.0, float(expected.abs().max()))
    assert difference <= MAX_LOGIT_DIFFERENCE * largest, (
        f"the graph's logits differ by {difference:.2e}"
    )
    rows = []
    answers = _softmax(network.rounded.logits(pixels.numpy())).tolist()  # of the page's own weights
    for number, (index, image) in enumerate(zip(chosen, pixels.numpy(), strict=True)):
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        file = as_stored(picture, folder / "samples" / f"{number:02d}")
        name = file.relative_to(folder).as_posix()
        probabilities = [float(f"{value:.6g}") for value in answers[number]]
        rows.append({"file": name, "label": int(labels[index]), "probabilities": probabilities})
    return rows


def _write_gallery(
    folder: Path, run: LiveRun, network: PageNetwork
) -> tuple[dict[str, Any], Arrays]:
    """Write the gallery; its part of run.json, and the arrays on what the network makes of it."""
    images, labels = run.train
    size = run.metadata.image_size
    chosen = sample_indices(len(images), gallery_size(len(images), size))
    pixels = images[chosen].numpy()
    columns = write_atlas(folder / "gallery.jpg", pixels)
    layer = last_hidden_layer([block.layer for block in network.blocks])
    arrays, features = explore(network.rounded, pixels, layer)
    projection = project(features)
    described = {
        "gallery": {
            "file": "gallery.jpg",
            "size": size,
            "columns": columns,
            "number": len(pixels),
            "labels": labels[chosen].tolist(),
        },
        "neighbours": {
            "layer": layer,
            "dimensions": projection.dimensions,
            "variance": projection.variance,
        },
    }
    return described, arrays | projection.arrays


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
