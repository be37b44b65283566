"""run.json's part on the network: a row for each block, and the copies that fc1 sums up."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from alexnet.export.blocks import Block
from alexnet.network.collapse import can_collapse, collapse_for_inference, num_copies
from alexnet.network.model import AlexNet
from alexnet.network.summary import num_parameters, summarize
from alexnet.network.weights import ModelMetadata

NUM_EXAMPLES = 6


def describe_blocks(
    model: AlexNet, metadata: ModelMetadata, blocks: list[Block]
) -> list[dict[str, Any]]:
    """The rows; parameters and multiply-adds are those of the network as written."""
    written = {layer.name: layer for layer in summarize(model, metadata.image_size)}
    rows = []
    for block in blocks:
        layer = written[block.name]
        row: dict[str, Any] = {
            "name": block.name,
            "kind": block.kind,
            "relu": block.relu,
            "input": block.input,
            "input_shape": block.input_shape,
            "output_shape": block.output_shape,
            "kernel": layer.kernel,
            "stride": layer.stride,
            "padding": layer.padding,
            "groups": layer.groups,
            "receptive_field": layer.receptive_field,
            "receptive_field_stride": layer.receptive_field_stride,
            "receptive_field_start": layer.receptive_field_start,
            "parameters": layer.parameters,
            "macs": layer.macs,
        }
        module = model.get_submodule(block.name)
        if isinstance(module, nn.LocalResponseNorm):
            names = ("size", "alpha", "beta", "k")
            row["lrn"] = {name: getattr(module, name) for name in names}
        rows.append(row)
    return rows


def describe_copies(model: AlexNet, metadata: ModelMetadata) -> dict[str, Any] | None:
    """What the average pool copies, with examples of weights that act as their sum.

    None where fc1 stays as it is written.
    """
    if not can_collapse(model, metadata.image_size):
        return None
    number = num_copies(model, metadata.image_size)
    weight = model.fc1.weight.detach().cpu().numpy()
    weight = weight.reshape(len(weight), -1, number)  # (units, inputs, copies)
    sums = weight.sum(axis=2, dtype=np.float64)
    (pool,) = [row for row in summarize(model, metadata.image_size) if row.name == "avgpool"]
    return {
        "layer": "fc1",
        "number": number,
        "shape": list(pool.output_shape[1:]),
        "inputs": weight.shape[1],
        "parameters_written": num_parameters(model.fc1),
        "parameters_collapsed": num_parameters(collapse_for_inference(model).fc1),
        "examples": [
            {
                "unit": unit,
                "input": channel,
                "weights": [float(f"{value:.6g}") for value in weight[unit, channel].tolist()],
                "sum": float(f"{sums[unit, channel]:.6g}"),
            }
            for unit, channel in largest_sums(sums, NUM_EXAMPLES)
        ],
    }


def largest_sums(sums: NDArray[np.float64], number: int) -> list[tuple[int, int]]:
    """(unit, input) of the largest absolute sums, no unit and no input twice."""
    left = np.abs(sums)
    chosen = []
    for _ in range(min(number, *sums.shape)):
        unit, channel = map(int, np.unravel_index(left.argmax(), left.shape))
        chosen.append((unit, channel))
        left[unit], left[:, channel] = -1, -1
    return chosen
