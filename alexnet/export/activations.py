"""The network as a graph that shows its inside: each layer's activations, and what-if inputs.

Its outputs are those of the blocks (alexnet.export.blocks). By the inputs beside the images a
caller changes what is computed:

    images           uint8 (batch, height, width, channels), as decoded from a file
    <block>.keep     float32 (channels,): 1 keeps a channel, 0 mutes it, after the ReLU
    <block>.slope    float32 (): of the ReLU below zero. 0: a ReLU; 1: none, all values pass
    <block>.average  float32 (): of a max pool. 0: the maximum of a window; 1: its average
    <block>          float32: the block's output, by its name; that of the last are the logits
    probabilities    float32 (batch, num_classes)

The weights are no part of the file: they lie one after the other in a file `weights`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array
from torch import nn

from alexnet import __version__
from alexnet.export.blocks import Block, blocks_of
from alexnet.export.graph import Normalise, min_ir_version
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata

OPSET = 18
LOCATION = "weights"  # of the external data

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ExternalWeight:
    """A tensor of the weights' file: float32, from byte `offset` on."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def num_bytes(self) -> int:
        return 4 * prod(self.shape)


def activation_graph(
    model: AlexNet, metadata: ModelMetadata
) -> tuple[onnx.ModelProto, list[ExternalWeight]]:
    """The graph of a network, and where its weights belong.

    model: as `without_average_pool` gives it. Raises UserError as `blocks_of` does.
    """
    blocks = blocks_of(model, metadata)
    size, channels = metadata.image_size, metadata.channels
    weights = external_weights(blocks, model)
    normalise = Normalise(metadata)
    constants: Arrays = {
        "normalise.shift": normalise.shift.numpy(),
        "normalise.scale": normalise.scale.numpy(),
    }
    nodes = [
        make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        make_node("Sub", ["pixels", "normalise.shift"], ["centred"]),
        make_node("Div", ["centred", "normalise.scale"], ["normalised"]),
        make_node("Transpose", ["normalised"], ["image"], perm=[0, 3, 1, 2]),
    ]
    inputs = [_value("images", ("batch", size, size, channels), TensorProto.UINT8)]
    for block in blocks:
        nodes += _nodes(block, model.get_submodule(block.name), constants)
        inputs += [_value(name, shape) for name, shape in switches(block).items()]
    nodes.append(make_node("Softmax", [blocks[-1].name], ["probabilities"], axis=1))
    graph = onnx.helper.make_graph(
        nodes,
        "activations",
        inputs,
        [
            *(_value(block.name, ("batch", *block.output_shape)) for block in blocks),
            _value("probabilities", ("batch", *blocks[-1].output_shape)),
        ],
        [*(from_array(value, name) for name, value in constants.items()), *map(_external, weights)],
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    exported = onnx.helper.make_model(
        graph,
        opset_imports=[opset],
        ir_version=min_ir_version(OPSET),
        producer_name="alexnet",
        producer_version=__version__,
    )
    return exported, weights


def switches(block: Block) -> dict[str, tuple[int, ...]]:
    """The what-if inputs of a block, and their shapes."""
    if block.kind == "max pool":
        return {f"{block.name}.average": ()}
    if block.relu:
        return {f"{block.name}.keep": block.output_shape[:1], f"{block.name}.slope": ()}
    return {}


def unchanged(blocks: Sequence[Block]) -> Arrays:
    """What the what-if inputs have to be for the network's own activations."""
    return {
        name: np.full(shape, 1 if name.endswith(".keep") else 0, np.float32)
        for block in blocks
        for name, shape in switches(block).items()
    }


def external_weights(blocks: Sequence[Block], model: AlexNet) -> list[ExternalWeight]:
    """Weight and bias of each weighted block, in the order in which the file has them."""
    weights, offset = [], 0
    for block in blocks:
        if block.is_weighted:
            for part in ("weight", "bias"):
                shape = tuple(model.get_parameter(f"{block.name}.{part}").shape)
                weights.append(ExternalWeight(f"{block.name}.{part}", shape, offset))
                offset += weights[-1].num_bytes
    return weights


def with_weights(exported: onnx.ModelProto, values: Arrays) -> bytes:
    """The file of the graph with float32 values in place of its external weights."""
    complete = onnx.ModelProto()
    complete.CopyFrom(exported)
    for tensor in complete.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.CopyFrom(from_array(values[tensor.name].astype(np.float32), tensor.name))
    return bytes(complete.SerializeToString(deterministic=True))


def weights_of(model: AlexNet, weights: Sequence[ExternalWeight]) -> Arrays:
    """The values of a network's weights, by name."""
    with torch.no_grad():
        return {each.name: model.get_parameter(each.name).cpu().numpy() for each in weights}


def _nodes(block: Block, module: nn.Module, constants: Arrays) -> list[onnx.NodeProto]:
    """The nodes that compute a block; what they need beside its weights goes to `constants`."""
    name, source = block.name, block.input
    result = f"{name}.sum" if block.relu else name
    parts = [f"{name}.weight", f"{name}.bias"]
    if isinstance(module, nn.LocalResponseNorm):
        numbers: dict[str, Any] = {"alpha": module.alpha, "beta": module.beta, "bias": module.k}
        return [make_node("LRN", [source], [name], name, size=module.size, **numbers)]
    if isinstance(module, nn.Linear):
        flat = f"{name}.input"
        return [
            make_node("Flatten", [source], [flat]),
            make_node("Gemm", [flat, *parts], [result], name, transB=1),
            *_relu(block, constants),
        ]
    window: dict[str, Any] = {
        "kernel_shape": [block.layer.kernel] * 2,
        "strides": [block.layer.stride] * 2,
        "pads": [block.layer.padding] * 4,
    }
    if isinstance(module, nn.Conv2d):
        node = make_node("Conv", [source, *parts], [result], name, group=module.groups, **window)
        return [node, *_relu(block, constants)]
    constants["one"] = np.array(1, np.float32)
    share = f"{name}.average"
    return [
        make_node("MaxPool", [source], [f"{name}.maxima"], name, **window),
        make_node("AveragePool", [source], [f"{name}.averages"], **window),
        make_node("Sub", ["one", share], [f"{name}.maximum"]),
        make_node("Mul", [f"{name}.maxima", f"{name}.maximum"], [f"{name}.of_maxima"]),
        make_node("Mul", [f"{name}.averages", share], [f"{name}.of_averages"]),
        make_node("Add", [f"{name}.of_maxima", f"{name}.of_averages"], [name]),
    ]


def _relu(block: Block, constants: Arrays) -> list[onnx.NodeProto]:
    """max(x, slope x), of which `keep` mutes channels."""
    if not block.relu:
        return []
    name, keep = block.name, f"{block.name}.keep"
    nodes = [
        make_node("Mul", [f"{name}.sum", f"{name}.slope"], [f"{name}.below"]),
        make_node("Max", [f"{name}.sum", f"{name}.below"], [f"{name}.relu"]),
    ]
    if block.kind == "conv":
        constants["by_channel"] = np.array([1, -1, 1, 1], np.int64)
        nodes.append(make_node("Reshape", [keep, "by_channel"], [f"{name}.kept"]))
        keep = f"{name}.kept"
    return [*nodes, make_node("Mul", [f"{name}.relu", keep], [name])]


def _value(
    name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return make_tensor_value_info(name, kind, shape)


def _external(weight: ExternalWeight) -> onnx.TensorProto:
    tensor = TensorProto(name=weight.name, data_type=TensorProto.FLOAT, dims=weight.shape)
    tensor.data_location = TensorProto.EXTERNAL
    place = {"location": LOCATION, "offset": weight.offset, "length": weight.num_bytes}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
