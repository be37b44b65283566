"""What the report shows of a run that started from the weights of another network, its parent."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet import config
from alexnet.errors import UserError
from alexnet.evaluation.linear_probe import feature_layer
from alexnet.evaluation.repeats import Repeats
from alexnet.evaluation.results import ADVICE, Metrics
from alexnet.evaluation.warm_start import FROZEN, NAMES
from alexnet.files import abbreviate
from alexnet.network.inputs import centre_crop
from alexnet.network.parent import ParentNetwork
from alexnet.progress import progress
from alexnet.report.curves import History
from alexnet.report.interpretability import FeatureExtractor
from alexnet.report.probe import MAX_IMAGES, NUM_NEIGHBOURS, sample_indices
from alexnet.report.run import Ints, Run
from alexnet.report.style import percent
from alexnet.training.device import DeviceConfig, resolve_device, resolve_dtype
from alexnet.training.warm_start import WarmStart

DIGITS = 12  # of a digest, on the page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """The parent beside its network.

    `neighbours` uint8 (Q, k, H, W, C) and `neighbour_labels` (Q, k): the training images that lie
    nearest to the run's queries in what the parent's convolutions give. `from_nothing`: the
    history of the same training without a parent, if there was one. Accuracies: of the test images.
    """

    warm_start: WarmStart
    is_conv1_frozen: bool
    neighbours: NDArray[np.uint8]
    neighbour_labels: Ints
    num_compared: int  # training images
    probe_accuracy: float
    accuracy: float
    from_nothing: History
    accuracy_from_nothing: float | None

    @property
    def name(self) -> str:
        """The parent in words."""
        return NAMES[self.warm_start.parent.kind][0]

    @property
    def owner(self) -> str:
        """Whose the weights are: "ImageNet's"."""
        return NAMES[self.warm_start.parent.kind][1]

    @property
    def probe_note(self) -> str:
        """For the caption of curves, in which the probe has no place: they are of other images."""
        return (
            " Of the test images, of which no curve is drawn, the trained network predicts "
            f"{percent(self.accuracy, 2)} correctly, and a linear probe of the parent's features, "
            f"fitted to up to 5,000 training images, {percent(self.probe_accuracy, 2)}."
        )

    @property
    def conditions(self) -> Mapping[str, str]:
        """Of the run: the parent, which classes it has, and what was frozen."""
        start = self.warm_start
        total = len(start.matched) + len(start.new)
        matched = f"{len(start.matched)} of {total}, by name"
        if not start.matched:
            matched = f"none of {total}: the last layer starts anew"
        values = {
            "started from": f"{self.name} (SHA-256 {start.parent.sha256[:DIGITS]}…)",
            "classes matched": matched,
            "new classes": abbreviate(start.new) if start.matched else "",
            "dropped classes": abbreviate(start.dropped),
            "frozen layers": FROZEN[start.freeze],
        }
        return {key: value for key, value in values.items() if value}


def compare_start(
    run: Run,
    parent: ParentNetwork,
    warm_start: WarmStart,
    train: tuple[Tensor, Tensor],
    metrics: Metrics,
    repeats: Repeats,
    device: config.Device,
) -> Start:
    """Compare a run with its parent.

    train: images uint8 (N, H, W, C) as stored, and labels (N). Up to 10,000 of them pass through
    the parent once. Raises UserError if the metrics are of a run without a parent.
    """
    if metrics.linear_probe_accuracy is None:
        raise UserError(f"the metrics have no linear probe; {ADVICE}")
    size = parent.metadata.image_size
    images, labels = centre_crop(train[0], size), train[1]
    compared = sample_indices(len(images), MAX_IMAGES)
    gallery = images[compared]
    queries = torch.from_numpy(run.test_images[run.probes.queries])
    where = resolve_device(device)
    device_config = DeviceConfig(where, resolve_dtype("auto", where))
    extractor = FeatureExtractor(parent.model, parent.metadata, device_config)
    layer = feature_layer(parent.model, size)
    with progress("probe the parent", len(gallery)) as advance:
        nearest = extractor.nearest(queries, gallery, NUM_NEIGHBOURS, advance, layer)
    logger.info("nearest neighbours before training")
    other = repeats.from_nothing
    return Start(
        warm_start,
        is_conv1_frozen=np.array_equal(run.initial_conv1, run.weights["conv1"]),
        neighbours=gallery[torch.from_numpy(nearest)].numpy(),
        neighbour_labels=labels[compared].numpy()[nearest],
        num_compared=len(gallery),
        probe_accuracy=metrics.linear_probe_accuracy,
        accuracy=metrics.accuracy,
        from_nothing=[asdict(row) for row in other.history] if other else [],
        accuracy_from_nothing=other.result.test_accuracy if other else None,
    )
