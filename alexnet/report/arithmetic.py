"""A layer's shape, parameters, operations and field, written out as one would on paper."""

from collections.abc import Sequence
from math import prod

from alexnet.network.summary import Layer

Line = tuple[str, str]  # what, and how it comes about


def written_out(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> dict[str, list[Line]]:
    """By layer: the sums that lead to its row of the table. input_shape: (C, H, W)."""
    lines = {}
    before, field, stride = input_shape, 1, 1
    for layer in layers:
        lines[layer.name] = _lines(layer, before, field, stride)
        before = layer.output_shape
        field, stride = layer.receptive_field or field, layer.receptive_field_stride or stride
    return lines


def _lines(layer: Layer, before: tuple[int, ...], field: int, stride: int) -> list[Line]:
    after = layer.output_shape
    lines = [("shape", f"{_times(before)} → {_times(after)}")]
    if layer.kernel is not None:
        k, s, p = layer.kernel, layer.stride, layer.padding
        whole = f"⌊({before[1]} − {k} + 2·{p}) / {s}⌋ + 1 = {after[1]}"
        lines.append(("side", whole))
    if layer.kind == "conv":
        groups = layer.groups or 1
        window = before[0] // groups
        per_group = f"{before[0]}/{groups}" if groups > 1 else f"{window}"
        k = layer.kernel or 0
        lines.append(
            (
                "parameters",
                f"{after[0]} · ({per_group} · {k} · {k}) + {after[0]} = {layer.parameters:,}",
            )
        )
        lines.append(
            (
                "multiply-adds",
                f"{_times(after, ' · ')} · ({per_group} · {k} · {k}) = {layer.macs:,}",
            )
        )
    elif layer.kind == "fc":
        inputs, outputs = prod(before), after[0]
        lines.append(
            ("parameters", f"{inputs:,} · {outputs:,} + {outputs:,} = {layer.parameters:,}")
        )
        lines.append(("multiply-adds", f"{inputs:,} · {outputs:,} = {layer.macs:,}"))
    elif layer.kind == "flatten":
        lines.append(("values", f"{_times(before, ' · ')} = {after[0]:,}"))
    lines.append(("memory", f"{_times(after, ' · ')} · 4 bytes = {4 * prod(after):,} bytes"))
    if layer.receptive_field is None:
        lines.append(("sees", "the whole image"))
    elif layer.kernel is not None:
        seen = f"{field} + ({layer.kernel} − 1) · {stride} = {layer.receptive_field} pixels"
        apart = f"{stride} · {layer.stride} = {layer.receptive_field_stride}"
        lines.append(("sees", f"{seen}; the next value begins {apart} further on"))
    else:
        lines.append(("sees", f"{layer.receptive_field} pixels, as before"))
    return lines


def _times(shape: tuple[int, ...], sign: str = " × ") -> str:
    return sign.join(f"{side:,}" for side in shape)
