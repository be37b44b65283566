"""The blocks of a network, as people look at it: layers with what belongs to them.

A block is a weighted layer with the ReLU directly after it, a max pool or a local response
normalisation. Dropout and flatten are none, and the average pool is part of fc1.
"""

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn

from alexnet.errors import UserError
from alexnet.network.collapse import can_collapse, collapse_for_inference
from alexnet.network.model import AlexNet
from alexnet.network.summary import Layer, summarize
from alexnet.network.weights import ModelMetadata

WEIGHTED = ("conv", "fc")
PASSED_ON = ("dropout", "identity")  # in evaluation their outputs are their inputs


@dataclass(frozen=True)
class Block:
    """`layer` is that of the network as `without_average_pool` has it."""

    name: str
    kind: str  # of summary.KINDS: conv, fc, max pool or lrn
    relu: bool
    input: str  # the block whose output it takes, or `image`
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    layer: Layer

    @property
    def is_weighted(self) -> bool:
        return self.kind in WEIGHTED


def without_average_pool(model: AlexNet, metadata: ModelMetadata) -> AlexNet:
    """A network of the same logits that shares all layers but fc1, which takes the last maps.

    An average pool is a linear map of each channel, so fc1's weights can include it. Where it only
    copies one value, fc1 is collapsed. Without a pool that changes anything, `model` itself.
    """
    if can_collapse(model, metadata.image_size):
        return collapse_for_inference(model)
    layers = summarize(model, metadata.image_size)
    kinds = [layer.kind for layer in layers]
    if "average pool" not in kinds:
        return model
    pool = kinds.index("average pool")
    between = kinds[pool + 1 : kinds.index("fc")]
    channels, height, width = layers[pool - 1].output_shape
    is_same = layers[pool].output_shape == layers[pool - 1].output_shape
    if is_same or not {"flatten", *PASSED_ON}.issuperset(between):
        return model  # `blocks_of` says why a pool that stays is none
    one_hot = torch.eye(height * width).view(-1, 1, height, width)
    with torch.no_grad():
        shares = model.get_submodule(layers[pool].name)(one_hot).flatten(1)  # (inputs, outputs)
        weight = model.fc1.weight.unflatten(1, (channels, -1)) @ shares.T
    fc1 = copy.copy(model.fc1)
    fc1._parameters = model.fc1._parameters | {"weight": nn.Parameter(weight.flatten(1))}
    fc1.in_features = weight[0].numel()
    folded = copy.copy(model)
    folded._modules = model._modules | {layers[pool].name: nn.Identity(), "fc1": fc1}
    return folded


def blocks_of(model: AlexNet, metadata: ModelMetadata) -> list[Block]:
    """The blocks of a network as `without_average_pool` gives it.

    Raises UserError that names the layer for one that belongs to no block.
    """
    size = metadata.image_size
    blocks: list[Block] = []
    source = "image"
    shape: tuple[int, ...] = (metadata.channels, size, size)
    before = shape
    previous = ""  # the kind of the layer before, without those that pass everything on
    for layer in summarize(model, size):
        if layer.kind in (*WEIGHTED, "max pool", "lrn"):
            _check(layer, model.get_submodule(layer.name))
            shapes = (shape, layer.output_shape)
            blocks.append(Block(layer.name, layer.kind, False, source, *shapes, layer))
            source, shape = layer.name, layer.output_shape
        elif layer.kind == "relu" and previous in WEIGHTED:
            blocks[-1] = replace(blocks[-1], relu=True)
        elif layer.kind == "average pool" and layer.output_shape == before:
            pass  # each window has one value
        elif layer.kind not in (*PASSED_ON, "flatten"):
            raise UserError(
                f"layer {layer.name} ({layer.kind}, from {before} to {layer.output_shape}): a "
                "graph of activations has no place for it there"
            )
        before = layer.output_shape
        previous = previous if layer.kind in PASSED_ON else layer.kind
    return blocks


def _check(layer: Layer, module: nn.Module) -> None:
    """Raises UserError for what no variant has, and the graph neither."""
    wrong = ""
    if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
        wrong = f"padding_mode={module.padding_mode}"
    elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is None:
        wrong = "bias=False"
    elif isinstance(module, nn.MaxPool2d) and module.ceil_mode:
        wrong = "ceil_mode=True"
    elif isinstance(module, nn.LocalResponseNorm) and module.size % 2 == 0:
        wrong = f"size={module.size}"  # of even sizes ONNX and PyTorch have other middles
    if wrong:
        raise UserError(
            f"layer {layer.name} ({layer.kind}): a graph of activations is not made for {wrong}"
        )
