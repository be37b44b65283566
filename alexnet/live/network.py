"""The network as the page computes it: by onnxruntime, with rounded weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from alexnet.export.activations import (
    Arrays,
    ExternalWeight,
    activation_graph,
    unchanged,
    weights_of,
    with_weights,
)
from alexnet.export.blocks import Block, blocks_of, without_average_pool
from alexnet.inference.session import open_session
from alexnet.live.tensors import dequantise, quantise
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress

BATCH_PIXELS, MAX_BATCH = 2**20, 250  # at 32 pixels a batch has 250 images, at 227 it has 20

Pixels = NDArray[np.uint8]


class ActivationNetwork:
    """A graph of activations with its weights."""

    def __init__(self, blocks: Sequence[Block], graph: onnx.ModelProto, values: Arrays) -> None:
        self.blocks = blocks
        self._session = open_session(with_weights(graph, values))

    def run(self, images: Pixels, names: Sequence[str]) -> Iterator[Arrays]:
        """The named outputs for images (N, H, W, C), a batch at a time."""
        feeds = unchanged(self.blocks)
        batch_size = min(MAX_BATCH, max(1, BATCH_PIXELS // images[0, :, :, 0].size))
        with progress("activations", len(images)) as advance:
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size]
                values = self._session.run(list(names), feeds | {"images": batch})
                yield dict(zip(names, values, strict=True))
                advance(len(batch))

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """(N, K)"""
        name = self.blocks[-1].name
        return np.concatenate([outputs[name] for outputs in self.run(images, [name])])


@dataclass(frozen=True)
class PageNetwork:
    """A network as trained, and as the page has it: `graph`, and its weights as `arrays`."""

    blocks: list[Block]
    graph: onnx.ModelProto
    arrays: Arrays
    exact: ActivationNetwork
    rounded: ActivationNetwork


def page_network(model: AlexNet, metadata: ModelMetadata) -> PageNetwork:
    """Raises UserError that names a layer which the page cannot show."""
    compact = without_average_pool(model, metadata)
    blocks = blocks_of(compact, metadata)
    graph, weights = activation_graph(compact, metadata)
    exact = weights_of(compact, weights)
    arrays, rounded = round_weights(exact, weights)
    return PageNetwork(
        blocks,
        graph,
        arrays,
        exact=ActivationNetwork(blocks, graph, exact),
        rounded=ActivationNetwork(blocks, graph, rounded),
    )


def round_weights(exact: Arrays, weights: Sequence[ExternalWeight]) -> tuple[Arrays, Arrays]:
    """The arrays of the page, and the float32 values that it makes of them.

    A weight has one scale for each of its channels or units; biases stay as they are. Fully
    connected layers, which have most weights, take 7 bits: on CIFAR-10 no label more changed by
    it, and the file is a tenth smaller.
    """
    arrays: Arrays = {}
    values: Arrays = {}
    for weight in weights:
        block, part = weight.name.split(".")
        if part == "weight":
            bits = 8 if len(weight.shape) > 2 else 7
            arrays[weight.name], arrays[f"{block}.scale"] = quantise(exact[weight.name], bits)
            values[weight.name] = dequantise(arrays[weight.name], arrays[f"{block}.scale"])
        else:
            arrays[weight.name] = values[weight.name] = exact[weight.name]
    return arrays, values
