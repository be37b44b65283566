"""How a layer's shape, parameters, operations and receptive field are computed, step by step."""

from collections.abc import Sequence
from math import prod

from alexnet.network.summary import Layer
from alexnet.report.layers import kind_name

Line = tuple[str, str]  # a quantity, and its computation


def layer_arithmetic(
    layers: Sequence[Layer], input_shape: tuple[int, ...]
) -> dict[str, list[Line]]:
    """By layer: the computations of its row in the table. input_shape: (C, H, W).

    Raises ValueError for a layer whose parameters these formulas do not explain.
    """
    lines = {}
    before, field, stride = input_shape, 1, 1
    for layer in layers:
        lines[layer.name] = [
            ("shape", f"{_product(before, ' × ')} → {_product(layer.output_shape, ' × ')}"),
            *_size(layer, before),
            *_counts(layer, before),
            ("memory", _memory(layer.output_shape)),
            ("receptive field", _field(layer, field, stride)),
        ]
        before = layer.output_shape
        field, stride = layer.receptive_field or field, layer.receptive_field_stride or stride
    return lines


def _size(layer: Layer, before: tuple[int, ...]) -> list[Line]:
    after = layer.output_shape
    if layer.kernel is not None:
        k, s, p = layer.kernel, layer.stride, layer.padding
        return [("side", f"⌊({before[1]} − {k} + 2·{p}) / {s}⌋ + 1 = {after[1]}")]
    if layer.kind == "flatten":
        return [("values", f"{_product(before)} = {after[0]:,}")]
    return []


def _counts(layer: Layer, before: tuple[int, ...]) -> list[Line]:
    """Parameters and multiply-adds."""
    after = layer.output_shape
    if layer.kind == "conv":
        groups, k = layer.groups or 1, layer.kernel or 0
        channels = f"{before[0]}/{groups}" if groups > 1 else f"{before[0]}"
        window = f"({channels} · {k} · {k})"
        weights, num_weights = f"{after[0]} · {window}", after[0] * (before[0] // groups) * k * k
        macs = f"{_product(after)} · {window}"
    elif layer.kind == "fc":
        weights, num_weights = f"{prod(before):,} · {after[0]:,}", prod(before) * after[0]
        macs = weights
    elif layer.kind == "batch norm" and layer.parameters == 2 * before[0]:
        return [("parameters", f"2 · {before[0]:,} = {layer.parameters:,}")]  # scale and shift
    elif not layer.parameters:
        return []
    else:
        raise _unexplained(layer)
    biases = layer.parameters - num_weights
    if biases not in (0, after[0]):
        raise _unexplained(layer)
    sums = f"{weights} + {biases:,}" if biases else weights
    return [
        ("parameters", f"{sums} = {layer.parameters:,}"),
        ("multiply-adds", f"{macs} = {layer.macs:,}"),
    ]


def _unexplained(layer: Layer) -> ValueError:
    return ValueError(
        f"the report has no formula for the {layer.parameters:,} parameters of layer {layer.name} "
        f"({kind_name(layer)}); add one to alexnet.report.arithmetic"
    )


def _memory(shape: tuple[int, ...]) -> str:
    return f"{_product(shape)} · 4 bytes = {4 * prod(shape):,} bytes"


def _field(layer: Layer, field: int, stride: int) -> str:
    if layer.receptive_field is None:
        return "the whole image"
    if layer.kernel is None:
        return f"{layer.receptive_field} pixels, unchanged"
    side = f"{field} + ({layer.kernel} − 1) · {stride} = {layer.receptive_field} pixels"
    return f"{side}; stride {stride} · {layer.stride} = {layer.receptive_field_stride}"


def _product(shape: tuple[int, ...], sign: str = " · ") -> str:
    return sign.join(f"{side:,}" for side in shape)
