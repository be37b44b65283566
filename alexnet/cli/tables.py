"""The tables that summary prints: in words, before they are laid out."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from alexnet.cli.inspection import Network
from alexnet.network.summary import Layer

TEXT = {"layer", "kind"}  # columns that are read from the left


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
    """What each layer does, and what one of its values sees of the image."""
    headings = ["layer", "kind", "output", "kernel", "stride", "pad", "sees", "every", "centre"]
    return Table(network.title, headings, [_shape(layer) for layer in network.layers])


def costs(network: Network) -> Table:
    """What each layer costs, in numbers and as a share of the network's."""
    headings = ["layer", "parameters", "share", "MACs", "share", "output", "kept", "FLOP/byte"]
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
    kept = in_bytes(network.training.activations)
    total = ["total", f"{totals['parameters']:,}", "", f"{totals['macs']:,}", "", output, kept, ""]
    number = network.batch_size
    batch = "a batch of one image" if number == 1 else f"a batch of {number} images"
    return Table(f"What {batch} costs in float32", headings, rows, total)


def notes(network: Network) -> Iterator[str]:
    """What the columns mean, and what a step of training takes."""
    flops, memory = network.training_flops, network.training
    yield (
        "sees: the side of the input square that one value depends on; every: from the square of "
        "one value to the next one's; centre: of the first, from the image's edge; in pixels."
    )
    yield (
        "MACs: multiply-adds for one image; output and kept: bytes of the batch, of which kept is "
        "what backward will need and no layer before it keeps; FLOP/byte: operations for each "
        "byte of input, weights and output."
    )
    yield (
        f"{network.totals['flops'] / 1e6:.2f} MFLOP for an image forward (a multiply-add is two), "
        f"{flops / 1e6:.2f} forward and backward."
    )
    yield (
        f"A step of training takes {network.batch_size * flops / 1e9:.2f} GFLOP and "
        f"{in_bytes(memory.total)}: weights, gradients and momentum {in_bytes(memory.weights)} "
        f"each, kept activations {in_bytes(memory.activations)}; workspaces come on top."
    )
    if (folded := network.training_folded) is not None:
        yield (
            f"Where train.collapse_fc1 leaves out fc1's copies it takes "
            f"{in_bytes(folded.total)}: three times {in_bytes(folded.weights)}, "
            f"and {in_bytes(folded.activations)}."
        )


def in_bytes(number: int) -> str:
    """Two or three digits: "812 B", "24.6 kB", "233 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.{0 if number >= 100 * size else 1}f} {unit}"
    return f"{number} B"


def _shape(layer: Layer) -> list[str]:
    groups = layer.groups or 1
    window = [layer.kernel, layer.stride, layer.padding]
    sees = [layer.receptive_field, layer.receptive_field_stride, layer.receptive_field_centre]
    return [
        layer.name,
        layer.kind if groups == 1 else f"{layer.kind}, {groups} groups",
        "x".join(map(str, layer.output_shape)),
        *("" if value is None else str(value) for value in window),
        *(
            ["all", "", ""]
            if None in sees
            else [f"{value:g}" for value in sees if value is not None]
        ),
    ]


def _number_and_share(number: int, share: float) -> list[str]:
    return [f"{number:,}", f"{100 * share:.1f} %"] if number else ["", ""]
