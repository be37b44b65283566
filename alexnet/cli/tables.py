"""The tables that summary prints, as text cells without layout."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from alexnet.cli.inspection import Network
from alexnet.network.cost import TrainingMemory
from alexnet.network.summary import Layer
from alexnet.progress import in_bytes

TEXT = {"layer", "kind"}  # left-aligned columns; the others hold numbers


@dataclass(frozen=True)
class Table:
    title: str
    headings: list[str]
    rows: list[list[str]]
    total: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        rules = [":--" if heading in TEXT else "--:" for heading in self.headings]
        lines = [self.headings, rules, *self.rows, *([self.total] if self.total else [])]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"**{self.title}**\n\n{table}"


def shapes(network: Network) -> Table:
    """Each layer's kind, output shape, window and receptive field."""
    headings = ["layer", "kind", "output", "kernel", "stride", "pad", "field", "step", "centre"]
    return Table(network.title, headings, [_shape(layer) for layer in network.layers])


def costs(network: Network) -> Table:
    """Each layer's parameters, operations and memory, with its share of the network's."""
    headings = ["layer", "parameters", "share", "MACs", "share", "output", "saved", "FLOP/byte"]
    rows = [
        [
            layer.name,
            *_number_and_share(layer.parameters, cost.parameters_share),
            *_number_and_share(layer.macs, cost.macs_share),
            in_bytes(cost.activation_bytes),
            in_bytes(cost.saved_activation_bytes) if cost.saved_activation_bytes else "",
            f"{cost.arithmetic_intensity:.3g}" if layer.macs else "",
        ]
        for layer, cost in zip(network.layers, network.costs, strict=True)
    ]
    totals = network.totals
    output = in_bytes(sum(cost.activation_bytes for cost in network.costs))
    saved = in_bytes(network.training.activations)
    total = ["total", f"{totals['parameters']:,}", "", f"{totals['macs']:,}", "", output, saved, ""]
    number = network.batch_size
    batch = "one image" if number == 1 else f"a batch of {number} images"
    return Table(f"Cost of {batch} in float32", headings, rows, total)


def notes(network: Network) -> Iterator[str]:
    """The meaning of the columns, and the cost of a training step."""
    flops, memory = network.training_flops, network.training
    yield (
        "field: the side of the receptive field, the input square that one value depends on; "
        "step: from one value's field to the next one's; centre: of the first field, from the "
        "image's edge; in pixels."
    )
    yield (
        "MACs: multiply-adds for one image; output: bytes of the batch's activations; saved: bytes "
        "that the layer saves for backward and no layer before it does; FLOP/byte: operations per "
        "byte of input, weights and output (arithmetic intensity)."
    )
    yield (
        f"{network.totals['flops'] / 1e6:.2f} MFLOP for one image forward (a multiply-add is two), "
        f"{flops / 1e6:.2f} forward and backward."
    )
    yield (
        f"A training step takes {network.batch_size * flops / 1e9:.2f} GFLOP and "
        f"{in_bytes(memory.total)}: {_weights(memory)}, "
        f"saved activations {in_bytes(memory.activations)}; workspaces come on top."
    )
    if (collapsed := network.training_collapsed) is not None:
        yield (
            f"With train.collapse_fc1 it takes {in_bytes(collapsed.total)}: {_weights(collapsed)}, "
            f"saved activations {in_bytes(collapsed.activations)}."
        )


def _weights(memory: TrainingMemory) -> str:
    if memory.gradients == memory.weights:
        return f"weights, gradients and momentum {in_bytes(memory.weights)} each"
    return (
        f"weights {in_bytes(memory.weights)}, gradients and momentum of those that train "
        f"{in_bytes(memory.gradients)} each"
    )


def _shape(layer: Layer) -> list[str]:
    groups = layer.groups or 1
    kind = layer.kind if groups == 1 else f"{layer.kind}, {groups} groups"
    window = [layer.kernel, layer.stride, layer.padding]
    receptive = [layer.receptive_field, layer.receptive_field_stride, layer.receptive_field_centre]
    return [
        layer.name,
        f"{kind}, frozen" if layer.frozen else kind,
        "x".join(map(str, layer.output_shape)),
        *("" if value is None else str(value) for value in window),
        *(
            ["all", "", ""]
            if None in receptive
            else [f"{value:g}" for value in receptive if value is not None]
        ),
    ]


def _number_and_share(number: int, share: float) -> list[str]:
    return [f"{number:,}", f"{100 * share:.1f} %"] if number else ["", ""]
