"""profile: the time of each layer, forward and backward, as the network trains.

Batch normalisation that is folded away (`train.batch_norm`) is none of its layers, and not timed.
Layers that `train.freeze` freezes are timed as the others are, as if they trained.
"""

import logging

from stages import paths
from stages.command import run
from stages.params import load
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.profile")


def profile(params: ParamsFile = PARAMS) -> None:
    """Time each layer of a fresh network: the times depend on shapes, not on weights."""
    values = load(params)

    from alexnet.data.dataset import load_meta
    from alexnet.evaluation.layer_profile import LayerTime, time_layers
    from alexnet.files import write_json, write_rows
    from alexnet.network.collapse import can_collapse, collapse_for_training
    from alexnet.network.reference.network import with_reference_operations
    from alexnet.network.weights import ModelMetadata, build
    from alexnet.progress import format_seconds
    from alexnet.training.device import (
        DeviceConfig,
        configure_torch,
        nondeterminism_as_user_error,
        oom_as_user_error,
        resolve_device,
        resolve_dtype,
    )

    device = resolve_device(values.train.device)
    configure_torch(values.train.deterministic)
    reference = values.model.ops == "reference"  # these are written for float32
    dtype = resolve_dtype("fp32" if reference else values.train.precision, device)
    device_config = DeviceConfig(device, dtype)

    meta = load_meta(paths.PROCESSED)
    size = values.crop_size
    metadata = ModelMetadata(values.model.variant, meta.classes, size, meta.mean, meta.std)
    network = build(metadata, values.model.dropout)
    if reference:
        network = with_reference_operations(network)
    if values.train.collapse_fc1 == "auto" and can_collapse(network, size):
        network = collapse_for_training(network)

    with oom_as_user_error(values.train.batch_size), nondeterminism_as_user_error():
        times = time_layers(network, size, values.train.batch_size, device_config)
    write_rows(paths.PROFILE, LayerTime, times)
    write_json(paths.PROFILE_METRICS, {"device": str(device_config)})
    forward = sum(row.forward_seconds for row in times)
    backward = sum(row.backward_seconds for row in times)
    logger.info(
        "%s: %s forward and %s backward an image, layer by layer (%s)",
        *(paths.PROFILE, format_seconds(forward), format_seconds(backward), device_config),
    )


if __name__ == "__main__":
    run(profile)
